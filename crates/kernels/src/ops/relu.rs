use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Summation, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::Relu;

params! {
    /// `shaders/relu/*.wgsl`.
    struct Params { len: u32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn per_element(op: &Relu, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len(), o.get("WORKGROUP"))
}

fn per_vec4(op: &Relu, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len() / 4, o.get("WORKGROUP"))
}

fn whole_vec4s(op: &Relu) -> Result<(), &'static str> {
    if op.spec.len().is_multiple_of(4) { Ok(()) } else { Err("the number of elements is no multiple of 4") }
}

pub(super) static TABLE: Table<Relu> = Table {
    params: |op| Params { len: op.spec.len() as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "relu.fwd.naive",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("relu/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "relu.fwd.vec4",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("relu/fwd_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "relu.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("relu/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "relu.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("relu/bwd_input_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
