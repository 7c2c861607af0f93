use serde::{Deserialize, Serialize};
use std::fmt;

/// How weights follow gradients. Formulas and defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam; weight decay is added to the gradient.
    Adam(Adam),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
    /// RMSprop.
    RmsProp(RmsProp),
}

/// See [`Optimizer::Sgd`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Share of the last step that is kept.
    pub momentum: f64,
    /// Look ahead along the momentum.
    pub nesterov: bool,
    /// Pull towards zero.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

/// See [`Optimizer::Adam`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Pull towards zero.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// See [`Optimizer::AdamW`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Pull towards zero.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-2 }
    }
}

/// See [`Optimizer::RmsProp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean squared gradient.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Pull towards zero.
    pub weight_decay: f64,
    /// Share of the last step that is kept.
    pub momentum: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { lr: 1e-2, alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0 }
    }
}

/// The optimisers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent
    Sgd,
    /// Adam; weight decay is added to the gradient
    Adam,
    /// Adam with decoupled weight decay
    AdamW,
    /// RMSprop
    RmsProp,
}

impl OptimizerKind {
    /// As in a recipe file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Adam => "adam",
            Self::AdamW => "adamw",
            Self::RmsProp => "rmsprop",
        }
    }

    /// With PyTorch's defaults.
    pub fn defaults(self) -> Optimizer {
        match self {
            Self::Sgd => Optimizer::Sgd(Sgd::default()),
            Self::Adam => Optimizer::Adam(Adam::default()),
            Self::AdamW => Optimizer::AdamW(AdamW::default()),
            Self::RmsProp => Optimizer::RmsProp(RmsProp::default()),
        }
    }
}

impl fmt::Display for OptimizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Optimizer {
    /// Which one it is.
    pub fn kind(&self) -> OptimizerKind {
        match self {
            Self::Sgd(_) => OptimizerKind::Sgd,
            Self::Adam(_) => OptimizerKind::Adam,
            Self::AdamW(_) => OptimizerKind::AdamW,
            Self::RmsProp(_) => OptimizerKind::RmsProp,
        }
    }

    /// Its numbers by name, to check or change.
    pub fn numbers(&mut self) -> Vec<(&'static str, &mut f64)> {
        match self {
            Self::Sgd(Sgd { lr, momentum, nesterov: _, weight_decay }) => {
                vec![("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)]
            }
            Self::Adam(Adam { lr, beta1, beta2, eps, weight_decay })
            | Self::AdamW(AdamW { lr, beta1, beta2, eps, weight_decay }) => {
                vec![("lr", lr), ("beta1", beta1), ("beta2", beta2), ("eps", eps), ("weight_decay", weight_decay)]
            }
            Self::RmsProp(RmsProp { lr, alpha, eps, weight_decay, momentum }) => {
                vec![("lr", lr), ("alpha", alpha), ("eps", eps), ("weight_decay", weight_decay), ("momentum", momentum)]
            }
        }
    }
}
