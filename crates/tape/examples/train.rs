//! A network in ten lines, trained on the tape: three arms of a spiral, told apart by a hidden layer.
//!
//! `cargo run --release -p tape --example train`

use kernels::{Gpu, Options};
use reference::ops::Sgd;
use reference::{Array, Operation, Random, TensorSpec};
use tape::{Device, Error, Optimizer, Tape, Tensor};

/// How many points there are.
pub const POINTS: usize = 300;

/// Trains `[w1, b1, w2, b2]` in place, at these rates. Returned are, step by step, the sum of the losses and the number of
/// points `x` that are told right.
async fn train(device: &Device, weights: [Tensor; 4], [x, arms, rates]: [Tensor; 3]) -> Result<Vec<Vec<f32>>, Error> {
    let mut curve = Vec::new();
    let optimizer = Optimizer::new(device, &weights, sgd)?;
    for _ in 0..400 {
        let tape = Tape::new(device);
        let [w1, b1, w2, b2] = weights.each_ref().map(|weight| tape.leaf(weight));
        let hidden = tape.relu(&tape.dense(&tape.constant(&x), &w1, &b1)?)?;
        let logits = tape.dense(&hidden, &w2, &b2)?;
        let (loss, sums) = tape.softmax_cross_entropy(&logits, &tape.constant(&arms))?;
        let gradients = tape.backward(&loss)?;
        optimizer.step(device, &rates, &[&w1, &b1, &w2, &b2].map(|weight| gradients.get(weight)))?;
        curve.push(device.read(sums.tensor()).await?.real().to_vec());
    }
    Ok(curve)
}

/// The update of a parameter: stochastic gradient descent with momentum.
fn sgd(spec: &TensorSpec) -> Result<Box<dyn Operation>, Error> {
    Ok(Box::new(Sgd::new(spec.clone(), 0.9, false, 0.0)?))
}

/// Three arms of a spiral, told apart by a hidden layer of 64.
pub async fn spiral(device: &Device) -> Result<Vec<Vec<f32>>, Error> {
    let point = |i: usize| {
        let (arm, along) = (i % 3, i as f32 / POINTS as f32);
        let angle = 4.0 * along + arm as f32 * std::f32::consts::TAU / 3.0;
        [along * angle.cos(), along * angle.sin()]
    };
    let points = Array::Real((0..POINTS).flat_map(point).collect());
    let arms = Array::Index((0..POINTS).map(|i| (i % 3) as u32).collect());
    let data = [
        device.upload(&TensorSpec::plain([POINTS, 2]), points)?,
        device.upload(&TensorSpec::index([POINTS]), arms)?,
        device.upload(&TensorSpec::plain([4]), Array::Real(vec![0.5, 0.0, 0.0, 0.0]))?,
    ];
    let mut random = Random::new(1, "spiral");
    let mut fresh = |spec: TensorSpec| {
        let values = (0..spec.len()).map(|_| (random.word() as f32 / u32::MAX as f32 - 0.5) * 1.5).collect();
        device.upload(&spec, Array::Real(values))
    };
    let weights = [
        fresh(TensorSpec::linear(64, 2))?,
        fresh(TensorSpec::plain([64]))?,
        fresh(TensorSpec::linear(3, 64))?,
        fresh(TensorSpec::plain([3]))?,
    ];
    train(device, weights, data).await
}

/// On the GPU; `Device::Reference` would do without.
pub fn main() -> Result<(), Error> {
    let device = Device::Gpu(pollster::block_on(Gpu::open(&Options::default()))?);
    for (step, sums) in pollster::block_on(spiral(&device))?.iter().enumerate().filter(|(step, _)| step % 100 == 99) {
        let [loss, right] = [0, 1].map(|i| sums[i] / POINTS as f32);
        println!("step {}: loss {loss:.4}, {:.1} % right", step + 1, 100.0 * right);
    }
    Ok(())
}
