//! One file per operation: its table of kernel variants.

mod adam;
mod relu;
mod rmsprop;
mod schedule;
mod sgd;

use crate::kernel::{Row, rows};
use std::sync::LazyLock;

static ROWS: LazyLock<Vec<Box<dyn Row>>> = LazyLock::new(|| {
    [
        rows(&adam::TABLE),
        rows(&relu::TABLE),
        rows(&rmsprop::TABLE),
        rows(&schedule::TABLE),
        rows(&sgd::TABLE),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// Every kernel row, by operation, from `naive` to the best.
pub fn all() -> &'static [Box<dyn Row>] {
    &ROWS
}
