use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Prefer, Scratch, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::SoftmaxCrossEntropyWithGradient;

params! {
    /// `shaders/softmax_cross_entropy_with_gradient/*.wgsl`.
    struct Params { n: u32, classes: u32, smoothing: f32 }
}

type Op = SoftmaxCrossEntropyWithGradient;

const GRID: crate::Source = shader!("shared/grid.wgsl");

/// Samples of a workgroup of `fwd.tiled`, each of which leaves loss and hits in scratch.
const TILE: u32 = 64;

fn per_sample(op: &Op, o: &Overrides) -> Grid {
    Grid::threads(op.softmax.n, o.get("WORKGROUP"))
}

fn one_group(_op: &Op, _o: &Overrides) -> Grid {
    Grid::linear(1)
}

fn row_metrics(op: &Op) -> Vec<Scratch> {
    vec![Scratch { name: "row_metrics", words: 2 * op.softmax.n }]
}

fn group_metrics(op: &Op) -> Vec<Scratch> {
    vec![Scratch { name: "group_metrics", words: 2 * op.softmax.n.div_ceil(TILE as usize) }]
}

fn small_batch(op: &Op) -> Result<(), &'static str> {
    if op.softmax.n <= 256 { Ok(()) } else { Err("more than 256 samples are worth more than one workgroup") }
}

pub(super) static TABLE: Table<Op> = Table {
    params: |Op { softmax: op }| {
        let params = Params { n: op.n as u32, classes: op.classes as u32, smoothing: op.smoothing };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "softmax_cross_entropy_with_gradient.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("softmax_cross_entropy_with_gradient/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            scratch: row_metrics,
            stages: &[Stage { entry: "rows", grid: per_sample }, Stage { entry: "sum", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "softmax_cross_entropy_with_gradient.fwd.tiled",
            direction: Direction::Fwd,
            source: shader!("softmax_cross_entropy_with_gradient/fwd_tiled.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", TILE)],
            prefer: Prefer::Hardware,
            scratch: group_metrics,
            stages: &[Stage { entry: "rows", grid: per_sample }, Stage { entry: "sum", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "softmax_cross_entropy_with_gradient.fwd.single_group",
            direction: Direction::Fwd,
            source: shader!("softmax_cross_entropy_with_gradient/fwd_single_group.wgsl"),
            shared: &[],
            overrides: &[("WORKGROUP", 64)],
            accepts: small_batch,
            stages: &[Stage { entry: "main", grid: one_group }],
            ..Kernel::ROW
        },
    ],
};
