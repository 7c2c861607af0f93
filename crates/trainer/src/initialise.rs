//! The initial weights: PyTorch's default distributions from a generator of our own.
//!
//! Word `i % 4` of `philox4x32(counter = [i / 4, parameter, 0, "init"], key = [seed low, seed high])` becomes
//! element `i` of a parameter, `bound * ((word + 0.5) / 2^31 - 1)`, computed in `f64` and rounded once. So the
//! same seed gives the same weights on every platform and with every version of every library.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{BatchNorm, Dense, LayerSpec, Recipe};

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
