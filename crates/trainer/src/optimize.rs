//! From a recipe's optimiser to the operations that carry it out.

use crate::recipe::Optimizer;
use reference::ops::{Adam, AdamConfig, RmsProp, Schedule, Sgd};
use reference::{Error, Operation, TensorSpec};

impl Optimizer {
    /// The learning rate.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.lr,
            Self::Adam(adam) => adam.lr,
            Self::AdamW(adam) => adam.lr,
            Self::RmsProp(rmsprop) => rmsprop.lr,
        }
    }

    /// The update of one parameter.
    pub fn update(&self, spec: &TensorSpec) -> Result<Box<dyn Operation>, Error> {
        let spec = spec.clone();
        Ok(match self {
            Self::Sgd(sgd) => Box::new(Sgd::new(spec, sgd.momentum as f32, sgd.nesterov, sgd.weight_decay as f32)?),
            Self::Adam(adam) => {
                let (beta1, beta2, eps, weight_decay) = (adam.beta1, adam.beta2, adam.eps, adam.weight_decay);
                Box::new(Adam::new(spec, AdamConfig { beta1, beta2, eps, weight_decay, decoupled: false })?)
            }
            Self::AdamW(adam) => {
                let (beta1, beta2, eps, weight_decay) = (adam.beta1, adam.beta2, adam.eps, adam.weight_decay);
                Box::new(Adam::new(spec, AdamConfig { beta1, beta2, eps, weight_decay, decoupled: true })?)
            }
            Self::RmsProp(r) => Box::new(RmsProp::new(spec, r.alpha, r.eps, r.momentum, r.weight_decay)?),
        })
    }

    /// What counts steps and derives the rates, for steps of `batch` images.
    pub fn schedule(&self, batch: usize) -> Result<Schedule, Error> {
        let (beta1, beta2) = match self {
            Self::Adam(adam) => (adam.beta1, adam.beta2),
            Self::AdamW(adam) => (adam.beta1, adam.beta2),
            Self::Sgd(_) | Self::RmsProp(_) => (0.0, 0.0),
        };
        Schedule::new(batch as u32, self.lr(), beta1, beta2)
    }
}
