//! The first stages of the kernels of `conv2d_weight_bias` that cut at whole lines. Their second stage is left to the optimiser.
//! (`tiled_split_k` cuts elsewhere: `conv2d_weight_partial`.)

use super::conv2d_weight_bias::{
    DIVIDE, FIELDS, GEMM_SUBGROUP, GEMM_SUBGROUP_VEC4, GEMM_SUBGROUP_WIDE, GRID, SPLITS, SUBGROUPS_OF_8, WORKGROUP,
    channels_in_vec4s, depth, pairs_of_lines, params, short, slides, slides_in_vec2s, tiles, wide,
};
use super::loops_end;
use crate::grid::Grid;
use crate::kernel::{Kernel, Prefer, Stage, Table};
use crate::shader;
use reference::Direction;
use reference::ops::Conv2dWeightBiasPartial;

/// These workgroups for each split.
fn layers(op: &Conv2dWeightBiasPartial, tiles: usize) -> Grid {
    Grid::layered(tiles, op.conv().splits())
}

/// Lines and pixels of one split.
fn one_split(op: &Conv2dWeightBiasPartial) -> Result<(), &'static str> {
    let (lines, conv) = (op.conv().n * op.conv().h.size_out, op.conv());
    loops_end(lines.div_ceil(conv.splits()) * (1 + conv.w.size_out))
}

pub(super) static TABLE: Table<Conv2dWeightBiasPartial> = Table {
    params: |op| params(op.conv()),
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "conv2d_weight_bias_partial.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("conv2d_weight_bias_partial/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            accepts: one_split,
            stages: &[
                Stage {
                    entry: "weights",
                    grid: |op, o| layers(op, (depth(op.conv()) * op.conv().c_out).div_ceil(o.get("WORKGROUP"))),
                },
                Stage { entry: "biases", grid: |op, o| layers(op, op.conv().c_out.div_ceil(o.get("WORKGROUP"))) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias_partial.bwd_weight.subgroup_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_subgroup_split_k.wgsl"),
            shader_of: Some("conv2d_weight_bias.bwd_weight.subgroup_split_k"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "partial", grid: |op, _| layers(op, tiles(op.conv(), 32, 16)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias_partial.bwd_weight.subgroup_short_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_subgroup_short_split_k.wgsl"),
            shader_of: Some("conv2d_weight_bias.bwd_weight.subgroup_short_split_k"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| short(op.conv()),
            stages: &[Stage { entry: "partial", grid: |op, _| layers(op, tiles(op.conv(), 16, 32)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias_partial.bwd_weight.subgroup_vec4_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_subgroup_vec4_split_k.wgsl"),
            shader_of: Some("conv2d_weight_bias.bwd_weight.subgroup_vec4_split_k"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| channels_in_vec4s(op.conv()),
            stages: &[Stage { entry: "partial", grid: |op, _| layers(op, tiles(op.conv(), 32, 32)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias_partial.bwd_weight.subgroup_wide_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_subgroup_wide_split_k.wgsl"),
            shader_of: Some("conv2d_weight_bias.bwd_weight.subgroup_wide_split_k"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_WIDE],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(op.conv()),
            stages: &[Stage { entry: "partial", grid: |op, _| layers(op, tiles(op.conv(), 32, 64)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias_partial.bwd_weight.direct_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_direct_split_k.wgsl"),
            shader_of: Some("conv2d_weight_bias.bwd_weight.direct_split_k"),
            shared: &[GRID, DIVIDE],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| slides(op.conv()),
            stages: &[Stage { entry: "partial", grid: |op, _| layers(op, op.conv().c_out.div_ceil(8)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias_partial.bwd_weight.direct_vec2_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_direct_vec2_split_k.wgsl"),
            shader_of: Some("conv2d_weight_bias.bwd_weight.direct_vec2_split_k"),
            shared: &[GRID, DIVIDE],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| slides_in_vec2s(op.conv()),
            stages: &[Stage { entry: "partial", grid: |op, _| layers(op, pairs_of_lines(op.conv())) }],
            ..Kernel::ROW
        },
    ],
};
