//! RMSprop on gradients that were summed by splits.

use super::split_sum::{self, SplitSum, SplitSummed};
use super::{RmsProp, rmsprop};
use crate::cases::{Case, ErrorCase};
use crate::{Operation, Random, TensorSpec};
use std::sync::Arc;

/// [`RmsProp`] with `Σ_s partials[offset + s*len + i]` for `grad[start + i]` in each of its segments.
///
/// - Shapes: `param`, `grad`, `square_avg`, `velocity` of any one plain real shape; `rates` as for [`RmsProp`]; `partials` plain, as
///   long as the segments need.
/// - Writes: `param`, `square_avg`, `velocity`, all in place.
/// - Numerics: the sum in `f64`, from 0, in the order of the splits, rounded once; then those of [`RmsProp`]. Of `grad` nothing is
///   read where a segment is.
/// - Errors: those of [`RmsProp`]; a parameter in another layout; no segment or more than 32; one that is empty, overlaps the one
///   before it or passes the end of the parameter or of `partials`; no splits or more than 32.
/// - Source: the second half of split-K, fused with the only reader of its result.
pub type SplitSumRmsProp = SplitSum<RmsProp>;

impl SplitSummed for RmsProp {
    const SPLIT_SUM: &'static str = "split_sum_rmsprop";

    fn spec(&self) -> &TensorSpec {
        &self.spec
    }
}

/// Every plan of segments, with momentum and with factors far from 0 and 1.
pub fn cases() -> Vec<Case> {
    split_sum::cases::<RmsProp>(&[
        ("momentum-decay", &|spec| RmsProp::new(spec, 0.9, 1e-7, 0.9, 0.01)),
        ("strong", &|spec| RmsProp::new(spec, 0.3, 0.1, 0.6, 0.5)),
    ])
}

/// Segments and parameters that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    split_sum::errors(|spec| RmsProp::new(spec, 0.99, 1e-8, 0.0, 0.0))
}

/// Any segments with any setting that [`RmsProp`] draws.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    split_sum::random(random, rmsprop::random_setting)
}
