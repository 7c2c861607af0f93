use super::loops_end;
use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Scratch, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::SumOfSquares;

params! {
    /// `shaders/sum_of_squares/*.wgsl`.
    struct Params { len: u32 }
}

const GRID: crate::Source = shader!("shared/grid.wgsl");

/// Invocations of the first stage of `split`, each of which leaves a sum in scratch.
const PARTS: u32 = 2048;

fn one_loop(op: &SumOfSquares) -> Result<(), &'static str> {
    loops_end(2 * op.spec.len())
}

fn one_loop_per_part(op: &SumOfSquares) -> Result<(), &'static str> {
    loops_end(op.spec.len().div_ceil(PARTS as usize))
}

fn one_group(_op: &SumOfSquares, _o: &Overrides) -> Grid {
    Grid::linear(1)
}

fn per_part(_op: &SumOfSquares, o: &Overrides) -> Grid {
    Grid::threads(o.get("PARTS"), o.get("WORKGROUP"))
}

pub(super) static TABLE: Table<SumOfSquares> = Table {
    params: |op| Params { len: op.spec.len() as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "sum_of_squares.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("sum_of_squares/fwd_naive.wgsl"),
            accepts: one_loop,
            stages: &[Stage { entry: "main", grid: one_group }],
            ..Kernel::ROW
        },
        Kernel {
            id: "sum_of_squares.fwd.split",
            direction: Direction::Fwd,
            source: shader!("sum_of_squares/fwd_split.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64), ("PARTS", PARTS)],
            accepts: one_loop_per_part,
            scratch: |_| vec![Scratch { name: "parts", words: PARTS as usize }],
            stages: &[Stage { entry: "split", grid: per_part }, Stage { entry: "total", grid: one_group }],
            ..Kernel::ROW
        },
    ],
};
