use super::batch_norm::{self, CHUNKS, GRID, MOMENTS};
use super::loops_end;
use crate::kernel::{Kernel, Prefer, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::{BatchNormOfMoments, Conv2dMoments};

params! {
    /// `shaders/batch_norm_of_moments/*.wgsl`.
    struct Params {
        rows: u32,
        c: u32,
        chunks: u32,
        eps: f32,
        momentum: f32,
        relu: u32,
    }
}

fn chunks(op: &BatchNormOfMoments) -> usize {
    op.norm.rows().div_ceil(Conv2dMoments::PIXELS)
}

/// As many chunks as one invocation merges, and as the kernels of `batch_norm` have of this size.
fn merged(op: &BatchNormOfMoments) -> Result<(), &'static str> {
    let same = batch_norm::moment_rows(&op.norm) == Conv2dMoments::PIXELS;
    if same { Ok(()) } else { Err("it has more moments than are merged one after the other") }
}

fn merged_in_vec4s(op: &BatchNormOfMoments) -> Result<(), &'static str> {
    merged(op)?;
    batch_norm::whole_vec4s(&op.norm)
}

pub(super) static TABLE: Table<BatchNormOfMoments> = Table {
    params: |op| {
        Params {
            rows: op.norm.rows() as u32,
            c: op.norm.channels() as u32,
            chunks: chunks(op) as u32,
            eps: op.norm.eps,
            momentum: op.norm.momentum,
            relu: op.relu.into(),
        }
        .bytes()
    },
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "batch_norm_of_moments.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("batch_norm_of_moments/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| loops_end(2 * chunks(op)),
            stages: &[
                Stage { entry: "merge", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "normalise", grid: |op, o| batch_norm::per_element(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_of_moments.fwd.chunked",
            direction: Direction::Fwd,
            order: CHUNKS,
            source: shader!("batch_norm_of_moments/fwd_chunked.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            accepts: merged,
            stages: &[
                Stage { entry: "merge", grid: |op, o| batch_norm::per_channel(&op.norm, o) },
                Stage { entry: "normalise", grid: |op, o| batch_norm::per_rows(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_of_moments.fwd.vec4",
            direction: Direction::Fwd,
            order: CHUNKS,
            source: shader!("batch_norm_of_moments/fwd_vec4.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            accepts: merged_in_vec4s,
            stages: &[
                Stage { entry: "merge", grid: |op, o| batch_norm::per_four_channels(&op.norm, o) },
                Stage { entry: "normalise", grid: |op, o| batch_norm::per_rows_of_four(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm_of_moments.fwd.tiled",
            direction: Direction::Fwd,
            source: shader!("batch_norm_of_moments/fwd_tiled.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 256), ("ROWS", 4), ("LANES", 8)],
            prefer: Prefer::Hardware,
            accepts: merged_in_vec4s,
            stages: &[
                Stage { entry: "merge", grid: |op, o| batch_norm::per_block(&op.norm, o) },
                Stage { entry: "normalise", grid: |op, o| batch_norm::per_rows_of_four(&op.norm, o) },
            ],
            ..Kernel::ROW
        },
    ],
};
