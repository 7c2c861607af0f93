use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Summation, Table};
use crate::{params, shader};
use reference::ops::{MaxPool2d, MaxPool2dRelu};
use reference::{Axis, Direction};

params! {
    /// `shaders/max_pool2d_relu/*.wgsl`.
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

pub(super) const GRID: crate::Source = shader!("shared/grid.wgsl");

pub(super) const FIELDS: &[(&str, &str)] = Params::FIELDS;

pub(super) fn bytes(MaxPool2d { n, c, h, w }: &MaxPool2d) -> Vec<u8> {
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

/// Channels of every output pixel, `lanes` at a time.
fn outputs(MaxPool2d { n, c, h, w }: &MaxPool2d, lanes: usize) -> usize {
    n * h.size_out * w.size_out * (c / lanes)
}

pub(super) fn inputs(MaxPool2d { n, c, h, w }: &MaxPool2d, lanes: usize) -> usize {
    n * h.size_in * w.size_in * (c / lanes)
}

pub(super) fn per_cell(MaxPool2d { n, c, h, w }: &MaxPool2d, lanes: usize) -> usize {
    n * cells(h) * cells(w) * (c / lanes)
}

pub(super) fn threads(items: usize, o: &Overrides) -> Grid {
    Grid::threads(items, o.get("WORKGROUP"))
}

pub(super) fn whole_vec4s(pool: &MaxPool2d) -> Result<(), &'static str> {
    if pool.c.is_multiple_of(4) { Ok(()) } else { Err("the number of channels is no multiple of 4") }
}

fn whole_vec2s(pool: &MaxPool2d) -> Result<(), &'static str> {
    if pool.c.is_multiple_of(2) { Ok(()) } else { Err("the number of channels is no multiple of 2") }
}

pub(super) fn disjoint(pool: &MaxPool2d) -> Result<(), &'static str> {
    let apart = |axis: &Axis| axis.window.stride > (axis.window.kernel - 1) * axis.window.dilation;
    if apart(&pool.h) && apart(&pool.w) { Ok(()) } else { Err("its windows overlap") }
}

pub(super) static TABLE: Table<MaxPool2dRelu> = Table {
    params: |op| bytes(&op.pool),
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "max_pool2d_relu.fwd.naive",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: |op, o| threads(outputs(&op.pool, 1), o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d_relu.fwd.vec4",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu/fwd_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| whole_vec4s(&op.pool),
            stages: &[Stage { entry: "main", grid: |op, o| threads(outputs(&op.pool, 4), o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d_relu.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: |op, o| threads(inputs(&op.pool, 1), o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d_relu.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu/bwd_input_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| whole_vec4s(&op.pool),
            stages: &[Stage { entry: "main", grid: |op, o| threads(inputs(&op.pool, 4), o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d_relu.bwd_input.disjoint",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu/bwd_input_disjoint.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| disjoint(&op.pool),
            stages: &[Stage { entry: "main", grid: |op, o| threads(per_cell(&op.pool, 1), o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d_relu.bwd_input.disjoint_vec2",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu/bwd_input_disjoint_vec2.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| disjoint(&op.pool).and_then(|()| whole_vec2s(&op.pool)),
            stages: &[Stage { entry: "main", grid: |op, o| threads(per_cell(&op.pool, 2), o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d_relu.bwd_input.disjoint_vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu/bwd_input_disjoint_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| disjoint(&op.pool).and_then(|()| whole_vec4s(&op.pool)),
            stages: &[Stage { entry: "main", grid: |op, o| threads(per_cell(&op.pool, 4), o) }],
            ..Kernel::ROW
        },
    ],
};
