use super::split_sum::{
    GRID, ORDER, SPLIT_SUM, SPLIT_SUM_VEC4, Segments, per_element, per_vec4, segments, whole_vec4s,
};
use crate::kernel::{Kernel, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::SplitSumRmsProp;

params! {
    /// `shaders/split_sum_rmsprop/*.wgsl`.
    struct Params {
        len: u32,
        alpha: f32,
        one_minus_alpha: f32,
        eps: f32,
        momentum: f32,
        weight_decay: f32,
        segments_end: u32,
        segment_count: u32,
        segments: Segments,
    }
}

pub(super) static TABLE: Table<SplitSumRmsProp> = Table {
    params: |op| {
        let update = op.update();
        let (segments_end, segment_count, segments) = segments(op);
        let params = Params {
            len: update.spec.len() as u32,
            alpha: update.alpha as f32,
            // Subtracted before rounding, or the digits of a small difference would be lost.
            one_minus_alpha: (1.0 - update.alpha) as f32,
            eps: update.eps as f32,
            momentum: update.momentum as f32,
            weight_decay: update.weight_decay as f32,
            segments_end,
            segment_count,
            segments,
        };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "split_sum_rmsprop.update.naive",
            direction: Direction::Update,
            order: ORDER,
            source: shader!("split_sum_rmsprop/update_naive.wgsl"),
            shared: &[GRID, SPLIT_SUM],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "split_sum_rmsprop.update.vec4",
            direction: Direction::Update,
            order: ORDER,
            source: shader!("split_sum_rmsprop/update_vec4.wgsl"),
            shared: &[GRID, SPLIT_SUM_VEC4],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
