use crate::grid::Grid;
use crate::kernel::{Kernel, Needs, Overrides, Prefer, Stage, Summation, Table};
use crate::{Source, params, shader};
use reference::Direction;
use reference::ops::Dense;

params! {
    /// `shaders/dense/*.wgsl`.
    struct Params {
        n: u32,
        features_in: u32,
        features_out: u32,
    }
}

pub(super) const GRID: Source = shader!("shared/grid.wgsl");
pub(super) const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");
pub(super) const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");
pub(super) const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");
pub(super) const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");

pub(super) const WORKGROUP: (&str, u32) = ("WORKGROUP", 64);
pub(super) const TILE: [(&str, u32); 3] = [("BM", 32), ("BN", 32), ("BK", 16)];
pub(super) const SUBGROUPS_OF_8: Needs = Needs { subgroup_lanes: 8 };

/// Workgroups for a matrix of `rows` x `columns` by tiles of `bm` x `bn`.
pub(super) fn tiles(rows: usize, columns: usize, bm: usize, bn: usize) -> Grid {
    Grid::linear(rows.div_ceil(bm) * columns.div_ceil(bn))
}

pub(super) fn tiled(rows: usize, columns: usize, o: &Overrides) -> Grid {
    tiles(rows, columns, o.get("BM"), o.get("BN"))
}

pub(super) fn subgroup(rows: usize, columns: usize) -> Grid {
    tiles(rows, columns, 32, 16)
}

pub(super) fn features_in_vec4s(op: &Dense) -> Result<(), &'static str> {
    let whole = op.features_in.is_multiple_of(4) && op.features_out.is_multiple_of(4);
    if whole { Ok(()) } else { Err("features_in or features_out is no multiple of 4") }
}

/// The matrix product's columns are the output features, except in the gradient of the input.
pub(super) fn wide(op: &Dense, columns: usize) -> Result<(), &'static str> {
    features_in_vec4s(op)?;
    let fills = columns.div_ceil(32).is_multiple_of(2);
    if fills { Ok(()) } else { Err("half of its last tile would stay empty") }
}

pub(super) const FIELDS: &[(&str, &str)] = Params::FIELDS;

pub(super) fn params(op: &Dense) -> Vec<u8> {
    Params { n: op.n as u32, features_in: op.features_in as u32, features_out: op.features_out as u32 }.bytes()
}

pub(super) static TABLE: Table<Dense> = Table {
    params,
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "dense.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("dense/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.n * op.features_out, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.fwd.tiled",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("dense/fwd_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| tiled(op.n, op.features_out, o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.fwd.subgroup",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("dense/fwd_subgroup.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| subgroup(op.n, op.features_out) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.fwd.subgroup_vec4",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("dense/fwd_subgroup_vec4.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: features_in_vec4s,
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op.n, op.features_out, 32, 32) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.fwd.subgroup_wide",
            direction: Direction::Fwd,
            order: Summation::BIAS_LAST,
            source: shader!("dense/fwd_subgroup_wide.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(op, op.features_out),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op.n, op.features_out, 32, 64) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.n * op.features_in, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_input.tiled",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_input_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| tiled(op.n, op.features_in, o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_input.subgroup",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_input_subgroup.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| subgroup(op.n, op.features_in) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_input.subgroup_vec4",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_input_subgroup_vec4.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: features_in_vec4s,
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op.n, op.features_in, 32, 32) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_input.subgroup_wide",
            direction: Direction::BwdInput,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_input_subgroup_wide.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(op, op.features_in),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op.n, op.features_in, 32, 64) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_weight.naive",
            direction: Direction::BwdWeight,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage {
                entry: "main",
                grid: |op, o| Grid::threads(op.features_in * op.features_out, o.get("WORKGROUP")),
            }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_weight.tiled",
            direction: Direction::BwdWeight,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_weight_tiled.wgsl"),
            shared: &[GRID, GEMM_TILE],
            overrides: &TILE,
            prefer: Prefer::Hardware,
            stages: &[Stage { entry: "main", grid: |op, o| tiled(op.features_in, op.features_out, o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_weight.subgroup",
            direction: Direction::BwdWeight,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_weight_subgroup.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            stages: &[Stage { entry: "main", grid: |op, _| subgroup(op.features_in, op.features_out) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_weight.subgroup_vec4",
            direction: Direction::BwdWeight,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_weight_subgroup_vec4.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_VEC4],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: features_in_vec4s,
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op.features_in, op.features_out, 32, 32) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_weight.subgroup_wide",
            direction: Direction::BwdWeight,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_weight_subgroup_wide.wgsl"),
            shared: &[GRID, GEMM_SUBGROUP_WIDE],
            prefer: Prefer::Software,
            needs: SUBGROUPS_OF_8,
            accepts: |op| wide(op, op.features_out),
            stages: &[Stage { entry: "main", grid: |op, _| tiles(op.features_in, op.features_out, 32, 64) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_bias.naive",
            direction: Direction::BwdBias,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_bias_naive.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.features_out, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "dense.bwd_bias.vec4",
            direction: Direction::BwdBias,
            order: Summation::FORMULA,
            source: shader!("dense/bwd_bias_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[WORKGROUP],
            accepts: |op| {
                if op.features_out.is_multiple_of(4) { Ok(()) } else { Err("features_out is no multiple of 4") }
            },
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.features_out / 4, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
    ],
};
