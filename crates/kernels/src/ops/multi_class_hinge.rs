use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Scratch, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::MultiClassHinge;

params! {
    /// `shaders/multi_class_hinge/*.wgsl`.
    struct Params { n: u32, classes: u32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

fn per_sample(op: &MultiClassHinge, o: &Overrides) -> Grid {
    Grid::threads(op.n, o.get("WORKGROUP"))
}

fn one_group(_op: &MultiClassHinge, _o: &Overrides) -> Grid {
    Grid::linear(1)
}

fn per_element(op: &MultiClassHinge, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.classes, o.get("WORKGROUP"))
}

fn row_metrics(op: &MultiClassHinge) -> Vec<Scratch> {
    vec![Scratch { name: "row_metrics", words: 2 * op.n }]
}

fn small_batch(op: &MultiClassHinge) -> Result<(), &'static str> {
    if op.n <= 256 { Ok(()) } else { Err("more than 256 samples are worth more than one workgroup") }
}

pub(super) static TABLE: Table<MultiClassHinge> = Table {
    params: |op| Params { n: op.n as u32, classes: op.classes as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "multi_class_hinge.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("multi_class_hinge/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            scratch: row_metrics,
            stages: &[Stage { entry: "rows", grid: per_sample }, Stage { entry: "sum", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "multi_class_hinge.fwd.single_group",
            direction: Direction::Fwd,
            source: shader!("multi_class_hinge/fwd_single_group.wgsl"),
            overrides: &[("WORKGROUP", 64)],
            accepts: small_batch,
            stages: &[Stage { entry: "main", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "multi_class_hinge.bwd_input.naive",
            direction: Direction::BwdInput,
            source: shader!("multi_class_hinge/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "multi_class_hinge.bwd_input.rows",
            direction: Direction::BwdInput,
            source: shader!("multi_class_hinge/bwd_input_rows.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_sample }],
            ..Kernel::ROW
        },
    ],
};
