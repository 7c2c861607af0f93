use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Summation, Table};
use crate::{params, shader};
use reference::ops::AvgPool2d;
use reference::{Axis, Direction};

params! {
    /// `shaders/avg_pool2d/*.wgsl`.
    struct Params {
        n: u32,
        c: u32,
        h_in: u32,
        w_in: u32,
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
        scale: f32,
        cells_h: u32,
        cells_w: u32,
    }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn bytes(op: &AvgPool2d) -> Vec<u8> {
    let AvgPool2d { n, c, h, w } = op;
    let params = Params {
        n: *n as u32,
        c: *c as u32,
        h_in: h.size_in as u32,
        w_in: w.size_in as u32,
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
        scale: scale(op),
        cells_h: cells(h) as u32,
        cells_w: cells(w) as u32,
    };
    params.bytes()
}

/// 1 / (k_h*k_w)
pub(super) fn scale(op: &AvgPool2d) -> f32 {
    (1.0 / (op.h.window.kernel * op.w.window.kernel) as f64) as f32
}

/// Cells of one stride that cover an axis from its first padding to its last element.
pub(super) fn cells(axis: &Axis) -> usize {
    (axis.size_in + axis.window.pad).div_ceil(axis.window.stride)
}

pub(super) fn per_output(op: &AvgPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.h.size_out * op.w.size_out * op.c, o.get("WORKGROUP"))
}

pub(super) fn per_output_vec4(op: &AvgPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.h.size_out * op.w.size_out * (op.c / 4), o.get("WORKGROUP"))
}

fn per_input(op: &AvgPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.h.size_in * op.w.size_in * op.c, o.get("WORKGROUP"))
}

fn per_input_vec4(op: &AvgPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.h.size_in * op.w.size_in * (op.c / 4), o.get("WORKGROUP"))
}

pub(super) fn per_cell(op: &AvgPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * cells(&op.h) * cells(&op.w) * op.c, o.get("WORKGROUP"))
}

pub(super) fn per_cell_vec4(op: &AvgPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * cells(&op.h) * cells(&op.w) * (op.c / 4), o.get("WORKGROUP"))
}

fn whole_vec4s(op: &AvgPool2d) -> Result<(), &'static str> {
    if op.c.is_multiple_of(4) { Ok(()) } else { Err("the number of channels is no multiple of 4") }
}

fn undilated(op: &AvgPool2d) -> Result<(), &'static str> {
    if (op.h.window.dilation, op.w.window.dilation) == (1, 1) { Ok(()) } else { Err("its windows are dilated") }
}

pub(super) fn disjoint(op: &AvgPool2d) -> Result<(), &'static str> {
    let apart = |axis: &Axis| axis.window.stride >= axis.window.kernel;
    if apart(&op.h) && apart(&op.w) { undilated(op) } else { Err("its windows overlap") }
}

pub(super) static TABLE: Table<AvgPool2d> = Table {
    params: bytes,
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "avg_pool2d.fwd.naive",
            direction: Direction::Fwd,
            order: Summation::FORMULA,
            source: shader!("avg_pool2d/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_output }],
            ..Kernel::ROW
        },
        Kernel {
            id: "avg_pool2d.fwd.vec4",
            direction: Direction::Fwd,
            order: Summation::FORMULA,
            source: shader!("avg_pool2d/fwd_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_output_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "avg_pool2d.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("avg_pool2d/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_input }],
            ..Kernel::ROW
        },
        Kernel {
            id: "avg_pool2d.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("avg_pool2d/bwd_input_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| undilated(op).and_then(|()| whole_vec4s(op)),
            stages: &[Stage { entry: "main", grid: per_input_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "avg_pool2d.bwd_input.disjoint",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("avg_pool2d/bwd_input_disjoint.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: disjoint,
            stages: &[Stage { entry: "main", grid: per_cell }],
            ..Kernel::ROW
        },
        Kernel {
            id: "avg_pool2d.bwd_input.disjoint_vec4",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("avg_pool2d/bwd_input_disjoint_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| disjoint(op).and_then(|()| whole_vec4s(op)),
            stages: &[Stage { entry: "main", grid: per_cell_vec4 }],
            ..Kernel::ROW
        },
    ],
};
