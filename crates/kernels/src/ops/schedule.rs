use crate::grid::Grid;
use crate::kernel::{Kernel, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::{LrDecay, Schedule};

params! {
    /// `shaders/schedule/*.wgsl`. `decay1` and `decay2` are `-ln(beta)`, `drop` is `-ln(factor)`. What a
    /// shape of the learning rate does not need is 0.
    struct Params {
        batch: u32,
        lr: f32,
        decay1: f32,
        decay2: f32,
        warm_up: u32,
        shape: u32,
        steps: u32,
        drop: f32,
        first: f32,
        last: f32,
        rise: f32,
        fall: f32,
    }
}

const TRIGONOMETRY: crate::Source = shader!("shared/trigonometry.wgsl");

/// `-ln(beta)`. That of 0 is infinite, which WGSL need not know; with 100 instead, `1 - beta^t` is 1
/// in `f32` from the first step on.
fn decay(beta: f64) -> f32 {
    (-beta.ln()).min(100.0) as f32
}

fn bytes(op: &Schedule) -> Vec<u8> {
    let constant = Params {
        batch: op.batch,
        lr: op.lr as f32,
        decay1: decay(op.beta1),
        decay2: decay(op.beta2),
        warm_up: op.lr_schedule.warm_up,
        shape: 0,
        steps: 0,
        drop: 0.0,
        first: 0.0,
        last: 0.0,
        rise: 0.0,
        fall: 0.0,
    };
    let params = match op.lr_schedule.decay {
        LrDecay::Constant => constant,
        LrDecay::Step { every, factor } => Params { shape: 1, steps: every, drop: decay(factor), ..constant },
        LrDecay::Cosine { steps, floor } => Params { shape: 2, steps, last: (floor * op.lr) as f32, ..constant },
        LrDecay::OneCycle { steps, rise, start_div, end_div } => {
            let (first, peak) = (op.lr / start_div, rise * f64::from(steps) - 1.0);
            let fall = f64::from(steps) - 1.0 - peak;
            let (last, first) = ((first / end_div) as f32, first as f32);
            Params { shape: 3, steps, first, last, rise: peak as f32, fall: fall as f32, ..constant }
        }
    };
    params.bytes()
}

pub(super) static TABLE: Table<Schedule> = Table {
    params: bytes,
    fields: Params::FIELDS,
    rows: &[Kernel {
        id: "schedule.update.naive",
        direction: Direction::Update,
        source: shader!("schedule/update_naive.wgsl"),
        shared: &[TRIGONOMETRY],
        stages: &[Stage { entry: "main", grid: |_, _| Grid::linear(1) }],
        ..Kernel::ROW
    }],
};
