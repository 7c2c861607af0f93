use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Prefer, Scratch, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::SoftmaxCrossEntropy;

params! {
    /// `shaders/softmax_cross_entropy/*.wgsl`.
    struct Params { n: u32, classes: u32, smoothing: f32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

/// Samples of a workgroup of `fwd.tiled`, each of which leaves loss and hits in scratch.
const TILE: u32 = 64;

fn len(op: &SoftmaxCrossEntropy) -> usize {
    op.n * op.classes
}

fn per_sample(op: &SoftmaxCrossEntropy, o: &Overrides) -> Grid {
    Grid::threads(op.n, o.get("WORKGROUP"))
}

fn one_group(_op: &SoftmaxCrossEntropy, _o: &Overrides) -> Grid {
    Grid::linear(1)
}

fn per_element(op: &SoftmaxCrossEntropy, o: &Overrides) -> Grid {
    Grid::threads(len(op), o.get("WORKGROUP"))
}

fn per_vec4(op: &SoftmaxCrossEntropy, o: &Overrides) -> Grid {
    Grid::threads(len(op) / 4, o.get("WORKGROUP"))
}

fn row_metrics(op: &SoftmaxCrossEntropy) -> Vec<Scratch> {
    vec![Scratch { name: "row_metrics", words: 2 * op.n }]
}

fn group_metrics(op: &SoftmaxCrossEntropy) -> Vec<Scratch> {
    vec![Scratch { name: "group_metrics", words: 2 * op.n.div_ceil(TILE as usize) }]
}

fn small_batch(op: &SoftmaxCrossEntropy) -> Result<(), &'static str> {
    if op.n <= 256 { Ok(()) } else { Err("more than 256 samples are worth more than one workgroup") }
}

fn whole_vec4s(op: &SoftmaxCrossEntropy) -> Result<(), &'static str> {
    if len(op).is_multiple_of(4) { Ok(()) } else { Err("the number of logits is no multiple of 4") }
}

pub(super) static TABLE: Table<SoftmaxCrossEntropy> = Table {
    params: |op| {
        let params = Params { n: op.n as u32, classes: op.classes as u32, smoothing: op.smoothing };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "softmax_cross_entropy.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("softmax_cross_entropy/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            scratch: row_metrics,
            stages: &[Stage { entry: "rows", grid: per_sample }, Stage { entry: "sum", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "softmax_cross_entropy.fwd.tiled",
            direction: Direction::Fwd,
            source: shader!("softmax_cross_entropy/fwd_tiled.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", TILE)],
            prefer: Prefer::Hardware,
            scratch: group_metrics,
            stages: &[Stage { entry: "rows", grid: per_sample }, Stage { entry: "sum", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "softmax_cross_entropy.fwd.single_group",
            direction: Direction::Fwd,
            source: shader!("softmax_cross_entropy/fwd_single_group.wgsl"),
            shared: &[],
            overrides: &[("WORKGROUP", 64)],
            accepts: small_batch,
            stages: &[Stage { entry: "main", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "softmax_cross_entropy.bwd_input.naive",
            direction: Direction::BwdInput,
            source: shader!("softmax_cross_entropy/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "softmax_cross_entropy.bwd_input.vec4",
            direction: Direction::BwdInput,
            source: shader!("softmax_cross_entropy/bwd_input_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_vec4 }],
            ..Kernel::ROW
        },
    ],
};
