use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Summation, Table};
use crate::{params, shader};
use reference::ops::MaxPool2d;
use reference::{Axis, Direction};

params! {
    /// `shaders/max_pool2d/*.wgsl`.
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
        cells_h: u32,
        cells_w: u32,
    }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn bytes(op: &MaxPool2d) -> Vec<u8> {
    let MaxPool2d { n, c, h, w } = op;
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
        cells_h: cells(h) as u32,
        cells_w: cells(w) as u32,
    };
    params.bytes()
}

/// Cells of one stride that cover an axis from its first padding to its last element.
fn cells(axis: &Axis) -> usize {
    (axis.size_in + axis.window.pad).div_ceil(axis.window.stride)
}

fn per_output(op: &MaxPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.h.size_out * op.w.size_out * op.c, o.get("WORKGROUP"))
}

fn per_output_vec4(op: &MaxPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.h.size_out * op.w.size_out * (op.c / 4), o.get("WORKGROUP"))
}

fn per_input(op: &MaxPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.h.size_in * op.w.size_in * op.c, o.get("WORKGROUP"))
}

fn per_input_vec4(op: &MaxPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.h.size_in * op.w.size_in * (op.c / 4), o.get("WORKGROUP"))
}

fn per_cell(op: &MaxPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * cells(&op.h) * cells(&op.w) * op.c, o.get("WORKGROUP"))
}

fn per_cell_vec2(op: &MaxPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * cells(&op.h) * cells(&op.w) * (op.c / 2), o.get("WORKGROUP"))
}

fn per_cell_vec4(op: &MaxPool2d, o: &Overrides) -> Grid {
    Grid::threads(op.n * cells(&op.h) * cells(&op.w) * (op.c / 4), o.get("WORKGROUP"))
}

fn whole_vec2s(op: &MaxPool2d) -> Result<(), &'static str> {
    if op.c.is_multiple_of(2) { Ok(()) } else { Err("the number of channels is no multiple of 2") }
}

fn whole_vec4s(op: &MaxPool2d) -> Result<(), &'static str> {
    if op.c.is_multiple_of(4) { Ok(()) } else { Err("the number of channels is no multiple of 4") }
}

fn disjoint(op: &MaxPool2d) -> Result<(), &'static str> {
    let apart = |axis: &Axis| axis.window.stride > (axis.window.kernel - 1) * axis.window.dilation;
    if apart(&op.h) && apart(&op.w) { Ok(()) } else { Err("its windows overlap") }
}

pub(super) static TABLE: Table<MaxPool2d> = Table {
    params: bytes,
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "max_pool2d.fwd.naive",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("max_pool2d/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_output }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d.fwd.vec4",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("max_pool2d/fwd_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_output_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_input }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d/bwd_input_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_input_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d.bwd_input.disjoint",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d/bwd_input_disjoint.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: disjoint,
            stages: &[Stage { entry: "main", grid: per_cell }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d.bwd_input.disjoint_vec2",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d/bwd_input_disjoint_vec2.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| disjoint(op).and_then(|()| whole_vec2s(op)),
            stages: &[Stage { entry: "main", grid: per_cell_vec2 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d.bwd_input.disjoint_vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d/bwd_input_disjoint_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| disjoint(op).and_then(|()| whole_vec4s(op)),
            stages: &[Stage { entry: "main", grid: per_cell_vec4 }],
            ..Kernel::ROW
        },
    ],
};
