use super::conv2d_weight_bias::{self, SPLITS, depth, gradients};
use super::loops_end;
use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Prefer, Scratch, Stage, Table};
use crate::shared::STORED;
use crate::{Source, params, shader};
use reference::ops::{Conv2d, Conv2dReluMaxPool2d, MaxPool2d};
use reference::{Axis, Direction, Window};

params! {
    /// `shaders/conv2d_relu_max_pool2d/*.wgsl`.
    struct Params {
        n: u32,
        c_in: u32,
        h_in: u32,
        w_in: u32,
        c_out: u32,
        h_mid: u32,
        w_mid: u32,
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
        pool_k_h: u32,
        pool_k_w: u32,
        pool_stride_h: u32,
        pool_stride_w: u32,
        pool_pad_h: u32,
        pool_pad_w: u32,
        pool_dilation_h: u32,
        pool_dilation_w: u32,
        splits: u32,
    }
}

const GRID: Source = shader!("shared/grid.wgsl");
const DIVIDE: Source = shader!("shared/divide.wgsl");
const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");
const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");
const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");
const STRIP_SUBGROUP: Source = shader!("shared/strip_subgroup.wgsl");
const STRIP_SUBGROUP_VEC2: Source = shader!("shared/strip_subgroup_vec2.wgsl");

const WORKGROUP: (&str, u32) = ("WORKGROUP", 64);
const TILE: [(&str, u32); 3] = [("BM", 64), ("BN", 32), ("BK", 16)];
const SUBGROUPS_OF_8: Needs = Needs { subgroup_lanes: 8 };

type Op = Conv2dReluMaxPool2d;

pub(super) const FIELDS: &[(&str, &str)] = Params::FIELDS;

pub(super) fn bytes(Op { conv, pool }: &Op) -> Vec<u8> {
    let [of_conv, of_pool] = [[conv.h, conv.w], [pool.h, pool.w]].map(|axes| axes.map(|axis| axis.window));
    Params {
        n: conv.n as u32,
        c_in: conv.c_in as u32,
        h_in: conv.h.size_in as u32,
        w_in: conv.w.size_in as u32,
        c_out: conv.c_out as u32,
        h_mid: pool.h.size_in as u32,
        w_mid: pool.w.size_in as u32,
        h_out: pool.h.size_out as u32,
        w_out: pool.w.size_out as u32,
        k_h: of_conv[0].kernel as u32,
        k_w: of_conv[1].kernel as u32,
        stride_h: of_conv[0].stride as u32,
        stride_w: of_conv[1].stride as u32,
        pad_h: of_conv[0].pad as u32,
        pad_w: of_conv[1].pad as u32,
        dilation_h: of_conv[0].dilation as u32,
        dilation_w: of_conv[1].dilation as u32,
        pool_k_h: of_pool[0].kernel as u32,
        pool_k_w: of_pool[1].kernel as u32,
        pool_stride_h: of_pool[0].stride as u32,
        pool_stride_w: of_pool[1].stride as u32,
        pool_pad_h: of_pool[0].pad as u32,
        pool_pad_w: of_pool[1].pad as u32,
        pool_dilation_h: of_pool[0].dilation as u32,
        pool_dilation_w: of_pool[1].dilation as u32,
        splits: conv.splits() as u32,
    }
    .bytes()
}

fn windows(MaxPool2d { n, h, w, .. }: &MaxPool2d) -> usize {
    n * h.size_out * w.size_out
}

/// Workgroups by tiles of `bm` sums, four for each window, and `bn` channels.
fn tiles(op: &Op, bm: usize, bn: usize) -> Grid {
    Grid::linear((4 * windows(&op.pool)).div_ceil(bm) * op.conv.c_out.div_ceil(bn))
}

pub(super) fn halves(op: &Op) -> Result<(), &'static str> {
    let half = Window::new(2).stride(2);
    let both = op.pool.h.window == half && op.pool.w.window == half;
    if both { Ok(()) } else { Err("its windows are not 2 x 2, next to each other and without padding") }
}

fn halves_in_vec4s(op: &Op) -> Result<(), &'static str> {
    halves(op)?;
    let whole = op.conv.c_in.is_multiple_of(4) && op.conv.c_out.is_multiple_of(4);
    if whole { Ok(()) } else { Err("c_in or c_out is no multiple of 4") }
}

fn wide(op: &Op) -> Result<(), &'static str> {
    halves_in_vec4s(op)?;
    let fills = op.conv.c_out.div_ceil(32).is_multiple_of(2);
    if fills { Ok(()) } else { Err("half of its last tile would stay empty") }
}

fn direct(op: &Op) -> Result<(), &'static str> {
    halves(op)?;
    match (op.conv.w.window.stride, op.conv.w.window.dilation) {
        (1, 1) if op.conv.c_in == 1 || op.conv.c_out <= 16 => Ok(()),
        (1, 1) => Err("it has many channels"),
        _ => Err("stride_w or dilation_w is not 1"),
    }
}

/// One input channel in whole lines of vec4s, many output channels, and few enough columns to slide over.
fn direct_wide(op: &Conv2d) -> Result<(), &'static str> {
    let w = op.w.window;
    match (op.c_in, w.stride, w.dilation, w.kernel) {
        (1, 1, 1, ..=5) if !(op.w.size_in.is_multiple_of(4) && op.c_out.is_multiple_of(4)) => {
            Err("w_in or c_out is no multiple of 4")
        }
        (1, 1, 1, ..=5) if op.c_out > 8 => Ok(()),
        (1, 1, 1, ..=5) => Err("it has no more than 8 output channels"),
        (1, 1, 1, _) => Err("its kernel has more than five columns"),
        (1, ..) => Err("stride_w or dilation_w is not 1"),
        _ => Err("it has more than one input channel"),
    }
}

/// Channels in twos, and more output channels than the half of a workgroup's.
fn direct_in_vec2s(op: &Conv2d) -> Result<(), &'static str> {
    match (op.w.window.stride, op.w.window.dilation) {
        (1, 1) if !(op.c_in.is_multiple_of(2) && op.c_out.is_multiple_of(2)) => {
            Err("c_in or c_out is no multiple of 2")
        }
        (1, 1) if (9..=16).contains(&op.c_out) => Ok(()),
        (1, 1) => Err("it does not have 9 to 16 output channels"),
        _ => Err("stride_w or dilation_w is not 1"),
    }
}

/// Workgroups by eight strips of four windows, and so many channels.
fn strips(op: &Op, channels: usize) -> Grid {
    let MaxPool2d { n, c, h, w } = &op.pool;
    Grid::linear((n * h.size_out * w.size_out.div_ceil(4)).div_ceil(8) * c.div_ceil(channels))
}

/// Windows that do not overlap, so that an element lies in one at most.
fn disjoint(op: &Op) -> Result<(), &'static str> {
    let apart = |axis: &Axis| axis.window.stride > (axis.window.kernel - 1) * axis.window.dilation;
    if apart(&op.pool.h) && apart(&op.pool.w) { Ok(()) } else { Err("its windows overlap") }
}

/// Images, lines, pixels, and for each pixel the windows that span it: the rounds of one weight's loops in `naive`.
fn all_loops_end(op: &Op) -> Result<(), &'static str> {
    loops_end(op.conv.n * (1 + op.conv.h.size_out * line_rounds(op)))
}

/// Those of one line.
pub(super) fn line_rounds(op: &Op) -> usize {
    let over = |axis: &Axis| ((axis.window.kernel - 1) * axis.window.dilation + 1).div_ceil(axis.window.stride);
    1 + op.conv.w.size_out * (1 + over(&op.pool.h) * (1 + over(&op.pool.w)))
}

fn partials(op: &Op) -> Vec<Scratch> {
    conv2d_weight_bias::partials_of(&op.conv)
}

pub(super) static TABLE: Table<Op> = Table {
    params: bytes,
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "conv2d_relu_max_pool2d.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu_max_pool2d/fwd_naive.wgsl"),
            shared: &[GRID, STORED],
            overrides: &[WORKGROUP],
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::threads(windows(&op.pool) * op.conv.c_out, o.get("WORKGROUP")),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.fwd.tiled",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu_max_pool2d/fwd_tiled.wgsl"),
            shared: &[GRID, STORED, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            accepts: halves,
            stages: &[Stage { entry: "main", grid: |op, o| tiles(op, o.get("BM"), o.get("BN")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.fwd.subgroup_vec4",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu_max_pool2d/fwd_subgroup_vec4.wgsl"),
            shared: &[GRID, STORED, DIVIDE, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: halves_in_vec4s,
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op, 32, 32) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.fwd.subgroup_wide",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu_max_pool2d/fwd_subgroup_wide.wgsl"),
            shared: &[GRID, STORED, DIVIDE, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: wide,
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op, 32, 64) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.fwd.direct",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu_max_pool2d/fwd_direct.wgsl"),
            shared: &[GRID, STORED, DIVIDE, STRIP_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: direct,
            stages: &[Stage { entry: "main", grid: |op, _| strips(op, 8) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.fwd.direct_vec2",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu_max_pool2d/fwd_direct_vec2.wgsl"),
            shared: &[GRID, STORED, DIVIDE, STRIP_SUBGROUP_VEC2],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| halves(op).and_then(|()| direct_in_vec2s(&op.conv)),
            stages: &[Stage { entry: "main", grid: |op, _| strips(op, 16) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.fwd.direct_wide",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu_max_pool2d/fwd_direct_wide.wgsl"),
            shared: &[GRID, STORED, DIVIDE, STRIP_SUBGROUP_VEC2],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| halves(op).and_then(|()| direct_wide(&op.conv)),
            stages: &[Stage { entry: "main", grid: |op, _| strips(op, 16) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("conv2d_relu_max_pool2d/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            accepts: all_loops_end,
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
            id: "conv2d_relu_max_pool2d.bwd_weight.tiled_split_k",
            direction: Direction::BwdWeight,
            source: shader!("conv2d_relu_max_pool2d/bwd_weight_tiled_split_k.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &[WORKGROUP, TILE[0], TILE[1], TILE[2]],
            prefer: Prefer::Hardware,
            accepts: disjoint,
            scratch: partials,
            stages: &[
                Stage {
                    entry: "partial",
                    grid: |op, o| {
                        let tiles = conv2d_weight_bias::tiles(&op.conv, o.get("BM"), o.get("BN"));
                        Grid::layered(tiles, op.conv.splits())
                    },
                },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 1, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.bwd_weight.subgroup_short_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_relu_max_pool2d/bwd_weight_subgroup_short_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| halves(op).and_then(|()| conv2d_weight_bias::short(&op.conv)),
            stages: &[
                Stage {
                    entry: "partial",
                    grid: |op, _| Grid::layered(conv2d_weight_bias::tiles(&op.conv, 16, 32), op.conv.splits()),
                },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 4, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu_max_pool2d.bwd_weight.direct_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d_relu_max_pool2d/bwd_weight_direct_split_k.wgsl"),
            shared: &[GRID, DIVIDE],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| halves(op).and_then(|()| conv2d_weight_bias::slides(&op.conv)),
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(op.conv.c_out.div_ceil(8), op.conv.splits()) },
                Stage { entry: "reduce", grid: |op, o| gradients(&op.conv, 1, o) },
            ],
            ..Kernel::ROW
        },
    ],
};
