//! Runs a trained network over a set of images.

use crate::evaluation::{Evaluation, Tally};
use crate::images::{Images, Visit, augment};
use crate::model::{Model, Pass};
use crate::network::CLASSES;
use crate::recipe::Recipe;
use kernels::Plan;
use std::collections::HashMap;
use std::ops::ControlFlow;
use tape::{Device, Error, Tape, Tensor};

/// Images at a time. More would only need more memory.
const BATCH: usize = 500;

/// The same on the reference, which is slow: whoever asks to stop should not have to wait for long.
const BATCH_OF_REFERENCE: usize = 50;

/// A network and the images it is evaluated on, as often as one likes.
#[derive(Debug)]
pub struct Evaluator<'a> {
    device: &'a Device,
    model: &'a Model,
    recipe: &'a Recipe,
    images: &'a Images,
    order: &'a [u32],
    labels: &'a [u8],
    how: How,
    visit: Visit,
    /// One for each batch size there is, where the device can record.
    recorded: HashMap<usize, (Plan, Outcome)>,
}

/// How images are evaluated.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Whether they are moved at random as in training, in the same way each time.
    pub augmented: bool,
    /// Whether each batch is run by the tape, even where a recorded plan could be replayed.
    pub eager: bool,
}

/// What a batch leaves on the device.
#[derive(Debug)]
struct Outcome {
    /// `[n, classes]`.
    logits: Tensor,
    /// `[sum of losses, correct predictions]`.
    metrics: Tensor,
}

impl<'a> Evaluator<'a> {
    /// For the images of `order`; `labels` are those of the whole split.
    pub fn new(
        device: &'a Device,
        model: &'a Model,
        recipe: &'a Recipe,
        images: &'a Images,
        (order, labels): (&'a [u32], &'a [u8]),
        how: How,
    ) -> Result<Self, Error> {
        let visit = Visit::new(device, order, seed(recipe))?;
        let recorded = HashMap::new();
        let mut evaluator = Self { device, model, recipe, images, order, labels, how, visit, recorded };
        if !how.eager {
            let most = batch(device);
            for n in [most.min(order.len()), order.len() % most] {
                if n > 0 && !evaluator.recorded.contains_key(&n) {
                    evaluator.record(n)?;
                }
            }
        }
        Ok(evaluator)
    }

    fn record(&mut self, n: usize) -> Result<(), Error> {
        let mut outcome = None;
        let plan = self.device.record(|recorder| {
            outcome = Some(self.forward(recorder, n)?);
            Ok::<_, Error>(())
        })?;
        self.recorded.extend(plan.zip(outcome).map(|recorded| (n, recorded)));
        Ok(())
    }

    /// The next `n` images of the visit.
    fn forward(&self, device: &Device, n: usize) -> Result<Outcome, Error> {
        let (mut x, targets) = self.images.gather(device, &self.visit, n)?;
        if self.how.augmented {
            x = augment(device, self.recipe, &self.visit.counter, x)?;
        }
        let tape = Tape::new(device);
        let logits = self.model.forward(&tape, &x, Pass::INFERENCE)?.logits;
        let (_, metrics) = Model::loss(&tape, &self.recipe.loss, &logits, &targets)?;
        Ok(Outcome { logits: logits.tensor().clone(), metrics: metrics.tensor().clone() })
    }

    /// Loss, accuracy and confusion. `each` gets the logits of every image, in order, a batch at a time, and says whether
    /// to go on; if not, there are no figures.
    pub async fn run(&self, each: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<Option<Evaluation>, Error> {
        let mut tally = Tally::default();
        let most = batch(self.device);
        for (number, batch) in self.order.chunks(most).enumerate() {
            self.visit.seek(self.device, number as u64, number * most, seed(self.recipe))?;
            let run;
            let outcome = match self.recorded.get(&batch.len()) {
                Some((plan, outcome)) => {
                    self.device.replay(plan)?;
                    outcome
                }
                None => {
                    run = self.forward(self.device, batch.len())?;
                    &run
                }
            };
            let read = self.device.read_all(&[&outcome.metrics, &outcome.logits]).await?;
            let [sums, logits] = read.as_slice() else { continue };
            tally.add_loss(sums.real().first().copied().unwrap_or(f32::NAN).into());
            for (logits, &image) in logits.real().chunks(CLASSES).zip(batch) {
                let label = self.labels.get(image as usize).copied().unwrap_or(u8::MAX);
                tally.count(label.into(), first_maximum(logits));
                if each(logits).is_break() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(tally.finish()))
    }
}

/// Images at a time on this device.
fn batch(device: &Device) -> usize {
    if matches!(device, Device::Reference) { BATCH_OF_REFERENCE } else { BATCH }
}

/// Seeds of recipes have 63 bits, so that training never draws the same numbers.
fn seed(recipe: &Recipe) -> u64 {
    recipe.train.seed | 1 << 63
}

/// The class with the largest logit, the first of equals.
fn first_maximum(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::first_maximum;

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(first_maximum(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(first_maximum(&[-1.0, -1.0]), 0);
    }
}
