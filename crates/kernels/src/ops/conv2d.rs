use super::loops_end;
use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Overrides, Prefer, Scratch, Stage, Summation, Table};
use crate::{Source, params, shader};
use reference::Direction;
use reference::ops::Conv2d;

params! {
    /// `shaders/conv2d/*.wgsl`.
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
const DIVIDE: Source = shader!("shared/divide.wgsl");
pub(super) const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");
const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");
const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");
const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");
const STRIP_SUBGROUP: Source = shader!("shared/strip_subgroup.wgsl");
const STRIP_SUBGROUP_VEC2: Source = shader!("shared/strip_subgroup_vec2.wgsl");

pub(super) const WORKGROUP: (&str, u32) = ("WORKGROUP", 64);
const SIDE: (&str, u32) = ("SIDE", 16);
pub(super) const TILE: [(&str, u32); 3] = [("BM", 64), ("BN", 32), ("BK", 16)];
const SUBGROUPS_OF_8: Needs = Needs { subgroup_lanes: 8 };

/// Sums over whole lines of outputs, split by the problem alone; the parts in order.
const SPLITS: Summation = Summation::Rule("by splits of whole lines, the splits in order");

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

/// Sums over spans of whole tiles of pixels, split by the problem alone; the parts in order.
pub(super) const SPANS: Summation = Summation::Rule("by splits of whole tiles of pixels, the splits in order");

fn pixels_in(op: &Conv2d) -> usize {
    op.n * op.h.size_in * op.w.size_in
}

fn pixels_out(op: &Conv2d) -> usize {
    op.n * op.h.size_out * op.w.size_out
}

/// Weights of one output channel: the rows of the weight gradient.
pub(super) fn depth(op: &Conv2d) -> usize {
    op.c_in * op.h.window.kernel * op.w.window.kernel
}

/// Images, lines and pixels: the rounds of one weight's loops in `naive`.
fn one_loop(op: &Conv2d) -> Result<(), &'static str> {
    loops_end(op.n * (1 + op.h.size_out * (1 + op.w.size_out)))
}

/// Workgroups for a matrix of `rows` x `columns` by tiles of `bm` x `bn`.
fn tiles(rows: usize, columns: usize, bm: usize, bn: usize) -> usize {
    rows.div_ceil(bm) * columns.div_ceil(bn)
}

pub(super) fn tiled(rows: usize, columns: usize, o: &Overrides) -> usize {
    tiles(rows, columns, o.get("BM"), o.get("BN"))
}

fn subgroup(rows: usize, columns: usize) -> usize {
    tiles(rows, columns, 32, 16)
}

fn channels_in_vec4s(op: &Conv2d) -> Result<(), &'static str> {
    let whole = op.c_in.is_multiple_of(4) && op.c_out.is_multiple_of(4);
    if whole { Ok(()) } else { Err("c_in or c_out is no multiple of 4") }
}

/// The matrix product's columns are the output channels, except in the gradient of the input.
fn wide(op: &Conv2d, columns: usize) -> Result<(), &'static str> {
    channels_in_vec4s(op)?;
    let fills = columns.div_ceil(32).is_multiple_of(2);
    if fills { Ok(()) } else { Err("half of its last tile would stay empty") }
}

/// Few enough output channels (of the direction in question) to go over strips of pixels.
fn direct(channels: usize, single: bool) -> Result<(), &'static str> {
    if single || channels <= 16 { Ok(()) } else { Err("it has many channels") }
}

/// The same for the gradient of the input.
fn direct_back(op: &Conv2d) -> Result<(), &'static str> {
    match (op.h.window.stride, op.w.window.stride, op.w.window.dilation) {
        (1, 1, 1) => direct(op.c_in, false),
        _ => Err("a stride or dilation_w is not 1"),
    }
}

/// A first convolution: so few lines of the kernel that a tile holds them all, columns enough to slide over, and not so
/// many channels that they fill the tiles of others.
fn slides(op: &Conv2d) -> Result<(), &'static str> {
    let (lines, w) = (op.c_in * op.h.window.kernel, op.w.window);
    match ((w.stride, w.dilation), (lines, w.kernel)) {
        _ if op.c_out > 8 => Err("it has more than 8 output channels"),
        ((1, 1), (3..=5, 3..=5)) => Ok(()),
        ((1, 1), _) => Err("its kernel does not have three to five lines (over all input channels) and columns"),
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

/// Channels in twos, which kernels for whole vec4s leave out, and columns enough to slide over.
fn slides_in_vec2s(op: &Conv2d) -> Result<(), &'static str> {
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
fn pairs_of_lines(op: &Conv2d) -> usize {
    (op.h.window.kernel * op.c_in / 2).div_ceil(8) * op.c_out.div_ceil(16)
}

fn strips(lines: usize, width: usize, channels: usize) -> Grid {
    Grid::linear((lines * width.div_ceil(8)).div_ceil(8) * channels.div_ceil(8))
}

fn partials(op: &Conv2d) -> Vec<Scratch> {
    vec![Scratch { name: "partials", words: op.splits() * depth(op) * op.c_out }]
}

fn reduce(op: &Conv2d, o: &Overrides) -> Grid {
    Grid::threads(depth(op) * op.c_out, o.get("WORKGROUP"))
}

pub(super) static TABLE: Table<Conv2d> = Table {
    params,
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "conv2d.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("conv2d/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::threads(pixels_out(op) * op.c_out, o.get("WORKGROUP")),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.implicit_gemm",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("conv2d/fwd_implicit_gemm.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            prefer: Prefer::Hardware,
            accepts: |op| loops_end(depth(op)),
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::threads(pixels_out(op) * op.c_out, o.get("WORKGROUP")),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.tiled_scalar",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("conv2d/fwd_tiled_scalar.wgsl"),
            shared: &[GRID],
            overrides: &[SIDE],
            prefer: Prefer::Hardware,
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::linear(tiles(pixels_out(op), op.c_out, o.get("SIDE"), o.get("SIDE"))),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.tiled",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("conv2d/fwd_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::linear(tiled(pixels_out(op), op.c_out, o)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.subgroup",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("conv2d/fwd_subgroup.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| Grid::linear(subgroup(pixels_out(op), op.c_out)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.subgroup_vec4",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("conv2d/fwd_subgroup_vec4.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: channels_in_vec4s,
            stages: &[Stage { entry: "main", grid: |op, _| Grid::linear(tiles(pixels_out(op), op.c_out, 32, 32)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.subgroup_wide",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("conv2d/fwd_subgroup_wide.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(op, op.c_out),
            stages: &[Stage { entry: "main", grid: |op, _| Grid::linear(tiles(pixels_out(op), op.c_out, 32, 64)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.direct",
            direction: Direction::Fwd,
            source: shader!("conv2d/fwd_direct.wgsl"),
            shared: &[GRID, DIVIDE, STRIP_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| match (op.w.window.stride, op.w.window.dilation) {
                (1, 1) => direct(op.c_out, op.c_in == 1),
                _ => Err("stride_w or dilation_w is not 1"),
            },
            stages: &[Stage { entry: "main", grid: |op, _| strips(op.n * op.h.size_out, op.w.size_out, op.c_out) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.direct_vec2",
            direction: Direction::Fwd,
            source: shader!("conv2d/fwd_direct_vec2.wgsl"),
            shared: &[GRID, DIVIDE, STRIP_SUBGROUP_VEC2],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: direct_in_vec2s,
            stages: &[Stage {
                entry: "main",
                grid: |op, _| strips(op.n * op.h.size_out, op.w.size_out, op.c_out.div_ceil(2)),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.fwd.direct_wide",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("conv2d/fwd_direct_wide.wgsl"),
            shared: &[GRID, DIVIDE, STRIP_SUBGROUP_VEC2],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: direct_wide,
            stages: &[Stage {
                entry: "main",
                grid: |op, _| strips(op.n * op.h.size_out, op.w.size_out, op.c_out.div_ceil(2)),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("conv2d/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::threads(pixels_in(op) * op.c_in, o.get("WORKGROUP")),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_input.tiled",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("conv2d/bwd_input_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::linear(tiled(pixels_in(op), op.c_in, o)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_input.subgroup",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("conv2d/bwd_input_subgroup.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| Grid::linear(subgroup(pixels_in(op), op.c_in)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_input.subgroup_vec4",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("conv2d/bwd_input_subgroup_vec4.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: channels_in_vec4s,
            stages: &[Stage { entry: "main", grid: |op, _| Grid::linear(tiles(pixels_in(op), op.c_in, 32, 32)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_input.subgroup_wide",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("conv2d/bwd_input_subgroup_wide.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(op, op.c_in),
            stages: &[Stage { entry: "main", grid: |op, _| Grid::linear(tiles(pixels_in(op), op.c_in, 32, 64)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_input.direct",
            direction: Direction::BwdInput,
            source: shader!("conv2d/bwd_input_direct.wgsl"),
            shared: &[GRID, DIVIDE, STRIP_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: direct_back,
            stages: &[Stage { entry: "main", grid: |op, _| strips(op.n * op.h.size_in, op.w.size_in, op.c_in) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_input.direct_vec4",
            direction: Direction::BwdInput,
            source: shader!("conv2d/bwd_input_direct_vec4.wgsl"),
            shared: &[GRID, DIVIDE, STRIP_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| match op.c_out.is_multiple_of(4) {
                true => direct_back(op),
                false => Err("c_out is no multiple of 4"),
            },
            stages: &[Stage { entry: "main", grid: |op, _| strips(op.n * op.h.size_in, op.w.size_in, op.c_in) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("conv2d/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            accepts: one_loop,
            stages: &[Stage { entry: "main", grid: reduce }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.tiled",
            direction: Direction::BwdWeight,
            source: shader!("conv2d/bwd_weight_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            // A step of 16 takes less than 32 rounds.
            accepts: |op| loops_end(2 * pixels_out(op)),
            stages: &[Stage { entry: "main", grid: |op, o| Grid::linear(tiled(depth(op), op.c_out, o)) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.tiled_split_k",
            direction: Direction::BwdWeight,
            order: SPANS,
            source: shader!("conv2d/bwd_weight_tiled_split_k.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &[WORKGROUP, TILE[0], TILE[1], TILE[2]],
            prefer: Prefer::Hardware,
            scratch: partials,
            stages: &[
                Stage { entry: "partial", grid: |op, o| Grid::layered(tiled(depth(op), op.c_out, o), op.splits()) },
                Stage { entry: "reduce", grid: reduce },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.subgroup_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d/bwd_weight_subgroup_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP],
            overrides: &[WORKGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            scratch: partials,
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(subgroup(depth(op), op.c_out), op.splits()) },
                Stage { entry: "reduce", grid: reduce },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.subgroup_short_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d/bwd_weight_subgroup_short_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| match op.c_out {
                c_out if !c_out.is_multiple_of(4) => Err("c_out is no multiple of 4"),
                ..=16 => Err("half of its tiles would stay empty"),
                _ => Ok(()),
            },
            stages: &[
                Stage {
                    entry: "partial",
                    grid: |op, _| Grid::layered(tiles(depth(op), op.c_out, 16, 32), op.splits()),
                },
                Stage { entry: "reduce", grid: |op, o| Grid::threads(depth(op) * op.c_out / 4, o.get("WORKGROUP")) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.subgroup_vec4_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d/bwd_weight_subgroup_vec4_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: channels_in_vec4s,
            stages: &[
                Stage {
                    entry: "partial",
                    grid: |op, _| Grid::layered(tiles(depth(op), op.c_out, 32, 32), op.splits()),
                },
                Stage { entry: "reduce", grid: |op, o| Grid::threads(depth(op) * op.c_out / 4, o.get("WORKGROUP")) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.subgroup_wide_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d/bwd_weight_subgroup_wide_split_k.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_WIDE],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(op, op.c_out),
            stages: &[
                Stage {
                    entry: "partial",
                    grid: |op, _| Grid::layered(tiles(depth(op), op.c_out, 32, 64), op.splits()),
                },
                Stage { entry: "reduce", grid: |op, o| Grid::threads(depth(op) * op.c_out / 4, o.get("WORKGROUP")) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.direct_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d/bwd_weight_direct_split_k.wgsl"),
            shared: &[GRID, DIVIDE],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: slides,
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(op.c_out.div_ceil(8), op.splits()) },
                Stage { entry: "reduce", grid: reduce },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_weight.direct_vec2_split_k",
            direction: Direction::BwdWeight,
            order: SPLITS,
            source: shader!("conv2d/bwd_weight_direct_vec2_split_k.wgsl"),
            shared: &[GRID, DIVIDE],
            overrides: &[WORKGROUP],
            scratch: partials,
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: slides_in_vec2s,
            stages: &[
                Stage { entry: "partial", grid: |op, _| Grid::layered(pairs_of_lines(op), op.splits()) },
                Stage { entry: "reduce", grid: |op, o| Grid::threads(depth(op) * op.c_out / 2, o.get("WORKGROUP")) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_bias.naive",
            direction: Direction::BwdBias,
            source: shader!("conv2d/bwd_bias_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            accepts: |op| loops_end(pixels_out(op)),
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.c_out, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d.bwd_bias.split",
            direction: Direction::BwdBias,
            order: SPLITS,
            source: shader!("conv2d/bwd_bias_split.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            scratch: |op| vec![Scratch { name: "partials", words: op.splits() * op.c_out }],
            stages: &[
                Stage { entry: "partial", grid: |op, o| Grid::threads(op.splits() * op.c_out, o.get("WORKGROUP")) },
                Stage { entry: "reduce", grid: |op, o| Grid::threads(op.c_out, o.get("WORKGROUP")) },
            ],
            ..Kernel::ROW
        },
    ],
};
