use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Summation, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::RmsProp;

params! {
    /// `shaders/rmsprop/*.wgsl`.
    struct Params {
        len: u32,
        alpha: f32,
        one_minus_alpha: f32,
        eps: f32,
        momentum: f32,
        weight_decay: f32,
    }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn per_element(op: &RmsProp, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len(), o.get("WORKGROUP"))
}

fn per_vec4(op: &RmsProp, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len() / 4, o.get("WORKGROUP"))
}

fn whole_vec4s(op: &RmsProp) -> Result<(), &'static str> {
    if op.spec.len().is_multiple_of(4) { Ok(()) } else { Err("the number of elements is no multiple of 4") }
}

pub(super) static TABLE: Table<RmsProp> = Table {
    params: |op| {
        let params = Params {
            len: op.spec.len() as u32,
            alpha: op.alpha as f32,
            // Subtracted before rounding, or the digits of a small difference would be lost.
            one_minus_alpha: (1.0 - op.alpha) as f32,
            eps: op.eps as f32,
            momentum: op.momentum as f32,
            weight_decay: op.weight_decay as f32,
        };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "rmsprop.update.naive",
            direction: Direction::Update,
            order: Summation::NOTHING,
            source: shader!("rmsprop/update_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "rmsprop.update.vec4",
            direction: Direction::Update,
            order: Summation::NOTHING,
            source: shader!("rmsprop/update_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
