//! One training step, and everything it works on.

use crate::images::{Images, Visit, augment};
use crate::model::{Forward, Model, Pass};
use crate::network::Network;
use crate::recipe::{Precision, Recipe};
use crate::train::LossScale;
use reference::ops::BatchNormMode;
use reference::{Access, Array, Direction, TensorSpec};
use std::fmt;
use tape::{Device, Error, Gradients, Optimizer, Tape, Tensor, Var, clip_norm, rescale};

/// A training step with all it works on already on the device.
#[derive(Debug)]
pub struct Step<'a> {
    recipe: &'a Recipe,
    model: &'a Model,
    images: &'a Images,
    visit: &'a Visit,
    optimizer: Optimizer,
    /// The gradient of the loss by itself, times the scale of the loss.
    scale: Tensor,
    /// What takes the scale out of the gradients, where there is one.
    unscale: Option<Tensor>,
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
            Optimizer::of_arena(device, model.trained(), |spec| recipe.optimizer.update(spec).map_err(Error::from))?;
        let one = || device.upload(&TensorSpec::plain([1]), Array::Real(vec![1.0]));
        let scaled = recipe.train.precision == Precision::F16Storage;
        let (scale, unscale) = (one()?, scaled.then(one).transpose()?);
        let rates = device.zeros(&TensorSpec::plain([4]))?;
        Ok(Self { recipe, model, images, visit, optimizer, scale, unscale, rates })
    }

    /// Multiplies the loss by this from now on, so that gradients are neither too small nor too large for f16. In f32
    /// there is no scale.
    pub fn scale_loss(&self, device: &Device, scale: Option<&LossScale>) -> Result<(), Error> {
        if let (Some(unscale), Some(LossScale { scale, .. })) = (&self.unscale, scale) {
            device.write(&self.scale, Array::Real(vec![*scale]))?;
            device.write(unscale, Array::Real(vec![1.0 / scale]))?;
        }
        Ok(())
    }

    /// One step on the next `n` images. Returned: `[sum of losses, correct predictions]` of them, before the update.
    /// Uploads nothing and waits for nothing, so it can be recorded.
    pub fn run(&self, device: &Device, n: usize) -> Result<Tensor, Error> {
        let derived = self.derive(device, n, |_, _| ())?;
        self.update(device, n, &derived)?;
        Ok(derived.metrics.tensor().clone())
    }

    /// Forward and backward. `seen` is shown the output of every layer.
    fn derive(&self, device: &Device, n: usize, seen: impl FnMut(usize, &Var)) -> Result<Derived, Error> {
        let (x, labels) = self.images.gather(device, self.visit, n)?;
        let x = augment(device, self.recipe, &self.visit.counter, x)?;
        let tape = Tape::new(device);
        let pass = Pass { batch_norm: BatchNormMode::Training, dropout: Some(&self.visit.counter) };
        let forward = self.model.forward_seen(&tape, &x, pass, seen)?;
        let (loss, metrics) = Model::loss(&tape, &self.recipe.loss, &forward.logits, &labels)?;
        let places = self.model.places(&forward, self.optimizer.gradients().unwrap_or_default());
        let gradients = tape.backward_into(&loss, &self.scale, places)?;
        Ok(Derived { forward, loss, metrics, gradients })
    }

    fn update(&self, device: &Device, n: usize, derived: &Derived) -> Result<(), Error> {
        // After the last reader of this step's counter, before the first reader of its rates.
        let course = self.recipe.schedule.in_steps(&self.recipe.train, self.visit.len());
        let schedule = self.recipe.optimizer.schedule(n)?.with_lr_schedule(course)?;
        device.run(&schedule, Direction::Update, &[&self.visit.counter, &self.rates])?;
        let grads: Vec<Option<&Tensor>> =
            self.model.gradients(&derived.forward, &derived.gradients).map(|(_, grad)| grad).collect();
        if let Some(unscale) = &self.unscale {
            rescale(device, &self.optimizer.together(&grads), unscale)?;
        }
        if let Some(norm) = self.recipe.train.clip_grad_norm {
            let known: Vec<&Tensor> = grads.iter().flatten().copied().collect();
            clip_norm(device, &known, norm as f32)?;
        }
        self.optimizer.step(device, &self.rates, &grads)
    }

    /// One step, looking at everything on its way: what first is not finite. Forward, then backward, then what the
    /// update leaves behind.
    pub async fn inspect(&self, device: &Device, n: usize) -> Result<Option<Origin>, Error> {
        let names = self.model.network().names();
        let mut outputs: Vec<(usize, Var)> = Vec::new();
        let derived = self.derive(device, n, |layer, output| outputs.push((layer, output.clone())))?;
        for (layer, output) in &outputs {
            if !is_finite(device, output.tensor()).await? {
                return Ok(Some(Origin::Output(names[*layer].clone())));
            }
        }
        if !is_finite(device, derived.loss.tensor()).await? || !is_finite(device, derived.metrics.tensor()).await? {
            return Ok(Some(Origin::Loss));
        }
        let parameters: Vec<_> = self.model.gradients(&derived.forward, &derived.gradients).collect();
        for (layer, output) in outputs.iter().rev() {
            let layer = &names[*layer];
            if let Some(gradient) = derived.gradients.get(output)
                && !is_finite(device, gradient).await?
            {
                return Ok(Some(Origin::Gradient(format!("the output of {layer}"))));
            }
            for (name, gradient) in &parameters {
                if let Some(gradient) = gradient.filter(|_| name.split('.').next() == Some(layer.as_str()))
                    && !is_finite(device, gradient).await?
                {
                    return Ok(Some(Origin::Gradient((*name).to_owned())));
                }
            }
        }
        self.update(device, n, &derived)?;
        for (name, tensor) in self.state() {
            if !is_finite(device, tensor).await? {
                return Ok(Some(Origin::Update(name)));
            }
        }
        Ok(None)
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

/// What forward and backward leave for the update.
struct Derived {
    forward: Forward,
    loss: Var,
    metrics: Var,
    gradients: Gradients,
}

async fn is_finite(device: &Device, tensor: &Tensor) -> Result<bool, Error> {
    Ok(match device.read(tensor).await? {
        Array::Real(values) => values.iter().all(|value| value.is_finite()),
        Array::Index(_) => true,
    })
}

/// Where the first number that is not finite stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In what a layer gave.
    Output(String),
    /// In the loss of finite logits.
    Loss,
    /// In a gradient.
    Gradient(String),
    /// In a parameter or the optimiser's state after the update, all gradients being finite.
    Update(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(layer) => write!(f, "the output of layer {layer} is not finite"),
            Self::Loss => f.write_str("the loss is not finite, all outputs of layers are"),
            Self::Gradient(of) => write!(f, "the gradient of {of} is not finite"),
            Self::Update(of) => write!(f, "{of} is not finite after the update, its gradient is"),
        }
    }
}

/// Names and dimensions of [`Step::state`].
pub fn layout(network: &Network, recipe: &Recipe) -> Result<Vec<(String, Vec<usize>)>, reference::Error> {
    let parameters = network.parameters();
    let mut layout: Vec<(String, Vec<usize>)> =
        parameters.iter().map(|parameter| (parameter.name.clone(), parameter.spec.dims.clone())).collect();
    for parameter in parameters.iter().filter(|parameter| parameter.trainable) {
        for arg in recipe.optimizer.update(&parameter.spec)?.signature(Direction::Update) {
            if arg.access == Access::Update && arg.name != "param" {
                layout.push((format!("{}/{}", parameter.name, arg.name), arg.spec.dims));
            }
        }
    }
    Ok(layout)
}
