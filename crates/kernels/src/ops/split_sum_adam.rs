use super::split_sum::{
    GRID, ORDER, SPLIT_SUM, SPLIT_SUM_VEC4, Segments, per_element, per_vec4, segments, whole_vec4s,
};
use crate::kernel::{Kernel, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::{AdamConfig, SplitSumAdam};

params! {
    /// `shaders/split_sum_adam/*.wgsl`.
    struct Params {
        len: u32,
        beta1: f32,
        one_minus_beta1: f32,
        beta2: f32,
        one_minus_beta2: f32,
        eps: f32,
        grad_decay: f32,
        param_decay: f32,
        segments_end: u32,
        segment_count: u32,
        segments: Segments,
    }
}

pub(super) static TABLE: Table<SplitSumAdam> = Table {
    params: |op| {
        let update = op.update();
        let AdamConfig { beta1, beta2, eps, .. } = update.config;
        let [grad_decay, param_decay] = update.decays();
        let (segments_end, segment_count, segments) = segments(op);
        let params = Params {
            len: update.spec.len() as u32,
            beta1: beta1 as f32,
            // Subtracted before rounding, or the digits of a small difference would be lost.
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            eps: eps as f32,
            grad_decay: grad_decay as f32,
            param_decay: param_decay as f32,
            segments_end,
            segment_count,
            segments,
        };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "split_sum_adam.update.naive",
            direction: Direction::Update,
            order: ORDER,
            source: shader!("split_sum_adam/update_naive.wgsl"),
            shared: &[GRID, SPLIT_SUM],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "split_sum_adam.update.vec4",
            direction: Direction::Update,
            order: ORDER,
            source: shader!("split_sum_adam/update_vec4.wgsl"),
            shared: &[GRID, SPLIT_SUM_VEC4],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
