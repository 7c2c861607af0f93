//! SplitMix64, the one source of randomness here.
//!
//! Our own ten lines instead of a crate's, because a split, an epoch's order and the stand-in must come out the
//! same on every platform and after every update of a dependency; general-purpose crates reserve the right to
//! change their shuffles. The algorithm: Steele, Lea, Flood, "Fast splittable pseudorandom number generators"
//! (OOPSLA 2014), with the constants of Java's `SplittableRandom`. Not for secrets.

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator for this list of words. Another list gives an unrelated sequence.
    pub(crate) fn keyed(words: &[u64]) -> Self {
        Self(words.iter().fold(0, |state: u64, word| mix(state.wrapping_add(GAMMA) ^ word)))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// Uniform in `0..bound`, by multiply and shift. The bias is at most `bound / 2^64`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `[0, 1)`, from the top 24 bits.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1 << 24) as f32
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// Fisher-Yates, from the front.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in 1..items.len() {
            let j = self.below(i as u64 + 1) as usize;
            items.swap(i, j);
        }
    }
}

/// The output function of SplitMix64, a bijection.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sequence() {
        // The reference implementation's first outputs for the seed 1234567.
        let mut rng = SplitMix64(1_234_567);
        let outputs: Vec<u64> = (0..5).map(|_| rng.next_u64()).collect();
        assert_eq!(
            outputs,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn keys_do_not_collide_by_order_or_length() {
        let first = |words: &[u64]| SplitMix64::keyed(words).next_u64();
        let outputs = [first(&[]), first(&[0]), first(&[0, 0]), first(&[1, 2]), first(&[2, 1])];
        for (i, a) in outputs.iter().enumerate() {
            assert!(outputs[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn shuffles_are_uniform() {
        let mut rng = SplitMix64::keyed(&[7]);
        let mut counts = [0usize; 6];
        for _ in 0..60_000 {
            let mut items = [0, 1, 2];
            rng.shuffle(&mut items);
            counts[items[0] * 2 + usize::from(items[1] > items[2])] += 1;
        }
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 400), "{counts:?}");
    }
}
