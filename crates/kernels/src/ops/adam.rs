use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Summation, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::{Adam, AdamConfig};

params! {
    /// `shaders/adam/*.wgsl`.
    struct Params {
        len: u32,
        beta1: f32,
        one_minus_beta1: f32,
        beta2: f32,
        one_minus_beta2: f32,
        eps: f32,
        grad_decay: f32,
        param_decay: f32,
    }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn per_element(op: &Adam, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len(), o.get("WORKGROUP"))
}

fn per_vec4(op: &Adam, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len() / 4, o.get("WORKGROUP"))
}

fn whole_vec4s(op: &Adam) -> Result<(), &'static str> {
    if op.spec.len().is_multiple_of(4) { Ok(()) } else { Err("the number of elements is no multiple of 4") }
}

pub(super) static TABLE: Table<Adam> = Table {
    params: |op| {
        let AdamConfig { beta1, beta2, eps, .. } = op.config;
        let [grad_decay, param_decay] = op.decays();
        let params = Params {
            len: op.spec.len() as u32,
            beta1: beta1 as f32,
            // Subtracted before rounding, or the digits of a small difference would be lost.
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            eps: eps as f32,
            grad_decay: grad_decay as f32,
            param_decay: param_decay as f32,
        };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "adam.update.naive",
            direction: Direction::Update,
            order: Summation::NOTHING,
            source: shader!("adam/update_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "adam.update.vec4",
            direction: Direction::Update,
            order: Summation::NOTHING,
            source: shader!("adam/update_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
