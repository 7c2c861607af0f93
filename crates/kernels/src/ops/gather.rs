use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Summation, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::Gather;

params! {
    /// `shaders/gather/*.wgsl`.
    struct Params { n: u32, c: u32, plane: u32, total: u32, order_len: u32, scale: f32, offset: f32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn bytes(op: &Gather) -> Vec<u8> {
    let params = Params {
        n: op.n as u32,
        c: op.c as u32,
        plane: (op.h * op.w) as u32,
        total: op.total as u32,
        order_len: op.order_len as u32,
        scale: op.scale,
        offset: op.offset,
    };
    params.bytes()
}

fn per_pixel(op: &Gather, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.c * op.h * op.w, o.get("WORKGROUP"))
}

fn per_sample(op: &Gather, _: &Overrides) -> Grid {
    Grid::linear(op.n)
}

fn one_channel(op: &Gather) -> Result<(), &'static str> {
    if op.c == 1 { Ok(()) } else { Err("the images have more than one channel") }
}

pub(super) static TABLE: Table<Gather> = Table {
    params: bytes,
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "gather.fwd.naive",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("gather/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_pixel }],
            ..Kernel::ROW
        },
        Kernel {
            id: "gather.fwd.vec4",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("gather/fwd_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: one_channel,
            stages: &[Stage { entry: "main", grid: per_sample }],
            ..Kernel::ROW
        },
    ],
};
