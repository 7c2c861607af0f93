//! What a plan does to a recording: neighbours fused, memory shared, the same bits.

use kernels::tuned::{Among, Choice, problem};
use kernels::{Class, Fusion, Gpu, Options, Plan, Tuned, Tuning};
use parity::gpu;
use reference::ops::{Accumulate, Adam, AdamConfig, BatchNormMode, Conv2d, RmsProp, Sgd};
use reference::{Array, Direction, Operation, TensorSpec, Window};
use std::sync::Arc;
use tape::{Arena, Device, Error, Optimizer, Tape, Tensor, clip_norm, rescale};

fn upload(device: &Device, spec: TensorSpec, seed: u32) -> Tensor {
    let values = (0..spec.len() as u32).map(|i| ((i * 37 + seed * 101) % 19) as f32 / 8.0 - 1.0).collect();
    device.upload(&spec, Array::Real(values)).expect("a tensor")
}

fn bits(device: &Device, tensor: &Tensor) -> Vec<u32> {
    pollster::block_on(device.read(tensor)).expect("a tensor").real().iter().map(|value| value.to_bits()).collect()
}

/// Convolution, ReLU, pooling, a dense layer, the loss.
struct Net {
    x: Tensor,
    parameters: [Tensor; 4],
    labels: Tensor,
    one: Tensor,
}

impl Net {
    fn new(device: &Device) -> Self {
        let parameters = [
            upload(device, TensorSpec::filter(8, 4, 3, 3), 2),
            upload(device, TensorSpec::plain([8]), 3),
            upload(device, TensorSpec::linear(8, 8 * 6 * 4), 4),
            upload(device, TensorSpec::plain([8]), 5),
        ];
        Self {
            x: upload(device, TensorSpec::image(4, 4, 12, 8), 1),
            parameters,
            labels: device.upload(&TensorSpec::index([4]), Array::Index(vec![0, 7, 2, 5])).expect("labels"),
            one: device.upload(&TensorSpec::plain([1]), Array::Real(vec![1.0])).expect("a one"),
        }
    }

    /// The loss, the gradients of the parameters, and the output of the ReLU.
    fn run(&self, device: &Device) -> Result<(Vec<Tensor>, Tensor), Error> {
        let tape = Tape::new(device);
        let [conv, shift, dense, bias] = self.parameters.each_ref().map(|parameter| tape.leaf(parameter));
        let window = Window::new(3).pad(1);
        let y = tape.conv2d(&tape.constant(&self.x), &conv, &shift, window, window)?;
        let activation = tape.relu(&y)?;
        let half = Window::new(2).stride(2);
        let pooled = tape.flatten(&tape.max_pool2d(&activation, half, half)?)?;
        let logits = tape.relu(&tape.dense(&pooled, &dense, &bias)?)?;
        let (loss, _) = tape.softmax_cross_entropy(&logits, &tape.constant(&self.labels))?;
        let gradients = tape.backward_from(&loss, &self.one)?;
        let mut results = vec![loss.tensor().clone()];
        results.extend([&conv, &shift, &dense, &bias].iter().filter_map(|var| gradients.get(var).cloned()));
        Ok((results, activation.tensor().clone()))
    }

    /// A plan of a run, its results, and the output of the ReLU if `hold`.
    fn plan(&self, fusion: Fusion, hold: bool) -> (Plan, Vec<Tensor>, Option<Tensor>) {
        let recorder = gpu().recorder();
        let (results, activation) = self.run(&Device::Gpu(recorder.clone())).expect("a recording");
        let held = hold.then_some(activation);
        (recorder.plan(fusion).expect("a plan"), results, held)
    }
}

fn fused(plan: &Plan) -> Vec<&str> {
    plan.rows().map(|row| row.split('.').next().unwrap_or_default()).filter(|op| op.contains("_relu")).collect()
}

/// Every rule finds its place, saves launches and memory, and changes no bit.
#[test]
fn neighbours_are_fused_and_the_bits_stay() {
    let device = Device::Gpu(gpu().clone());
    let net = Net::new(&device);
    let (eager, _) = net.run(&device).expect("a run");
    let (apart, apart_results, _) = net.plan(Fusion::Off, false);
    let (plan, results, _) = net.plan(Fusion::On, false);
    for plan in [&apart, &plan] {
        device.replay(plan).expect("a replay");
    }
    for ((eager, apart), fused) in eager.iter().zip(&apart_results).zip(&results) {
        assert_eq!(bits(&device, eager), bits(&device, apart), "a plan without fusion");
        assert_eq!(bits(&device, eager), bits(&device, fused), "a fused plan");
    }
    assert_eq!(eager.len(), 5);
    assert!(fused(&apart).is_empty(), "{:?}", fused(&apart));
    assert_eq!(fused(&plan), ["conv2d_relu_max_pool2d", "dense_relu", "max_pool2d_relu_flatten"]);
    for name in
        ["softmax_cross_entropy_with_gradient.fwd.", "dense_weight_bias.bwd_weight.", "conv2d_weight_bias.bwd_weight."]
    {
        assert!(plan.rows().any(|row| row.starts_with(name)), "no {name} among {:?}", plan.rows().collect::<Vec<_>>());
    }
    // Gone: ReLU and pooling, ReLU behind the dense layer, the gradients of ReLU, of flattening, of the loss and of the biases.
    assert_eq!(plan.launches() + 8, apart.launches());
    assert!(plan.allocated_bytes() < apart.allocated_bytes());
}

/// The last layer and the loss of 9 samples in 5 classes.
struct Head {
    inputs: [Tensor; 3],
    labels: Tensor,
    one: Tensor,
}

impl Head {
    fn new(device: &Device) -> Self {
        let inputs = [
            upload(device, TensorSpec::plain([9, 12]), 1),
            upload(device, TensorSpec::linear(5, 12), 2),
            upload(device, TensorSpec::plain([5]), 3),
        ];
        let labels = Array::Index(vec![0, 4, 2, 3, 1, 3, 0, 2, 4]);
        let labels = device.upload(&TensorSpec::index([9]), labels).expect("labels");
        Self { inputs, labels, one: device.upload(&TensorSpec::plain([1]), Array::Real(vec![0.5])).expect("a half") }
    }

    /// The loss, the sums, the gradients, and the logits.
    fn run(&self, device: &Device) -> Result<(Vec<Tensor>, Tensor), Error> {
        let tape = Tape::new(device);
        let [x, weight, bias] = self.inputs.each_ref().map(|input| tape.leaf(input));
        let logits = tape.dense(&x, &weight, &bias)?;
        let (loss, metrics) = tape.softmax_cross_entropy(&logits, &tape.constant(&self.labels))?;
        let gradients = tape.backward_from(&loss, &self.one)?;
        let mut results = vec![loss.tensor().clone(), metrics.tensor().clone()];
        results.extend([&x, &weight, &bias].iter().filter_map(|var| gradients.get(var).cloned()));
        Ok((results, logits.tensor().clone()))
    }
}

/// Last layer, loss and gradient are one launch, unless somebody wants the logits.
#[test]
fn the_head_is_one_launch() {
    let device = Device::Gpu(gpu().clone());
    let head = Head::new(&device);
    let (eager, _) = head.run(&device).expect("a run");
    for hold in [false, true] {
        let recorder = gpu().recorder();
        let (results, logits) = head.run(&Device::Gpu(recorder.clone())).expect("a recording");
        let held = hold.then_some(logits);
        let plan = recorder.plan(Fusion::On).expect("a plan");
        device.replay(&plan).expect("a replay");
        for (eager, fused) in eager.iter().zip(&results) {
            assert_eq!(bits(&device, eager), bits(&device, fused));
        }
        let rows: Vec<_> = plan.rows().collect();
        assert_eq!(rows.iter().any(|row| row.starts_with("dense_softmax_cross_entropy.fwd.")), !hold, "{rows:?}");
        assert_eq!(
            rows.iter().any(|row| row.starts_with("softmax_cross_entropy_with_gradient.fwd.")),
            hold,
            "{rows:?}"
        );
        drop(held);
    }
}

/// Normalisation and ReLU are one launch, which leaves the same statistics for the backward pass and for later.
#[test]
fn normalisation_and_relu_are_one_launch() {
    let device = Device::Gpu(gpu().clone());
    let x = upload(&device, TensorSpec::image(3, 8, 5, 7), 1);
    let run = |device: &Device, state: &[Tensor; 4]| -> Result<Vec<Tensor>, Error> {
        let tape = Tape::new(device);
        let [weight, bias, mean, var] = state;
        let [weight, bias] = [weight, bias].map(|parameter| tape.leaf(parameter));
        let [mean, var] = [mean, var].map(|running| tape.constant(running));
        let x = tape.leaf(&x);
        let y = tape.batch_norm(&x, [&weight, &bias, &mean, &var], BatchNormMode::Training, 1e-5, 0.1)?;
        let y = tape.relu(&y)?;
        let gradients = tape.backward_from(&y, y.tensor())?;
        let mut results = vec![y.tensor().clone()];
        results.extend([&x, &weight, &bias].iter().filter_map(|var| gradients.get(var).cloned()));
        Ok(results)
    };
    let state = || [2, 3, 4, 5].map(|seed| upload(&device, TensorSpec::plain([8]), seed));
    let (first, second) = (state(), state());
    let eager = run(&device, &first).expect("a run");
    let recorder = gpu().recorder();
    let results = run(&Device::Gpu(recorder.clone()), &second).expect("a recording");
    let plan = recorder.plan(Fusion::On).expect("a plan");
    device.replay(&plan).expect("a replay");
    assert_eq!(eager.len(), 4);
    for (eager, fused) in eager.iter().chain(&first).zip(results.iter().chain(&second)) {
        assert_eq!(bits(&device, eager), bits(&device, fused));
    }
    let rows: Vec<_> = plan.rows().map(|row| row.rsplit_once('.').map_or(row, |(direction, _)| direction)).collect();
    assert_eq!(rows, ["batch_norm_relu.fwd", "batch_norm_relu.bwd_weight", "batch_norm_relu.bwd_input"]);
}

/// What is normalised, clipped and pooled is written where it is small, and so is the gradient read, if no two windows
/// overlap.
#[test]
fn what_is_normalised_is_pooled_at_once() {
    let device = Device::Gpu(gpu().clone());
    let halves = Window::new(2).stride(2);
    let wide = Window::new(4).stride(3).pad(1);
    for (channels, windows, apart) in [
        (8, [halves, halves], true),
        (5, [halves, Window::new(2).stride(3).pad(1)], true),
        (8, [wide, wide], false),
        (5, [halves, wide], false),
    ] {
        let x = upload(&device, TensorSpec::image(3, channels, 7, 9), 1);
        let run = |device: &Device, state: &[Tensor; 4]| -> Result<Vec<Tensor>, Error> {
            let tape = Tape::new(device);
            let [weight, bias, mean, var] = state;
            let [weight, bias] = [weight, bias].map(|parameter| tape.leaf(parameter));
            let [mean, var] = [mean, var].map(|running| tape.constant(running));
            let x = tape.leaf(&x);
            let y = tape.batch_norm(&x, [&weight, &bias, &mean, &var], BatchNormMode::Training, 1e-5, 0.1)?;
            let y = tape.avg_pool2d(&tape.relu(&y)?, windows[0], windows[1])?;
            let gradients = tape.backward_from(&y, y.tensor())?;
            let mut results = vec![y.tensor().clone()];
            results.extend([&x, &weight, &bias].iter().filter_map(|var| gradients.get(var).cloned()));
            assert_eq!(results.len(), 4);
            Ok(results)
        };
        let state = || [2, 3, 4, 5].map(|seed| upload(&device, TensorSpec::plain([channels]), seed));
        let (first, second) = (state(), state());
        let eager = run(&device, &first).expect("a run");
        let recorder = gpu().recorder();
        let results = run(&Device::Gpu(recorder.clone()), &second).expect("a recording");
        let plan = recorder.plan(Fusion::On).expect("a plan");
        device.replay(&plan).expect("a replay");
        for (eager, fused) in eager.iter().chain(&first).zip(results.iter().chain(&second)) {
            assert_eq!(bits(&device, eager), bits(&device, fused), "{channels} {windows:?}");
        }
        let rows = plan.rows().map(|row| row.rsplit_once('.').map_or(row, |(direction, _)| direction));
        let rows: Vec<_> = rows.collect();
        let back = ["batch_norm_relu_avg_pool2d.bwd_weight", "batch_norm_relu_avg_pool2d.bwd_input"];
        let more = ["avg_pool2d.bwd_input", "batch_norm_relu.bwd_weight", "batch_norm_relu.bwd_input"];
        let expected = if apart { &back[..] } else { &more[..] };
        assert_eq!((rows[0], &rows[1..]), ("batch_norm_relu_avg_pool2d.fwd", expected), "{channels} {windows:?}");
    }
}

/// Signs of what was changed after it was clipped cannot be worked out again.
#[test]
fn what_is_changed_after_it_is_clipped_is_read() {
    let device = Device::Gpu(gpu().clone());
    let spec = TensorSpec::image(3, 8, 5, 7);
    let (x, noise) = (upload(&device, spec.clone(), 1), upload(&device, spec.clone(), 9));
    let run = |device: &Device, state: &[Tensor; 4]| -> Result<Vec<Tensor>, Error> {
        let tape = Tape::new(device);
        let [weight, bias, mean, var] = state;
        let [weight, bias] = [weight, bias].map(|parameter| tape.leaf(parameter));
        let [mean, var] = [mean, var].map(|running| tape.constant(running));
        let y = tape.batch_norm(&tape.leaf(&x), [&weight, &bias, &mean, &var], BatchNormMode::Training, 1e-5, 0.1)?;
        let y = tape.relu(&y)?;
        device.run(&Accumulate::new(spec.clone())?, Direction::Update, &[y.tensor(), &noise])?;
        let gradients = tape.backward_from(&y, &noise)?;
        Ok([&weight, &bias].iter().filter_map(|var| gradients.get(var).cloned()).collect())
    };
    let state = || [2, 3, 4, 5].map(|seed| upload(&device, TensorSpec::plain([8]), seed));
    let eager = run(&device, &state()).expect("a run");
    let (recorder, recorded) = (gpu().recorder(), state());
    let results = run(&Device::Gpu(recorder.clone()), &recorded).expect("a recording");
    let plan = recorder.plan(Fusion::On).expect("a plan");
    device.replay(&plan).expect("a replay");
    assert_eq!((eager.len(), results.len()), (2, 2));
    for (eager, fused) in eager.iter().zip(&results) {
        assert_eq!(bits(&device, eager), bits(&device, fused));
    }
    assert!(plan.rows().any(|row| row.starts_with("relu.bwd_input.")), "{:?}", plan.rows().collect::<Vec<_>>());
}

/// A convolution of as many channels, a normalisation, and a ReLU before one of them, behind or not at all.
struct Normalised {
    x: Tensor,
    parameters: [Tensor; 6],
    relu_first: bool,
    relu_last: bool,
}

impl Normalised {
    fn new(device: &Device, [c_in, c_out]: [usize; 2], [relu_first, relu_last]: [bool; 2]) -> Self {
        let channel = |seed| upload(device, TensorSpec::plain([c_out]), seed);
        let parameters = [
            upload(device, TensorSpec::filter(c_out, c_in, 3, 3), 2),
            channel(3),
            channel(4),
            channel(5),
            channel(6),
            channel(7),
        ];
        // 105 pixels: three chunks of 32, and nine more.
        Self { x: upload(device, TensorSpec::image(3, c_in, 5, 7), 1), parameters, relu_first, relu_last }
    }

    /// What comes out, what the gradients are, and the running statistics.
    fn run(&self, device: &Device) -> Result<Vec<Tensor>, Error> {
        let tape = Tape::new(device);
        let x = tape.leaf(&self.x);
        let [conv, shift, weight, bias, ..] = self.parameters.each_ref().map(|parameter| tape.leaf(parameter));
        let [.., mean, var] = self.parameters.each_ref().map(|running| tape.constant(running));
        let window = Window::new(3).pad(1);
        let mut y = tape.conv2d(&x, &conv, &shift, window, window)?;
        if self.relu_first {
            y = tape.relu(&y)?;
        }
        y = tape.batch_norm(&y, [&weight, &bias, &mean, &var], BatchNormMode::Training, 1e-5, 0.1)?;
        if self.relu_last {
            y = tape.relu(&y)?;
        }
        let gradients = tape.backward_from(&y, y.tensor())?;
        let mut results = vec![y.tensor().clone()];
        results.extend([&x, &conv, &shift, &weight, &bias].iter().filter_map(|var| gradients.get(var).cloned()));
        assert_eq!(results.len(), 6);
        results.extend(self.parameters[4..].iter().cloned());
        Ok(results)
    }
}

/// A convolution leaves the moments of what it writes, wherever the ReLU stands; the normalisation starts from those.
#[test]
fn a_convolution_looks_at_its_own_sums() {
    let device = Device::Gpu(gpu().clone());
    for channels in [[4, 20], [4, 40], [3, 18]] {
        for relu in [[false, true], [true, false], [true, true], [false, false]] {
            let eager = Normalised::new(&device, channels, relu).run(&device).expect("a run");
            let recorder = gpu().recorder();
            let net = Normalised::new(&device, channels, relu);
            let results = net.run(&Device::Gpu(recorder.clone())).expect("a recording");
            let plan = recorder.plan(Fusion::On).expect("a plan");
            device.replay(&plan).expect("a replay");
            for (eager, fused) in eager.iter().zip(&results) {
                assert_eq!(bits(&device, eager), bits(&device, fused), "{channels:?} {relu:?}");
            }
            let rows: Vec<_> = plan.rows().collect();
            assert!(rows[0].starts_with("conv2d_moments.fwd."), "{channels:?} {relu:?}: {rows:?}");
            assert!(rows[1].starts_with("batch_norm_of_moments.fwd."), "{channels:?} {relu:?}: {rows:?}");
            assert!(!rows.iter().any(|row| row.starts_with("relu.fwd.")), "{rows:?}");
        }
    }
}

/// What changes between convolution and normalisation is looked at as it then is.
#[test]
fn what_is_changed_before_it_is_normalised_has_other_moments() {
    let device = Device::Gpu(gpu().clone());
    let noise = upload(&device, TensorSpec::image(3, 20, 5, 7), 9);
    let run = |device: &Device, net: &Normalised| -> Result<Tensor, Error> {
        let tape = Tape::new(device);
        let [conv, shift, weight, bias, mean, var] =
            net.parameters.each_ref().map(|parameter| tape.constant(parameter));
        let window = Window::new(3).pad(1);
        let y = tape.conv2d(&tape.constant(&net.x), &conv, &shift, window, window)?;
        device.run(&Accumulate::new(noise.spec().clone())?, Direction::Update, &[y.tensor(), &noise])?;
        let y = tape.batch_norm(&y, [&weight, &bias, &mean, &var], BatchNormMode::Training, 1e-5, 0.1)?;
        Ok(y.tensor().clone())
    };
    let net = || Normalised::new(&device, [4, 20], [false, false]);
    let eager = run(&device, &net()).expect("a run");
    let recorder = gpu().recorder();
    let (recorded, state) = (Device::Gpu(recorder.clone()), net());
    let result = run(&recorded, &state).expect("a recording");
    let plan = recorder.plan(Fusion::On).expect("a plan");
    device.replay(&plan).expect("a replay");
    assert_eq!(bits(&device, &eager), bits(&device, &result));
    assert!(plan.rows().all(|row| !row.contains("moments")), "{:?}", plan.rows().collect::<Vec<_>>());
}

/// What somebody holds is there after a replay, whatever could have been fused around it.
#[test]
fn what_is_held_is_not_fused_away() {
    let device = Device::Gpu(gpu().clone());
    let net = Net::new(&device);
    let (_, expected) = net.run(&device).expect("a run");
    let (plan, _, held) = net.plan(Fusion::On, true);
    let held = held.expect("the output of the ReLU");
    device.replay(&plan).expect("a replay");
    // Twice: what a later launch wrote into its memory would show.
    device.replay(&plan).expect("a replay");
    assert_eq!(bits(&device, &held), bits(&device, &expected));
    assert!(!fused(&plan).contains(&"conv2d_relu_max_pool2d"), "{:?}", fused(&plan));
}

/// Neighbours between which something changes what the first of them reads, or what the second does.
struct Disturbed {
    net: Net,
    /// Added to the images between convolution and ReLU.
    noise: Tensor,
    logits: Tensor,
    /// Added to the gradient of the loss between the loss and that of the logits.
    more: Tensor,
}

impl Disturbed {
    fn new(device: &Device) -> Self {
        let net = Net::new(device);
        let noise = upload(device, net.x.spec().clone(), 6);
        let logits = upload(device, TensorSpec::plain([4, 8]), 7);
        Self { net, noise, logits, more: upload(device, TensorSpec::plain([1]), 8) }
    }

    fn run(&self, device: &Device) -> Result<[Tensor; 2], Error> {
        let add =
            |sum: &Tensor, term| device.run(&Accumulate::new(sum.spec().clone())?, Direction::Update, &[sum, term]);
        let (tape, net) = (Tape::new(device), &self.net);
        let [conv, shift, ..] = net.parameters.each_ref().map(|parameter| tape.constant(parameter));
        let window = Window::new(3).pad(1);
        let y = tape.conv2d(&tape.constant(&net.x), &conv, &shift, window, window)?;
        add(&net.x, &self.noise)?;
        let y = tape.relu(&y)?;
        let logits = tape.leaf(&self.logits);
        let (loss, _) = tape.softmax_cross_entropy(&logits, &tape.constant(&net.labels))?;
        add(&net.one, &self.more)?;
        let gradients = tape.backward_from(&loss, &net.one)?;
        Ok([y.tensor().clone(), gradients.get(&logits).expect("a gradient").clone()])
    }
}

/// A launch does not move past another that changes what it reads.
#[test]
fn what_is_changed_in_between_is_not_fused() {
    let device = Device::Gpu(gpu().clone());
    let eager = Disturbed::new(&device).run(&device).expect("a run");
    let recorded = Disturbed::new(&device);
    let recorder = gpu().recorder();
    let results = recorded.run(&Device::Gpu(recorder.clone())).expect("a recording");
    let plan = recorder.plan(Fusion::On).expect("a plan");
    device.replay(&plan).expect("a replay");
    for (what, (eager, planned)) in ["activation", "gradient"].iter().zip(eager.iter().zip(&results)) {
        assert_eq!(bits(&device, eager), bits(&device, planned), "{what}");
    }
    assert_eq!(plan.launches(), 6, "{:?}", plan.rows().collect::<Vec<_>>());
}

/// Parts of an arena are tensors of their own, and one launch moves them all.
#[test]
fn parts_of_an_arena_do_not_touch() {
    for device in [Device::Gpu(gpu().clone()), Device::Reference] {
        let specs = [TensorSpec::plain([3]), TensorSpec::linear(5, 7), TensorSpec::plain([64]), TensorSpec::plain([1])];
        let arena = device.arena(&specs, "parts").expect("an arena");
        for (seed, part) in (1..).zip(arena.parts()) {
            let values = vec![seed as f32; part.spec().len()];
            device.write(part, Array::Real(values)).expect("a write");
        }
        for (seed, part) in (1..).zip(arena.parts()) {
            assert_eq!(bits(&device, part), vec![(seed as f32).to_bits(); part.spec().len()], "part {seed}");
        }
    }
}

/// An update for a parameter of this shape.
type Update = fn(&TensorSpec) -> Result<Box<dyn Operation>, reference::Error>;

fn sgd(spec: &TensorSpec) -> Result<Box<dyn Operation>, reference::Error> {
    Ok(Box::new(Sgd::new(spec.clone(), 0.9, true, 0.01)?))
}

fn adam(spec: &TensorSpec) -> Result<Box<dyn Operation>, reference::Error> {
    Ok(Box::new(Adam::new(spec.clone(), AdamConfig { weight_decay: 0.01, ..AdamConfig::default() })?))
}

fn rmsprop(spec: &TensorSpec) -> Result<Box<dyn Operation>, reference::Error> {
    Ok(Box::new(RmsProp::new(spec.clone(), 0.9, 1e-7, 0.9, 0.01)?))
}

/// What happens to the gradients between the backward pass and the update, or after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Besides {
    Nothing,
    Clipped,
    Rescaled,
    ReadLater,
}

/// Two convolutions, the first as in lenet5, a dense layer, and their optimiser.
struct Trained {
    x: Tensor,
    labels: Tensor,
    one: Tensor,
    half: Tensor,
    rates: Tensor,
    /// To which the gradient of the first bias is added, where that is read later.
    sum: Tensor,
    parameters: Arena,
    optimizer: Optimizer,
}

impl Trained {
    fn new(device: &Device, update: Update) -> Self {
        let specs = [
            TensorSpec::filter(6, 1, 5, 5),
            TensorSpec::plain([6]),
            TensorSpec::filter(16, 6, 3, 5),
            TensorSpec::plain([16]),
            TensorSpec::linear(10, 16 * 8 * 4),
            TensorSpec::plain([10]),
        ];
        let parameters = device.arena(&specs, "parameters").expect("an arena");
        for (part, seed) in parameters.parts().iter().zip(1..) {
            let values = (0..part.spec().len() as u32).map(|i| ((i * 37 + seed * 101) % 19) as f32 / 80.0 - 0.1);
            device.write(part, Array::Real(values.collect())).expect("a parameter");
        }
        let plain = |values: Vec<f32>| device.upload(&TensorSpec::plain([values.len()]), Array::Real(values));
        let labels = (0..12).map(|i| i * 7 % 10).collect();
        Self {
            x: upload(device, TensorSpec::image(12, 1, 20, 16), 7),
            labels: device.upload(&TensorSpec::index([12]), Array::Index(labels)).expect("labels"),
            one: plain(vec![1.0]).expect("a one"),
            half: plain(vec![0.5]).expect("a half"),
            rates: plain(vec![0.05, 1.5, 1.25, 0.0]).expect("rates"),
            sum: plain(vec![0.0; 6]).expect("zeros"),
            optimizer: Optimizer::of_arena::<Error>(device, &parameters, |spec| Ok(update(spec)?))
                .expect("an optimizer"),
            parameters,
        }
    }

    fn step(&self, device: &Device, besides: Besides) -> Result<(), Error> {
        let tape = Tape::new(device);
        let vars: Vec<_> = self.parameters.parts().iter().map(|parameter| tape.leaf(parameter)).collect();
        let [conv1, bias1, conv2, bias2, dense, bias3] = &vars[..] else { panic!("six parameters") };
        let (padded, half) = (Window::new(5).pad(2), Window::new(2).stride(2));
        let y = tape.relu(&tape.conv2d(&tape.constant(&self.x), conv1, bias1, padded, padded)?)?;
        let y = tape.max_pool2d(&y, half, half)?;
        let y = tape.relu(&tape.conv2d(&y, conv2, bias2, Window::new(3), Window::new(5))?)?;
        let logits = tape.dense(&tape.flatten(&y)?, dense, bias3)?;
        let (loss, _) = tape.softmax_cross_entropy(&logits, &tape.constant(&self.labels))?;
        let places = vars.iter().zip(self.optimizer.gradients().unwrap_or_default());
        let gradients = tape.backward_into(&loss, &self.one, places)?;
        let grads: Vec<Option<&Tensor>> = vars.iter().map(|var| gradients.get(var)).collect();
        match besides {
            Besides::Clipped => {
                clip_norm(device, &grads.iter().flatten().copied().collect::<Vec<_>>(), 0.5)?;
            }
            Besides::Rescaled => rescale(device, &self.optimizer.together(&grads), &self.half)?,
            Besides::Nothing | Besides::ReadLater => {}
        }
        self.optimizer.step(device, &self.rates, &grads)?;
        if let (Besides::ReadLater, Some(bias)) = (besides, grads[1]) {
            let sum = Accumulate::new(self.sum.spec().clone())?;
            device.run(&sum, Direction::Update, &[&self.sum, bias])?;
        }
        Ok(())
    }

    fn plan(&self, gpu: &Gpu, besides: Besides) -> Plan {
        let recorder = gpu.recorder();
        self.step(&Device::Gpu(recorder.clone()), besides).expect("a recording");
        recorder.plan(Fusion::On).expect("a plan")
    }

    /// Parameters, the optimiser's state, and what was read later.
    fn bits(&self, device: &Device) -> Vec<Vec<u32>> {
        let state = self.optimizer.state().map(|(_, _, tensor)| tensor);
        self.parameters.parts().iter().chain(state).chain([&self.sum]).map(|tensor| bits(device, tensor)).collect()
    }
}

fn launches(plan: &Plan, start: &str) -> usize {
    plan.rows().filter(|row| row.starts_with(start)).count()
}

/// The update adds up the splits of both convolutions' gradients itself. Step by step the bits are those of the tape.
#[test]
fn split_sums_are_added_by_the_update() {
    let device = Device::Gpu(gpu().clone());
    for (update, name) in [(sgd as Update, "sgd"), (adam, "adam"), (rmsprop, "rmsprop")] {
        let (eager, planned, held) =
            (Trained::new(&device, update), Trained::new(&device, update), Trained::new(&device, update));
        let plan = planned.plan(gpu(), Besides::Nothing);
        // What somebody holds is written: nothing is left to the update.
        let gradients = held.optimizer.gradients().expect("an arena").to_vec();
        let written = held.plan(gpu(), Besides::Nothing);
        for step in 1..=3 {
            eager.step(&device, Besides::Nothing).expect("a step");
            device.replay(&plan).expect("a replay");
            device.replay(&written).expect("a replay");
            let expected = eager.bits(&device);
            assert!(expected == planned.bits(&device), "{name}, step {step}");
            assert!(expected == held.bits(&device), "{name}, step {step}, gradients held");
        }
        for (held, eager) in gradients.iter().zip(eager.optimizer.gradients().expect("an arena")) {
            assert_eq!(bits(&device, held), bits(&device, eager), "{name}");
        }
        let rows = |plan: &Plan| plan.rows().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(launches(&plan, "conv2d_weight_bias_partial."), 1, "{:?}", rows(&plan));
        // The first convolution's gradients are looked up in the pooled ones.
        assert_eq!(launches(&plan, "conv2d_relu_max_pool2d_partial."), 1, "{:?}", rows(&plan));
        assert_eq!(launches(&plan, &format!("split_sum_{name}.update.vec4")), 1, "{:?}", rows(&plan));
        assert_eq!(launches(&written, "conv2d_weight_bias."), 1, "{:?}", rows(&written));
        assert_eq!(launches(&written, &format!("{name}.update.vec4")), 1, "{:?}", rows(&written));
        // Of each convolution the dispatch that adds up its splits.
        assert_eq!((plan.launches(), plan.dispatches() + 2), (written.launches(), written.dispatches()));
    }
}

/// A plan for the last batch of an epoch is made while there is one for the others.
#[test]
fn a_second_plan_does_without_the_gradients_too() {
    let device = Device::Gpu(gpu().clone());
    let (eager, planned) = (Trained::new(&device, sgd), Trained::new(&device, sgd));
    let plans = [planned.plan(gpu(), Besides::Nothing), planned.plan(gpu(), Besides::Nothing)];
    for plan in &plans {
        assert_eq!(launches(plan, "split_sum_sgd."), 1, "{:?}", plan.rows().collect::<Vec<_>>());
        eager.step(&device, Besides::Nothing).expect("a step");
        device.replay(plan).expect("a replay");
        assert!(eager.bits(&device) == planned.bits(&device));
    }
    // Somebody who holds a gradient by now comes too late for these plans, but not for the next.
    let held = planned.optimizer.gradients().expect("an arena")[2].clone();
    assert_eq!(launches(&planned.plan(gpu(), Besides::Nothing), "split_sum_sgd."), 0);
    drop(held);
    assert_eq!(launches(&planned.plan(gpu(), Besides::Nothing), "split_sum_sgd."), 1);
}

/// Gradients that something else reads or changes are written.
#[test]
fn gradients_that_are_used_besides_are_written() {
    let device = Device::Gpu(gpu().clone());
    for besides in [Besides::Clipped, Besides::Rescaled, Besides::ReadLater] {
        let (eager, planned) = (Trained::new(&device, sgd), Trained::new(&device, sgd));
        let plan = planned.plan(gpu(), besides);
        for _ in 0..2 {
            eager.step(&device, besides).expect("a step");
            device.replay(&plan).expect("a replay");
        }
        assert!(eager.bits(&device) == planned.bits(&device), "{besides:?}");
        let rows: Vec<_> = plan.rows().collect();
        assert!(!rows.iter().any(|row| row.starts_with("split_sum_sgd.")), "{besides:?}: {rows:?}");
        assert_eq!(launches(&plan, "conv2d_weight_bias."), 1, "{besides:?}: {rows:?}");
    }
}

/// A device that takes the kernels for hardware for the gradients of the weights.
fn gpu_with_spans() -> Gpu {
    let (padded, [h, w]) = (Window::new(5).pad(2), [3, 5].map(Window::new));
    let convs = [Conv2d::new([12, 1, 20, 16], 6, padded, padded), Conv2d::new([12, 6, 10, 8], 16, h, w)];
    let row = "conv2d.bwd_weight.tiled_split_k";
    let choice = |conv: Result<Conv2d, _>| Choice {
        problem: problem(&conv.expect("a convolution")),
        row: row.to_owned(),
        gain: 2.0,
    };
    let choices = convs.map(choice).into();
    let table = Tuned::new(Class::Software, "any".to_owned(), Among::AnyOrder, choices).expect("a table");
    let options = Options { tuning: Tuning::Table(Arc::new(table)), ..Options::default() };
    pollster::block_on(Gpu::open(&options)).expect("a device")
}

/// Kernels that cut the gradient of the weights otherwise than that of the bias leave it to the update by itself.
#[test]
fn spans_of_pixels_are_added_by_the_update() {
    let gpu = gpu_with_spans();
    let device = Device::Gpu(gpu.clone());
    let (eager, planned) = (Trained::new(&device, adam), Trained::new(&device, adam));
    let plan = planned.plan(&gpu, Besides::Nothing);
    for step in 1..=2 {
        eager.step(&device, Besides::Nothing).expect("a step");
        device.replay(&plan).expect("a replay");
        assert!(eager.bits(&device) == planned.bits(&device), "step {step}");
    }
    let rows: Vec<_> = plan.rows().collect();
    for (row, count) in [
        ("conv2d_weight_partial.bwd_weight.tiled_split_k", 2),
        ("conv2d.bwd_weight.", 0),
        ("conv2d.bwd_bias.", 2),
        ("split_sum_adam.update.vec4", 1),
    ] {
        assert_eq!(launches(&plan, row), count, "{row}: {rows:?}");
    }
}
