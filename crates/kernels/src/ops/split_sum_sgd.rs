use super::split_sum::{
    GRID, ORDER, SPLIT_SUM, SPLIT_SUM_VEC4, Segments, per_element, per_vec4, segments, whole_vec4s,
};
use crate::kernel::{Kernel, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::SplitSumSgd;

params! {
    /// `shaders/split_sum_sgd/*.wgsl`.
    struct Params {
        len: u32,
        momentum: f32,
        nesterov: u32,
        weight_decay: f32,
        segments_end: u32,
        segment_count: u32,
        segments: Segments,
    }
}

pub(super) static TABLE: Table<SplitSumSgd> = Table {
    params: |op| {
        let update = op.update();
        let (segments_end, segment_count, segments) = segments(op);
        let params = Params {
            len: update.spec.len() as u32,
            momentum: update.momentum,
            nesterov: update.nesterov.into(),
            weight_decay: update.weight_decay,
            segments_end,
            segment_count,
            segments,
        };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "split_sum_sgd.update.naive",
            direction: Direction::Update,
            order: ORDER,
            source: shader!("split_sum_sgd/update_naive.wgsl"),
            shared: &[GRID, SPLIT_SUM],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "split_sum_sgd.update.vec4",
            direction: Direction::Update,
            order: ORDER,
            source: shader!("split_sum_sgd/update_vec4.wgsl"),
            shared: &[GRID, SPLIT_SUM_VEC4],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
