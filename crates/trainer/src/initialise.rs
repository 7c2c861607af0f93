//! The initial weights: PyTorch's default distributions from a generator of our own.
//!
//! Word `i % 4` of `philox4x32(counter = [i / 4, parameter, 0, "init"], key = [seed low, seed high])` becomes
//! element `i` of a parameter, `bound * ((word + 0.5) / 2^31 - 1)`, computed in `f64` and rounded once. So the
//! same seed gives the same weights on every platform and with every version of every library.
//!
//! Normal numbers come from pairs of words by Box and Muller, with the `f64` logarithm and cosine of the platform.

use crate::network::{Initial, Network, ParameterSpec};
use reference::philox::philox4x32;

/// Keeps these numbers apart from others drawn with the same seed.
const STREAM: u32 = u32::from_be_bytes(*b"init");

impl Network {
    /// The parameters with their initial values.
    pub fn initialise(&self, seed: u64) -> Vec<(ParameterSpec, Vec<f32>)> {
        let values = |(index, parameter): (usize, &ParameterSpec)| match parameter.initial {
            Initial::Zeros => vec![0.0; parameter.spec.len()],
            Initial::Ones => vec![1.0; parameter.spec.len()],
            Initial::Normal { deviation } => normal(seed, index as u32, deviation, parameter.spec.len()),
            Initial::Phase => {
                // The middle of the interval is its half width.
                let pi = std::f64::consts::PI;
                let phase = |i| (pi * (1.0 + symmetric(word(seed, index as u32, i)))) as f32;
                (0..parameter.spec.len()).map(phase).collect()
            }
            Initial::Uniform { fan_in } => {
                let bound = 1.0 / (fan_in as f64).sqrt();
                uniform(seed, index as u32, bound, parameter.spec.len())
            }
        };
        self.parameters().iter().enumerate().map(|item| (item.1.clone(), values(item))).collect()
    }
}

fn uniform(seed: u64, parameter: u32, bound: f64, len: usize) -> Vec<f32> {
    let key = [seed as u32, (seed >> 32) as u32];
    let words = (0..len.div_ceil(4)).flat_map(|block| philox4x32([block as u32, parameter, 0, STREAM], key));
    let scale = f64::from(1_u32 << 31);
    words.take(len).map(|word| (bound * ((f64::from(word) + 0.5) / scale - 1.0)) as f32).collect()
}

/// Word `i` of a parameter's stream.
fn word(seed: u64, parameter: u32, i: usize) -> u32 {
    let key = [seed as u32, (seed >> 32) as u32];
    philox4x32([(i / 4) as u32, parameter, 0, STREAM], key)[i % 4]
}

/// In `(-1, 1)`.
fn symmetric(word: u32) -> f64 {
    (f64::from(word) + 0.5) / f64::from(1_u32 << 31) - 1.0
}

/// Element `i` takes the words `2 i` and `2 i + 1`.
fn normal(seed: u64, parameter: u32, deviation: f64, len: usize) -> Vec<f32> {
    let element = |i| {
        let [a, b] = [2 * i, 2 * i + 1].map(|i| symmetric(word(seed, parameter, i)));
        let radius = (-2.0 * ((1.0 + a) / 2.0).ln()).sqrt();
        (deviation * radius * (std::f64::consts::PI * b).cos()) as f32
    };
    (0..len).map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{BatchNorm, Dense, FourierFeatures, LayerSpec, Recipe};

    #[test]
    fn weights_and_biases_spread_over_their_bounds() {
        let network = Network::new(&Recipe::find("depth2").unwrap().layers, 1).unwrap();
        for (parameter, values) in network.initialise(7) {
            let Initial::Uniform { fan_in } = parameter.initial else { panic!("{parameter:?}") };
            let bound = 1.0 / (fan_in as f32).sqrt();
            assert_eq!(values.len(), parameter.spec.len());
            assert!(values.iter().all(|value| value.abs() <= bound), "{}", parameter.name);
            if values.len() < 1000 {
                continue;
            }
            let n = values.len() as f64;
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
            let variance = values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / n;
            let expected = f64::from(bound).powi(2) / 3.0;
            assert!(mean.abs() < 5.0 * (expected / n).sqrt(), "{}: mean {mean}", parameter.name);
            assert!((variance / expected - 1.0).abs() < 0.1, "{}: variance {variance}", parameter.name);
        }
        let fan_in = |name: &str| network.parameters().iter().find(|p| p.name == name).unwrap().initial;
        assert_eq!(fan_in("conv2.weight"), Initial::Uniform { fan_in: 32 * 9 });
        assert_eq!(fan_in("conv2.bias"), Initial::Uniform { fan_in: 32 * 9 });
        assert_eq!(fan_in("fc1.bias"), Initial::Uniform { fan_in: 3136 });
    }

    #[test]
    fn the_seed_decides_and_tensors_differ() {
        let network = Network::new(&Recipe::find("lenet5").unwrap().layers, 1).unwrap();
        assert_eq!(network.initialise(1), network.initialise(1));
        assert_ne!(network.initialise(1)[0].1, network.initialise(2)[0].1);
        assert_ne!(network.initialise(1)[0].1, network.initialise(1 + (1 << 32))[0].1);
        let tensors = network.initialise(1);
        assert_ne!(tensors[1].1[0] / tensors[0].1[0], 1.0);
    }

    /// Known values, computed by another program: a change here changes every run.
    #[test]
    fn the_numbers_stay_the_same() {
        assert_eq!(uniform(0, 0, 1.0, 5), [0.11112386, 0.42361903, -0.7787008, -0.8137763, 0.9037443]);
        assert_eq!(uniform((7 << 32) + 9, 3, 1.0, 3), [0.11831865, -0.98706657, -0.3029845]);
    }

    #[test]
    fn random_features_have_their_distributions() {
        let layers = [
            LayerSpec::Flatten,
            LayerSpec::FourierFeatures(FourierFeatures { out: 100, gamma: 0.02 }),
            LayerSpec::Dense(Dense { out: 10 }),
        ];
        let tensors = Network::new(&layers, 2).unwrap().initialise(3);
        let [(weight, w), (bias, b), ..] = tensors.as_slice() else { panic!("{tensors:?}") };
        assert_eq!((weight.name.as_str(), bias.name.as_str()), ("rff1.weight", "rff1.bias"));
        assert!(!weight.trainable && !bias.trainable);
        let moment = |power| w.iter().map(|&w| f64::from(w).powi(power)).sum::<f64>() / w.len() as f64;
        // Standard errors: 0.0007 of the mean, 0.0002 of the variance, 0.0028 * 3 of the kurtosis.
        assert!(moment(1).abs() < 0.003, "{}", moment(1));
        assert!((moment(2) / 0.04 - 1.0).abs() < 0.03, "{}", moment(2));
        assert!((moment(4) / moment(2).powi(2) - 3.0).abs() < 0.15, "{}", moment(4));
        let turn = std::f32::consts::TAU;
        assert!(b.iter().all(|b| (0.0..=turn).contains(b)));
        for quarter in [0.0, 0.25, 0.5, 0.75] {
            let within = b.iter().filter(|&&b| (quarter * turn..(quarter + 0.25) * turn).contains(&b)).count();
            assert!((10..=40).contains(&within), "{within}");
        }
    }

    #[test]
    fn batch_norm_starts_as_the_identity() {
        let layers =
            [LayerSpec::Flatten, LayerSpec::BatchNorm(BatchNorm::default()), LayerSpec::Dense(Dense { out: 10 })];
        let tensors = Network::new(&layers, 2).unwrap().initialise(0);
        let first: Vec<(&str, f32)> = tensors.iter().take(4).map(|(p, v)| (p.name.as_str(), v[783])).collect();
        assert_eq!(
            first,
            [("bn1.weight", 1.0), ("bn1.bias", 0.0), ("bn1.running_mean", 0.0), ("bn1.running_var", 1.0)]
        );
    }
}
