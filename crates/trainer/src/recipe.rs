//! A recipe: the network, the data treatment, the schedule and the optimiser of a run.

mod builtin;
mod check;
mod optimizer;
mod parse;
mod per_axis;

pub use builtin::BUILT_IN;
pub use optimizer::{Adam, AdamW, Optimizer, OptimizerKind, RmsProp, Sgd};
pub use parse::Place;
pub use per_axis::PerAxis;

use crate::network::NetworkError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Images in the training file, before a validation split is taken out.
pub const TRAINING_IMAGES: usize = 60_000;

/// Everything that determines a run, apart from the device and the initial weights given by hand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// Short: part of the run folder's name.
    pub name: String,
    /// What the network is, in a few words.
    pub description: String,
    /// The report it comes from, with the figures reported there.
    pub source: String,
    /// What the report does not say.
    pub assumptions: Vec<String>,
    /// Treatment of the data.
    pub data: Data,
    /// Schedule.
    pub train: Train,
    /// How weights follow gradients.
    pub optimizer: Optimizer,
    /// The network, from the image on.
    pub layers: Vec<LayerSpec>,
}

/// Treatment of the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Where pixels are mapped to.
    pub normalise: Normalise,
    /// Training images kept back to validate on.
    #[serde(default)]
    pub validation: usize,
}

/// Where the pixels 0 to 255 are mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// `[0, 1]`
    Unit,
    /// `[-1, 1]`
    Symmetric,
}

/// Schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Passes over the training images.
    pub epochs: u64,
    /// Images per step.
    pub batch_size: usize,
    /// Of the initial weights, the order, the split and dropout.
    #[serde(default)]
    pub seed: u64,
    /// The order of the training images.
    #[serde(default)]
    pub order: Order,
    /// Stop after this many steps, even within an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
}

/// The order of the training images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Another one in every epoch, drawn from the seed.
    #[default]
    Shuffled,
    /// As in the file, in every epoch.
    Sequential,
}

/// One layer as a recipe describes it. Input sizes follow from the layer before.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LayerSpec {
    /// 2-D convolution with bias.
    Conv(Conv),
    /// Batch normalisation of channels or features.
    BatchNorm(BatchNorm),
    /// `max(x, 0)`
    Relu,
    /// Largest value of each window.
    MaxPool(Pool),
    /// Mean of each window; padding counts.
    AvgPool(Pool),
    /// Image to features.
    Flatten,
    /// Fully connected layer with bias.
    Dense(Dense),
    /// Zeroes activations at random while training.
    Dropout(Dropout),
}

impl LayerSpec {
    /// As in a recipe file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conv(_) => "conv",
            Self::BatchNorm(_) => "batch_norm",
            Self::Relu => "relu",
            Self::MaxPool(_) => "max_pool",
            Self::AvgPool(_) => "avg_pool",
            Self::Flatten => "flatten",
            Self::Dense(_) => "dense",
            Self::Dropout(_) => "dropout",
        }
    }
}

/// See [`LayerSpec::Conv`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Output channels.
    pub out: usize,
    /// Kernel size.
    pub kernel: PerAxis,
    /// Input elements between neighbouring windows.
    #[serde(default = "PerAxis::one")]
    pub stride: PerAxis,
    /// Zeros on each side.
    #[serde(default)]
    pub pad: PerAxis,
    /// Input elements between neighbouring kernel elements.
    #[serde(default = "PerAxis::one")]
    pub dilation: PerAxis,
}

/// See [`LayerSpec::BatchNorm`]. The defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1 }
    }
}

/// See [`LayerSpec::MaxPool`] and [`LayerSpec::AvgPool`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Window size.
    pub kernel: PerAxis,
    /// Input elements between neighbouring windows; the window size unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<PerAxis>,
    /// Padding on each side.
    #[serde(default)]
    pub pad: PerAxis,
}

/// See [`LayerSpec::Dense`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Output features.
    pub out: usize,
}

/// See [`LayerSpec::Dropout`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Probability of an activation to be zeroed.
    pub rate: f64,
}

/// Why there is no such recipe, or why it cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// Neither a built-in recipe nor a path.
    #[error(
        "there is no recipe `{name}`{}; the built-in ones are {known}; \
         give your own as a path that ends in .toml",
        did_you_mean(.suggestion)
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The built-in recipe with the most similar name.
        suggestion: Option<&'static str>,
        /// The built-in recipes.
        known: String,
    },
    /// A recipe file cannot be read.
    #[error("recipe {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// A recipe file is not TOML, or not a recipe.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        message: String,
    },
    /// A value is out of its range.
    #[error("{}{field} is {got}; it must be {expected}", prefix(.place))]
    Value {
        /// Where; `None` if the value does not come from a file.
        place: Option<Box<Place>>,
        /// Which.
        field: Field,
        /// What it is.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The layers do not make a network.
    #[error("{}{error}", prefix(.place))]
    Network {
        /// Where; `None` if the network does not come from a file.
        place: Option<Box<Place>>,
        /// Why not.
        error: Box<NetworkError>,
    },
}

fn did_you_mean(suggestion: &Option<&str>) -> String {
    suggestion.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

fn prefix(place: &Option<Box<Place>>) -> String {
    place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default()
}

/// Names a field of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The table it is in; `None` for the outermost.
    pub table: Option<&'static str>,
    /// Which of the tables, for `layers`.
    pub index: Option<usize>,
    /// The key.
    pub key: &'static str,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.table, self.index) {
            (_, Some(index)) => write!(f, "layer {}: {}", index + 1, self.key),
            (Some(table), None) => write!(f, "{table}.{}", self.key),
            (None, None) => f.write_str(self.key),
        }
    }
}
