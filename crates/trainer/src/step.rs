//! One training step, and everything it works on.

use crate::images::{Images, Visit};
use crate::model::{Model, Pass};
use crate::recipe::Recipe;
use reference::ops::BatchNormMode;
use reference::{Array, Direction, TensorSpec};
use tape::{Device, Error, Optimizer, Tape, Tensor};

/// A training step with all it works on already on the device.
#[derive(Debug)]
pub struct Step<'a> {
    recipe: &'a Recipe,
    model: &'a Model,
    images: &'a Images,
    visit: &'a Visit,
    optimizer: Optimizer,
    /// The gradient of the loss by itself.
    one: Tensor,
    rates: Tensor,
}

impl<'a> Step<'a> {
    /// Steps that train `model` by `recipe` on the images that `visit` comes to.
    pub fn new(
        device: &Device,
        recipe: &'a Recipe,
        model: &'a Model,
        images: &'a Images,
        visit: &'a Visit,
    ) -> Result<Self, Error> {
        let optimizer =
            Optimizer::new(device, &model.trainable(), |spec| recipe.optimizer.update(spec).map_err(Error::from))?;
        let one = device.upload(&TensorSpec::plain([1]), Array::Real(vec![1.0]))?;
        let rates = device.zeros(&TensorSpec::plain([4]))?;
        Ok(Self { recipe, model, images, visit, optimizer, one, rates })
    }

    /// One step on the next `n` images. Returned: `[sum of losses, correct predictions]` of them, before the update.
    /// Uploads nothing and waits for nothing, so it can be recorded.
    pub fn run(&self, device: &Device, n: usize) -> Result<Tensor, Error> {
        let (x, labels) = self.images.gather(device, self.visit, n)?;
        let tape = Tape::new(device);
        let pass = Pass { batch_norm: BatchNormMode::Training, dropout: Some(&self.visit.counter) };
        let forward = self.model.forward(&tape, &x, pass)?;
        let (loss, metrics) = tape.softmax_cross_entropy(&forward.logits, &tape.constant(&labels))?;
        let gradients = tape.backward_from(&loss, &self.one)?;
        // After the last reader of this step's counter, before the first reader of its rates.
        let schedule = self.recipe.optimizer.schedule(n)?;
        device.run(&schedule, Direction::Update, &[&self.visit.counter, &self.rates])?;
        let grads: Vec<Option<&Tensor>> = self.model.gradients(&forward, &gradients).map(|(_, grad)| grad).collect();
        self.optimizer.step(device, &self.rates, &grads)?;
        Ok(metrics.tensor().clone())
    }

    /// Everything that one step leaves for the next, apart from the counter: parameters, running statistics, the
    /// optimiser's state, with their names.
    pub fn state(&self) -> Vec<(String, &Tensor)> {
        let parameters = self.model.network().parameters();
        let mut state: Vec<(String, &Tensor)> =
            parameters.iter().zip(self.model.tensors()).map(|(spec, tensor)| (spec.name.clone(), tensor)).collect();
        let trainable: Vec<&str> =
            parameters.iter().filter(|spec| spec.trainable).map(|spec| spec.name.as_str()).collect();
        state.extend(
            self.optimizer.state().map(|(index, name, tensor)| (format!("{}/{name}", trainable[index]), tensor)),
        );
        state
    }
}
