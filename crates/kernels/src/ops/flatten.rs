use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Prefer, Stage, Summation, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::Flatten;

params! {
    /// `shaders/flatten/*.wgsl`.
    struct Params { n: u32, c: u32, plane: u32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");
const DIVIDE: crate::Source = shader!("shared/divide.wgsl");

fn bytes(op: &Flatten) -> Vec<u8> {
    let params = Params { n: op.n as u32, c: op.c as u32, plane: (op.h * op.w) as u32 };
    params.bytes()
}

fn per_element(op: &Flatten, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.c * op.h * op.w, o.get("WORKGROUP"))
}

fn per_vec4(op: &Flatten, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.c / 4 * op.h * op.w, o.get("WORKGROUP"))
}

fn whole_vec4s(op: &Flatten) -> Result<(), &'static str> {
    if op.c.is_multiple_of(4) { Ok(()) } else { Err("the number of channels is no multiple of 4") }
}

fn per_tile(op: &Flatten, o: &Overrides) -> Grid {
    let tile = o.get("TILE");
    Grid::linear(op.n * op.c.div_ceil(tile) * (op.h * op.w).div_ceil(tile))
}

pub(super) static TABLE: Table<Flatten> = Table {
    params: bytes,
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "flatten.fwd.naive",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("flatten/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "flatten.fwd.vec4",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("flatten/fwd_vec4.wgsl"),
            shared: &[GRID, DIVIDE],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "flatten.fwd.tiled",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("flatten/fwd_tiled.wgsl"),
            shared: &[GRID],
            overrides: &[("TILE", 16)],
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: per_tile }],
            ..Kernel::ROW
        },
        Kernel {
            id: "flatten.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("flatten/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "flatten.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("flatten/bwd_input_vec4.wgsl"),
            shared: &[GRID, DIVIDE],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "flatten.bwd_input.tiled",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("flatten/bwd_input_tiled.wgsl"),
            shared: &[GRID],
            overrides: &[("TILE", 16)],
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: per_tile }],
            ..Kernel::ROW
        },
    ],
};
