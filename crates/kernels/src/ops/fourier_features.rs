use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::FourierFeatures;

params! {
    /// `shaders/fourier_features/*.wgsl`.
    struct Params { len: u32, scale: f32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");
const TRIGONOMETRY: crate::Source = shader!("shared/trigonometry.wgsl");

fn per_element(op: &FourierFeatures, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len(), o.get("WORKGROUP"))
}

fn per_vec4(op: &FourierFeatures, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len() / 4, o.get("WORKGROUP"))
}

fn whole_vec4s(op: &FourierFeatures) -> Result<(), &'static str> {
    if op.spec.len().is_multiple_of(4) { Ok(()) } else { Err("the number of elements is no multiple of 4") }
}

pub(super) static TABLE: Table<FourierFeatures> = Table {
    params: |op| Params { len: op.spec.len() as u32, scale: op.scale }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "fourier_features.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("fourier_features/fwd_naive.wgsl"),
            shared: &[GRID, TRIGONOMETRY],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "fourier_features.fwd.vec4",
            direction: Direction::Fwd,
            source: shader!("fourier_features/fwd_vec4.wgsl"),
            shared: &[GRID, TRIGONOMETRY],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
        Kernel {
            id: "fourier_features.bwd_input.naive",
            direction: Direction::BwdInput,
            source: shader!("fourier_features/bwd_input_naive.wgsl"),
            shared: &[GRID, TRIGONOMETRY],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "fourier_features.bwd_input.vec4",
            direction: Direction::BwdInput,
            source: shader!("fourier_features/bwd_input_vec4.wgsl"),
            shared: &[GRID, TRIGONOMETRY],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
