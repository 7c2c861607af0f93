use serde::{Deserialize, Serialize};

/// Ends training before its last epoch once it no longer gets better. Judged on the validation images if there are any,
/// else on the training images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// What is to get better.
    #[serde(default)]
    pub monitor: Monitor,
    /// Epochs in a row without an improvement after which training ends.
    pub patience: u64,
    /// By how much it has to get better to count.
    #[serde(default)]
    pub min_delta: f64,
    /// End with the weights of the best epoch, as `checkpoints/best` has them, instead of the last one's.
    #[serde(default)]
    pub restore_best: bool,
}

/// What is to get better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Monitor {
    /// The loss, downwards.
    #[default]
    Loss,
    /// The accuracy, upwards.
    Accuracy,
}
