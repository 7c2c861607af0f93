use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::LogSoftmax;

params! {
    /// `shaders/log_softmax/*.wgsl`.
    struct Params { n: u32, classes: u32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn per_element(op: &LogSoftmax, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.classes, o.get("WORKGROUP"))
}

fn per_sample(op: &LogSoftmax, o: &Overrides) -> Grid {
    Grid::threads(op.n, o.get("WORKGROUP"))
}

pub(super) static TABLE: Table<LogSoftmax> = Table {
    params: |op| Params { n: op.n as u32, classes: op.classes as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "log_softmax.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("log_softmax/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "log_softmax.fwd.rows",
            direction: Direction::Fwd,
            source: shader!("log_softmax/fwd_rows.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_sample }],
            ..Kernel::ROW
        },
        Kernel {
            id: "log_softmax.bwd_input.naive",
            direction: Direction::BwdInput,
            source: shader!("log_softmax/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "log_softmax.bwd_input.rows",
            direction: Direction::BwdInput,
            source: shader!("log_softmax/bwd_input_rows.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_sample }],
            ..Kernel::ROW
        },
    ],
};
