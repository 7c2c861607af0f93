use super::dense::{
    FIELDS, GEMM_SUBGROUP, GEMM_SUBGROUP_VEC4, GEMM_SUBGROUP_WIDE, GEMM_TILE, GRID, SUBGROUPS_OF_8, TILE, WORKGROUP,
    features_in_vec4s, params, subgroup, tiled, tiles, wide,
};
use crate::grid::Grid;
use crate::kernel::{Kernel, Prefer, Stage, Summation, Table};
use crate::shader;
use reference::Direction;
use reference::ops::ReluDense;

pub(super) static TABLE: Table<ReluDense> = Table {
    params: |op| params(&op.dense),
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "relu_dense.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("relu_dense/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::threads(op.dense.n * op.dense.features_in, o.get("WORKGROUP")),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "relu_dense.bwd_input.tiled",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("relu_dense/bwd_input_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| tiled(op.dense.n, op.dense.features_in, o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "relu_dense.bwd_input.subgroup",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("relu_dense/bwd_input_subgroup.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| subgroup(op.dense.n, op.dense.features_in) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "relu_dense.bwd_input.subgroup_vec4",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("relu_dense/bwd_input_subgroup_vec4.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| features_in_vec4s(&op.dense),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op.dense.n, op.dense.features_in, 32, 32) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "relu_dense.bwd_input.subgroup_wide",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("relu_dense/bwd_input_subgroup_wide.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(&op.dense, op.dense.features_in),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op.dense.n, op.dense.features_in, 32, 64) }],
            ..Kernel::ROW
        },
    ],
};
