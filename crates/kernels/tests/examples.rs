//! The examples run, and say what they should. They need an adapter.

#[path = "../examples/custom_kernel.rs"]
mod custom_kernel;
#[path = "../examples/one_launch.rs"]
mod one_launch;

use kernels::{Gpu, Options};
use reference::ops::Relu;
use reference::{Direction, TensorSpec};

#[test]
fn one_launch() {
    one_launch::main().expect("the example runs");
    let (row, y) = pollster::block_on(one_launch::dense()).expect("the example runs");
    assert!(row.starts_with("dense.fwd."), "{row}");
    assert_eq!(y, [1.5, -1.0, 4.5, -1.0]);
}

#[test]
fn a_custom_kernel_is_checked_chosen_and_run() {
    custom_kernel::main().expect("the example runs");
    let (row, cases, y) = pollster::block_on(custom_kernel::run()).expect("the example runs");
    assert_eq!((row, y), ("relu.fwd.strided", vec![0.0, 0.0, 0.0, 1.0, 2.0]));
    assert!(cases > 10, "{cases} cases");
}

/// A row is registered with one device, not with all.
#[test]
fn another_device_does_not_know_it() {
    let gpu = pollster::block_on(Gpu::open(&Options::default())).unwrap_or_else(|error| panic!("{error}"));
    let op = Relu::new(TensorSpec::plain([5])).expect("an operation");
    assert_eq!(gpu.select(&op, Direction::Fwd).expect("a row").id(), "relu.fwd.naive");
}
