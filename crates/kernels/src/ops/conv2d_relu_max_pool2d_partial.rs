//! The first stages of the kernels of `conv2d_relu_max_pool2d.bwd_weight` that cut at whole lines. Their second stage is left to
//! the optimiser.

use super::conv2d_relu_max_pool2d::{FIELDS, bytes, halves, line_rounds};
use super::conv2d_weight_bias::{
    DIVIDE, GEMM_SUBGROUP_VEC4, GRID, SPLITS, SUBGROUPS_OF_8, WORKGROUP, depth, short, slides, tiles,
};
use super::loops_end;
use crate::grid::Grid;
use crate::kernel::{Kernel, Prefer, Stage, Table};
use crate::shader;
use reference::Direction;
use reference::ops::{Conv2d, Conv2dReluMaxPool2dPartial};

fn conv(op: &Conv2dReluMaxPool2dPartial) -> &Conv2d {
    &op.whole().conv
}

/// These workgroups for each split.
fn layers(op: &Conv2dReluMaxPool2dPartial, tiles: usize) -> Grid {
    Grid::layered(tiles, conv(op).splits())
}

/// The rounds of one split in `naive`.
fn one_split(op: &Conv2dReluMaxPool2dPartial) -> Result<(), &'static str> {
    let lines = (conv(op).n * conv(op).h.size_out).div_ceil(conv(op).splits());
    loops_end(lines * line_rounds(op.whole()))
}

pub(super) static TABLE: Table<Conv2dReluMaxPool2dPartial> = Table {
    params: |op| bytes(op.whole()),
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "conv2d_relu_max_pool2d_partial.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("conv2d_relu_max_pool2d_partial/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            accepts: one_split,
            stages: &[
                Stage {
                    entry: "weights",
                    grid: |op, o| layers(op, (depth(conv(op)) * conv(op).c_out).div_ceil(o.get("WORKGROUP"))),
                },
                Stage { entry: "biases", grid: |op, o| layers(op, conv(op).c_out.div_ceil(o.get("WORKGROUP"))) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d_partial.bwd_weight.subgroup_short_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_relu_max_pool2d/bwd_weight_subgroup_short_split_k.wgsl"),
            shader_of: Some("conv2d_relu_max_pool2d.bwd_weight.subgroup_short_split_k"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| halves(op.whole()).and_then(|()| short(conv(op))),
            stages: &[Stage { entry: "partial", grid: |op, _| layers(op, tiles(conv(op), 16, 32)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d_partial.bwd_weight.direct_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_relu_max_pool2d/bwd_weight_direct_split_k.wgsl"),
            shader_of: Some("conv2d_relu_max_pool2d.bwd_weight.direct_split_k"),
            shared: &[GRID, DIVIDE],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| halves(op.whole()).and_then(|()| slides(conv(op))),
            stages: &[Stage { entry: "partial", grid: |op, _| layers(op, conv(op).c_out.div_ceil(8)) }],
            ..Kernel::ROW
        },
    ],
};
