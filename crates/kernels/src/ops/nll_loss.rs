use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Scratch, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::NllLoss;

params! {
    /// `shaders/nll_loss/*.wgsl`.
    struct Params { n: u32, classes: u32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn per_sample(op: &NllLoss, o: &Overrides) -> Grid {
    Grid::threads(op.n, o.get("WORKGROUP"))
}

fn one_group(_op: &NllLoss, _o: &Overrides) -> Grid {
    Grid::linear(1)
}

fn per_element(op: &NllLoss, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.classes, o.get("WORKGROUP"))
}

fn per_vec4(op: &NllLoss, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.classes / 4, o.get("WORKGROUP"))
}

fn whole_vec4s(op: &NllLoss) -> Result<(), &'static str> {
    if (op.n * op.classes).is_multiple_of(4) { Ok(()) } else { Err("the number of elements is no multiple of 4") }
}

fn row_metrics(op: &NllLoss) -> Vec<Scratch> {
    vec![Scratch { name: "row_metrics", words: 2 * op.n }]
}

fn small_batch(op: &NllLoss) -> Result<(), &'static str> {
    if op.n <= 256 { Ok(()) } else { Err("more than 256 samples are worth more than one workgroup") }
}

pub(super) static TABLE: Table<NllLoss> = Table {
    params: |op| Params { n: op.n as u32, classes: op.classes as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "nll_loss.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("nll_loss/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            scratch: row_metrics,
            stages: &[Stage { entry: "rows", grid: per_sample }, Stage { entry: "sum", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "nll_loss.fwd.single_group",
            direction: Direction::Fwd,
            source: shader!("nll_loss/fwd_single_group.wgsl"),
            overrides: &[("WORKGROUP", 64)],
            accepts: small_batch,
            stages: &[Stage { entry: "main", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "nll_loss.bwd_input.naive",
            direction: Direction::BwdInput,
            source: shader!("nll_loss/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "nll_loss.bwd_input.vec4",
            direction: Direction::BwdInput,
            source: shader!("nll_loss/bwd_input_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
