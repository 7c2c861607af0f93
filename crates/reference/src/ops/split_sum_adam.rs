//! Adam on gradients that were summed by splits.

use super::split_sum::{self, SplitSum, SplitSummed};
use super::{Adam, AdamConfig, adam};
use crate::cases::{Case, ErrorCase};
use crate::{Operation, Random, TensorSpec};
use std::sync::Arc;

/// [`Adam`] with `Σ_s partials[offset + s*len + i]` for `grad[start + i]` in each of its segments.
///
/// - Shapes: `param`, `grad`, `m`, `v` of any one plain real shape; `rates` as for [`Adam`]; `partials` plain, as long as the
///   segments need.
/// - Writes: `param`, `m`, `v`, all in place.
/// - Numerics: the sum in `f64`, from 0, in the order of the splits, rounded once; then those of [`Adam`]. Of `grad` nothing is read
///   where a segment is.
/// - Errors: those of [`Adam`]; a parameter in another layout; no segment or more than 32; one that is empty, overlaps the one before
///   it or passes the end of the parameter or of `partials`; no splits or more than 32.
/// - Source: the second half of split-K, fused with the only reader of its result.
pub type SplitSumAdam = SplitSum<Adam>;

impl SplitSummed for Adam {
    const SPLIT_SUM: &'static str = "split_sum_adam";

    fn spec(&self) -> &TensorSpec {
        &self.spec
    }
}

/// Every plan of segments, with AdamW and with factors far from 0 and 1.
pub fn cases() -> Vec<Case> {
    let strong = AdamConfig { beta1: 0.3, beta2: 0.7, eps: 0.1, weight_decay: 0.5, decoupled: false };
    let adamw = AdamConfig { weight_decay: 0.01, decoupled: true, ..AdamConfig::default() };
    split_sum::cases::<Adam>(&[
        ("adamw", &|spec| Adam::new(spec, adamw)),
        ("strong-l2", &|spec| Adam::new(spec, strong)),
    ])
}

/// Segments and parameters that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    split_sum::errors(|spec| Adam::new(spec, AdamConfig::default()))
}

/// Any segments with any setting that [`Adam`] draws.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    split_sum::random(random, adam::random_setting)
}
