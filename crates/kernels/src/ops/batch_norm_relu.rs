use super::batch_norm::{self, CHUNKS, GRID, MOMENTS};
use super::loops_end;
use crate::kernel::{Kernel, Prefer, Stage, Summation, Table};
use crate::shader;
use crate::shared::STORED;
use reference::Direction;
use reference::ops::BatchNormRelu;

pub(super) static TABLE: Table<BatchNormRelu> = Table {
    params: |op| batch_norm::params(&op.norm),
    fields: batch_norm::TABLE.fields,
    rows: &[
        Kernel {
            id: "batch_norm_relu.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("batch_norm_relu/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| batch_norm::whole_loops(&op.norm),
            stages: &[
                Stage { entry: "statistics", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "normalise", grid: |op, o| batch_norm::per_element(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.fwd.chunked",
            direction: Direction::Fwd,
            order: CHUNKS,
            source: shader!("batch_norm_relu/fwd_chunked.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            scratch: |op| batch_norm::chunk_moments(&op.norm),
            stages: &[
                Stage { entry: "statistics", grid: |op, o| batch_norm::statistics(&op.norm, o) },
                Stage { entry: "merge", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "normalise", grid: |op, o| batch_norm::per_rows(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.fwd.vec4",
            direction: Direction::Fwd,
            order: CHUNKS,
            source: shader!("batch_norm_relu/fwd_vec4.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            accepts: |op| batch_norm::whole_vec4s(&op.norm),
            scratch: |op| batch_norm::chunk_moments(&op.norm),
            stages: &[
                Stage { entry: "statistics", grid: |op, o| batch_norm::statistics_of_four(&op.norm, o) },
                Stage { entry: "merge", grid: |op, o| batch_norm::per_four_channels(&op.norm, o) },
                Stage { entry: "normalise", grid: |op, o| batch_norm::per_rows_of_four(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.fwd.tiled",
            direction: Direction::Fwd,
            source: shader!("batch_norm_relu/fwd_tiled.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 256), ("ROWS", 4), ("LANES", 8)],
            prefer: Prefer::Hardware,
            accepts: |op| batch_norm::whole_vec4s(&op.norm),
            scratch: |op| batch_norm::chunk_moments(&op.norm),
            stages: &[
                Stage { entry: "statistics", grid: |op, o| batch_norm::statistics_of_four(&op.norm, o) },
                Stage { entry: "merge", grid: |op, o| batch_norm::per_block(&op.norm, o) },
                Stage { entry: "normalise", grid: |op, o| batch_norm::per_rows_of_four(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("batch_norm_relu/bwd_weight_naive.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| loops_end(op.norm.rows()),
            stages: &[Stage { entry: "main", grid: |op, o| batch_norm::per_channel(&op.norm, o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.bwd_weight.chunked",
            direction: Direction::BwdWeight,
            order: CHUNKS,
            source: shader!("batch_norm_relu/bwd_weight_chunked.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 64)],
            scratch: |op| batch_norm::chunk_sums(&op.norm),
            stages: &[
                Stage { entry: "partial", grid: |op, o| batch_norm::per_chunk(&op.norm, o) },
                Stage { entry: "sum", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.bwd_weight.vec4",
            direction: Direction::BwdWeight,
            order: CHUNKS,
            source: shader!("batch_norm_relu/bwd_weight_vec4.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| batch_norm::whole_vec4s(&op.norm),
            scratch: |op| batch_norm::chunk_sums(&op.norm),
            stages: &[
                Stage { entry: "partial", grid: |op, o| batch_norm::per_chunk_of_four(&op.norm, o) },
                Stage { entry: "sum", grid: |op, o| batch_norm::per_four_channels(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.bwd_weight.tiled",
            direction: Direction::BwdWeight,
            source: shader!("batch_norm_relu/bwd_weight_tiled.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 256), ("LANES", 8)],
            prefer: Prefer::Hardware,
            accepts: |op| batch_norm::whole_vec4s(&op.norm),
            scratch: |op| batch_norm::chunk_sums(&op.norm),
            stages: &[
                Stage { entry: "partial", grid: |op, o| batch_norm::per_chunk_of_block(&op.norm, o) },
                Stage { entry: "sum", grid: |op, o| batch_norm::per_block(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.bwd_input.naive",
            direction: Direction::BwdInput,
            source: shader!("batch_norm_relu/bwd_input_naive.wgsl"),
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
            id: "batch_norm_relu.bwd_input.rows",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("batch_norm_relu/bwd_input_rows.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            scratch: |op| batch_norm::constants(&op.norm),
            stages: &[
                Stage { entry: "prepare", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "main", grid: |op, o| batch_norm::per_rows(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_relu.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("batch_norm_relu/bwd_input_vec4.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            accepts: |op| batch_norm::whole_vec4s(&op.norm),
            scratch: |op| batch_norm::constants(&op.norm),
            stages: &[
                Stage { entry: "prepare", grid: |op, o| batch_norm::per_four_channels(&op.norm, o) },
                Stage { entry: "main", grid: |op, o| batch_norm::per_rows_of_four(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
    ],
};
