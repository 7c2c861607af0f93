use serde::{Deserialize, Serialize};

/// What a report says came of a system, as it says it: accuracies in percent, losses, counts. A list holds more than
/// one number where the report contradicts itself, and none where it is silent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reported {
    /// Parameters, with the running statistics if the report counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<usize>,
    /// Parameters that are trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainable_parameters: Option<usize>,
    /// Accuracy on the training images at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<f64>,
    /// Accuracy on the validation images at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<f64>,
    /// Accuracy on the validation images in the best epoch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub best_validation: Vec<f64>,
    /// That epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<u64>,
    /// Accuracy on the test images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<f64>,
    /// Loss on the training images at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub train_loss: Vec<f64>,
    /// Loss on the test images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test_loss: Vec<f64>,
    /// Accuracy on the test images of each class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_class: Vec<f64>,
    /// Test images by predicted class (rows) and true class (columns).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// Correct predictions on the test images, of classes that the report counts one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub correct: Vec<Correct>,
    /// What it says about mistakes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<Mistakes>,
}

/// Correct predictions of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correct {
    /// The true class.
    pub class: usize,
    /// Its images that were told as such, of 1,000.
    pub images: u64,
}

/// Where the wrong predictions of one class go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistakes {
    /// The true class.
    pub class: usize,
    /// Predicted classes.
    pub to: Vec<usize>,
    /// The share of the class's wrong predictions that are one of these, in percent.
    pub share: f64,
}

impl Reported {
    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
