//! A sequential network with the weights of a job.

use crate::Error;
use crate::job::{Job, Layer as Spec, Pool, Weights};
use burn::module::{Module, Param, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d, Relu,
};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeMap;

#[derive(Module, Debug)]
pub struct Network {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
enum Layer {
    Conv(Conv2d),
    BatchNorm(BatchNorm),
    Relu(Relu),
    MaxPool(MaxPool2d),
    AvgPool(AvgPool2d),
    Flatten(Flatten),
    Dense(Linear),
    Dropout(Dropout),
}

#[derive(Module, Debug)]
struct Flatten;

/// What goes from layer to layer.
enum Value {
    Image(Tensor<4>),
    Features(Tensor<2>),
}

impl Network {
    /// On a device; without `dropout` all such layers let everything through.
    pub fn new(job: &Job, device: &Device, dropout: bool) -> Result<Self, Error> {
        let mut weights = job.weights()?;
        let mut layers = Vec::new();
        let mut count = BTreeMap::new();
        for spec in &job.layers {
            let short = match spec {
                Spec::Conv { .. } => "conv",
                Spec::BatchNorm { .. } => "bn",
                Spec::Dense { .. } => "fc",
                _ => "",
            };
            let number = count.entry(short).and_modify(|number| *number += 1).or_insert(1);
            layers.push(layer(spec, &format!("{short}{number}"), &mut weights, device, dropout)?);
        }
        match weights.keys().next() {
            None => Ok(Self { layers }),
            Some(name) => Err(format!("weights of no layer: {name}").into()),
        }
    }

    /// Logits of a batch.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let last = self.layers.iter().fold(Value::Image(x), |x, layer| layer.forward(x));
        match last {
            Value::Features(x) => x,
            Value::Image(x) => x.flatten(1, 3),
        }
    }
}

impl Layer {
    fn forward(&self, x: Value) -> Value {
        use Value::{Features, Image};
        match (self, x) {
            (Self::Conv(layer), Image(x)) => Image(layer.forward(x)),
            (Self::MaxPool(layer), Image(x)) => Image(layer.forward(x)),
            (Self::AvgPool(layer), Image(x)) => Image(layer.forward(x)),
            (Self::Flatten(_), Image(x)) => Features(x.flatten(1, 3)),
            (Self::Dense(layer), Features(x)) => Features(layer.forward(x)),
            (Self::BatchNorm(layer), Image(x)) => Image(layer.forward(x)),
            (Self::BatchNorm(layer), Features(x)) => Features(layer.forward(x)),
            (Self::Relu(layer), Image(x)) => Image(layer.forward(x)),
            (Self::Relu(layer), Features(x)) => Features(layer.forward(x)),
            (Self::Dropout(layer), Image(x)) => Image(layer.forward(x)),
            (Self::Dropout(layer), Features(x)) => Features(layer.forward(x)),
            // The trainer has refused such a network already.
            (_, x) => x,
        }
    }
}

fn layer(spec: &Spec, name: &str, weights: &mut Weights, device: &Device, dropout: bool) -> Result<Layer, Error> {
    let mut take = |part: &str| {
        let name = format!("{name}.{part}");
        weights.remove(&name).ok_or(format!("no weights {name}"))
    };
    Ok(match spec {
        Spec::Conv { out, kernel, stride, pad, dilation } => {
            let (values, dims) = take("weight")?;
            let [h, w] = pad.both();
            let config = Conv2dConfig::new([dims[1], *out], kernel.both())
                .with_stride(stride.both())
                .with_dilation(dilation.both())
                .with_padding(PaddingConfig2d::Explicit(h, w, h, w));
            let mut conv = config.init(device);
            conv.weight = Param::from_data(TensorData::new(values, dims), device);
            conv.bias = Some(vector(take("bias")?, device));
            Layer::Conv(conv)
        }
        Spec::BatchNorm { eps, momentum } => {
            let (weight, bias) = (take("weight")?, take("bias")?);
            let config = BatchNormConfig::new(weight.0.len()).with_epsilon(*eps).with_momentum(*momentum);
            let mut norm = config.init(device);
            norm.gamma = vector(weight, device);
            norm.beta = vector(bias, device);
            let state = |(values, dims): (Vec<f32>, Vec<usize>)| {
                RunningState::new(Tensor::from_data(TensorData::new(values, dims), device))
            };
            norm.running_mean = state(take("running_mean")?);
            norm.running_var = state(take("running_var")?);
            Layer::BatchNorm(norm)
        }
        Spec::Relu => Layer::Relu(Relu::new()),
        Spec::MaxPool(pool) => {
            let (kernel, stride, padding) = sizes(pool);
            Layer::MaxPool(MaxPool2dConfig::new(kernel).with_strides(stride).with_padding(padding).init())
        }
        Spec::AvgPool(pool) => {
            let (kernel, stride, padding) = sizes(pool);
            Layer::AvgPool(AvgPool2dConfig::new(kernel).with_strides(stride).with_padding(padding).init())
        }
        Spec::Flatten => Layer::Flatten(Flatten),
        Spec::Dense { out } => {
            let (values, dims) = take("weight")?;
            let mut dense = LinearConfig::new(dims[1], *out).init(device);
            // burn keeps them the other way round.
            let features = dims[1];
            let transposed = (0..features).flat_map(|i| values.iter().skip(i).step_by(features).copied());
            let transposed: Vec<f32> = transposed.collect();
            dense.weight = Param::from_data(TensorData::new(transposed, [features, dims[0]]), device);
            dense.bias = Some(vector(take("bias")?, device));
            Layer::Dense(dense)
        }
        Spec::Dropout { rate } => Layer::Dropout(DropoutConfig::new(if dropout { *rate } else { 0.0 }).init()),
        Spec::Unknown => return Err("the network has a layer that this peer does not have".into()),
    })
}

fn vector((values, dims): (Vec<f32>, Vec<usize>), device: &Device) -> Param<Tensor<1>> {
    Param::from_data(TensorData::new(values, dims), device)
}

fn sizes(pool: &Pool) -> ([usize; 2], [usize; 2], PaddingConfig2d) {
    let [h, w] = pool.pad.both();
    (pool.kernel.both(), pool.stride.unwrap_or(pool.kernel).both(), PaddingConfig2d::Explicit(h, w, h, w))
}
