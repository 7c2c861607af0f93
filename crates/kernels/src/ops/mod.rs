//! One file per operation: its table of kernel variants.

mod accumulate;
mod adam;
mod affine_augment;
mod avg_pool2d;
mod batch_norm;
mod batch_norm_of_moments;
mod batch_norm_relu;
mod batch_norm_relu_avg_pool2d;
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
mod max_pool2d;
mod max_pool2d_relu;
mod max_pool2d_relu_flatten;
mod multi_class_hinge;
mod nll_loss;
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

use crate::Storage;
use crate::kernel::{Row, rows, rows_stored};
use std::sync::LazyLock;

/// Mesa's software Vulkan leaves the loops of an invocation after 65,535 rounds in all, whatever is left to do.
const ROUNDS: usize = 65_535;

/// Whether the loops of an invocation get to their end everywhere. A row that asks accepts no more.
fn loops_end(rounds: usize) -> Result<(), &'static str> {
    if rounds <= ROUNDS { Ok(()) } else { Err("more rounds than a software driver's loops have") }
}

/// Operations of layers: what flows through them may be stored as f16.
const ACTIVATIONS: &[Storage] = &[Storage::F16];

/// The last of them, and what follows.
const LAST_LAYER: &[Storage] = &[Storage::F16X];

/// The same of layers that may be the last, and give logits in f32.
const LAST_LAYER_TOO: &[Storage] = &[Storage::F16, Storage::F16X];

static ROWS: LazyLock<Vec<Box<dyn Row>>> = LazyLock::new(|| {
    [
        rows(&accumulate::TABLE),
        rows(&adam::TABLE),
        rows_stored(&affine_augment::TABLE, ACTIVATIONS),
        rows_stored(&avg_pool2d::TABLE, ACTIVATIONS),
        rows_stored(&batch_norm::TABLE, ACTIVATIONS),
        rows_stored(&batch_norm_of_moments::TABLE, ACTIVATIONS),
        rows_stored(&batch_norm_relu::TABLE, ACTIVATIONS),
        rows_stored(&batch_norm_relu_avg_pool2d::TABLE, ACTIVATIONS),
        rows(&clip_norm::TABLE),
        rows(&clip_value::TABLE),
        rows_stored(&conv2d::TABLE, ACTIVATIONS),
        rows_stored(&conv2d_moments::TABLE, ACTIVATIONS),
        rows_stored(&conv2d_relu::TABLE, ACTIVATIONS),
        rows_stored(&conv2d_relu_max_pool2d::TABLE, ACTIVATIONS),
        rows_stored(&conv2d_relu_max_pool2d_partial::TABLE, ACTIVATIONS),
        rows_stored(&conv2d_weight_bias::TABLE, ACTIVATIONS),
        rows_stored(&conv2d_weight_bias_partial::TABLE, ACTIVATIONS),
        rows_stored(&conv2d_weight_partial::TABLE, ACTIVATIONS),
        rows_stored(&dense::TABLE, LAST_LAYER_TOO),
        rows_stored(&dense_relu::TABLE, ACTIVATIONS),
        rows_stored(&dense_softmax_cross_entropy::TABLE, LAST_LAYER),
        rows_stored(&dense_weight_bias::TABLE, LAST_LAYER_TOO),
        rows_stored(&dropout::TABLE, ACTIVATIONS),
        rows_stored(&flatten::TABLE, ACTIVATIONS),
        rows_stored(&fourier_features::TABLE, ACTIVATIONS),
        rows_stored(&gather::TABLE, ACTIVATIONS),
        rows(&log_softmax::TABLE),
        rows_stored(&max_pool2d::TABLE, ACTIVATIONS),
        rows_stored(&max_pool2d_relu::TABLE, ACTIVATIONS),
        rows_stored(&max_pool2d_relu_flatten::TABLE, ACTIVATIONS),
        rows(&multi_class_hinge::TABLE),
        rows(&nll_loss::TABLE),
        rows_stored(&random_erasing::TABLE, ACTIVATIONS),
        rows_stored(&relu::TABLE, ACTIVATIONS),
        rows_stored(&relu_dense::TABLE, LAST_LAYER_TOO),
        rows(&rescale::TABLE),
        rows(&rmsprop::TABLE),
        rows(&schedule::TABLE),
        rows(&sgd::TABLE),
        rows(&softmax_cross_entropy::TABLE),
        rows(&softmax_cross_entropy_with_gradient::TABLE),
        rows(&split_sum_adam::TABLE),
        rows(&split_sum_rmsprop::TABLE),
        rows(&split_sum_sgd::TABLE),
        rows(&sum_of_squares::TABLE),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// Every kernel row, by operation, from `naive` to the best; after them those that store f16, in the same order.
pub fn all() -> &'static [Box<dyn Row>] {
    &ROWS
}

/// The row with the same shader that stores its arguments in another way.
pub(crate) fn stored(row: &dyn Row, storage: Storage) -> Option<&'static dyn Row> {
    let same = |other: &&dyn Row| {
        let [one, other] = [row, *other].map(|row| (row.op(), row.direction(), row.source().path));
        one == other
    };
    all().iter().map(|row| &**row).filter(same).find(|other| other.storage() == storage)
}
