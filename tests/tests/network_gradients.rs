//! The tape's gradients of whole networks against finite differences of the same network computed forward in `f64`.

use fashion_mnist::synthetic;
use reference::ops::{
    AvgPool2d, BatchNorm, BatchNormMode, Conv2d, Dense, Dropout, Flatten, FourierFeatures, MaxPool2d, Relu,
    SoftmaxCrossEntropy,
};
use reference::{Access, Array, Direction, Operation, TensorSpec};
use tape::{Device, Tape};
use trainer::images::{Images, Visit};
use trainer::model::{Model, Pass};
use trainer::network::{Layer, Network};
use trainer::recipe::{Normalise, Precision, Recipe};

mod everything;

/// Images in the batch.
const N: usize = 3;

/// Half the distance between the two values of a difference. Small, so that few of the many kinks of a network lie
/// between them; `f64` has digits to spare.
const STEP: f64 = 1e-6;

/// Weights looked at in each parameter.
const WEIGHTS: usize = 4;

/// Runs `fwd` in `f64`; `args` are what it reads or updates. Returned is the first argument written.
fn apply(op: &dyn Operation, args: &[&Array<f64>]) -> (Array<f64>, TensorSpec) {
    let signature = op.signature(Direction::Fwd);
    let mut given = args.iter();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for arg in &signature {
        match arg.access {
            Access::Read => inputs.push(*given.next().expect("an argument")),
            Access::Update => outputs.push((*given.next().expect("an argument")).clone()),
            Access::Write => outputs.push(Array::zeros(&arg.spec)),
        }
    }
    op.run_f64(Direction::Fwd, &inputs, &mut outputs.iter_mut().collect::<Vec<_>>()).expect("a forward pass");
    let written: Vec<_> = signature.iter().filter(|arg| arg.access != Access::Read).collect();
    let first = written.iter().position(|arg| arg.access == Access::Write).expect("an output");
    (outputs.swap_remove(first), written[first].spec.clone())
}

/// The loss of the network in training mode, in `f64`.
fn loss(
    network: &Network,
    parameters: &[Array<f64>],
    x: &Array<f64>,
    labels: &Array<f64>,
    counter: &Array<f64>,
) -> f64 {
    let (mut x, mut spec) = (x.clone(), TensorSpec::image(N, 1, 28, 28));
    for layer in network.layers() {
        let nchw = spec.as_nchw();
        (x, spec) = match *layer {
            Layer::Conv { weight, bias, c_out, h, w } => {
                let op = Conv2d::new(nchw, c_out, h, w).expect("a layer");
                apply(&op, &[&x, &parameters[weight], &parameters[bias]])
            }
            Layer::BatchNorm { weight, bias, running_mean, running_var, eps, momentum } => {
                let op = BatchNorm::new(spec, BatchNormMode::Training, eps, momentum).expect("a layer");
                let [a, b, c, d] = [weight, bias, running_mean, running_var].map(|index| &parameters[index]);
                apply(&op, &[&x, a, b, c, d])
            }
            Layer::Relu => apply(&Relu::new(spec).expect("a layer"), &[&x]),
            Layer::MaxPool { h, w } => apply(&MaxPool2d::new(nchw, h, w).expect("a layer"), &[&x]),
            Layer::AvgPool { h, w } => apply(&AvgPool2d::new(nchw, h, w).expect("a layer"), &[&x]),
            Layer::Flatten => apply(&Flatten::new(nchw).expect("a layer"), &[&x]),
            Layer::Dense { weight, bias, features_out } => {
                let op = Dense::new(N, spec.dims[1], features_out).expect("a layer");
                apply(&op, &[&x, &parameters[weight], &parameters[bias]])
            }
            Layer::FourierFeatures { weight, bias, scale } => {
                let op = Dense::new(N, spec.dims[1], network.parameters()[bias].spec.len()).expect("a layer");
                let (y, spec) = apply(&op, &[&x, &parameters[weight], &parameters[bias]]);
                apply(&FourierFeatures::new(spec, scale).expect("a layer"), &[&y])
            }
            Layer::Dropout { rate, id } => apply(&Dropout::new(spec, rate, id).expect("a layer"), &[&x, counter]),
        };
    }
    let op = SoftmaxCrossEntropy::new(N, 10).expect("a loss");
    apply(&op, &[&x, labels]).0.real()[0]
}

/// Compares the tape's gradients on `device`; how many weights were compared.
fn compare(name: &str, network: &Network, device: &Device) -> usize {
    let dataset = synthetic(20, 10, 7);
    let order = [3, 11, 16];
    let images = Images::upload(device, &dataset.train, Normalise::Symmetric, Precision::F32).expect("images");
    let visit = Visit::new(device, &order, 9).expect("a visit");
    let (x, labels) = images.gather(device, &visit, N).expect("a batch");
    let values: Vec<Vec<f32>> = network.initialise(4).into_iter().map(|(_, values)| values).collect();
    let model = Model::new(device, network.clone(), values.clone()).expect("a model");
    let tape = Tape::new(device);
    let pass = Pass { batch_norm: BatchNormMode::Training, dropout: Some(&visit.counter) };
    let forward = model.forward(&tape, &x, pass).expect("a forward pass");
    let (mean, _) = tape.softmax_cross_entropy(&forward.logits, &tape.constant(&labels)).expect("a loss");
    let gradients = tape.backward(&mean).expect("gradients");
    let read = |tensor| pollster::block_on(device.read(tensor)).expect("a tensor");
    let [x, labels, counter] = [&x, &labels, &visit.counter].map(|tensor| read(tensor).cast::<f64>());

    let mut parameters: Vec<Array<f64>> = values.into_iter().map(|v| Array::Real(v).cast()).collect();
    let here = loss(network, &parameters, &x, &labels, &counter);
    let on_tape = f64::from(read(mean.tensor()).real()[0]);
    assert!((here - on_tape).abs() <= 1e-5 * here, "{name}: the loss is {on_tape} on the tape and {here} in f64");

    let trainable: Vec<usize> = (0..parameters.len()).filter(|&i| network.parameters()[i].trainable).collect();
    let gradients: Vec<(String, Array<f32>)> = model
        .gradients(&forward, &gradients)
        .map(|(name, gradient)| (name.to_owned(), read(gradient.expect("a gradient"))))
        .collect();
    assert_eq!(gradients.len(), trainable.len());
    let mut compared = 0;
    for ((parameter, gradient), index) in gradients.iter().zip(trainable) {
        let largest = gradient.real().iter().fold(0.0_f64, |largest, g| largest.max(f64::from(*g).abs()));
        let len = gradient.len();
        // The largest gradient, and some spread over the parameter.
        let peak = (0..len).max_by(|&a, &b| gradient.real()[a].abs().total_cmp(&gradient.real()[b].abs()));
        let spread = (0..WEIGHTS - 1).map(|i| (i * 7919 + 13) % len);
        for at in peak.into_iter().chain(spread) {
            let mut at_offset = |offset: f64| {
                let original = parameters[index].real()[at];
                parameters[index].real_mut()[at] = original + offset;
                let loss = loss(network, &parameters, &x, &labels, &counter);
                parameters[index].real_mut()[at] = original;
                loss
            };
            let (above, below) = (at_offset(STEP), at_offset(-STEP));
            let difference = (above - below) / (2.0 * STEP);
            let (forwards, backwards) = ((above - here) / STEP, (here - below) / STEP);
            // A kink lies between: no derivative to compare with.
            if (forwards - backwards).abs() > 1e-3 * (largest + 1e-3) {
                continue;
            }
            let got = f64::from(gradient.real()[at]);
            let close = (got - difference).abs() <= 1e-3 * difference.abs() + 1e-4 * largest + 1e-6;
            assert!(close, "{name}: the gradient of {parameter}[{at}] is {got}, by finite differences {difference}");
            compared += 1;
        }
    }
    assert!(compared >= gradients.len() * WEIGHTS / 2, "{name}: only {compared} weights had a derivative");
    compared
}

#[test]
fn gradients_of_whole_networks_match_finite_differences() {
    for device in [Device::Reference, Device::Gpu(parity::gpu().clone())] {
        for name in ["lenet5", "depth2", "depth3", "svm-rff"] {
            let recipe = Recipe::find(name).expect("a recipe");
            let network = Network::new(&recipe.layers, N).expect("a network");
            println!("{name}: {} weights", compare(name, &network, &device));
        }
        let network = Network::new(&everything::recipe().layers, N).expect("a network");
        println!("everything: {} weights", compare("everything", &network, &device));
    }
}
