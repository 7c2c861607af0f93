//! A recipe: the network, the data treatment, the schedule and the optimiser of a run.

mod augment;
mod builtin;
mod check;
mod loss;
mod optimizer;
mod parse;
mod per_axis;
mod reported;
mod schedule;
mod stopping;

pub use augment::{Augment, Erasing, FillRule};
pub use builtin::{BUILT_IN, BuiltIn};
pub use loss::{CrossEntropy, Loss};
pub use optimizer::{Adam, AdamW, Optimizer, OptimizerKind, RmsProp, Sgd};
pub use parse::Place;
pub(crate) use parse::{bounded, position};
pub use per_axis::PerAxis;
pub use reported::{Correct, Mistakes, Reported};
pub use schedule::{Constant, Cosine, OneCycle, Schedule, StepDecay};
pub use stopping::{EarlyStopping, Monitor};

use crate::network::NetworkError;
use kernels::Element;
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
    /// The report it comes from.
    pub source: String,
    /// What the report does not say.
    pub assumptions: Vec<String>,
    /// What experiments told about the reported figures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// Treatment of the data.
    pub data: Data,
    /// How training images are moved at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augment>,
    /// How rectangles of training images are erased at random, after they were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasing: Option<Erasing>,
    /// Epochs, batches, seed.
    pub train: Train,
    /// What is made small.
    pub loss: Loss,
    /// How weights follow gradients.
    pub optimizer: Optimizer,
    /// What becomes of the learning rate.
    pub schedule: Schedule,
    /// When to end before the last epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// What the report says came of it.
    #[serde(skip_serializing_if = "Reported::is_empty")]
    pub reported: Reported,
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
    /// Train on so many of the images that are left, chosen by the seed; on all of them unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_images: Option<usize>,
    /// Validate on the test images. Whoever chooses by such a validation chooses by the test.
    #[serde(default)]
    pub validate_on_test: bool,
    /// Evaluate the test images after every epoch, for curves.
    #[serde(default)]
    pub test_every_epoch: bool,
}

impl Data {
    /// Images to train on.
    pub fn train_len(&self, total: usize) -> usize {
        let left = total.saturating_sub(self.validation);
        self.training_images.map_or(left, |images| images.min(left))
    }
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

impl Normalise {
    /// `y = scale * pixel + offset`.
    pub fn scale_and_offset(self) -> (f32, f32) {
        match self {
            Self::Unit => (1.0 / 255.0, 0.0),
            Self::Symmetric => (2.0 / 255.0, -1.0),
        }
    }
}

/// Epochs, batches, seed.
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
    /// How activations and their gradients are stored on the device.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// What the loss is multiplied by at first, where activations are stored as f16; 65536 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f64>,
    /// Scale the gradients of a step so that their norm, taken over all of them, is at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
}

/// How activations and their gradients are stored on the device. Parameters, their gradients, statistics, logits and
/// loss are f32, and so is all arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// With 32 bits.
    #[default]
    F32,
    /// With 16 bits; the loss is scaled so that small gradients are not lost.
    F16Storage,
}

impl Precision {
    /// What activations are stored as.
    pub fn element(self) -> Element {
        match self {
            Self::F32 => Element::F32,
            Self::F16Storage => Element::F16,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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
    /// Random Fourier features of a Gaussian kernel; not trained.
    FourierFeatures(FourierFeatures),
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
            Self::FourierFeatures(_) => "fourier_features",
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

/// See [`LayerSpec::FourierFeatures`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FourierFeatures {
    /// Output features. The more, the closer their inner products come to the kernel.
    pub out: usize,
    /// Of the kernel `exp(-gamma * |x - x'|^2)`.
    pub gamma: f64,
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
        "there is no recipe `{name}`{}; `trainer list` shows the built-in ones; \
         give your own as a path that ends in .toml",
        did_you_mean(.suggestion)
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The built-in recipe with the most similar name.
        suggestion: Option<&'static str>,
    },
    /// Neither the built-in sweep nor a path.
    #[error("there is no sweep `{name}`; the built-in one is `r1`; give your own as a path that ends in .toml")]
    UnknownSweep {
        /// What was asked for.
        name: String,
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
