//! `summary.json`: what a run was and what came of it.

use crate::evaluation::Evaluation;
use crate::extend::Extension;
use crate::metrics::Scores;
use crate::recipe::Precision;
use crate::train::{Best, LossScale};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The recipe's name.
    pub recipe: String,
    /// `fashion-mnist` or `synthetic`.
    pub dataset: String,
    /// Of weights, order, split and dropout.
    pub seed: u64,
    /// How activations were stored.
    #[serde(default)]
    pub precision: Precision,
    /// What the loss was multiplied by in the end, where activations were stored as f16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// Where it ran.
    pub adapter: Adapter,
    /// Values in the network, running statistics included.
    pub parameters: usize,
    /// Values the optimiser changes.
    pub trainable_parameters: usize,
    /// Epochs begun.
    pub epochs: u64,
    /// Steps taken.
    pub steps: u64,
    /// On the test images, after the last step.
    pub test: Evaluation,
    /// On the validation images, after the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Evaluation>,
    /// On the same, moved at random as in training, where the recipe asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_augmented: Option<Evaluation>,
    /// The best epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// On the training images during the last epoch, as they were trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Scores>,
    /// How the run was made longer, where it therefore ended otherwise than one that was as long from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<Extension>,
    /// Wall time.
    pub seconds: Seconds,
    /// Of what ran.
    pub versions: Versions,
    /// The command line.
    pub arguments: Vec<String>,
    /// The kernel rows that ran: another choice may differ in the last bits.
    #[serde(default)]
    pub kernels: Vec<String>,
    /// Whether their shaders were compiled with run-time checks; `None` where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<bool>,
}

/// Where a run took place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adapter {
    /// As the driver calls it; `reference` for the CPU reference.
    pub name: String,
    /// Discrete, integrated, virtual, cpu, other.
    pub device_type: String,
    /// The graphics API.
    pub backend: String,
    /// Name and version.
    pub driver: String,
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.driver.as_str() {
            "" => write!(f, "the CPU {}", self.name),
            driver => write!(f, "{} ({}, {driver})", self.name, self.backend),
        }
    }
}

/// Wall time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// In training steps.
    pub train: f64,
    /// From start to end, data, evaluation and all.
    pub total: f64,
}

/// Versions of what ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versions {
    /// This program.
    pub selvedge: String,
    /// The graphics library.
    pub wgpu: String,
}

/// This program's version.
pub const SELVEDGE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The command line, for a summary.
pub fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evaluation::Tally;

    pub(crate) fn summary() -> Summary {
        let mut tally = Tally::default();
        tally.count(3, 3);
        Summary {
            recipe: "lenet5".to_owned(),
            dataset: "synthetic".to_owned(),
            seed: 7,
            precision: Precision::F32,
            loss_scale: None,
            adapter: Adapter {
                name: "llvmpipe".to_owned(),
                device_type: "cpu".to_owned(),
                backend: "vulkan".to_owned(),
                driver: "Mesa".to_owned(),
            },
            parameters: 136_586,
            trainable_parameters: 136_586,
            epochs: 2,
            steps: 3750,
            test: tally.finish(),
            validation: None,
            validation_augmented: None,
            best: None,
            train: None,
            extended: vec![],
            seconds: Seconds { train: 1.5, total: 2.0 },
            versions: Versions { selvedge: SELVEDGE_VERSION.to_owned(), wgpu: "30".to_owned() },
            arguments: vec!["train".to_owned()],
            kernels: vec!["relu.fwd.vec4".to_owned()],
            checks: Some(false),
        }
    }

    #[test]
    fn adapters_have_names_for_people() {
        assert_eq!(summary().adapter.to_string(), "llvmpipe (vulkan, Mesa)");
        assert_eq!(crate::device::describe(&tape::Device::Reference).to_string(), "the CPU reference");
    }

    #[test]
    fn what_scripts_look_for_is_there() {
        let json = serde_json::to_value(summary()).unwrap();
        for (pointer, value) in [
            ("/dataset", serde_json::json!("synthetic")),
            ("/adapter/name", serde_json::json!("llvmpipe")),
            ("/adapter/device_type", serde_json::json!("cpu")),
            ("/parameters", serde_json::json!(136_586)),
            ("/test/accuracy", serde_json::json!(1.0)),
            ("/test/loss", serde_json::json!(0.0)),
            ("/test/confusion/3/3", serde_json::json!(1)),
            ("/seconds/train", serde_json::json!(1.5)),
            ("/checks", serde_json::json!(false)),
        ] {
            assert_eq!(json.pointer(pointer), Some(&value), "{pointer}");
        }
        assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), summary());
    }
}
