//! What the optimisers' tables share that add up split gradients themselves.

use crate::grid::Grid;
use crate::kernel::{Overrides, Summation};
use crate::{Source, shader};
use reference::ops::{MOST_SEGMENTS, Segment, SplitSum, SplitSummed};

pub(super) const GRID: Source = shader!("shared/grid.wgsl");
pub(super) const SPLIT_SUM: Source = shader!("shared/split_sum.wgsl");
pub(super) const SPLIT_SUM_VEC4: Source = shader!("shared/split_sum_vec4.wgsl");
/// Apart from it nothing is summed.
pub(super) const ORDER: Summation = Summation::Rule("the splits in order");

/// `[start, len, splits, offset]` of each segment, as the shader has them.
pub(super) type Segments = [[u32; 4]; MOST_SEGMENTS];

/// Where the last segment ends, how many there are, and all of them.
pub(super) fn segments<U: SplitSummed>(op: &SplitSum<U>) -> (u32, u32, Segments) {
    let mut all = Segments::default();
    for (to, &Segment { start, len, splits, offset }) in all.iter_mut().zip(op.segments()) {
        *to = [start, len, splits, offset].map(|size| size as u32);
    }
    let end = op.segments().last().map_or(0, Segment::end);
    (end as u32, op.segments().len() as u32, all)
}

pub(super) fn per_element<U: SplitSummed>(op: &SplitSum<U>, o: &Overrides) -> Grid {
    Grid::threads(op.update().spec().len(), o.get("WORKGROUP"))
}

pub(super) fn per_vec4<U: SplitSummed>(op: &SplitSum<U>, o: &Overrides) -> Grid {
    Grid::threads(op.update().spec().len() / 4, o.get("WORKGROUP"))
}

pub(super) fn whole_vec4s<U: SplitSummed>(op: &SplitSum<U>) -> Result<(), &'static str> {
    let starts = op.segments().iter().map(|segment| segment.start);
    match [op.update().spec().len(), op.partials()].into_iter().chain(starts).all(|size| size.is_multiple_of(4)) {
        true => Ok(()),
        false => Err("the number of elements or of partial sums, or the start of a segment, is no multiple of 4"),
    }
}
