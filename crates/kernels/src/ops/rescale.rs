use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::Rescale;

params! {
    /// `shaders/rescale/*.wgsl`.
    struct Params { len: u32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn per_element(op: &Rescale, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len(), o.get("WORKGROUP"))
}

fn per_vec4(op: &Rescale, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len() / 4, o.get("WORKGROUP"))
}

fn whole_vec4s(op: &Rescale) -> Result<(), &'static str> {
    if op.spec.len().is_multiple_of(4) { Ok(()) } else { Err("the number of elements is no multiple of 4") }
}

pub(super) static TABLE: Table<Rescale> = Table {
    params: |op| Params { len: op.spec.len() as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "rescale.update.naive",
            direction: Direction::Update,
            source: shader!("rescale/update_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "rescale.update.vec4",
            direction: Direction::Update,
            source: shader!("rescale/update_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
