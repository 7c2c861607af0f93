//! Random numbers for random problems: the same seed draws the same problem anywhere.

use crate::TensorSpec;
use crate::philox::philox4x32;

/// Sizes next to what kernels tile, vectorise or group by.
const EDGES: [usize; 20] = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129];

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    key: [u32; 2],
    stream: u32,
    block: u32,
    words: [u32; 4],
    left: usize,
}

impl Random {
    /// The stream of this seed. Streams of different names have nothing in common.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a
        let stream =
            name.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self { key: [seed as u32, (seed >> 32) as u32], stream, block: 0, words: [0; 4], left: 0 }
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.left == 0 {
            // The last counter keeps these apart from the data that the kernels' harness makes up.
            self.words = philox4x32([self.block, self.stream, 0, 1], self.key);
            self.block = self.block.wrapping_add(1);
            self.left = 4;
        }
        self.left -= 1;
        self.words[self.left]
    }

    /// From 0 to `bound - 1`, for a bound of at least 1 and well below 2^32.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u64::from(self.word()) * bound as u64) >> 32) as usize
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn choose<T: Copy, const N: usize>(&mut self, from: [T; N]) -> T {
        from[self.below(N)]
    }

    /// A size from 1 to `max`: a third of them around a tile's or vector's edge, a third whole vectors
    /// of 4.
    pub fn size(&mut self, max: usize) -> usize {
        match self.below(3) {
            0 => {
                let edges = EDGES.iter().filter(|&&edge| edge <= max);
                let number = self.below(edges.clone().count());
                edges.copied().nth(number).unwrap_or(1)
            }
            1 if max >= 4 => 4 * self.between(1, max / 4),
            _ => self.between(1, max),
        }
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.word()) / 4_294_967_296.0
    }

    /// A positive number in `[low, high)`, every order of magnitude as likely as the next.
    pub fn magnitude(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    /// A real tensor of any layout with at most `max` elements.
    pub fn spec(&mut self, max: usize) -> TensorSpec {
        if self.one_in(4) {
            return self.image(max);
        }
        let mut left = max;
        let mut dim = |largest: usize| {
            let dim = self.size(largest.min(left));
            left /= dim;
            dim
        };
        let dims = [dim(129), dim(33), dim(5), dim(5)];
        let [a, b, c, d] = dims;
        match self.below(4) {
            0 => TensorSpec::filter(a, b, c, d),
            1 => TensorSpec::linear(a, b),
            2 => TensorSpec::plain([a * b * c * d]),
            _ => TensorSpec::plain([a, b]),
        }
    }

    /// An image with at most `max` elements.
    pub fn image(&mut self, max: usize) -> TensorSpec {
        let n = self.between(1, 3);
        let c = self.size(65.min(max / n));
        let h = self.between(1, 20.min(max / n / c));
        let w = self.between(1, 20.min(max / n / c / h));
        TensorSpec::image(n, c, h, w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_names_differ() {
        let draw = |seed, name| {
            let mut random = Random::new(seed, name);
            [0; 9].map(|_| random.word())
        };
        assert_eq!(draw(7, "conv2d"), draw(7, "conv2d"));
        assert_ne!(draw(7, "conv2d"), draw(8, "conv2d"));
        assert_ne!(draw(7, "conv2d"), draw(7 + (1 << 32), "conv2d"));
        assert_ne!(draw(7, "conv2d"), draw(7, "dense"));
    }

    #[test]
    fn draws_stay_in_range_and_reach_its_ends() {
        let mut random = Random::new(1, "test");
        let draws: Vec<usize> = (0..1000).map(|_| random.between(3, 6)).collect();
        assert_eq!((draws.iter().min(), draws.iter().max()), (Some(&3), Some(&6)));
        for max in [1, 2, 6, 64, 100] {
            let sizes: Vec<usize> = (0..1000).map(|_| random.size(max)).collect();
            assert!(sizes.iter().all(|size| (1..=max).contains(size)), "{max}");
            assert!(sizes.contains(&1) && sizes.contains(&max), "{max}");
        }
        for _ in 0..1000 {
            assert!((1e-3..1e2).contains(&random.magnitude(1e-3, 1e2)));
            let spec = random.spec(700);
            assert!((1..=700).contains(&spec.len()), "{spec}");
        }
    }
}
