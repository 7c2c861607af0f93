//! One file per operation: its table of kernel variants.

mod accumulate;
mod adam;
mod affine_augment;
mod avg_pool2d;
mod batch_norm;
mod batch_norm_relu;
mod clip_norm;
mod clip_value;
mod conv2d;
mod conv2d_relu;
mod conv2d_relu_max_pool2d;
mod conv2d_weight_bias;
mod dense;
mod dense_relu;
mod dense_softmax_cross_entropy;
mod dense_weight_bias;
mod dropout;
mod flatten;
mod fourier_features;
mod gather;
mod log_softmax;
mod max_pool2d;
mod max_pool2d_relu;
mod multi_class_hinge;
mod nll_loss;
mod random_erasing;
mod relu;
mod rmsprop;
mod schedule;
mod sgd;
mod softmax_cross_entropy;
mod softmax_cross_entropy_with_gradient;
mod sum_of_squares;

use crate::kernel::{Row, rows};
use std::sync::LazyLock;

/// Mesa's software Vulkan leaves the loops of an invocation after 65,535 rounds in all, whatever is left to do.
const ROUNDS: usize = 65_535;

/// Whether the loops of an invocation get to their end everywhere. A row that asks accepts no more.
fn loops_end(rounds: usize) -> Result<(), &'static str> {
    if rounds <= ROUNDS { Ok(()) } else { Err("more rounds than a software driver's loops have") }
}

static ROWS: LazyLock<Vec<Box<dyn Row>>> = LazyLock::new(|| {
    [
        rows(&accumulate::TABLE),
        rows(&adam::TABLE),
        rows(&affine_augment::TABLE),
        rows(&avg_pool2d::TABLE),
        rows(&batch_norm::TABLE),
        rows(&batch_norm_relu::TABLE),
        rows(&clip_norm::TABLE),
        rows(&clip_value::TABLE),
        rows(&conv2d::TABLE),
        rows(&conv2d_relu::TABLE),
        rows(&conv2d_relu_max_pool2d::TABLE),
        rows(&conv2d_weight_bias::TABLE),
        rows(&dense::TABLE),
        rows(&dense_relu::TABLE),
        rows(&dense_softmax_cross_entropy::TABLE),
        rows(&dense_weight_bias::TABLE),
        rows(&dropout::TABLE),
        rows(&flatten::TABLE),
        rows(&fourier_features::TABLE),
        rows(&gather::TABLE),
        rows(&log_softmax::TABLE),
        rows(&max_pool2d::TABLE),
        rows(&max_pool2d_relu::TABLE),
        rows(&multi_class_hinge::TABLE),
        rows(&nll_loss::TABLE),
        rows(&random_erasing::TABLE),
        rows(&relu::TABLE),
        rows(&rmsprop::TABLE),
        rows(&schedule::TABLE),
        rows(&sgd::TABLE),
        rows(&softmax_cross_entropy::TABLE),
        rows(&softmax_cross_entropy_with_gradient::TABLE),
        rows(&sum_of_squares::TABLE),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// Every kernel row, by operation, from `naive` to the best.
pub fn all() -> &'static [Box<dyn Row>] {
    &ROWS
}
