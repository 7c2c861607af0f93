use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Overrides, Prefer, Scratch, Stage, Summation, Table};
use crate::{Source, params, shader};
use reference::Direction;
use reference::ops::DenseSoftmaxCrossEntropy;

params! {
    /// `shaders/dense_softmax_cross_entropy/*.wgsl`.
    struct Params { n: u32, features_in: u32, classes: u32, smoothing: f32 }
}

type Op = DenseSoftmaxCrossEntropy;

const GRID: Source = shader!("shared/grid.wgsl");
const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");

/// That of the logits is `Summation::BIAS_LAST`, that of the losses the one of `softmax_cross_entropy.fwd.single_group`.
const HEAD: Summation = Summation::Rule("logits by one sum each, the bias last; losses by 64 sums, which are halved");

fn one_group(_op: &Op, _o: &Overrides) -> Grid {
    Grid::linear(1)
}

fn row_metrics(op: &Op) -> Vec<Scratch> {
    vec![Scratch { name: "row_metrics", words: 2 * op.softmax.n }]
}

/// One workgroup does a head in no more time than a dispatch costs, if there is little to do.
fn small_head(op: &Op) -> Result<(), &'static str> {
    match op.dense.n {
        257.. => Err("more than 256 samples are worth more than one workgroup"),
        n if n * op.dense.features_in * op.softmax.classes > 1 << 18 => {
            Err("its layer is worth more than one workgroup")
        }
        _ => Ok(()),
    }
}

pub(super) static TABLE: Table<Op> = Table {
    params: |Op { dense, softmax }| {
        let params = Params {
            n: dense.n as u32,
            features_in: dense.features_in as u32,
            classes: softmax.classes as u32,
            smoothing: softmax.smoothing,
        };
        params.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "dense_softmax_cross_entropy.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("dense_softmax_cross_entropy/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            scratch: row_metrics,
            stages: &[
                Stage { entry: "rows", grid: |op, o| Grid::threads(op.softmax.n, o.get("WORKGROUP")) },
                Stage { entry: "sum", grid: one_group },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense_softmax_cross_entropy.fwd.single_group",
            direction: Direction::Fwd,
            order: HEAD,
            source: shader!("dense_softmax_cross_entropy/fwd_single_group.wgsl"),
            shared: &[],
            overrides: &[("WORKGROUP", 256)],
            prefer: Prefer::Hardware,
            accepts: small_head,
            stages: &[Stage { entry: "main", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense_softmax_cross_entropy.fwd.subgroup",
            direction: Direction::Fwd,
            order: HEAD,
            source: shader!("dense_softmax_cross_entropy/fwd_subgroup.wgsl"),
            shared: &[GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: Needs { subgroup_lanes: 8 },
            accepts: small_head,
            stages: &[Stage { entry: "main", grid: one_group }],
            ..Kernel::ROW
        },
    ],
};
