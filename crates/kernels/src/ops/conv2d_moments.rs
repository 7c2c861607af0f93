use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Prefer, Stage, Summation, Table};
use crate::shared::STORED;
use crate::{Source, params, shader};
use reference::Direction;
use reference::ops::{Conv2d, Conv2dMoments};

params! {
    /// `shaders/conv2d_moments/*.wgsl`.
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
        relu: u32,
    }
}

const GRID: Source = shader!("shared/grid.wgsl");
const DIVIDE: Source = shader!("shared/divide.wgsl");
const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");
const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");
const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");
const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");
const MOMENTS: Source = shader!("shared/moments.wgsl");

const WORKGROUP: (&str, u32) = ("WORKGROUP", 64);
const TILE: [(&str, u32); 3] = [("BM", 64), ("BN", 32), ("BK", 16)];
const SUBGROUPS_OF_8: Needs = Needs { subgroup_lanes: 8 };

/// Of the sums and of the moments.
const ORDER: Summation = Summation::Rule("one sum, the bias last; by fours of 32 pixels");

fn pixels_out(op: &Conv2d) -> usize {
    op.n * op.h.size_out * op.w.size_out
}

/// Tiles that have moments of their own.
fn tiles_of_32(op: &Conv2d) -> usize {
    pixels_out(op).div_ceil(Conv2dMoments::PIXELS)
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

pub(super) static TABLE: Table<Conv2dMoments> = Table {
    params: |Conv2dMoments { conv: op, relu }| {
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
            relu: (*relu).into(),
        }
        .bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "conv2d_moments.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("conv2d_moments/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[
                Stage {
                    entry: "main",
                    grid: |op, o| Grid::threads(pixels_out(&op.conv) * op.conv.c_out, o.get("WORKGROUP")),
                },
                Stage {
                    entry: "statistics",
                    grid: |op, o| Grid::threads(tiles_of_32(&op.conv) * op.conv.c_out, o.get("WORKGROUP")),
                },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_moments.fwd.tiled",
            direction: Direction::Fwd,
            order: ORDER,
            source: shader!("conv2d_moments/fwd_tiled.wgsl"),
            shared: &[GRID, STORED, MOMENTS, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| tiles(&op.conv, o.get("BM"), o.get("BN")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_moments.fwd.subgroup",
            direction: Direction::Fwd,
            order: ORDER,
            source: shader!("conv2d_moments/fwd_subgroup.wgsl"),
            shared: &[GRID, DIVIDE, MOMENTS, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.conv, 32, 16) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_moments.fwd.subgroup_vec4",
            direction: Direction::Fwd,
            order: ORDER,
            source: shader!("conv2d_moments/fwd_subgroup_vec4.wgsl"),
            shared: &[GRID, DIVIDE, MOMENTS, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| channels_in_vec4s(&op.conv),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.conv, 32, 32) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "conv2d_moments.fwd.subgroup_wide",
            direction: Direction::Fwd,
            order: ORDER,
            source: shader!("conv2d_moments/fwd_subgroup_wide.wgsl"),
            shared: &[GRID, DIVIDE, MOMENTS, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(&op.conv),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.conv, 32, 64) }],
            ..Kernel::ROW
        },
    ],
};
