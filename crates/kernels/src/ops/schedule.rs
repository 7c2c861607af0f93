use crate::grid::Grid;
use crate::kernel::{Kernel, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::Schedule;

params! {
    /// `shaders/schedule/*.wgsl`. `decay` is `-ln(beta)`.
    struct Params {
        batch: u32,
        lr: f32,
        decay1: f32,
        decay2: f32,
    }
}

/// `-ln(beta)`. That of 0 is infinite, which WGSL need not know; with 100 instead, `1 - beta^t` is 1
/// in `f32` from the first step on.
fn decay(beta: f64) -> f32 {
    (-beta.ln()).min(100.0) as f32
}

pub(super) static TABLE: Table<Schedule> = Table {
    params: |op| {
        let params = Params { batch: op.batch, lr: op.lr as f32, decay1: decay(op.beta1), decay2: decay(op.beta2) };
        bytemuck::bytes_of(&params).to_vec()
    },
    fields: Params::FIELDS,
    rows: &[Kernel {
        id: "schedule.update.naive",
        direction: Direction::Update,
        source: shader!("schedule/update_naive.wgsl"),
        stages: &[Stage { entry: "main", grid: |_, _| Grid::linear(1) }],
        ..Kernel::ROW
    }],
};
