//! The first stage of `conv2d.bwd_weight.tiled_split_k`. The second is left to the optimiser.

use super::conv2d::{FIELDS, GEMM_TILE, GRID, SPANS, TILE, WORKGROUP, depth, params, tiled};
use super::loops_end;
use crate::grid::Grid;
use crate::kernel::{Kernel, Prefer, Stage, Table};
use crate::shader;
use reference::Direction;
use reference::ops::Conv2dWeightPartial;

// A span is of whole tiles.
const _: () = assert!(TILE[2].1 as usize == Conv2dWeightPartial::STEP);

/// These workgroups for each split.
fn layers(op: &Conv2dWeightPartial, tiles: usize) -> Grid {
    Grid::layered(tiles, op.conv().splits())
}

pub(super) static TABLE: Table<Conv2dWeightPartial> = Table {
    params: |op| params(op.conv()),
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "conv2d_weight_partial.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("conv2d_weight_partial/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            accepts: |op| loops_end(op.span(0).len()),
            stages: &[Stage {
                entry: "main",
                grid: |op, o| layers(op, (depth(op.conv()) * op.conv().c_out).div_ceil(o.get("WORKGROUP"))),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_partial.bwd_weight.tiled_split_k",
            direction: Direction::BwdWeight,
            order: SPANS,
            source: shader!("conv2d/bwd_weight_tiled_split_k.wgsl"),
            shader_of: Some("conv2d.bwd_weight.tiled_split_k"),
            shared: &[GRID, GEMM_TILE],
            overrides: &[WORKGROUP, TILE[0], TILE[1], TILE[2]],
            prefer: Prefer::Hardware,
            stages: &[Stage {
                entry: "partial",
                grid: |op, o| layers(op, tiled(depth(op.conv()), op.conv().c_out, o)),
            }],
            ..Kernel::ROW
        },
    ],
};
