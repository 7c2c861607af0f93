//! A network in ten lines, trained on the tape: three arms of a spiral, told apart by a hidden layer.
//!
//! `cargo run --release -p tape --example train`

use kernels::{Gpu, Options};
use reference::ops::Sgd;
use reference::{Array, Random, TensorSpec};
use tape::{Device, Error, Optimizer, Tape, Tensor, Var};

const POINTS: usize = 300;
const HIDDEN: usize = 64;
const STEPS: usize = 400;

/// Three arms of a spiral, and which of them each point is on.
fn spiral() -> (Vec<f32>, Vec<u32>) {
    let point = |i: usize| {
        let (arm, along) = (i % 3, i as f32 / POINTS as f32);
        let angle = 4.0 * along + arm as f32 * std::f32::consts::TAU / 3.0;
        [along * angle.cos(), along * angle.sin()]
    };
    ((0..POINTS).flat_map(point).collect(), (0..POINTS).map(|i| (i % 3) as u32).collect())
}

/// Trains from fresh weights; returned is the share of points that are told right at the end.
pub async fn train(device: &Device) -> Result<f32, Error> {
    let (points, arms) = spiral();
    let x = device.upload(&TensorSpec::plain([POINTS, 2]), Array::Real(points))?;
    let labels = device.upload(&TensorSpec::index([POINTS]), Array::Index(arms))?;
    let rates = device.upload(&TensorSpec::plain([4]), Array::Real(vec![0.5, 0.0, 0.0, 0.0]))?;
    let mut random = Random::new(1, "spiral");
    let mut parameter = |spec: TensorSpec| {
        let values = (0..spec.len()).map(|_| (random.word() as f32 / u32::MAX as f32 - 0.5) * 1.5).collect();
        device.upload(&spec, Array::Real(values))
    };
    let parameters: Vec<Tensor> = vec![
        parameter(TensorSpec::linear(HIDDEN, 2))?,
        parameter(TensorSpec::plain([HIDDEN]))?,
        parameter(TensorSpec::linear(3, HIDDEN))?,
        parameter(TensorSpec::plain([3]))?,
    ];
    let sgd = |spec: &TensorSpec| Ok::<_, Error>(Box::new(Sgd::new(spec.clone(), 0.9, false, 0.0)?) as _);
    let optimizer = Optimizer::new(device, &parameters, sgd)?;

    let mut right = 0.0;
    for step in 1..=STEPS {
        let tape = Tape::new(device);
        let leaves: Vec<Var> = parameters.iter().map(|parameter| tape.leaf(parameter)).collect();
        let hidden = tape.dense(&tape.constant(&x), &leaves[0], &leaves[1])?;
        let logits = tape.dense(&tape.relu(&hidden)?, &leaves[2], &leaves[3])?;
        let (loss, sums) = tape.softmax_cross_entropy(&logits, &tape.constant(&labels))?;
        let gradients = tape.backward(&loss)?;
        let gradients: Vec<Option<&Tensor>> = leaves.iter().map(|leaf| gradients.get(leaf)).collect();
        optimizer.step(device, &rates, &gradients)?;
        if step % 100 == 0 {
            let sums = device.read(sums.tensor()).await?;
            right = sums.real()[1] / POINTS as f32;
            println!("step {step}: loss {:.4}, {:.1} % right", sums.real()[0] / POINTS as f32, 100.0 * right);
        }
    }
    Ok(right)
}

/// On the GPU; `Device::Reference` would do without.
pub fn main() -> Result<(), Error> {
    let device = Device::Gpu(pollster::block_on(Gpu::open(&Options::default()))?);
    pollster::block_on(train(&device)).map(drop)
}
