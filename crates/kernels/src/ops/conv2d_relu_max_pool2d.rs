use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Prefer, Stage, Table};
use crate::shared::STORED;
use crate::{Source, params, shader};
use reference::ops::{Conv2dReluMaxPool2d, MaxPool2d};
use reference::{Direction, Window};

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
    }
}

const GRID: Source = shader!("shared/grid.wgsl");
const DIVIDE: Source = shader!("shared/divide.wgsl");
const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");
const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");
const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");
const STRIP_SUBGROUP: Source = shader!("shared/strip_subgroup.wgsl");

const WORKGROUP: (&str, u32) = ("WORKGROUP", 64);
const TILE: [(&str, u32); 3] = [("BM", 64), ("BN", 32), ("BK", 16)];
const SUBGROUPS_OF_8: Needs = Needs { subgroup_lanes: 8 };

type Op = Conv2dReluMaxPool2d;

fn bytes(Op { conv, pool }: &Op) -> Vec<u8> {
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

fn halves(op: &Op) -> Result<(), &'static str> {
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

/// Workgroups by eight strips of four windows, and eight channels.
fn strips(op: &Op) -> Grid {
    let MaxPool2d { n, c, h, w } = &op.pool;
    Grid::linear((n * h.size_out * w.size_out.div_ceil(4)).div_ceil(8) * c.div_ceil(8))
}

pub(super) static TABLE: Table<Op> = Table {
    params: bytes,
    fields: Params::FIELDS,
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
            stages: &[Stage { entry: "main", grid: |op, _| strips(op) }],
            ..Kernel::ROW
        },
    ],
};
