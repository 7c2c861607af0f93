//! The ranges of a recipe's values.

use super::{Field, LayerSpec, Optimizer, Recipe, RecipeError, TRAINING_IMAGES};
use crate::network::Network;
use crate::plain::plain;

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

        let epochs = self.train.epochs;
        require((1..=MAX_EPOCHS).contains(&epochs), train("epochs"), epochs, "between 1 and 1000000")?;
        let batch_size = self.train.batch_size;
        require(
            (1..=TRAINING_IMAGES - validation).contains(&batch_size),
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

        check_optimizer(&self.optimizer)?;

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
        let last_batch = (TRAINING_IMAGES - validation - 1) % batch_size + 1;
        for batch in [batch_size, last_batch] {
            Network::new(&self.layers, batch)
                .map_err(|error| RecipeError::Network { place: None, error: Box::new(error) })?;
        }
        Ok(())
    }
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
