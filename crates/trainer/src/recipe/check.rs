//! The ranges of a recipe's values.

use super::{
    Augment, Erasing, Field, LayerSpec, Loss, Optimizer, Precision, Recipe, RecipeError, Schedule, TRAINING_IMAGES,
};
use crate::network::Network;
use crate::plain::plain;
use crate::train::LossScale;

/// Enough for any run, and few enough that steps are counted without overflow.
const MAX_EPOCHS: u64 = 1_000_000;
const MAX_LAYERS: usize = 1_000;

impl Recipe {
    /// Refuses values out of range and layers that do not make a network.
    pub fn check(&self) -> Result<(), RecipeError> {
        let top = |key| Field { table: None, index: None, key };
        let data = |key| Field { table: Some("data"), index: None, key };
        let train = |key| Field { table: Some("train"), index: None, key };

        // The name becomes part of a folder's name.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name_fits = (1..=64).contains(&self.name.len()) && self.name.chars().all(plain);
        require(
            name_fits && !self.name.starts_with(['.', '-']),
            top("name"),
            format!("{:?}", self.name),
            "1 to 64 letters, digits, '-', '_' or '.', the first a letter or digit",
        )?;

        let validation = self.data.validation;
        require(
            validation < TRAINING_IMAGES,
            data("validation"),
            validation,
            "less than 60000, to leave some to train on",
        )?;
        require(
            validation == 0 || !self.data.validate_on_test,
            data("validation"),
            validation,
            "0, as validate_on_test is true",
        )?;
        let chosen = self.data.training_images;
        require(
            chosen.is_none_or(|images| (1..=TRAINING_IMAGES - validation).contains(&images)),
            data("training_images"),
            chosen.unwrap_or_default(),
            "between 1 and the number of images that validation leaves",
        )?;
        let train_images = self.data.train_len(TRAINING_IMAGES);

        let epochs = self.train.epochs;
        require((1..=MAX_EPOCHS).contains(&epochs), train("epochs"), epochs, "between 1 and 1000000")?;
        let batch_size = self.train.batch_size;
        require(
            (1..=train_images).contains(&batch_size),
            train("batch_size"),
            batch_size,
            "between 1 and the number of training images",
        )?;
        // TOML's integers are signed.
        let seed = self.train.seed;
        require(i64::try_from(seed).is_ok(), train("seed"), seed, "less than 2^63")?;
        let max_steps = self.train.max_steps;
        let steps_fit = max_steps.is_none_or(|steps| steps > 0 && i64::try_from(steps).is_ok());
        require(steps_fit, train("max_steps"), max_steps.unwrap_or_default(), "between 1 and 2^63 - 1")?;

        if let Some(norm) = self.train.clip_grad_norm {
            positive(train("clip_grad_norm"), norm)?;
        }

        if let Some(scale) = self.train.loss_scale {
            let f16 = self.train.precision == Precision::F16Storage;
            require(f16, train("loss_scale"), scale, "left out unless train.precision is \"f16-storage\"")?;
            let possible = LossScale::from(scale).check().is_ok();
            require(possible, train("loss_scale"), scale, "a power of 2 between 1 and 2^30")?;
        }

        check_augment(self.augment.as_ref(), self.erasing.as_ref())?;
        check_loss(&self.loss)?;
        check_optimizer(&self.optimizer)?;
        check_schedule(&self.schedule)?;
        if let Some(stopping) = &self.early_stopping {
            let field = |key| Field { table: Some("early_stopping"), index: None, key };
            let patience = stopping.patience;
            require((1..=MAX_EPOCHS).contains(&patience), field("patience"), patience, "between 1 and 1000000")?;
            not_negative(field("min_delta"), stopping.min_delta)?;
        }

        let layers = self.layers.len();
        require(
            (1..=MAX_LAYERS).contains(&layers),
            top("layers"),
            format!("a list of {layers}"),
            "a list of 1 to 1000",
        )?;
        for (index, layer) in self.layers.iter().enumerate() {
            check_layer(index, layer)?;
        }
        // BatchNorm may do with all batches of an epoch but a last one of a single image.
        let last_batch = (train_images - 1) % batch_size + 1;
        for batch in [batch_size, last_batch] {
            Network::new(&self.layers, batch)
                .map_err(|error| RecipeError::Network { place: None, error: Box::new(error) })?;
        }
        Ok(())
    }
}

fn check_augment(augment: Option<&Augment>, erasing: Option<&Erasing>) -> Result<(), RecipeError> {
    if let Some(augment) = augment {
        let field = |key| Field { table: Some("augment"), index: None, key };
        let Augment { rotation, zoom, shear, shift, .. } = *augment;
        require((0.0..=180.0).contains(&rotation), field("rotation"), rotation, "between 0 and 180 degrees")?;
        fraction(field("zoom"), zoom)?;
        require((0.0..=80.0).contains(&shear), field("shear"), shear, "between 0 and 80 degrees")?;
        require((0.0..=1.0).contains(&shift), field("shift"), shift, "between 0 and 1")?;
    }
    if let Some(Erasing { probability, area, aspect }) = erasing {
        let field = |key| Field { table: Some("erasing"), index: None, key };
        require((0.0..=1.0).contains(probability), field("probability"), probability, "between 0 and 1")?;
        for (key, [least, greatest], range, expected) in [
            ("area", area, 1e-6..=1.0, "two shares above 0 and at most 1, the smaller first"),
            ("aspect", aspect, 1e-3..=1e3, "two ratios between 0.001 and 1000, the smaller first"),
        ] {
            let holds = range.contains(least) && range.contains(greatest) && least <= greatest;
            require(holds, field(key), format!("[{least}, {greatest}]"), expected)?;
        }
    }
    Ok(())
}

fn check_loss(loss: &Loss) -> Result<(), RecipeError> {
    let Loss::CrossEntropy(loss) = loss else { return Ok(()) };
    let smoothing = loss.label_smoothing;
    let field = Field { table: Some("loss"), index: None, key: "label_smoothing" };
    require((0.0..=1.0).contains(&smoothing), field, smoothing, "between 0 and 1")
}

fn check_schedule(schedule: &Schedule) -> Result<(), RecipeError> {
    for (key, number) in schedule.numbers() {
        let field = Field { table: Some("schedule"), index: None, key };
        let (holds, expected) = match key {
            "warm_up" => ((0.0..=1e6).contains(&number), "a number of epochs between 0 and 1000000"),
            "every" => (number > 0.0 && number <= 1e6, "a number of epochs above 0 and at most 1000000"),
            "factor" => (number > 0.0 && number <= 1.0, "above 0 and at most 1"),
            "rise" => ((0.0..1.0).contains(&number), "at least 0 and below 1"),
            "floor" => ((0.0..=1.0).contains(&number), "between 0 and 1"),
            _ => ((1.0..=1e15).contains(&number), "between 1 and 1e15"),
        };
        require(holds, field, number, expected)?;
    }
    Ok(())
}

fn check_optimizer(optimizer: &Optimizer) -> Result<(), RecipeError> {
    let field = |key| Field { table: Some("optimizer"), index: None, key };
    for (key, number) in optimizer.clone().numbers() {
        let number = *number;
        match key {
            "lr" | "eps" => positive(field(key), number)?,
            "weight_decay" => not_negative(field(key), number)?,
            _ => fraction(field(key), number)?,
        }
    }
    match optimizer {
        Optimizer::Sgd(sgd) if sgd.nesterov => {
            require(sgd.momentum > 0.0, field("momentum"), sgd.momentum, "above 0 for nesterov to have a meaning")
        }
        _ => Ok(()),
    }
}

fn check_layer(index: usize, layer: &LayerSpec) -> Result<(), RecipeError> {
    let field = |key| Field { table: Some("layers"), index: Some(index), key };
    match layer {
        LayerSpec::BatchNorm(norm) => {
            positive(field("eps"), norm.eps)?;
            let momentum = norm.momentum;
            require((0.0..=1.0).contains(&momentum), field("momentum"), momentum, "between 0 and 1")
        }
        LayerSpec::FourierFeatures(features) => positive(field("gamma"), features.gamma),
        LayerSpec::Dropout(dropout) => fraction(field("rate"), dropout.rate),
        // Sizes are checked where shapes are computed.
        _ => Ok(()),
    }
}

// The kernels compute in f32, so that is where a number must still be in range.

fn positive(field: Field, number: f64) -> Result<(), RecipeError> {
    let holds = (number as f32).is_normal() && number > 0.0;
    require(holds, field, number, "a number above 0 within the range of 32-bit floats")
}

fn not_negative(field: Field, number: f64) -> Result<(), RecipeError> {
    let holds = (number as f32).is_finite() && number >= 0.0;
    require(holds, field, number, "a number of 0 or more within the range of 32-bit floats")
}

fn fraction(field: Field, number: f64) -> Result<(), RecipeError> {
    require(number >= 0.0 && (number as f32) < 1.0, field, number, "at least 0 and below 1")
}

fn require(holds: bool, field: Field, got: impl ToString, expected: &'static str) -> Result<(), RecipeError> {
    if holds { Ok(()) } else { Err(RecipeError::Value { place: None, field, got: plain(&got.to_string()), expected }) }
}
