//! Whole training runs: GPU against reference, recorded plan against eager tape, run against run.
//! On the procedural stand-in, so that a fresh clone has the data.

use fashion_mnist::{Dataset, synthetic};
use kernels::{Gpu, Options, Storage};
use parity::gpu;
use reference::ops::{BatchNormMode, Relu};
use reference::{Direction, TensorSpec};
use tape::{Device, Tape, Tensor};
use trainer::exit::Failure;
use trainer::images::{Images, Visit};
use trainer::metrics::Journal;
use trainer::model::{Model, Pass};
use trainer::network::Network;
use trainer::progress::{Display, TrainingProgress};
use trainer::recipe::{Adam, Optimizer, Precision, Recipe};
use trainer::step::Step;
use trainer::train::{LossScale, Records, Settings, Trainer};

mod everything;

/// A recipe cut down to `steps` steps of `batch` images.
fn recipe(name: &str, steps: u64, batch: usize) -> Recipe {
    let mut recipe = Recipe::find(name).expect("a built-in recipe");
    recipe.train.max_steps = Some(steps);
    recipe.train.batch_size = batch;
    recipe.data.validation = recipe.data.validation.min(20);
    recipe
}

#[derive(Debug)]
struct Outcome {
    scale: Option<LossScale>,
    /// The file of figures.
    metrics: String,
    losses: Vec<f64>,
    /// By parameter, with its name.
    values: Vec<(String, Vec<f32>)>,
}

/// Trains and returns every step's loss and the parameters at the end.
fn train(device: &Device, recipe: &Recipe, dataset: &Dataset, eager: bool) -> Outcome {
    run(device, recipe, dataset, eager).expect("a run")
}

fn run(device: &Device, recipe: &Recipe, dataset: &Dataset, eager: bool) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let network = Network::new(&recipe.layers, recipe.train.batch_size).expect("a network");
    let values = network.initialise(recipe.train.seed).into_iter().map(|(_, values)| values).collect();
    let model = Model::new(device, network, values)?;
    let trained = pollster::block_on(
        Trainer {
            device,
            recipe,
            dataset,
            settings: Settings { log_every: Some(1), eager, ..Settings::default() },
            progress: TrainingProgress::new(Display::Quiet, recipe.train.epochs, 0),
            start: None,
            interrupt: None,
        }
        .run(&model, |_| Ok(Records::figures(Journal::create(folder.path())?))),
    )?;
    let text = std::fs::read_to_string(folder.path().join("metrics.jsonl")).expect("metrics");
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let losses: Vec<f64> =
        lines.filter(|line| line["kind"] == "step").map(|line| line["loss"].as_f64().expect("a loss")).collect();
    assert_eq!(losses.len() as u64, trained.steps);
    let names = model.network().parameters().iter().map(|parameter| parameter.name.clone());
    let values = names.zip(pollster::block_on(model.values(device)).expect("values")).collect();
    Ok(Outcome { scale: trained.loss_scale, metrics: text, losses, values })
}

/// How far apart two tensors are, relative to their length: `|a - b| / |b|`. Not by element: where
/// a gradient is next to nothing, Adam divides one rounding error by another, and that weight alone
/// goes its own way.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = squares(&mut a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    // Some gradients are zero but for rounding (of a bias that batch normalisation takes out again),
    // and so is what an optimiser makes of them.
    let nothing = 1e-3 * (b.len() as f64).sqrt();
    let relative = difference / squares(&mut b.iter().map(|&b| b.into())).max(nothing);
    // A NaN must not look small.
    if relative.is_nan() { f64::INFINITY } else { relative }
}

/// Takes the same steps on the GPU and on the reference. After each, everything it left for the next
/// is compared and the reference's copied to the GPU: training is chaotic, and two runs left alone
/// part after some dozens of steps however right both are.
fn in_step(recipe: &Recipe, dataset: &Dataset, [bound, state_bound]: [f64; 2]) {
    let name = &recipe.name;
    let (gpu, reference) = (Device::Gpu(gpu().clone()), Device::Reference);
    let devices = [&gpu, &reference];
    let network = Network::new(&recipe.layers, recipe.train.batch_size).expect("a network");
    let order: Vec<u32> = (0..dataset.train.len() as u32).collect();
    let model = |device| {
        let values = network.initialise(recipe.train.seed).into_iter().map(|(_, values)| values).collect();
        Model::new(device, network.clone(), values).expect("a model")
    };
    let models = devices.map(model);
    let images = devices.map(|device| {
        Images::upload(device, &dataset.train, recipe.data.normalise, recipe.train.precision).expect("images")
    });
    let visits = devices.map(|device| Visit::new(device, &order, recipe.train.seed).expect("a visit"));
    let step = |i: usize| Step::new(devices[i], recipe, &models[i], &images[i], &visits[i]).expect("a step");
    let steps = [step(0), step(1)];
    for (step, device) in steps.iter().zip(devices) {
        step.scale_loss(device, Some(&LossScale::default())).expect("a scale, where there is to be one");
    }
    let read = |i: usize, tensor: &Tensor| pollster::block_on(devices[i].read(tensor)).expect("a tensor");

    let mut worst = 0.0_f64;
    let mut losses = Vec::new();
    for number in 1..=recipe.train.max_steps.expect("a number of steps") {
        let n = recipe.train.batch_size;
        let [a, b] = [0, 1].map(|i| read(i, &steps[i].run(devices[i], n).expect("a step")));
        let difference = relative(a.real(), b.real());
        assert!(difference <= bound, "{name}, step {number}: loss and hits are {a:?}, on the reference {b:?}");
        losses.push(b.real()[0]);
        for ((what, a), (_, b)) in steps[0].state().into_iter().zip(steps[1].state()) {
            let expected = read(1, b);
            let difference = relative(read(0, a).real(), expected.real());
            let bound = if what.contains('/') { state_bound } else { bound };
            assert!(difference <= bound, "{name}, step {number}: {what} is off by {difference:.1e}");
            worst = worst.max(difference / bound);
            gpu.write(a, expected).expect("a tensor");
        }
    }
    let half = losses.len() / 2;
    assert!(losses[half..].iter().sum::<f32>() < losses[..half].iter().sum(), "{name}: nothing was learnt");
    println!("{name}: at most {worst:.1e} of what is allowed");
}

/// How far apart the GPU and the reference may be after one step from the same state.
const BOUND: f64 = 1e-4;

/// The same for the optimiser's state, which follows the gradients, and those jump: where two
/// pixels of a pooling window are equal but for rounding, the gradient takes one way or the other.
const STATE_BOUND: f64 = 1e-2;

#[test]
fn every_step_on_the_gpu_is_that_of_the_reference() {
    let dataset = synthetic(400, 10, 1);
    for name in ["lenet5", "depth2", "depth3", "svm-linear", "svm-rff"] {
        in_step(&recipe(name, 100, 4), &dataset, [BOUND, STATE_BOUND]);
    }
    let mut everything = everything::recipe();
    everything.train.max_steps = Some(100);
    in_step(&everything, &dataset, [BOUND, STATE_BOUND]);
}

/// The same recipe with activations stored as f16.
fn in_f16(mut recipe: Recipe) -> Recipe {
    recipe.train.precision = Precision::F16Storage;
    recipe
}

/// Where a sum lies between two f16, its last bit in f32 decides which of them is stored, and that is 1/2048 of it. So the
/// bounds are wider; by how much was measured.
#[test]
fn every_step_in_f16_is_that_of_the_reference_in_f16() {
    let dataset = synthetic(400, 10, 1);
    for name in ["lenet5", "svm-rff"] {
        in_step(&in_f16(recipe(name, 30, 4)), &dataset, [2e-3, 0.1]);
    }
    let mut everything = in_f16(everything::recipe());
    everything.train.max_steps = Some(30);
    in_step(&everything, &dataset, [2e-3, 0.1]);
}

/// A scale that is too large is found out by the first gradient that overflows, and the step repeated with half of it,
/// until it goes well: the run is the one that began with the scale it comes to.
#[test]
fn a_scale_that_is_too_large_leaves_no_trace() {
    let dataset = synthetic(60, 10, 2);
    let device = Device::Gpu(gpu().clone());
    let scaled = |scale: f64| {
        let mut recipe = in_f16(recipe("lenet5", 6, 7));
        recipe.train.loss_scale = Some(scale);
        train(&device, &recipe, &dataset, false)
    };
    let far = scaled(2.0_f64.powi(30));
    let scale = far.scale.expect("a scale");
    assert!(scale.halved > 0 && scale.scale > 1.0, "{scale:?}");
    let near = scaled(scale.scale.into());
    assert_eq!(near.scale.map(|scale| scale.halved), Some(0));
    assert_eq!((&far.metrics, bits(&far)), (&near.metrics, bits(&near)));
}

/// What is no matter of the scale is still a divergence.
#[test]
fn training_in_f16_diverges_as_ever() {
    let dataset = synthetic(60, 10, 2);
    let mut recipe = in_f16(recipe("lenet5", 6, 7));
    recipe.optimizer = Optimizer::Adam(Adam { lr: 1e30, ..Adam::default() });
    let error = run(&Device::Gpu(gpu().clone()), &recipe, &dataset, false).expect_err("no numbers");
    assert_eq!(Failure::of(&error), Failure::Diverged, "{error}");
}

#[test]
fn a_device_without_16_bit_floats_is_refused_with_the_reason() {
    let options = Options { f16: false, ..Options::default() };
    let gpu = pollster::block_on(Gpu::open(&options)).unwrap_or_else(|error| panic!("{error}"));
    let relu = Relu::new(TensorSpec::plain([8])).expect("an operation");
    let error = gpu.select_stored(&relu, Direction::Fwd, Storage::F16).expect_err("no such floats").to_string();
    assert!(error.contains("SHADER_F16"), "{error}");
    assert_eq!(gpu.select(&relu, Direction::Fwd).expect("a row").id(), "relu.fwd.vec4");
    let device = Device::Gpu(gpu);
    trainer::device::require(&device, Precision::F32).expect("it needs nothing");
    let error = trainer::device::require(&device, Precision::F16Storage).expect_err("no such floats").into();
    assert_eq!(Failure::of(&error), Failure::NoAdapter, "{error}");
    // Who does not ask is told, too.
    let dataset = synthetic(20, 10, 1);
    let error = run(&device, &in_f16(recipe("lenet5", 2, 4)), &dataset, false).expect_err("no such floats");
    assert_eq!(Failure::of(&error), Failure::NoAdapter, "{error}");
}

/// A step moves every parameter as SGD's formula says, by gradients of a tape of our own: those are the ones that
/// `network_gradients.rs` compares with finite differences. Dropout must draw the same numbers forward and backward.
#[test]
fn a_step_is_the_gradient_put_into_the_formula() {
    let recipe = everything::recipe();
    let Optimizer::Sgd(sgd) = &recipe.optimizer else { panic!("another optimiser") };
    let dataset = synthetic(20, 10, 1);
    let order: Vec<u32> = (0..20).collect();
    let n = recipe.train.batch_size;
    for device in [Device::Gpu(gpu().clone()), Device::Reference] {
        let read = |tensor: &Tensor| pollster::block_on(device.read(tensor)).expect("a tensor").real().to_vec();
        let network = Network::new(&recipe.layers, n).expect("a network");
        let model = || {
            let values = network.initialise(1).into_iter().map(|(_, values)| values).collect();
            Model::new(&device, network.clone(), values).expect("a model")
        };
        let images =
            Images::upload(&device, &dataset.train, recipe.data.normalise, recipe.train.precision).expect("images");
        let visit = || Visit::new(&device, &order, 3).expect("a visit");

        let (by_hand, at) = (model(), visit());
        let (x, labels) = images.gather(&device, &at, n).expect("a batch");
        let tape = Tape::new(&device);
        let pass = Pass { batch_norm: BatchNormMode::Training, dropout: Some(&at.counter) };
        let forward = by_hand.forward(&tape, &x, pass).expect("a forward pass");
        let (loss, _) = tape.softmax_cross_entropy(&forward.logits, &tape.constant(&labels)).expect("a loss");
        let gradients = tape.backward(&loss).expect("gradients");

        let (stepped, at) = (model(), visit());
        Step::new(&device, &recipe, &stepped, &images, &at).expect("a step").run(&device, n).expect("a step");
        let pairs = by_hand.trainable().into_iter().zip(stepped.trainable());
        for ((name, gradient), (before, after)) in by_hand.gradients(&forward, &gradients).zip(pairs) {
            let (gradient, before, after) = (read(gradient.expect("a gradient")), read(&before), read(&after));
            let moved: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
            // The first velocity is the gradient with its decay; Nesterov's step looks one further.
            let expected: Vec<f32> = before
                .iter()
                .zip(&gradient)
                .map(|(p, g)| {
                    (-sgd.lr * (1.0 + sgd.momentum) * (f64::from(*g) + sgd.weight_decay * f64::from(*p))) as f32
                })
                .collect();
            let difference = relative(&moved, &expected);
            assert!(difference <= STATE_BOUND, "{name} moved by {moved:?}, expected {expected:?}");
        }
    }
}

/// Left alone for 20 steps, the losses stay together.
#[test]
fn training_on_the_gpu_follows_the_reference() {
    let dataset = synthetic(400, 10, 1);
    for name in ["lenet5", "depth2"] {
        let recipe = recipe(name, 20, 8);
        let gpu = train(&Device::Gpu(gpu().clone()), &recipe, &dataset, false);
        let reference = train(&Device::Reference, &recipe, &dataset, true);
        for (step, (a, b)) in gpu.losses.iter().zip(&reference.losses).enumerate() {
            let close = (a - b).abs() <= 1e-3 * b.abs();
            assert!(close, "{name}: step {} has loss {a} on the GPU, {b} on the reference", step + 1);
        }
    }
}

#[test]
fn a_replayed_plan_gives_the_bits_of_the_eager_tape() {
    // 60 images by 7 leave a smaller last batch, so that two plans take turns; so do 510 to test on.
    let dataset = synthetic(60, 510, 2);
    let device = Device::Gpu(gpu().clone());
    let recipes = [everything::recipe(), recipe("lenet5", 20, 7)];
    for mut recipe in recipes.clone().into_iter().chain(recipes.map(in_f16)) {
        recipe.data.validate_on_test = true;
        let (plan, eager) = (train(&device, &recipe, &dataset, false), train(&device, &recipe, &dataset, true));
        assert_eq!(plan.metrics, eager.metrics, "{}", recipe.name);
        assert!(plan.metrics.contains("\"validation\""), "{}", recipe.name);
        assert_eq!(bits(&plan), bits(&eager), "{}", recipe.name);
    }
}

#[test]
fn a_run_repeated_gives_the_same_bits() {
    let dataset = synthetic(60, 10, 3);
    let recipe = everything::recipe();
    let first = train(&Device::Gpu(gpu().clone()), &recipe, &dataset, false);
    for repetition in 0..9 {
        // A third of them on a device of its own: nothing may depend on what ran there before.
        let device = match repetition % 3 {
            0 => Device::Gpu(pollster::block_on(Gpu::open(&Options::default())).expect("a device")),
            _ => Device::Gpu(gpu().clone()),
        };
        let again = train(&device, &recipe, &dataset, false);
        assert_eq!(bits(&first), bits(&again), "repetition {repetition}");
    }
    let mut other = recipe;
    other.train.seed += 1;
    let other = train(&Device::Gpu(gpu().clone()), &other, &dataset, false);
    assert_ne!(bits(&first), bits(&other), "the seed changes nothing");
}

/// Training does without run-time checks, tests have them: both must come to the same.
#[test]
fn run_time_checks_change_no_bit() {
    let dataset = synthetic(60, 10, 3);
    let unchecked = Options { checks: false, ..Options::default() };
    let unchecked = Device::Gpu(pollster::block_on(Gpu::open(&unchecked)).expect("a device"));
    for recipe in [everything::recipe(), recipe("lenet5", 10, 7), recipe("depth2", 10, 7)] {
        let checked = train(&Device::Gpu(gpu().clone()), &recipe, &dataset, false);
        let unchecked = train(&unchecked, &recipe, &dataset, false);
        assert_eq!(checked.metrics, unchecked.metrics, "{}", recipe.name);
        assert_eq!(bits(&checked), bits(&unchecked), "{}", recipe.name);
    }
}

fn bits(outcome: &Outcome) -> Vec<u32> {
    outcome.values.iter().flat_map(|(_, values)| values.iter().map(|value| value.to_bits())).collect()
}
