use super::loops_end;
use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Prefer, Scratch, Stage, Summation, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::{BatchNorm, BatchNormMode};

params! {
    /// `shaders/batch_norm/*.wgsl`.
    struct Params {
        rows: u32,
        c: u32,
        training: u32,
        chunk_rows: u32,
        chunks: u32,
        moment_rows: u32,
        moment_chunks: u32,
        eps: f32,
        momentum: f32,
    }
}

pub(super) const GRID: crate::Source = shader!("shared/grid.wgsl");
pub(super) const MOMENTS: crate::Source = shader!("shared/moments.wgsl");

/// Rows that one chunk holds at least, and the most chunks there are: enough of them to fill a GPU,
/// few enough to merge. Both count in the order of summation, so neither may depend on the device.
const MIN_CHUNK_ROWS: usize = 64;
const MAX_CHUNKS: usize = 128;

/// Rows of a chunk of the statistics: so many that a tile of a convolution is one, whose lanes can then leave its mean and
/// M2 behind.
const MOMENT_ROWS: usize = 32;

/// The most chunks that are merged one after the other; beyond, chunks grow.
const MAX_MOMENT_CHUNKS: usize = 1 << 15;

/// Sums over chunks of rows, merged in their order.
pub(super) const CHUNKS: Summation = Summation::Rule("by chunks of rows, the chunks in order");

pub(super) fn training(op: &BatchNorm) -> bool {
    op.mode == BatchNormMode::Training
}

pub(super) fn chunk_rows(op: &BatchNorm) -> usize {
    op.rows().div_ceil(MAX_CHUNKS).next_multiple_of(4).max(MIN_CHUNK_ROWS)
}

pub(super) fn chunks(op: &BatchNorm) -> usize {
    op.rows().div_ceil(chunk_rows(op))
}

pub(super) fn moment_rows(op: &BatchNorm) -> usize {
    op.rows().div_ceil(MAX_MOMENT_CHUNKS).next_multiple_of(MOMENT_ROWS)
}

pub(super) fn moment_chunks(op: &BatchNorm) -> usize {
    op.rows().div_ceil(moment_rows(op))
}

pub(super) fn whole_vec4s(op: &BatchNorm) -> Result<(), &'static str> {
    if op.channels().is_multiple_of(4) { Ok(()) } else { Err("the number of channels is no multiple of 4") }
}

pub(super) fn chunk_moments(op: &BatchNorm) -> Vec<Scratch> {
    vec![Scratch { name: "chunk_moments", words: moment_chunks(op) * 2 * op.channels() }]
}

pub(super) fn chunk_sums(op: &BatchNorm) -> Vec<Scratch> {
    vec![Scratch { name: "chunk_sums", words: chunks(op) * 2 * op.channels() }]
}

/// What the elements of a channel have in common on the way back through a ReLU.
pub(super) fn constants(op: &BatchNorm) -> Vec<Scratch> {
    vec![Scratch { name: "constants", words: 5 * op.channels() }]
}

pub(super) fn per_element(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::threads(op.spec.len(), o.get("WORKGROUP"))
}

pub(super) fn per_channel(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::threads(op.channels(), o.get("WORKGROUP"))
}

pub(super) fn per_four_channels(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::threads(op.channels() / 4, o.get("WORKGROUP"))
}

pub(super) fn per_chunk(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::threads(chunks(op) * op.channels(), o.get("WORKGROUP"))
}

pub(super) fn per_chunk_of_four(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::threads(chunks(op) * op.channels() / 4, o.get("WORKGROUP"))
}

/// Chunks of the statistics. In inference the batch has no say: one workgroup, which returns at once.
pub(super) fn statistics(op: &BatchNorm, o: &Overrides) -> Grid {
    let invocations = if training(op) { moment_chunks(op) * op.channels() } else { 1 };
    Grid::threads(invocations, o.get("WORKGROUP"))
}

/// The same for four channels at a time.
pub(super) fn statistics_of_four(op: &BatchNorm, o: &Overrides) -> Grid {
    let invocations = if training(op) { moment_chunks(op) * op.channels() / 4 } else { 1 };
    Grid::threads(invocations, o.get("WORKGROUP"))
}

/// Workgroups of `LANES * 4` channels.
fn blocks(op: &BatchNorm, o: &Overrides) -> usize {
    (op.channels() / 4).div_ceil(o.get("LANES"))
}

pub(super) fn per_block(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::linear(blocks(op, o))
}

pub(super) fn per_chunk_of_block(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::linear(chunks(op) * blocks(op, o))
}

pub(super) fn per_rows(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::threads(op.rows().div_ceil(o.get("ROWS")) * op.channels(), o.get("WORKGROUP"))
}

pub(super) fn per_rows_of_four(op: &BatchNorm, o: &Overrides) -> Grid {
    Grid::threads(op.rows().div_ceil(o.get("ROWS")) * op.channels() / 4, o.get("WORKGROUP"))
}

/// The uniform block.
pub(super) fn params(op: &BatchNorm) -> Vec<u8> {
    let params = Params {
        rows: op.rows() as u32,
        c: op.channels() as u32,
        training: training(op).into(),
        chunk_rows: chunk_rows(op) as u32,
        chunks: chunks(op) as u32,
        moment_rows: moment_rows(op) as u32,
        moment_chunks: moment_chunks(op) as u32,
        eps: op.eps,
        momentum: op.momentum,
    };
    params.bytes()
}

/// Whether `naive` walks all rows of a channel in loops that get to their end.
pub(super) fn whole_loops(op: &BatchNorm) -> Result<(), &'static str> {
    if training(op) { loops_end(2 * op.rows()) } else { Ok(()) }
}

pub(super) static TABLE: Table<BatchNorm> = Table {
    params,
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "batch_norm.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("batch_norm/fwd_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_loops,
            stages: &[
                Stage { entry: "statistics", grid: per_channel },
                Stage { entry: "normalise", grid: per_element },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.fwd.chunked",
            direction: Direction::Fwd,
            order: CHUNKS,
            source: shader!("batch_norm/fwd_chunked.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            scratch: chunk_moments,
            stages: &[
                Stage { entry: "statistics", grid: statistics },
                Stage { entry: "merge", grid: per_channel },
                Stage { entry: "normalise", grid: per_rows },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.fwd.vec4",
            direction: Direction::Fwd,
            order: CHUNKS,
            source: shader!("batch_norm/fwd_vec4.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            accepts: whole_vec4s,
            scratch: chunk_moments,
            stages: &[
                Stage { entry: "statistics", grid: statistics_of_four },
                Stage { entry: "merge", grid: per_four_channels },
                Stage { entry: "normalise", grid: per_rows_of_four },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.fwd.tiled",
            direction: Direction::Fwd,
            source: shader!("batch_norm/fwd_tiled.wgsl"),
            shared: &[GRID, MOMENTS],
            overrides: &[("WORKGROUP", 256), ("ROWS", 4), ("LANES", 8)],
            prefer: Prefer::Hardware,
            accepts: whole_vec4s,
            scratch: chunk_moments,
            stages: &[
                Stage { entry: "statistics", grid: statistics_of_four },
                Stage { entry: "merge", grid: per_block },
                Stage { entry: "normalise", grid: per_rows_of_four },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.bwd_weight.naive",
            direction: Direction::BwdWeight,
            source: shader!("batch_norm/bwd_weight_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| loops_end(op.rows()),
            stages: &[Stage { entry: "main", grid: per_channel }],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.bwd_weight.chunked",
            direction: Direction::BwdWeight,
            order: CHUNKS,
            source: shader!("batch_norm/bwd_weight_chunked.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            scratch: chunk_sums,
            stages: &[Stage { entry: "partial", grid: per_chunk }, Stage { entry: "sum", grid: per_channel }],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.bwd_weight.vec4",
            direction: Direction::BwdWeight,
            order: CHUNKS,
            source: shader!("batch_norm/bwd_weight_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: whole_vec4s,
            scratch: chunk_sums,
            stages: &[
                Stage { entry: "partial", grid: per_chunk_of_four },
                Stage { entry: "sum", grid: per_four_channels },
            ],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.bwd_weight.tiled",
            direction: Direction::BwdWeight,
            source: shader!("batch_norm/bwd_weight_tiled.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 256), ("LANES", 8)],
            prefer: Prefer::Hardware,
            accepts: whole_vec4s,
            scratch: chunk_sums,
            stages: &[Stage { entry: "partial", grid: per_chunk_of_block }, Stage { entry: "sum", grid: per_block }],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.bwd_input.naive",
            direction: Direction::BwdInput,
            source: shader!("batch_norm/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.bwd_input.rows",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("batch_norm/bwd_input_rows.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            stages: &[Stage { entry: "main", grid: per_rows }],
            ..Kernel::ROW
        },
        Kernel {
            id: "batch_norm.bwd_input.vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("batch_norm/bwd_input_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64), ("ROWS", 4)],
            accepts: whole_vec4s,
            stages: &[Stage { entry: "main", grid: per_rows_of_four }],
            ..Kernel::ROW
        },
    ],
};
