//! Mesa's software Vulkan leaves the loops of an invocation after 65,535 rounds. Rows whose loops grow with the batch
//! must not accept more than that; what they accept, they compute.

use kernels::check::Data;
use parity::agreement::{Outcomes, expect_none};
use parity::gpu;
use reference::cases::Case;
use reference::ops::{BatchNorm, BatchNormMode, Conv2d, Conv2dWeightBias, SumOfSquares};
use reference::{Operation, TensorSpec, Window};
use std::sync::Arc;

/// A convolution over one image of this size, one weight to a channel.
fn conv(h: usize, w: usize) -> Conv2d {
    Conv2d::new([1, 1, h, w], 1, Window::new(1), Window::new(1)).expect("an operation")
}

fn norm(rows: usize) -> BatchNorm {
    BatchNorm::new(TensorSpec::plain([rows, 4]), BatchNormMode::Training, 1e-5, 0.1).expect("an operation")
}

/// Chunks of 32 rows would be more than an invocation merges: they grow instead, and every row but `naive` goes on.
#[test]
fn statistics_of_millions_of_values_are_merged_to_the_end() {
    let mut outcomes = Outcomes::default();
    let op = Arc::new(norm((1 << 20) + 33));
    outcomes.check(gpu(), &Case { name: "millions".to_owned(), op }, Data::Reals, 1);
    for row in ["chunked", "vec4", "tiled"].map(|algorithm| format!("batch_norm.fwd.{algorithm}")) {
        assert!(outcomes.launches.contains_key(&*row), "{row} refuses it");
    }
    expect_none(&outcomes.failures, |_| "this test".to_owned());
}

/// More pixels than 32 splits can take: there are more splits then, and every row that splits goes on.
#[test]
fn gradients_over_millions_of_pixels_are_summed_to_the_end() {
    let mut outcomes = Outcomes::default();
    let op = Arc::new(conv(1500, 2000));
    outcomes.check(gpu(), &Case { name: "millions".to_owned(), op }, Data::Integers, 1);
    for row in ["conv2d.bwd_weight.tiled_split_k", "conv2d.bwd_weight.subgroup_split_k", "conv2d.bwd_bias.split"] {
        assert!(outcomes.launches.contains_key(row), "{row} refuses it");
    }
    expect_none(&outcomes.failures, |_| "this test".to_owned());
}

/// A naive row, a problem that it takes, and one that it does not.
type Pair = (&'static str, Arc<dyn Operation>, Arc<dyn Operation>);

#[test]
fn what_a_row_accepts_gets_to_its_end() {
    // As much as they take, and a little more.
    let pairs: [Pair; 6] = [
        ("conv2d.bwd_bias.naive", Arc::new(conv(257, 255)), Arc::new(conv(256, 256))),
        ("conv2d.bwd_weight.naive", Arc::new(conv(2, 32_766)), Arc::new(conv(2, 32_767))),
        (
            "conv2d_weight_bias.bwd_weight.naive",
            Arc::new(Conv2dWeightBias { conv: conv(2, 32_766) }),
            Arc::new(Conv2dWeightBias { conv: conv(2, 32_767) }),
        ),
        ("batch_norm.bwd_weight.naive", Arc::new(norm(65_535)), Arc::new(norm(65_536))),
        ("batch_norm.fwd.naive", Arc::new(norm(32_767)), Arc::new(norm(32_768))),
        (
            "sum_of_squares.fwd.naive",
            Arc::new(SumOfSquares::new(TensorSpec::plain([32_767])).expect("an operation")),
            Arc::new(SumOfSquares::new(TensorSpec::plain([32_768])).expect("an operation")),
        ),
    ];
    let mut failures = Vec::new();
    for (naive, most, more) in pairs {
        let [most, more] = [("most", most), ("more", more)].map(|(name, op)| {
            let mut outcomes = Outcomes::default();
            outcomes.check(gpu(), &Case { name: name.to_owned(), op }, Data::Reals, 1);
            failures.extend(outcomes.failures);
            outcomes.launches
        });
        assert!(most.contains_key(naive), "{naive} refuses what it can do");
        assert!(!more.contains_key(naive), "{naive} accepts more than its loop has rounds for");
        assert!(!more.is_empty(), "nothing else than {naive} accepts more");
    }
    expect_none(&failures, |_| "this test".to_owned());
}
