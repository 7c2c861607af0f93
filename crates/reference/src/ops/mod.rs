//! One file per operation: descriptor, shape rules, forward and backward, problem cases.

mod accumulate;
mod adam;
mod avg_pool2d;
mod batch_norm;
mod conv2d;
mod dense;
mod dropout;
mod flatten;
mod gather;
mod max_pool2d;
mod optimiser;
mod relu;
mod rmsprop;
mod schedule;
mod sgd;
mod softmax_cross_entropy;

pub use accumulate::Accumulate;
pub use adam::{Adam, AdamConfig};
pub use avg_pool2d::AvgPool2d;
pub use batch_norm::{BatchNorm, BatchNormMode};
pub use conv2d::Conv2d;
pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use gather::{Gather, GatherSizes};
pub use max_pool2d::MaxPool2d;
pub use relu::Relu;
pub use rmsprop::RmsProp;
pub use schedule::Schedule;
pub use sgd::Sgd;
pub use softmax_cross_entropy::SoftmaxCrossEntropy;

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
    Entry { name: "accumulate", cases: accumulate::cases },
    Entry { name: "adam", cases: adam::cases },
    Entry { name: "avg_pool2d", cases: avg_pool2d::cases },
    Entry { name: "batch_norm", cases: batch_norm::cases },
    Entry { name: "conv2d", cases: conv2d::cases },
    Entry { name: "dense", cases: dense::cases },
    Entry { name: "dropout", cases: dropout::cases },
    Entry { name: "flatten", cases: flatten::cases },
    Entry { name: "gather", cases: gather::cases },
    Entry { name: "max_pool2d", cases: max_pool2d::cases },
    Entry { name: "relu", cases: relu::cases },
    Entry { name: "rmsprop", cases: rmsprop::cases },
    Entry { name: "schedule", cases: schedule::cases },
    Entry { name: "sgd", cases: sgd::cases },
    Entry { name: "softmax_cross_entropy", cases: softmax_cross_entropy::cases },
];
