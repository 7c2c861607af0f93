use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Summation, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::Dropout;

params! {
    /// `shaders/dropout/*.wgsl`.
    struct Params { len: u32, layer: u32, threshold: u32, scale: f32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");
const PHILOX: crate::Source = shader!("shared/philox.wgsl");

fn per_element(op: &Dropout, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len(), o.get("WORKGROUP"))
}

fn per_vec4(op: &Dropout, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len() / 4, o.get("WORKGROUP"))
}

fn whole_vec4s(op: &Dropout) -> Result<(), &'static str> {
    if op.spec.len().is_multiple_of(4) { Ok(()) } else { Err("the number of elements is no multiple of 4") }
}

pub(super) static TABLE: Table<Dropout> = Table {
    params: |op| {
        let params =
            Params { len: op.spec.len() as u32, layer: op.layer, threshold: op.threshold(), scale: op.scale() as f32 };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "dropout.fwd.naive",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("dropout/fwd_naive.wgsl"),
            shared: &[GRID, PHILOX],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dropout.fwd.vec4",
            direction: Direction::Fwd,
            order: Summation::NOTHING,
            source: shader!("dropout/fwd_vec4.wgsl"),
            shared: &[GRID, PHILOX],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dropout.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("dropout/bwd_input_naive.wgsl"),
            shared: &[GRID, PHILOX],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dropout.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("dropout/bwd_input_vec4.wgsl"),
            shared: &[GRID, PHILOX],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
