//! One file per operation: descriptor, shape rules, forward and backward, problem cases.

mod conv2d;
mod dense;
mod relu;

pub use conv2d::Conv2d;
pub use dense::Dense;
pub use relu::Relu;

use crate::cases::Case;

/// An operation's entry in the list of all.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The operation's name.
    pub name: &'static str,
    /// Its problem cases.
    pub cases: fn() -> Vec<Case>,
}

/// Every operation.
pub const ALL: &[Entry] = &[
    Entry { name: "conv2d", cases: conv2d::cases },
    Entry { name: "dense", cases: dense::cases },
    Entry { name: "relu", cases: relu::cases },
];
