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
        let curve = pollster::block_on(train::spiral(&device)).expect("the example runs");
        let of_step = |step: usize| [0, 1].map(|i| curve[step][i] / train::POINTS as f32);
        let ([begin, _], [end, right]) = (of_step(0), of_step(curve.len() - 1));
        // Of three arms, at first: near ln 3.
        assert!((0.7..2.0).contains(&begin) && end < 0.2 * begin, "the loss went from {begin} to {end} on {device:?}");
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
