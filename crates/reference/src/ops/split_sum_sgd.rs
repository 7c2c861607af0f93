//! Stochastic gradient descent on gradients that were summed by splits.

use super::split_sum::{self, SplitSum, SplitSummed};
use super::{Sgd, sgd};
use crate::cases::{Case, ErrorCase};
use crate::{Operation, Random, TensorSpec};
use std::sync::Arc;

/// [`Sgd`] with `Σ_s partials[offset + s*len + i]` for `grad[start + i]` in each of its segments.
///
/// - Shapes: `param`, `grad`, `velocity` of any one plain real shape; `rates` as for [`Sgd`]; `partials` plain, as long as the
///   segments need.
/// - Writes: `param`, `velocity`, both in place.
/// - Numerics: the sum in `f64`, from 0, in the order of the splits, rounded once; then those of [`Sgd`]. Of `grad` nothing is read
///   where a segment is.
/// - Errors: those of [`Sgd`]; a parameter in another layout; no segment or more than 32; one that is empty, overlaps the one before
///   it or passes the end of the parameter or of `partials`; no splits or more than 32.
/// - Source: the second half of split-K, fused with the only reader of its result.
pub type SplitSumSgd = SplitSum<Sgd>;

impl SplitSummed for Sgd {
    const SPLIT_SUM: &'static str = "split_sum_sgd";

    fn spec(&self) -> &TensorSpec {
        &self.spec
    }
}

/// Every plan of segments, with momentum and exactly.
pub fn cases() -> Vec<Case> {
    split_sum::cases::<Sgd>(&[
        ("nesterov-decay", &|spec| Sgd::new(spec, 0.9, true, 0.01)),
        ("exact", &|spec| Sgd::new(spec, 0.5, false, 0.25)),
    ])
}

/// Segments and parameters that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    split_sum::errors(|spec| Sgd::new(spec, 0.9, false, 0.0))
}

/// Any segments with any setting that [`Sgd`] draws.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    split_sum::random(random, sgd::random_setting)
}
