//! Random problems of every operation, each on every kernel row that accepts it.
//!
//! The problem of a seed is always the same, and so are the seeds: `SELVEDGE_SEED` chooses the first,
//! `SELVEDGE_RANDOM_SHAPES` how many there are for each operation. Every test is called after its
//! operation, so that one can be run alone:
//!
//! ```text
//! SELVEDGE_SEED=7 SELVEDGE_RANDOM_SHAPES=1 cargo test --release -p parity --test random_shapes conv2d
//! ```

use kernels::check::{Data, Failure};
use parity::agreement::{Outcomes, expect_none, rows};
use parity::gpu;
use reference::cases::Case;
use reference::ops::{ALL, Entry};
use reference::{Operation, Random};
use std::sync::Arc;

const FIRST_SEED: u64 = 20_170_825;
const SHAPES: u64 = 300;

/// Draws until there is a problem; a test in `reference` sees to it that this is soon.
fn draw(entry: &Entry, seed: u64) -> Arc<dyn Operation> {
    let mut random = Random::new(seed, entry.name);
    let drawn = (0..1000).find_map(|_| (entry.random)(&mut random));
    drawn.unwrap_or_else(|| panic!("seed {seed} draws no problem of {}", entry.name))
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, expected a number")),
        Err(_) => default,
    }
}

fn repeat(failure: &Failure) -> String {
    let Failure { row, seed, .. } = failure;
    let op = row.split('.').next().unwrap_or_default();
    format!("SELVEDGE_SEED={seed} SELVEDGE_RANDOM_SHAPES=1 cargo test --release -p parity --test random_shapes {op}")
}

fn every_row_agrees(name: &str) {
    let entry = ALL.iter().find(|entry| entry.name == name).expect("an operation");
    let (first, shapes) = (setting("SELVEDGE_SEED", FIRST_SEED), setting("SELVEDGE_RANDOM_SHAPES", SHAPES));
    assert!(shapes > 0, "a test of no shape is none");
    let seeds = first..first.checked_add(shapes).expect("seeds below 2^64");
    println!("{name}: seeds {} to {}", seeds.start, seeds.end - 1);
    let mut outcomes = Outcomes::default();
    for seed in seeds {
        let case = Case { name: format!("random-{seed}"), op: draw(entry, seed) };
        for data in Data::ALL {
            outcomes.check(gpu(), &case, data, seed);
        }
    }
    expect_none(&outcomes.failures, repeat);
    for row in rows(gpu(), name) {
        let accepted = outcomes.launches.get(row.id()).copied().unwrap_or_default() / Data::ALL.len();
        println!("{}: {accepted} of {shapes} shapes", row.id());
        // A generator that never draws what a row accepts leaves that row untested.
        assert!(shapes < SHAPES || accepted as u64 >= shapes / 20, "{} accepted {accepted} shapes only", row.id());
    }
}

/// One test for each operation, and one that none is missing.
macro_rules! tests {
    ($($op:ident)*) => {
        $(
            #[test]
            fn $op() {
                every_row_agrees(stringify!($op));
            }
        )*

        #[test]
        fn no_operation_is_missing() {
            let all: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
            assert_eq!(all, [$(stringify!($op)),*]);
        }
    };
}

tests! {
    accumulate adam affine_augment avg_pool2d batch_norm batch_norm_of_moments batch_norm_relu batch_norm_relu_avg_pool2d
    clip_norm clip_value conv2d conv2d_moments conv2d_relu conv2d_relu_max_pool2d
    conv2d_relu_max_pool2d_partial conv2d_weight_bias
    conv2d_weight_bias_partial conv2d_weight_partial dense dense_relu dense_softmax_cross_entropy dense_weight_bias dropout
    flatten fourier_features
    gather log_softmax max_pool2d max_pool2d_relu max_pool2d_relu_flatten multi_class_hinge nll_loss random_erasing relu relu_dense rescale rmsprop schedule sgd
    softmax_cross_entropy softmax_cross_entropy_with_gradient split_sum_adam split_sum_rmsprop split_sum_sgd sum_of_squares
}
