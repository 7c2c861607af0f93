//! Runs a trained network over a set of images.

use crate::evaluation::{Evaluation, Tally};
use crate::images::{Images, Visit, augment};
use crate::model::{Model, Pass};
use crate::network::CLASSES;
use crate::recipe::Recipe;
use tape::{Device, Error, Tape};

/// Images at a time. More would only need more memory.
const BATCH: usize = 500;

/// Loss, accuracy and confusion on the images of `order`; `labels` are those of the whole split.
pub async fn evaluate(
    device: &Device,
    model: &Model,
    recipe: &Recipe,
    images: &Images,
    order: &[u32],
    labels: &[u8],
) -> Result<Evaluation, Error> {
    run(device, model, (recipe, false), images, order, labels, &mut |_| ()).await
}

/// The same on images that are moved at random as in training, in the same way each time.
pub async fn evaluate_augmented(
    device: &Device,
    model: &Model,
    recipe: &Recipe,
    images: &Images,
    order: &[u32],
    labels: &[u8],
) -> Result<Evaluation, Error> {
    run(device, model, (recipe, true), images, order, labels, &mut |_| ()).await
}

/// Like [`evaluate`], and hands out the logits of every image, in order.
pub async fn evaluate_each(
    device: &Device,
    model: &Model,
    recipe: &Recipe,
    images: &Images,
    order: &[u32],
    labels: &[u8],
    each: &mut dyn FnMut(&[f32]),
) -> Result<Evaluation, Error> {
    run(device, model, (recipe, false), images, order, labels, each).await
}

async fn run(
    device: &Device,
    model: &Model,
    (recipe, augmented): (&Recipe, bool),
    images: &Images,
    order: &[u32],
    labels: &[u8],
    each: &mut dyn FnMut(&[f32]),
) -> Result<Evaluation, Error> {
    let mut tally = Tally::default();
    if order.is_empty() {
        return Ok(tally.finish());
    }
    // Seeds of recipes have 63 bits, so that training never draws the same numbers.
    let seed = recipe.train.seed | 1 << 63;
    let visit = Visit::new(device, order, seed)?;
    for (number, batch) in order.chunks(BATCH).enumerate() {
        visit.seek(device, number as u64, number * BATCH, seed)?;
        let (mut x, targets) = images.gather(device, &visit, batch.len())?;
        if augmented {
            x = augment(device, recipe, &visit.counter, x)?;
        }
        let tape = Tape::new(device);
        let logits = model.forward(&tape, &x, Pass::INFERENCE)?.logits;
        let (_, metrics) = Model::loss(&tape, &recipe.loss, &logits, &targets)?;
        let sums = device.read(metrics.tensor()).await?;
        tally.add_loss(sums.real().first().copied().unwrap_or(f32::NAN).into());
        let logits = device.read(logits.tensor()).await?;
        for (logits, &image) in logits.real().chunks(CLASSES).zip(batch) {
            let label = labels.get(image as usize).copied().unwrap_or(u8::MAX);
            tally.count(label.into(), first_maximum(logits));
            each(logits);
        }
    }
    Ok(tally.finish())
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
