//! A network: its layers with all sizes worked out, its parameters with their names, its summary.

use crate::recipe::{LayerSpec, PerAxis, Pool};
use reference::ops::{AvgPool2d, BatchNorm, BatchNormMode, Conv2d, Dense, Flatten, FourierFeatures, MaxPool2d};
use reference::{Direction, MAX_ELEMENTS, Operation, TensorSpec, Window};
use std::collections::BTreeMap;

/// Channels, height and width of an input image.
pub const INPUT: [usize; 3] = [1, 28, 28];

/// The classes, one logit each.
pub const CLASSES: usize = 10;

/// A network that can exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    layers: Vec<Layer>,
    names: Vec<String>,
    shapes: Vec<Vec<usize>>,
    parameters: Vec<ParameterSpec>,
}

/// One layer, ready to run. Parameters are indices into [`Network::parameters`].
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// 2-D convolution with bias.
    Conv {
        /// OIHW.
        weight: usize,
        /// One value per output channel.
        bias: usize,
        /// Output channels.
        c_out: usize,
        /// Along the height.
        h: Window,
        /// Along the width.
        w: Window,
    },
    /// Batch normalisation of channels or features.
    BatchNorm {
        /// Scale.
        weight: usize,
        /// Shift.
        bias: usize,
        /// Not trained: follows the batches.
        running_mean: usize,
        /// Not trained: follows the batches.
        running_var: usize,
        /// Added to the variance.
        eps: f32,
        /// Weight of the newest batch in the running statistics.
        momentum: f32,
    },
    /// `max(x, 0)`
    Relu,
    /// Largest value of each window.
    MaxPool {
        /// Along the height.
        h: Window,
        /// Along the width.
        w: Window,
    },
    /// Mean of each window; padding counts.
    AvgPool {
        /// Along the height.
        h: Window,
        /// Along the width.
        w: Window,
    },
    /// Image to features.
    Flatten,
    /// Fully connected layer with bias.
    Dense {
        /// `[out, in]`
        weight: usize,
        /// One value per output feature.
        bias: usize,
        /// Output features.
        features_out: usize,
    },
    /// Random Fourier features: a dense layer that is not trained, then a scaled cosine.
    FourierFeatures {
        /// `[out, in]`
        weight: usize,
        /// One value per output feature.
        bias: usize,
        /// What the cosine is multiplied by.
        scale: f32,
    },
    /// Zeroes activations at random while training.
    Dropout {
        /// Probability of an activation to be zeroed.
        rate: f32,
        /// Number among the dropout layers, so that each draws its own numbers.
        id: u32,
    },
}

/// One tensor that is trained, or kept beside those that are.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// As in PyTorch, layers numbered by kind: `conv1.weight`.
    pub name: String,
    /// Type, layout, dimensions.
    pub spec: TensorSpec,
    /// Whether the optimiser changes it. Running statistics are not trained.
    pub trainable: bool,
    /// Its values at the start.
    pub initial: Initial,
}

/// What a parameter holds at the start: PyTorch's defaults where PyTorch has the layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Uniform in `±1/sqrt(fan_in)`, which is Kaiming's bound for a leaky slope of `sqrt(5)`.
    Uniform {
        /// Inputs that reach one output.
        fan_in: usize,
    },
    /// Normal around 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
    /// Uniform in `[0, 2 pi)`.
    Phase,
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
}

/// Why layers do not make a network. Layers are numbered from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A layer cannot work on what the one before gives.
    #[error("layer {number} ({kind}): {error}")]
    Layer {
        /// Which layer.
        number: usize,
        /// Its kind in the recipe.
        kind: &'static str,
        /// Why not.
        error: reference::Error,
    },
    /// A layer for images gets features.
    #[error("layer {number} ({kind}) needs an image, but gets {shape:?}; move it before `flatten`")]
    NeedsImage {
        /// Which layer.
        number: usize,
        /// Its kind in the recipe.
        kind: &'static str,
        /// What it gets.
        shape: Vec<usize>,
    },
    /// A layer for features gets an image.
    #[error("layer {number} ({kind}) needs features, but gets an image {shape:?}; put a `flatten` before it")]
    NeedsFeatures {
        /// Which layer.
        number: usize,
        /// Its kind in the recipe.
        kind: &'static str,
        /// What it gets.
        shape: Vec<usize>,
    },
    /// The last layer does not give the logits.
    #[error(
        "layer {number} ({kind}): the network ends in {shape:?} here; it must end in a dense layer with out = 10, \
         one for each class"
    )]
    NoLogits {
        /// Which layer.
        number: usize,
        /// Its kind in the recipe.
        kind: &'static str,
        /// What it gives.
        shape: Vec<usize>,
    },
    /// There is no layer.
    #[error("the network has no layers")]
    Empty,
    /// All parameters together exceed [`MAX_ELEMENTS`].
    #[error("layer {number} ({kind}): the network has more than {MAX_ELEMENTS} parameters; use smaller layers")]
    TooManyParameters {
        /// With which layer.
        number: usize,
        /// Its kind in the recipe.
        kind: &'static str,
    },
}

impl NetworkError {
    /// The index of the layer at fault.
    pub fn layer(&self) -> Option<usize> {
        match self {
            Self::Layer { number, .. }
            | Self::NeedsImage { number, .. }
            | Self::NeedsFeatures { number, .. }
            | Self::NoLogits { number, .. }
            | Self::TooManyParameters { number, .. } => Some(number - 1),
            Self::Empty => None,
        }
    }
}

impl Network {
    /// Works out all sizes. `batch` only serves to refuse what could not be trained on so many images.
    pub fn new(specs: &[LayerSpec], batch: usize) -> Result<Self, NetworkError> {
        let mut network = Self { layers: vec![], names: vec![], shapes: vec![], parameters: vec![] };
        let mut numbers = BTreeMap::new();
        let mut elements = 0_usize;
        let [c, h, w] = INPUT;
        let mut x = TensorSpec::image(batch, c, h, w);
        for (index, spec) in specs.iter().enumerate() {
            let (number, kind) = (index + 1, spec.kind());
            let count = numbers.entry(short(spec)).or_insert(0);
            *count += 1;
            let name = format!("{}{count}", short(spec));

            let first = network.parameters.len();
            let (layer, y) = network.layer(spec, &name, *count, &x, number)?;
            for parameter in &network.parameters[first..] {
                elements = elements.saturating_add(parameter.spec.len());
            }
            if elements > MAX_ELEMENTS {
                return Err(NetworkError::TooManyParameters { number, kind });
            }
            network.shapes.push(shape(&y));
            network.layers.push(layer);
            network.names.push(name);
            x = y;
        }
        match (specs.last(), network.layers.last()) {
            (Some(_), Some(Layer::Dense { features_out: CLASSES, .. })) => Ok(network),
            (Some(last), Some(_)) => {
                Err(NetworkError::NoLogits { number: specs.len(), kind: last.kind(), shape: shape(&x) })
            }
            _ => Err(NetworkError::Empty),
        }
    }

    /// One layer on input `x`, with its output. Adds its parameters.
    fn layer(
        &mut self,
        spec: &LayerSpec,
        name: &str,
        count: u32,
        x: &TensorSpec,
        number: usize,
    ) -> Result<(Layer, TensorSpec), NetworkError> {
        let kind = spec.kind();
        let impossible = |error| NetworkError::Layer { number, kind, error };
        let image = || match *x.dims {
            [n, c, h, w] => Ok([n, c, h, w]),
            _ => Err(NetworkError::NeedsImage { number, kind, shape: shape(x) }),
        };
        let layer = match spec {
            LayerSpec::Conv(conv) => {
                let window = |axis: fn(&PerAxis) -> usize| Window {
                    kernel: axis(&conv.kernel),
                    stride: axis(&conv.stride),
                    pad: axis(&conv.pad),
                    dilation: axis(&conv.dilation),
                };
                let (h, w) = (window(|size| size.h), window(|size| size.w));
                let op = Conv2d::new(image()?, conv.out, h, w).map_err(impossible)?;
                let weight = TensorSpec::filter(conv.out, op.c_in, h.kernel, w.kernel);
                let (weight, bias) = self.weight_and_bias(name, weight, conv.out);
                (Layer::Conv { weight, bias, c_out: conv.out, h, w }, output(&op, x))
            }
            LayerSpec::BatchNorm(norm) => {
                let (eps, momentum) = (norm.eps as f32, norm.momentum as f32);
                let op = BatchNorm::new(x.clone(), BatchNormMode::Training, eps, momentum).map_err(impossible)?;
                let mut add = |part, trainable, initial| {
                    self.add(format!("{name}.{part}"), TensorSpec::plain([op.channels()]), trainable, initial)
                };
                let layer = Layer::BatchNorm {
                    weight: add("weight", true, Initial::Ones),
                    bias: add("bias", true, Initial::Zeros),
                    running_mean: add("running_mean", false, Initial::Zeros),
                    running_var: add("running_var", false, Initial::Ones),
                    eps,
                    momentum,
                };
                (layer, x.clone())
            }
            LayerSpec::Relu => (Layer::Relu, x.clone()),
            LayerSpec::MaxPool(pool) => {
                let (h, w) = pool_windows(pool);
                let op = MaxPool2d::new(image()?, h, w).map_err(impossible)?;
                (Layer::MaxPool { h, w }, output(&op, x))
            }
            LayerSpec::AvgPool(pool) => {
                let (h, w) = pool_windows(pool);
                let op = AvgPool2d::new(image()?, h, w).map_err(impossible)?;
                (Layer::AvgPool { h, w }, output(&op, x))
            }
            LayerSpec::Flatten => (Layer::Flatten, output(&Flatten::new(image()?).map_err(impossible)?, x)),
            LayerSpec::Dense(dense) => {
                let &[n, features_in] = x.dims.as_slice() else {
                    return Err(NetworkError::NeedsFeatures { number, kind, shape: shape(x) });
                };
                let op = Dense::new(n, features_in, dense.out).map_err(impossible)?;
                let weight = TensorSpec::linear(dense.out, features_in);
                let (weight, bias) = self.weight_and_bias(name, weight, dense.out);
                (Layer::Dense { weight, bias, features_out: dense.out }, output(&op, x))
            }
            LayerSpec::FourierFeatures(features) => {
                let &[n, features_in] = x.dims.as_slice() else {
                    return Err(NetworkError::NeedsFeatures { number, kind, shape: shape(x) });
                };
                let op = Dense::new(n, features_in, features.out).map_err(impossible)?;
                let deviation = (2.0 * features.gamma).sqrt();
                let weight = TensorSpec::linear(features.out, features_in);
                let layer = Layer::FourierFeatures {
                    weight: self.add(format!("{name}.weight"), weight, false, Initial::Normal { deviation }),
                    bias: self.add(format!("{name}.bias"), TensorSpec::plain([features.out]), false, Initial::Phase),
                    scale: FourierFeatures::scale_for(features.out),
                };
                (layer, output(&op, x))
            }
            LayerSpec::Dropout(dropout) => (Layer::Dropout { rate: dropout.rate as f32, id: count - 1 }, x.clone()),
        };
        Ok(layer)
    }

    fn weight_and_bias(&mut self, name: &str, weight: TensorSpec, out: usize) -> (usize, usize) {
        let initial = Initial::Uniform { fan_in: weight.dims.iter().skip(1).product() };
        let weight = self.add(format!("{name}.weight"), weight, true, initial);
        (weight, self.add(format!("{name}.bias"), TensorSpec::plain([out]), true, initial))
    }

    fn add(&mut self, name: String, spec: TensorSpec, trainable: bool, initial: Initial) -> usize {
        self.parameters.push(ParameterSpec { name, spec, trainable, initial });
        self.parameters.len() - 1
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The name of each layer: its kind in PyTorch's words, numbered in order of appearance.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The output of each layer for one image: `[c, h, w]` or `[features]`.
    pub fn shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// Every parameter, in order of appearance.
    pub fn parameters(&self) -> &[ParameterSpec] {
        &self.parameters
    }

    /// Number of trained values.
    pub fn trainable_count(&self) -> usize {
        self.parameters.iter().filter(|parameter| parameter.trainable).map(|parameter| parameter.spec.len()).sum()
    }

    /// Number of values, running statistics included.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.spec.len()).sum()
    }

    /// A table of the layers with their output shapes and parameters.
    pub fn summary(&self) -> String {
        let row = |name: &str, shape: String, count: &str| {
            let row = format!("{name:<12} {shape:<16} {count:>12}");
            row.trim_end().to_owned() + "\n"
        };
        let mut text = row("layer", "output".to_owned(), "parameters");
        text += &row("input", format!("{INPUT:?}"), "");
        for (name, shape) in self.names.iter().zip(&self.shapes) {
            let own = |parameter: &&ParameterSpec| parameter.name.split('.').next() == Some(name);
            let count: usize = self.parameters.iter().filter(own).map(|parameter| parameter.spec.len()).sum();
            text += &row(name, format!("{shape:?}"), &if count == 0 { String::new() } else { thousands(count) });
        }
        text += &row("total", String::new(), &thousands(self.parameter_count()));
        if self.trainable_count() != self.parameter_count() {
            text += &row("trainable", String::new(), &thousands(self.trainable_count()));
        }
        text
    }
}

/// 136586 as `136,586`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The kind as parameter names have it.
fn short(spec: &LayerSpec) -> &'static str {
    match spec {
        LayerSpec::Dense(_) => "fc",
        LayerSpec::BatchNorm(_) => "bn",
        LayerSpec::FourierFeatures(_) => "rff",
        other => other.kind(),
    }
}

/// Without the batch.
fn shape(spec: &TensorSpec) -> Vec<usize> {
    spec.dims.iter().skip(1).copied().collect()
}

fn pool_windows(pool: &Pool) -> (Window, Window) {
    let stride = pool.stride.unwrap_or(pool.kernel);
    let window = |kernel, stride, pad| Window { kernel, stride, pad, dilation: 1 };
    (window(pool.kernel.h, stride.h, pool.pad.h), window(pool.kernel.w, stride.w, pool.pad.w))
}

/// What an operation on `x` writes to `y`.
fn output(op: &dyn Operation, x: &TensorSpec) -> TensorSpec {
    let y = op.signature(Direction::Fwd).into_iter().find(|arg| arg.name == "y");
    y.map_or_else(|| x.clone(), |y| y.spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{self, Conv, Dropout, Recipe};

    fn network(name: &str) -> Network {
        Network::new(&Recipe::find(name).unwrap().layers, 2).unwrap()
    }

    fn conv(out: usize, kernel: usize) -> LayerSpec {
        let size = PerAxis::both;
        LayerSpec::Conv(Conv { out, kernel: size(kernel), stride: size(1), pad: size(0), dilation: size(1) })
    }

    fn dense(out: usize) -> LayerSpec {
        LayerSpec::Dense(recipe::Dense { out })
    }

    #[test]
    fn parameter_counts_are_the_reports() {
        let mut reported = 0;
        for built_in in recipe::BUILT_IN {
            let recipe = Recipe::built_in(built_in).unwrap();
            let network = network(built_in.name);
            for (count, ours) in [
                (recipe.reported.parameters, network.parameter_count()),
                (recipe.reported.trainable_parameters, network.trainable_count()),
            ] {
                assert_eq!(count.unwrap_or(ours), ours, "{}", built_in.name);
                reported += usize::from(count.is_some());
            }
        }
        assert!(reported >= 8, "{reported}");
        for (name, count) in [
            ("lenet5", 136_586),
            ("depth2", 421_642),
            ("depth3", 1_701_130),
            ("shallow1", 693_962),
            ("deep4-valid", 1_221_546),
            ("deep4-same", 3_384_234),
            ("svm-linear", 7_850),
        ] {
            assert_eq!(network(name).parameter_count(), count, "{name}");
        }
        for (name, count) in [("deep4-valid", 1_219_754), ("deep4-same", 3_382_442), ("svm-rff", 40_970)] {
            assert_eq!(network(name).trainable_count(), count, "{name}");
        }
    }

    #[test]
    fn shapes_are_the_reports() {
        let flat = |name| {
            let network = network(name);
            let index = network.layers().iter().position(|layer| *layer == Layer::Flatten).unwrap();
            network.shapes()[index].clone()
        };
        assert_eq!((flat("lenet5"), flat("depth2"), flat("depth3")), (vec![1024], vec![3136], vec![6272]));
        assert_eq!((flat("shallow1"), flat("deep4-valid"), flat("deep4-same")), (vec![5408], vec![2048], vec![6272]));
        assert_eq!((flat("r1-k2-d10"), flat("r1-k4-d10")), (vec![576], vec![64]));
        assert_eq!(network("lenet5").shapes()[0], [6, 32, 32]);
    }

    #[test]
    fn layers_are_numbered_by_kind() {
        let norm = || LayerSpec::BatchNorm(recipe::BatchNorm::default());
        let drop = || LayerSpec::Dropout(Dropout { rate: 0.5 });
        let layers = [conv(2, 3), norm(), drop(), LayerSpec::Flatten, dense(7), norm(), drop(), dense(10)];
        let network = Network::new(&layers, 3).unwrap();
        let names: Vec<&str> = network.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "conv1.weight",
                "conv1.bias",
                "bn1.weight",
                "bn1.bias",
                "bn1.running_mean",
                "bn1.running_var",
                "fc1.weight",
                "fc1.bias",
                "bn2.weight",
                "bn2.bias",
                "bn2.running_mean",
                "bn2.running_var",
                "fc2.weight",
                "fc2.bias"
            ]
        );
        assert_eq!(network.parameters()[0].spec, TensorSpec::filter(2, 1, 3, 3));
        assert_eq!(network.parameters()[6].spec, TensorSpec::linear(7, 2 * 26 * 26));
        assert_eq!(network.parameter_count() - network.trainable_count(), 2 * (2 + 7));
        let ids: Vec<u32> = network
            .layers()
            .iter()
            .filter_map(|layer| if let Layer::Dropout { id, .. } = layer { Some(*id) } else { None })
            .collect();
        assert_eq!(ids, [0, 1]);
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_its_layer() {
        let flatten = || LayerSpec::Flatten;
        let pool = LayerSpec::MaxPool(Pool { kernel: PerAxis::both(2), stride: None, pad: PerAxis::both(0) });
        let norm = LayerSpec::BatchNorm(recipe::BatchNorm::default());
        let huge = usize::MAX;
        for (layers, batch, expected) in [
            (vec![], 1, "the network has no layers"),
            (vec![conv(1, 29)], 1, "layer 1 (conv): "),
            (vec![conv(huge, 3)], 1, "layer 1 (conv): "),
            (vec![conv(32, 3)], huge, "layer 1 (conv): "),
            (vec![flatten(), conv(1, 3)], 1, "layer 2 (conv) needs an image, but gets [784]"),
            (vec![flatten(), pool], 1, "layer 2 (max_pool) needs an image"),
            (vec![flatten(), flatten()], 1, "layer 2 (flatten) needs an image"),
            (
                vec![flatten(), norm, dense(10)],
                1,
                "layer 2 (batch_norm): batch_norm: the number of values per channel is 1",
            ),
            (vec![dense(10)], 1, "layer 1 (dense) needs features, but gets an image [1, 28, 28]"),
            (vec![flatten()], 1, "layer 1 (flatten): the network ends in [784]"),
            (vec![flatten(), dense(10), LayerSpec::Relu], 1, "layer 3 (relu): the network ends in [10]"),
            (
                vec![flatten(), dense(2_000_000), dense(1000), dense(10)],
                1,
                "layer 3 (dense): the network has more than",
            ),
        ] {
            let message = Network::new(&layers, batch).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn the_summary_lists_every_layer() {
        let text = network("lenet5").summary();
        assert!(text.contains("conv1        [6, 32, 32]               156\n"), "{text}");
        assert!(text.contains("relu1        [6, 32, 32]\n"), "{text}");
        assert!(text.contains("fc1          [120]                 123,000\n"), "{text}");
        assert!(text.ends_with("\ntotal                              136,586\n"), "{text}");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
