use super::loops_end;
use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Overrides, Prefer, Scratch, Stage, Summation, Table};
use crate::{Source, params, shader};
use reference::Direction;
use reference::ops::{Conv2d, Conv2dWeightBias};

params! {
    /// `shaders/conv2d_weight_bias/*.wgsl`.
    struct Params {
        n: u32,
        c_in: u32,
        h_in: u32,
        w_in: u32,
        c_out: u32,
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
        splits: u32,
    }
}

pub(super) const GRID: Source = shader!("shared/grid.wgsl");
pub(super) const DIVIDE: Source = shader!("shared/divide.wgsl");
const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");
pub(super) const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");
pub(super) const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");
pub(super) const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");

pub(super) const WORKGROUP: (&str, u32) = ("WORKGROUP", 64);
const TILE: [(&str, u32); 3] = [("BM", 64), ("BN", 32), ("BK", 16)];
/// Those of the two directions of [`Conv2d`], where both sum by splits of whole lines.
pub(super) const SPLITS: Summation = Summation::Rule("by splits of whole lines, the splits in order");
pub(super) const SUBGROUPS_OF_8: Needs = Needs { subgroup_lanes: 8 };

pub(super) const FIELDS: &[(&str, &str)] = Params::FIELDS;

pub(super) fn params(op: &Conv2d) -> Vec<u8> {
    let (h, w) = (op.h, op.w);
    Params {
        n: op.n as u32,
        c_in: op.c_in as u32,
        h_in: h.size_in as u32,
        w_in: w.size_in as u32,
        c_out: op.c_out as u32,
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
        splits: op.splits() as u32,
    }
    .bytes()
}

/// Weights of one output channel: the rows of the weight gradient.
pub(super) fn depth(op: &Conv2d) -> usize {
    op.c_in * op.h.window.kernel * op.w.window.kernel
}

/// Workgroups of one split, by tiles of `bm` weights and `bn` channels.
pub(super) fn tiles(op: &Conv2d, bm: usize, bn: usize) -> usize {
    depth(op).div_ceil(bm) * op.c_out.div_ceil(bn)
}

pub(super) fn channels_in_vec4s(op: &Conv2d) -> Result<(), &'static str> {
    let whole = op.c_in.is_multiple_of(4) && op.c_out.is_multiple_of(4);
    if whole { Ok(()) } else { Err("c_in or c_out is no multiple of 4") }
}

pub(super) fn wide(op: &Conv2d) -> Result<(), &'static str> {
    channels_in_vec4s(op)?;
    let fills = op.c_out.div_ceil(32).is_multiple_of(2);
    if fills { Ok(()) } else { Err("half of its last tile would stay empty") }
}

/// More output channels than half a tile has, in whole vec4s.
pub(super) fn short(op: &Conv2d) -> Result<(), &'static str> {
    match op.c_out {
        c_out if !c_out.is_multiple_of(4) => Err("c_out is no multiple of 4"),
        ..=16 => Err("half of its tiles would stay empty"),
        _ => Ok(()),
    }
}

/// A first convolution: so few lines of the kernel that a tile holds them all, columns enough to slide over, and not so
/// many channels that they fill the tiles of others.
pub(super) fn slides(op: &Conv2d) -> Result<(), &'static str> {
    let (lines, w) = (op.c_in * op.h.window.kernel, op.w.window);
    match ((w.stride, w.dilation), (lines, w.kernel)) {
        _ if op.c_out > 8 => Err("it has more than 8 output channels"),
        ((1, 1), (3..=5, 3..=5)) => Ok(()),
        ((1, 1), _) => Err("its kernel does not have three to five lines (over all input channels) and columns"),
        _ => Err("stride_w or dilation_w is not 1"),
    }
}

/// Channels in twos, which kernels for whole vec4s leave out, and columns enough to slide over.
pub(super) fn slides_in_vec2s(op: &Conv2d) -> Result<(), &'static str> {
    let w = op.w.window;
    match (w.stride, w.dilation, w.kernel) {
        _ if !(op.c_in.is_multiple_of(2) && op.c_out.is_multiple_of(2)) => Err("c_in or c_out is no multiple of 2"),
        _ if op.c_in.is_multiple_of(4) && op.c_out.is_multiple_of(4) => Err("c_in and c_out are multiples of 4"),
        (1, 1, 3..=5) => Ok(()),
        (1, 1, _) => Err("its kernel does not have three to five columns"),
        _ => Err("stride_w or dilation_w is not 1"),
    }
}

/// Workgroups of one split: eight pairs of kernel lines by 16 channels each.
pub(super) fn pairs_of_lines(op: &Conv2d) -> usize {
    (op.h.window.kernel * op.c_in / 2).div_ceil(8) * op.c_out.div_ceil(16)
}

fn partials(op: &Conv2dWeightBias) -> Vec<Scratch> {
    partials_of(&op.conv)
}

/// What the splits leave for the last stage.
pub(super) fn partials_of(conv: &Conv2d) -> Vec<Scratch> {
    let words = conv.splits() * depth(conv) * conv.c_out;
    vec![Scratch { name: "partials", words }, Scratch { name: "bias_partials", words: conv.splits() * conv.c_out }]
}

/// The gradients, `lanes` at a time.
pub(super) fn gradients(conv: &Conv2d, lanes: usize, o: &Overrides) -> Grid {
    Grid::threads((depth(conv) + 1) * conv.c_out / lanes, o.get("WORKGROUP"))
}

pub(super) static TABLE: Table<Conv2dWeightBias> = Table {
    params: |op| params(&op.conv),
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "conv2d_weight_bias.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("conv2d_weight_bias/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            // Images, lines and pixels.
            accepts: |op| loops_end(op.conv.n * (1 + op.conv.h.size_out * (1 + op.conv.w.size_out))),
            stages: &[
                Stage {
                    entry: "weights",
                    grid: |op, o| Grid::threads(depth(&op.conv) * op.conv.c_out, o.get("WORKGROUP")),
                },
                Stage { entry: "biases", grid: |op, o| Grid::threads(op.conv.c_out, o.get("WORKGROUP")) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias.bwd_weight.tiled_split_k",
            direction: Direction::BwdWeight,
            source: shader!("conv2d_weight_bias/bwd_weight_tiled_split_k.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &[WORKGROUP, TILE[0], TILE[1], TILE[2]],
            prefer: Prefer::Hardware,
            scratch: partials,
            stages: &[
                Stage {
                    entry: "partial",
                    grid: |op, o| Grid::layered(tiles(&op.conv, o.get("BM"), o.get("BN")), op.conv.splits()),
                },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 1, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias.bwd_weight.subgroup_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_subgroup_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            scratch: partials,
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(tiles(&op.conv, 32, 16), op.conv.splits()) },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 1, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias.bwd_weight.subgroup_short_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_subgroup_short_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| short(&op.conv),
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(tiles(&op.conv, 16, 32), op.conv.splits()) },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 4, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias.bwd_weight.subgroup_vec4_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_subgroup_vec4_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| channels_in_vec4s(&op.conv),
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(tiles(&op.conv, 32, 32), op.conv.splits()) },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 4, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias.bwd_weight.subgroup_wide_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_subgroup_wide_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_WIDE],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(&op.conv),
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(tiles(&op.conv, 32, 64), op.conv.splits()) },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 4, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias.bwd_weight.direct_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_direct_split_k.wgsl"),
            shared: &[GRID, DIVIDE],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| slides(&op.conv),
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(op.conv.c_out.div_ceil(8), op.conv.splits()) },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 1, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_weight_bias.bwd_weight.direct_vec2_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_weight_bias/bwd_weight_direct_vec2_split_k.wgsl"),
            shared: &[GRID, DIVIDE],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| slides_in_vec2s(&op.conv),
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(pairs_of_lines(&op.conv), op.conv.splits()) },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 2, o) },
            ],
            ..Kernel::ROW
        },
    ],
};
