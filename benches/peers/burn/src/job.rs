//! What run.py hands over: a network, its weights, and the images it is trained on.

use crate::Error;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const PIXELS: usize = 28 * 28;

#[derive(Deserialize)]
pub struct Job {
    pub layers: Vec<Layer>,
    pub optimizer: Optimizer,
    loss: Value,
    scale: f32,
    offset: f32,
    pub batch: usize,
    pub steps: usize,
    pub checked: usize,
    pub seconds: f64,
    pub threads: usize,
    weights: String,
    images: String,
    labels: String,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Optimizer {
    Sgd { lr: f64, momentum: f64, nesterov: bool, weight_decay: f64 },
    Adam { lr: f64, beta1: f32, beta2: f32, eps: f32, weight_decay: f64 },
    AdamW { lr: f64, beta1: f32, beta2: f32, eps: f32, weight_decay: f64 },
    RmsProp { lr: f64, alpha: f32, eps: f32, weight_decay: f64, momentum: f32 },
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Layer {
    Conv {
        out: usize,
        kernel: Pair,
        #[serde(default = "Pair::one")]
        stride: Pair,
        #[serde(default)]
        pad: Pair,
        #[serde(default = "Pair::one")]
        dilation: Pair,
    },
    BatchNorm {
        eps: f64,
        momentum: f64,
    },
    Relu,
    MaxPool(Pool),
    AvgPool(Pool),
    Flatten,
    Dense {
        out: usize,
    },
    Dropout {
        rate: f64,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
pub struct Pool {
    pub kernel: Pair,
    pub stride: Option<Pair>,
    #[serde(default)]
    pub pad: Pair,
}

/// A size along height and width.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Pair {
    Same(usize),
    Each([usize; 2]),
}

impl Default for Pair {
    fn default() -> Self {
        Self::Same(0)
    }
}

impl Pair {
    fn one() -> Self {
        Self::Same(1)
    }

    pub fn both(self) -> [usize; 2] {
        match self {
            Self::Same(size) => [size; 2],
            Self::Each(sizes) => sizes,
        }
    }
}

/// Values and dimensions by name.
pub type Weights = BTreeMap<String, (Vec<f32>, Vec<usize>)>;

impl Job {
    pub fn read(path: &str) -> Result<Self, Error> {
        Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
    }

    /// Label smoothing of the cross-entropy.
    pub fn smoothing(&self) -> Result<Option<f32>, Error> {
        match self.loss["kind"].as_str() {
            Some("cross_entropy" | "nll") => {
                let smoothing = self.loss["label_smoothing"].as_f64().unwrap_or(0.0);
                Ok((smoothing != 0.0).then_some(smoothing as f32))
            }
            _ => Err(format!("this peer has no loss {}", self.loss["kind"]).into()),
        }
    }

    /// The images as the network sees them, and their labels, on the device.
    pub fn images(&self, device: &Device) -> Result<(Tensor<4>, Tensor<1, Int>), Error> {
        let images = self.batch * self.steps.max(self.checked);
        let pixels = fs::read(&self.images)?;
        let pixels: Vec<f32> = pixels.iter().take(images * PIXELS).map(|&pixel| f32::from(pixel)).collect();
        let labels: Vec<i32> = fs::read(&self.labels)?.into_iter().take(images).map(i32::from).collect();
        let x = Tensor::<4>::from_data(TensorData::new(pixels, [images, 1, 28, 28]), device);
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [images]), device);
        Ok((x * self.scale + self.offset, labels))
    }

    /// The initial weights, from safetensors.
    pub fn weights(&self) -> Result<Weights, Error> {
        let data = fs::read(&self.weights)?;
        let (length, data) = data.split_at_checked(8).ok_or("the weights are cut off")?;
        let length = u64::from_le_bytes(length.try_into()?) as usize;
        let (header, data) = data.split_at_checked(length).ok_or("the weights are cut off")?;
        let header: BTreeMap<String, Value> = serde_json::from_slice(header)?;
        let mut weights = Weights::new();
        for (name, entry) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let dims: Vec<usize> = serde_json::from_value(entry["shape"].clone())?;
            let [begin, end]: [usize; 2] = serde_json::from_value(entry["data_offsets"].clone())?;
            let (words, _) = data.get(begin..end).ok_or("the weights are cut off")?.as_chunks::<4>();
            weights.insert(name, (words.iter().map(|&word| f32::from_le_bytes(word)).collect(), dims));
        }
        Ok(weights)
    }
}
