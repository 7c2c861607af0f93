use super::batch_norm::{self, CHUNKS, GRID, MOMENTS};
use super::{avg_pool2d, loops_end};
use crate::kernel::{Kernel, Prefer, Stage, Summation, Table};
use crate::shared::{DIVIDE, STORED};
use crate::{params, shader};
use reference::Direction;
use reference::ops::BatchNormReluAvgPool2d;

params! {
    /// `shaders/batch_norm_relu_avg_pool2d/*.wgsl`.
    struct Params {
        rows: u32,
        c: u32,
        training: u32,
        chunk_rows: u32,
        chunks: u32,
        moment_rows: u32,
        moment_chunks: u32,
        eps: f32,
        momentum: f32,
        n: u32,
        h_in: u32,
        w_in: u32,
        h_out: u32,
        w_out: u32,
        k_h: u32,
        k_w: u32,
        stride_h: u32,
        stride_w: u32,
        pad_h: u32,
        pad_w: u32,
        dilation_h: u32,
        dilation_w: u32,
        scale: f32,
        cells_h: u32,
        cells_w: u32,
    }
}

fn bytes(op: &BatchNormReluAvgPool2d) -> Vec<u8> {
    let (norm, pool) = (&op.norm, &op.pool);
    let (h, w) = (pool.h, pool.w);
    Params {
        rows: norm.rows() as u32,
        c: norm.channels() as u32,
        training: batch_norm::training(norm).into(),
        chunk_rows: batch_norm::chunk_rows(norm) as u32,
        chunks: batch_norm::chunks(norm) as u32,
        moment_rows: batch_norm::moment_rows(norm) as u32,
        moment_chunks: batch_norm::moment_chunks(norm) as u32,
        eps: norm.eps,
        momentum: norm.momentum,
        n: pool.n as u32,
        h_in: h.size_in as u32,
        w_in: w.size_in as u32,
        h_out: h.size_out as u32,
        w_out: w.size_out as u32,
        k_h: h.window.kernel as u32,
        k_w: w.window.kernel as u32,
        stride_h: h.window.stride as u32,
        stride_w: w.window.stride as u32,
        pad_h: h.window.pad as u32,
        pad_w: w.window.pad as u32,
        dilation_h: h.window.dilation as u32,
        dilation_w: w.window.dilation as u32,
        scale: avg_pool2d::scale(pool),
        cells_h: avg_pool2d::cells(&h) as u32,
        cells_w: avg_pool2d::cells(&w) as u32,
    }
    .bytes()
}

/// One window at most reads an element, and channels come in fours.
fn disjoint_vec4s(op: &BatchNormReluAvgPool2d) -> Result<(), &'static str> {
    avg_pool2d::disjoint(&op.pool)?;
    batch_norm::whole_vec4s(&op.norm)
}

/// The rows of a chunk, the windows and the lines that they lie in: the rounds of an invocation.
fn walked_by_windows(op: &BatchNormReluAvgPool2d) -> Result<(), &'static str> {
    avg_pool2d::disjoint(&op.pool)?;
    loops_end(3 * batch_norm::chunk_rows(&op.norm))
}

pub(super) static TABLE: Table<BatchNormReluAvgPool2d> = Table {
    params: bytes,
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "batch_norm_relu_avg_pool2d.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("batch_norm_relu_avg_pool2d/fwd_naive.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| batch_norm::whole_loops(&op.norm),
            stages: &[
                Stage { entry: "statistics", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "pool", grid: |op, o| avg_pool2d::per_output(&op.pool, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.fwd.chunked",
            direction: Direction::Fwd,
            order: CHUNKS,
            source: shader!("batch_norm_relu_avg_pool2d/fwd_chunked.wgsl"),
            shared: &[GRID, STORED, DIVIDE, MOMENTS],
            overrides: &[("WORKGROUP", 64)],
            scratch: |op| batch_norm::chunk_moments(&op.norm),
            stages: &[
                Stage { entry: "statistics", grid: |op, o| batch_norm::statistics(&op.norm, o) },
                Stage { entry: "merge", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "pool", grid: |op, o| avg_pool2d::per_output(&op.pool, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.fwd.vec4",
            direction: Direction::Fwd,
            order: CHUNKS,
            source: shader!("batch_norm_relu_avg_pool2d/fwd_vec4.wgsl"),
            shared: &[GRID, STORED, DIVIDE, MOMENTS],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| batch_norm::whole_vec4s(&op.norm),
            scratch: |op| batch_norm::chunk_moments(&op.norm),
            stages: &[
                Stage { entry: "statistics", grid: |op, o| batch_norm::statistics_of_four(&op.norm, o) },
                Stage { entry: "merge", grid: |op, o| batch_norm::per_four_channels(&op.norm, o) },
                Stage { entry: "pool", grid: |op, o| avg_pool2d::per_output_vec4(&op.pool, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.fwd.tiled",
            direction: Direction::Fwd,
            source: shader!("batch_norm_relu_avg_pool2d/fwd_tiled.wgsl"),
            shared: &[GRID, STORED, DIVIDE, MOMENTS],
            overrides: &[("WORKGROUP", 256), ("LANES", 8)],
            prefer: Prefer::Hardware,
            accepts: |op| batch_norm::whole_vec4s(&op.norm),
            scratch: |op| batch_norm::chunk_moments(&op.norm),
            stages: &[
                Stage { entry: "statistics", grid: |op, o| batch_norm::statistics_of_four(&op.norm, o) },
                Stage { entry: "merge", grid: |op, o| batch_norm::per_block(&op.norm, o) },
                Stage { entry: "pool", grid: |op, o| avg_pool2d::per_output_vec4(&op.pool, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("batch_norm_relu_avg_pool2d/bwd_weight_naive.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| loops_end(op.norm.rows() * (1 + (1 + op.pool.w.window.kernel) * op.pool.h.window.kernel)),
            stages: &[Stage { entry: "main", grid: |op, o| batch_norm::per_channel(&op.norm, o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.bwd_weight.chunked",
            direction: Direction::BwdWeight,
            order: CHUNKS,
            source: shader!("batch_norm_relu_avg_pool2d/bwd_weight_chunked.wgsl"),
            shared: &[GRID, STORED, DIVIDE],
            overrides: &[("WORKGROUP", 64)],
            accepts: walked_by_windows,
            scratch: |op| batch_norm::chunk_sums(&op.norm),
            stages: &[
                Stage { entry: "partial", grid: |op, o| batch_norm::per_chunk(&op.norm, o) },
                Stage { entry: "sum", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.bwd_weight.vec4",
            direction: Direction::BwdWeight,
            order: CHUNKS,
            source: shader!("batch_norm_relu_avg_pool2d/bwd_weight_vec4.wgsl"),
            shared: &[GRID, STORED, DIVIDE],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| walked_by_windows(op).and_then(|()| disjoint_vec4s(op)),
            scratch: |op| batch_norm::chunk_sums(&op.norm),
            stages: &[
                Stage { entry: "partial", grid: |op, o| batch_norm::per_chunk_of_four(&op.norm, o) },
                Stage { entry: "sum", grid: |op, o| batch_norm::per_four_channels(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.bwd_weight.tiled",
            direction: Direction::BwdWeight,
            source: shader!("batch_norm_relu_avg_pool2d/bwd_weight_tiled.wgsl"),
            shared: &[GRID, STORED, DIVIDE],
            overrides: &[("WORKGROUP", 256), ("LANES", 8)],
            prefer: Prefer::Hardware,
            accepts: disjoint_vec4s,
            scratch: |op| batch_norm::chunk_sums(&op.norm),
            stages: &[
                Stage { entry: "partial", grid: |op, o| batch_norm::per_chunk_of_block(&op.norm, o) },
                Stage { entry: "sum", grid: |op, o| batch_norm::per_block(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.bwd_input.naive",
            direction: Direction::BwdInput,
            source: shader!("batch_norm_relu_avg_pool2d/bwd_input_naive.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 64)],
            scratch: |op| batch_norm::constants(&op.norm),
            stages: &[
                Stage { entry: "prepare", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "main", grid: |op, o| batch_norm::per_element(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.bwd_input.rows",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("batch_norm_relu_avg_pool2d/bwd_input_rows.wgsl"),
            shared: &[GRID, STORED, DIVIDE],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| avg_pool2d::disjoint(&op.pool),
            scratch: |op| batch_norm::constants(&op.norm),
            stages: &[
                Stage { entry: "prepare", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "main", grid: |op, o| avg_pool2d::per_cell(&op.pool, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu_avg_pool2d.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("batch_norm_relu_avg_pool2d/bwd_input_vec4.wgsl"),
            shared: &[GRID, STORED, DIVIDE],
            overrides: &[("WORKGROUP", 64)],
            accepts: disjoint_vec4s,
            scratch: |op| batch_norm::constants(&op.norm),
            stages: &[
                Stage { entry: "prepare", grid: |op, o| batch_norm::per_four_channels(&op.norm, o) },
                Stage { entry: "main", grid: |op, o| avg_pool2d::per_cell_vec4(&op.pool, o) },
            ],
            ..Kernel::ROW
        },
    ],
};
