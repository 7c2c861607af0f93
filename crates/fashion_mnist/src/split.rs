//! Which images are trained on, in which order. Reproducible for ever: see the generator in `rng.rs`.

use crate::rng::SplitMix64;

// Keep the streams of one seed apart. ASCII, for the reader of a debugger.
const VALIDATION_STREAM: u64 = u64::from_be_bytes(*b"validate");
const EPOCH_STREAM: u64 = u64::from_be_bytes(*b"epochord");

/// A split that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Nothing would be left to train on.
    #[error("{n_validation} validation images of {n_total} leave none to train on; ask for fewer than {n_total}")]
    NothingToTrainOn {
        /// Images in all.
        n_total: usize,
        /// Images asked for validation.
        n_validation: usize,
    },
    /// Indices are 32 bits wide.
    #[error("{n_total} images are more than a 32-bit index can name")]
    TooMany {
        /// Images in all.
        n_total: usize,
    },
}

/// Splits `0..n_total` at random into training and validation indices, in this order.
///
/// The two lists are disjoint, cover everything and are in shuffled order. The same arguments give the same lists
/// on every platform and in every version: SplitMix64 keyed by the seed drives a Fisher-Yates shuffle of
/// `0..n_total`, whose first `n_validation` entries are the validation indices. `n_validation` may be 0.
pub fn split_validation(n_total: usize, n_validation: usize, seed: u64) -> Result<(Vec<u32>, Vec<u32>), SplitError> {
    if n_validation >= n_total {
        return Err(SplitError::NothingToTrainOn { n_total, n_validation });
    }
    let end = u32::try_from(n_total).map_err(|_| SplitError::TooMany { n_total })?;
    let mut validation: Vec<u32> = (0..end).collect();
    SplitMix64::keyed(&[seed, VALIDATION_STREAM]).shuffle(&mut validation);
    let train = validation.split_off(n_validation);
    Ok((train, validation))
}

/// `indices` in the order of this epoch: a Fisher-Yates shuffle keyed by seed and epoch.
///
/// Depends on nothing else, so that a resumed run sees the same order. As reproducible as [`split_validation`].
pub fn epoch_order(indices: &[u32], seed: u64, epoch: u64) -> Vec<u32> {
    let mut order = indices.to_vec();
    SplitMix64::keyed(&[seed, EPOCH_STREAM, epoch]).shuffle(&mut order);
    order
}
