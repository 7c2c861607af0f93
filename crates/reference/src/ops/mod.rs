//! One file per operation: descriptor, shape rules, forward and backward, problem cases.

mod accumulate;
mod adam;
mod affine_augment;
mod avg_pool2d;
mod batch_norm;
mod batch_norm_of_moments;
mod batch_norm_relu;
mod batch_norm_relu_avg_pool2d;
mod chain;
mod clip_norm;
mod clip_value;
mod conv2d;
mod conv2d_moments;
mod conv2d_relu;
mod conv2d_relu_max_pool2d;
mod conv2d_relu_max_pool2d_partial;
mod conv2d_weight_bias;
mod conv2d_weight_bias_partial;
mod conv2d_weight_partial;
mod dense;
mod dense_relu;
mod dense_softmax_cross_entropy;
mod dense_weight_bias;
mod dropout;
mod flatten;
mod fourier_features;
mod gather;
mod log_softmax;
mod lr_schedule;
mod max_pool2d;
mod max_pool2d_relu;
mod max_pool2d_relu_flatten;
mod multi_class_hinge;
mod nll_loss;
mod optimiser;
mod random_erasing;
mod relu;
mod relu_dense;
mod rescale;
mod rmsprop;
mod schedule;
mod sgd;
mod softmax_cross_entropy;
mod softmax_cross_entropy_with_gradient;
mod split_sum;
mod split_sum_adam;
mod split_sum_rmsprop;
mod split_sum_sgd;
mod sum_of_squares;

pub use accumulate::Accumulate;
pub use adam::{Adam, AdamConfig};
pub use affine_augment::{AffineAugment, AffineRanges, Fill};
pub use avg_pool2d::AvgPool2d;
pub use batch_norm::{BatchNorm, BatchNormMode};
pub use batch_norm_of_moments::BatchNormOfMoments;
pub use batch_norm_relu::BatchNormRelu;
pub use batch_norm_relu_avg_pool2d::BatchNormReluAvgPool2d;
pub use clip_norm::ClipNorm;
pub use clip_value::ClipValue;
pub use conv2d::Conv2d;
pub use conv2d_moments::Conv2dMoments;
pub use conv2d_relu::Conv2dRelu;
pub use conv2d_relu_max_pool2d::Conv2dReluMaxPool2d;
pub use conv2d_relu_max_pool2d_partial::Conv2dReluMaxPool2dPartial;
pub use conv2d_weight_bias::Conv2dWeightBias;
pub use conv2d_weight_bias_partial::Conv2dWeightBiasPartial;
pub use conv2d_weight_partial::Conv2dWeightPartial;
pub use dense::Dense;
pub use dense_relu::DenseRelu;
pub use dense_softmax_cross_entropy::DenseSoftmaxCrossEntropy;
pub use dense_weight_bias::DenseWeightBias;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use fourier_features::FourierFeatures;
pub use gather::{Gather, GatherSizes};
pub use log_softmax::LogSoftmax;
pub use lr_schedule::{LrDecay, LrSchedule};
pub use max_pool2d::MaxPool2d;
pub use max_pool2d_relu::MaxPool2dRelu;
pub use max_pool2d_relu_flatten::MaxPool2dReluFlatten;
pub use multi_class_hinge::MultiClassHinge;
pub use nll_loss::NllLoss;
pub use random_erasing::{ErasingConfig, RandomErasing};
pub use relu::Relu;
pub use relu_dense::ReluDense;
pub use rescale::Rescale;
pub use rmsprop::RmsProp;
pub use schedule::Schedule;
pub use sgd::Sgd;
pub use softmax_cross_entropy::SoftmaxCrossEntropy;
pub use softmax_cross_entropy_with_gradient::SoftmaxCrossEntropyWithGradient;
pub use split_sum::{MOST_SEGMENTS, Segment, SplitSum, SplitSummed};
pub use split_sum_adam::SplitSumAdam;
pub use split_sum_rmsprop::SplitSumRmsProp;
pub use split_sum_sgd::SplitSumSgd;
pub use sum_of_squares::SumOfSquares;

use crate::cases::{Case, ErrorCase};
use crate::{Operation, Random};
use std::sync::Arc;

/// An operation's entry in the list of all.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The operation's name.
    pub name: &'static str,
    /// Its problem cases.
    pub cases: fn() -> Vec<Case>,
    /// What its constructor must refuse.
    pub errors: fn() -> Vec<ErrorCase>,
    /// A problem of random sizes and settings, small enough for a reference run of milliseconds.
    /// `None` if what was drawn is none: draw again.
    pub random: fn(&mut Random) -> Option<Arc<dyn Operation>>,
}

/// An operation's entry, from the module of its name.
macro_rules! entry {
    ($op:ident) => {
        Entry { name: stringify!($op), cases: $op::cases, errors: $op::errors, random: $op::random }
    };
}

/// Every operation.
pub const ALL: &[Entry] = &[
    entry!(accumulate),
    entry!(adam),
    entry!(affine_augment),
    entry!(avg_pool2d),
    entry!(batch_norm),
    entry!(batch_norm_of_moments),
    entry!(batch_norm_relu),
    entry!(batch_norm_relu_avg_pool2d),
    entry!(clip_norm),
    entry!(clip_value),
    entry!(conv2d),
    entry!(conv2d_moments),
    entry!(conv2d_relu),
    entry!(conv2d_relu_max_pool2d),
    entry!(conv2d_relu_max_pool2d_partial),
    entry!(conv2d_weight_bias),
    entry!(conv2d_weight_bias_partial),
    entry!(conv2d_weight_partial),
    entry!(dense),
    entry!(dense_relu),
    entry!(dense_softmax_cross_entropy),
    entry!(dense_weight_bias),
    entry!(dropout),
    entry!(flatten),
    entry!(fourier_features),
    entry!(gather),
    entry!(log_softmax),
    entry!(max_pool2d),
    entry!(max_pool2d_relu),
    entry!(max_pool2d_relu_flatten),
    entry!(multi_class_hinge),
    entry!(nll_loss),
    entry!(random_erasing),
    entry!(relu),
    entry!(relu_dense),
    entry!(rescale),
    entry!(rmsprop),
    entry!(schedule),
    entry!(sgd),
    entry!(softmax_cross_entropy),
    entry!(softmax_cross_entropy_with_gradient),
    entry!(split_sum_adam),
    entry!(split_sum_rmsprop),
    entry!(split_sum_sgd),
    entry!(sum_of_squares),
];

#[cfg(test)]
mod tests;
