use serde::{Deserialize, Serialize};

/// What training makes small: a mean over the batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Loss {
    /// Cross-entropy of the softmax.
    CrossEntropy(CrossEntropy),
    /// Negative log-likelihood of the logarithm of the softmax: cross-entropy in two operations.
    Nll,
    /// Multi-class hinge loss: with a linear layer before it, a support vector machine.
    Hinge,
}

/// See [`Loss::CrossEntropy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropy {
    /// The share of each target that is spread over all classes.
    pub label_smoothing: f64,
}

impl Default for Loss {
    fn default() -> Self {
        Self::CrossEntropy(CrossEntropy::default())
    }
}
