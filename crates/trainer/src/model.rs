//! A network with its parameters on a device.

use crate::network::{Layer, Network};
use crate::recipe::Loss;
use reference::Array;
use reference::ops::BatchNormMode;
use tape::{Arena, Device, Error, Gradients, Tape, Tensor, Var};

/// A network with its parameters on a device.
#[derive(Debug)]
pub struct Model {
    network: Network,
    parameters: Vec<Tensor>,
    /// Those that are trained, next to each other.
    trained: Arena,
}

/// How layers behave that differ between training and use.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// Which statistics normalise.
    pub batch_norm: BatchNormMode,
    /// The counter that dropout draws by; `None` turns dropout off.
    pub dropout: Option<&'a Tensor>,
}

impl Pass<'_> {
    /// As the trained network is used.
    pub const INFERENCE: Self = Self { batch_norm: BatchNormMode::Inference, dropout: None };
}

/// What came of a forward pass.
#[derive(Debug)]
pub struct Forward {
    /// Logits `[n, classes]`.
    pub logits: Var,
    /// The parameters on the tape, in their order.
    parameters: Vec<Var>,
}

impl Model {
    /// Puts parameter values, in the order of [`Network::parameters`], on a device.
    pub fn new(device: &Device, network: Network, values: Vec<Vec<f32>>) -> Result<Self, Error> {
        let specs = network.parameters();
        let trained: Vec<_> = specs.iter().filter(|parameter| parameter.trainable).map(|p| p.spec.clone()).collect();
        let trained = device.arena(&trained, "parameters")?;
        let mut parts = trained.parts().iter();
        let mut parameters = Vec::with_capacity(specs.len());
        for (parameter, values) in specs.iter().zip(values) {
            let values = Array::Real(values);
            parameters.push(match parameter.trainable.then(|| parts.next()).flatten() {
                Some(part) => {
                    device.write(part, values)?;
                    part.clone()
                }
                None => device.upload_named(&parameter.spec, values, &parameter.name)?,
            });
        }
        Ok(Self { network, parameters, trained })
    }

    /// Its layers and names.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// All parameters, in the order of [`Network::parameters`].
    pub fn tensors(&self) -> &[Tensor] {
        &self.parameters
    }

    /// The parameters that an optimiser changes.
    pub fn trainable(&self) -> Vec<Tensor> {
        let all = self.network.parameters().iter().zip(&self.parameters);
        all.filter(|(parameter, _)| parameter.trainable).map(|(_, tensor)| tensor.clone()).collect()
    }

    /// The parameters that an optimiser changes, next to each other.
    pub fn trained(&self) -> &Arena {
        &self.trained
    }

    /// Pairs the trainable parameters of a forward pass with tensors in their order.
    pub fn places<'a>(
        &'a self,
        forward: &'a Forward,
        tensors: &'a [Tensor],
    ) -> impl Iterator<Item = (&'a Var, &'a Tensor)> {
        let all = self.network.parameters().iter().zip(&forward.parameters);
        all.filter(|(parameter, _)| parameter.trainable).map(|(_, var)| var).zip(tensors)
    }

    /// Waits for the parameters' values.
    pub async fn values(&self, device: &Device) -> Result<Vec<Vec<f32>>, Error> {
        let mut values = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            values.push(device.read(parameter).await?.real().to_vec());
        }
        Ok(values)
    }

    /// Runs the network on images and records it on the tape.
    pub fn forward(&self, tape: &Tape, x: &Tensor, pass: Pass<'_>) -> Result<Forward, Error> {
        self.forward_seen(tape, x, pass, |_, _| ())
    }

    /// The same; `seen` is shown the output of every layer, with the layer's index.
    pub fn forward_seen(
        &self,
        tape: &Tape,
        x: &Tensor,
        pass: Pass<'_>,
        mut seen: impl FnMut(usize, &Var),
    ) -> Result<Forward, Error> {
        let specs = self.network.parameters().iter().zip(&self.parameters);
        let parameters: Vec<Var> = specs
            .map(|(spec, tensor)| if spec.trainable { tape.leaf(tensor) } else { tape.constant(tensor) })
            .collect();
        let counter = pass.dropout.map(|counter| tape.constant(counter));
        let mut x = tape.constant(x);
        let last = self.network.layers().len().saturating_sub(1);
        for (index, layer) in self.network.layers().iter().enumerate() {
            x = match *layer {
                Layer::Conv { weight, bias, h, w, .. } => {
                    tape.conv2d(&x, &parameters[weight], &parameters[bias], h, w)?
                }
                Layer::BatchNorm { weight, bias, running_mean, running_var, eps, momentum } => {
                    let state = [weight, bias, running_mean, running_var].map(|index| &parameters[index]);
                    tape.batch_norm(&x, state, pass.batch_norm, eps, momentum)?
                }
                Layer::Relu => tape.relu(&x)?,
                Layer::MaxPool { h, w } => tape.max_pool2d(&x, h, w)?,
                Layer::AvgPool { h, w } => tape.avg_pool2d(&x, h, w)?,
                Layer::Flatten => tape.flatten(&x)?,
                Layer::Dense { weight, bias, .. } if index == last => {
                    tape.dense_logits(&x, &parameters[weight], &parameters[bias])?
                }
                Layer::Dense { weight, bias, .. } => tape.dense(&x, &parameters[weight], &parameters[bias])?,
                Layer::FourierFeatures { weight, bias, scale } => {
                    tape.fourier_features(&tape.dense(&x, &parameters[weight], &parameters[bias])?, scale)?
                }
                Layer::Dropout { rate, id } => match &counter {
                    Some(counter) if rate > 0.0 => tape.dropout(&x, counter, rate, id)?,
                    _ => x,
                },
            };
            seen(index, &x);
        }
        Ok(Forward { logits: x, parameters })
    }

    /// The mean loss of logits over a batch, and `[sum of losses, correct predictions]`.
    pub fn loss(tape: &Tape, loss: &Loss, logits: &Var, labels: &Tensor) -> Result<(Var, Var), Error> {
        let labels = tape.constant(labels);
        match loss {
            Loss::CrossEntropy(loss) => tape.smoothed_cross_entropy(logits, &labels, loss.label_smoothing as f32),
            Loss::Nll => tape.nll_loss(&tape.log_softmax(logits)?, &labels),
            Loss::Hinge => tape.multi_class_hinge(logits, &labels),
        }
    }

    /// The gradients of the trainable parameters, with their names, in order.
    pub fn gradients<'a>(
        &'a self,
        forward: &'a Forward,
        gradients: &'a Gradients,
    ) -> impl Iterator<Item = (&'a str, Option<&'a Tensor>)> {
        let all = self.network.parameters().iter().zip(&forward.parameters);
        all.filter(|(parameter, _)| parameter.trainable)
            .map(|(parameter, var)| (parameter.name.as_str(), gradients.get(var)))
    }
}
