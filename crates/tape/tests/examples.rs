//! The examples run, on an adapter and on the reference, and reach what they should.

#[path = "../examples/pytorch_weights.rs"]
mod pytorch_weights;
#[path = "../examples/train.rs"]
mod train;

use kernels::{Gpu, Options};
use tape::Device;

fn devices() -> [Device; 2] {
    let gpu = pollster::block_on(Gpu::open(&Options::default())).unwrap_or_else(|error| panic!("{error}"));
    [Device::Gpu(gpu), Device::Reference]
}

#[test]
fn a_network_of_ten_lines_learns() {
    train::main().expect("the example runs");
    for device in devices() {
        let right = pollster::block_on(train::train(&device)).expect("the example runs");
        assert!(right > 0.95, "{right} of the points are told right on {device:?}");
    }
}

#[test]
fn weights_of_pytorch_give_its_logits() {
    pytorch_weights::main().expect("the example runs");
    for device in devices() {
        let difference = pollster::block_on(pytorch_weights::compare(&device)).expect("the example runs");
        assert!(difference < 1e-5, "{difference} on {device:?}");
    }
}
