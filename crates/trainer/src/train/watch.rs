//! What is evaluated after every epoch.

use super::Partition;
use super::divergence::find_in_use;
use crate::evaluate::{Evaluator, How};
use crate::evaluation::Evaluation;
use crate::images::Images;
use crate::metrics::Scores;
use crate::model::Model;
use crate::recipe::Recipe;
use fashion_mnist::Dataset;
use std::ops::ControlFlow;
use tape::{Device, Error};

/// The test images on the device.
pub(super) struct Test {
    images: Images,
    order: Vec<u32>,
}

impl Test {
    /// Puts them there if they are evaluated after every epoch.
    pub(super) fn new(device: &Device, recipe: &Recipe, dataset: &Dataset) -> Result<Option<Self>, Error> {
        if !recipe.data.validate_on_test && !recipe.data.test_every_epoch {
            return Ok(None);
        }
        let images = Images::upload(device, &dataset.test, recipe.data.normalise, recipe.train.precision)?;
        Ok(Some(Self { images, order: (0..dataset.test.len() as u32).collect() }))
    }
}

/// What is evaluated after every epoch.
pub(super) struct Watch<'a> {
    device: &'a Device,
    model: &'a Model,
    /// Each set of images, as [`find_in_use`] wants it.
    sets: Vec<(&'a Images, &'a [u32])>,
    validation: Option<Evaluator<'a>>,
    augmented: Option<Evaluator<'a>>,
    test: Option<Evaluator<'a>>,
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
    /// Allocates what the evaluation of a model needs. `images` are the training images.
    pub(super) fn new(
        device: &'a Device,
        recipe: &'a Recipe,
        dataset: &'a Dataset,
        model: &'a Model,
        (images, partition): (&'a Images, &'a Partition),
        test: Option<&'a Test>,
        eager: bool,
    ) -> Result<Self, Error> {
        let mut watch = Self { device, model, sets: Vec::new(), validation: None, augmented: None, test: None };
        let evaluator = |images, order, labels, augmented| {
            Evaluator::new(device, model, recipe, images, (order, labels), How { augmented, eager })
        };
        if !partition.validation.is_empty() {
            watch.sets.push((images, &partition.validation));
            watch.validation = Some(evaluator(images, &partition.validation, dataset.train.labels(), false)?);
        }
        let Some(Test { images, order }) = test else { return Ok(watch) };
        let labels = dataset.test.labels();
        watch.sets.push((images, order));
        let clean = Some(evaluator(images, order, labels, false)?);
        if !recipe.data.validate_on_test {
            return Ok(Self { test: clean, ..watch });
        }
        watch.validation = clean;
        if recipe.augment.is_some() || recipe.erasing.is_some() {
            watch.augmented = Some(evaluator(images, order, labels, true)?);
        }
        Ok(watch)
    }

    /// Evaluates all of them. `None` if `stop` said so before the end; it is asked after every batch.
    pub(super) async fn look(&self, stop: &dyn Fn() -> bool) -> Result<Option<Figures>, Error> {
        let mut each = |_: &[f32]| if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut figures = [None, None, None];
        for (figures, evaluator) in figures.iter_mut().zip([&self.validation, &self.augmented, &self.test]) {
            if let Some(evaluator) = evaluator {
                *figures = evaluator.run(&mut each).await?;
                if figures.is_none() {
                    return Ok(None);
                }
            }
        }
        let [validation, augmented, test] = figures;
        Ok(Some(Figures { validation, augmented, test }))
    }

    /// The first layer that gives something on these images that is not finite.
    pub(super) async fn find(&self) -> Result<Option<String>, Error> {
        for (images, order) in &self.sets {
            let layer = find_in_use(self.device, self.model, images, order).await?;
            if layer.is_some() {
                return Ok(layer);
            }
        }
        Ok(None)
    }
}
