use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Prefer, Stage, Table};
use crate::{Source, params, shader};
use reference::Direction;
use reference::ops::{Dense, DenseWeightBias};

params! {
    /// `shaders/dense_weight_bias/*.wgsl`.
    struct Params {
        n: u32,
        features_in: u32,
        features_out: u32,
    }
}

const GRID: Source = shader!("shared/grid.wgsl");
const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");
const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");
const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");
const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");

const WORKGROUP: (&str, u32) = ("WORKGROUP", 64);
const TILE: [(&str, u32); 3] = [("BM", 32), ("BN", 32), ("BK", 16)];
const SUBGROUPS_OF_8: Needs = Needs { subgroup_lanes: 8 };

/// Workgroups by tiles of `bm` features in and `bn` features out.
fn tiles(op: &Dense, bm: usize, bn: usize) -> Grid {
    Grid::linear(op.features_in.div_ceil(bm) * op.features_out.div_ceil(bn))
}

fn features_in_vec4s(op: &Dense) -> Result<(), &'static str> {
    let whole = op.features_in.is_multiple_of(4) && op.features_out.is_multiple_of(4);
    if whole { Ok(()) } else { Err("features_in or features_out is no multiple of 4") }
}

fn wide(op: &Dense) -> Result<(), &'static str> {
    features_in_vec4s(op)?;
    let fills = op.features_out.div_ceil(32).is_multiple_of(2);
    if fills { Ok(()) } else { Err("half of its last tile would stay empty") }
}

pub(super) static TABLE: Table<DenseWeightBias> = Table {
    params: |DenseWeightBias { dense: op }| {
        Params { n: op.n as u32, features_in: op.features_in as u32, features_out: op.features_out as u32 }.bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "dense_weight_bias.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("dense_weight_bias/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::threads((op.dense.features_in + 1) * op.dense.features_out, o.get("WORKGROUP")),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense_weight_bias.bwd_weight.tiled",
            direction: Direction::BwdWeight,
            source: shader!("dense_weight_bias/bwd_weight_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| tiles(&op.dense, o.get("BM"), o.get("BN")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense_weight_bias.bwd_weight.subgroup",
            direction: Direction::BwdWeight,
            source: shader!("dense_weight_bias/bwd_weight_subgroup.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.dense, 32, 16) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense_weight_bias.bwd_weight.subgroup_vec4",
            direction: Direction::BwdWeight,
            source: shader!("dense_weight_bias/bwd_weight_subgroup_vec4.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| features_in_vec4s(&op.dense),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.dense, 32, 32) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense_weight_bias.bwd_weight.subgroup_wide",
            direction: Direction::BwdWeight,
            source: shader!("dense_weight_bias/bwd_weight_subgroup_wide.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(&op.dense),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(&op.dense, 32, 64) }],
            ..Kernel::ROW
        },
    ],
};
