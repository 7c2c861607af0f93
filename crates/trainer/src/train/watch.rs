//! What is evaluated after every epoch.

use super::Partition;
use super::divergence::find_in_use;
use crate::evaluate::{evaluate, evaluate_augmented};
use crate::evaluation::Evaluation;
use crate::images::Images;
use crate::metrics::Scores;
use crate::model::Model;
use crate::recipe::Recipe;
use fashion_mnist::Dataset;
use tape::{Device, Error};

/// The images that are evaluated after every epoch.
pub(super) struct Watch<'a> {
    device: &'a Device,
    recipe: &'a Recipe,
    dataset: &'a Dataset,
    /// The test images, if they are among them.
    test: Option<(Images, Vec<u32>)>,
}

/// How the network does on them.
pub(super) struct Figures {
    /// On the validation images.
    pub(super) validation: Option<Evaluation>,
    /// On the same, moved at random as in training.
    pub(super) augmented: Option<Evaluation>,
    /// On the test images, where they are not those to validate on.
    pub(super) test: Option<Evaluation>,
}

impl Figures {
    /// A set of images on which the loss is no number.
    pub(super) fn not_finite(&self) -> Option<&'static str> {
        let sets = [(&self.validation, "validation"), (&self.augmented, "validation"), (&self.test, "test")];
        sets.into_iter().find_map(|(figures, name)| {
            figures.as_ref().is_some_and(|figures| !figures.loss.is_finite()).then_some(name)
        })
    }
}

/// The numbers that are drawn as curves.
pub(super) fn scores(figures: &Option<Evaluation>) -> Option<Scores> {
    figures.as_ref().map(|figures| Scores { loss: figures.loss, accuracy: figures.accuracy })
}

impl<'a> Watch<'a> {
    /// Puts on the device what is not there for training.
    pub(super) fn new(device: &'a Device, recipe: &'a Recipe, dataset: &'a Dataset) -> Result<Self, Error> {
        let test = if recipe.data.validate_on_test || recipe.data.test_every_epoch {
            let images = Images::upload(device, &dataset.test, recipe.data.normalise)?;
            Some((images, (0..dataset.test.len() as u32).collect()))
        } else {
            None
        };
        Ok(Self { device, recipe, dataset, test })
    }

    /// Evaluates all of them. `images` are the training images.
    pub(super) async fn look(&self, model: &Model, images: &Images, partition: &Partition) -> Result<Figures, Error> {
        let Self { device, recipe, dataset, .. } = *self;
        let mut figures = Figures { validation: None, augmented: None, test: None };
        if !partition.validation.is_empty() {
            let labels = dataset.train.labels();
            figures.validation = Some(evaluate(device, model, recipe, images, &partition.validation, labels).await?);
        }
        let Some((images, order)) = &self.test else { return Ok(figures) };
        let labels = dataset.test.labels();
        let clean = Some(evaluate(device, model, recipe, images, order, labels).await?);
        if !recipe.data.validate_on_test {
            return Ok(Figures { test: clean, ..figures });
        }
        figures.validation = clean;
        if recipe.augment.is_some() || recipe.erasing.is_some() {
            figures.augmented = Some(evaluate_augmented(device, model, recipe, images, order, labels).await?);
        }
        Ok(figures)
    }
    /// The first layer that gives something on these images that is not finite.
    pub(super) async fn find(
        &self,
        model: &Model,
        images: &Images,
        partition: &Partition,
    ) -> Result<Option<String>, Error> {
        let layer = find_in_use(self.device, model, images, &partition.validation).await?;
        match &self.test {
            Some((images, order)) if layer.is_none() => find_in_use(self.device, model, images, order).await,
            _ => Ok(layer),
        }
    }
}
