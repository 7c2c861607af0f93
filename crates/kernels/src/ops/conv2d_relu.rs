use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Prefer, Stage, Table};
use crate::{Source, params, shader};
use reference::Direction;
use reference::ops::{Conv2d, Conv2dRelu};

params! {
    /// `shaders/conv2d_relu/*.wgsl`.
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
    }
}

const GRID: Source = shader!("shared/grid.wgsl");
const DIVIDE: Source = shader!("shared/divide.wgsl");
const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");
const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");
const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");
const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");
const STRIP_SUBGROUP: Source = shader!("shared/strip_subgroup.wgsl");
const STRIP_SUBGROUP_VEC2: Source = shader!("shared/strip_subgroup_vec2.wgsl");

const WORKGROUP: (&str, u32) = ("WORKGROUP", 64);
const TILE: [(&str, u32); 3] = [("BM", 64), ("BN", 32), ("BK", 16)];
const SUBGROUPS_OF_8: Needs = Needs { subgroup_lanes: 8 };

fn pixels_out(op: &Conv2d) -> usize {
    op.n * op.h.size_out * op.w.size_out
}

/// Workgroups by tiles of `bm` pixels and `bn` channels.
fn tiles(op: &Conv2d, bm: usize, bn: usize) -> Grid {
    Grid::linear(pixels_out(op).div_ceil(bm) * op.c_out.div_ceil(bn))
}

fn channels_in_vec4s(op: &Conv2d) -> Result<(), &'static str> {
    let whole = op.c_in.is_multiple_of(4) && op.c_out.is_multiple_of(4);
    if whole { Ok(()) } else { Err("c_in or c_out is no multiple of 4") }
}

fn wide(op: &Conv2d) -> Result<(), &'static str> {
    channels_in_vec4s(op)?;
    let fills = op.c_out.div_ceil(32).is_multiple_of(2);
    if fills { Ok(()) } else { Err("half of its last tile would stay empty") }
}

fn direct(op: &Conv2d) -> Result<(), &'static str> {
    match (op.w.window.stride, op.w.window.dilation) {
        (1, 1) if op.c_in == 1 || op.c_out <= 16 => Ok(()),
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

/// Workgroups by eight strips of eight pixels, and so many channels.
fn strips(op: &Conv2d, channels: usize) -> Grid {
    Grid::linear((op.n * op.h.size_out * op.w.size_out.div_ceil(8)).div_ceil(8) * op.c_out.div_ceil(channels))
}

pub(super) static TABLE: Table<Conv2dRelu> = Table {
    params: |Conv2dRelu { conv: op }| {
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
        }
        .bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "conv2d_relu.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::threads(pixels_out(&op.conv) * op.conv.c_out, o.get("WORKGROUP")),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu.fwd.tiled",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu/fwd_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| tiles(&op.conv, o.get("BM"), o.get("BN")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu.fwd.subgroup",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu/fwd_subgroup.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.conv, 32, 16) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu.fwd.subgroup_vec4",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu/fwd_subgroup_vec4.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| channels_in_vec4s(&op.conv),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.conv, 32, 32) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu.fwd.subgroup_wide",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu/fwd_subgroup_wide.wgsl"),
            shared: &[GRID, DIVIDE, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(&op.conv),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.conv, 32, 64) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu.fwd.direct",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu/fwd_direct.wgsl"),
            shared: &[GRID, DIVIDE, STRIP_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| direct(&op.conv),
            stages: &[Stage { entry: "main", grid: |op, _| strips(&op.conv, 8) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu.fwd.direct_vec2",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu/fwd_direct_vec2.wgsl"),
            shared: &[GRID, DIVIDE, STRIP_SUBGROUP_VEC2],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| direct_in_vec2s(&op.conv),
            stages: &[Stage { entry: "main", grid: |op, _| strips(&op.conv, 16) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_relu.fwd.direct_wide",
            direction: Direction::Fwd,
            source: shader!("conv2d_relu/fwd_direct_wide.wgsl"),
            shared: &[GRID, DIVIDE, STRIP_SUBGROUP_VEC2],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| direct_wide(&op.conv),
            stages: &[Stage { entry: "main", grid: |op, _| strips(&op.conv, 16) }],
            ..Kernel::ROW
        },
    ],
};
