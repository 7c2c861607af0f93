//! The tape itself, on the GPU and on the reference: values used more than once, what it refuses.

use parity::gpu;
use reference::ops::Relu;
use reference::{Arg, Array, Contract, Direction, Real, TensorSpec};
use tape::{Device, Error, Optimizer, Tape, Tensor, Var};

fn devices() -> [Device; 2] {
    [Device::Gpu(gpu().clone()), Device::Reference]
}

fn upload(device: &Device, spec: TensorSpec, seed: u32) -> Tensor {
    let values = (0..spec.len() as u32).map(|i| ((i * 37 + seed * 101) % 19) as f32 / 8.0 - 1.0).collect();
    device.upload(&spec, Array::Real(values)).expect("a tensor")
}

fn read(device: &Device, tensor: &Tensor) -> Vec<f32> {
    pollster::block_on(device.read(tensor)).expect("a tensor").real().to_vec()
}

fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{a} is not {b}");
    }
}

/// A value read by two layers gets the sum of what they send back, in one and the same order.
#[test]
fn gradients_of_a_value_used_twice_are_added() {
    for device in devices() {
        let x = upload(&device, TensorSpec::plain([3, 5]), 1);
        let (weight, bias) = (upload(&device, TensorSpec::linear(5, 5), 2), upload(&device, TensorSpec::plain([5]), 3));
        let labels = device.upload(&TensorSpec::index([3]), Array::Index(vec![0, 4, 2])).expect("labels");

        // One weight for two layers, once as the same leaf and once as two.
        let gradients = |shared: bool| -> Vec<Vec<f32>> {
            let tape = Tape::new(&device);
            let (x, bias) = (tape.constant(&x), tape.constant(&bias));
            let first = tape.leaf(&weight);
            let second = if shared { first.clone() } else { tape.leaf(&weight) };
            let hidden = tape.dense(&x, &first, &bias).expect("a layer");
            let y = tape.dense(&hidden, &second, &bias).expect("a layer");
            let (loss, _) = tape.softmax_cross_entropy(&y, &tape.constant(&labels)).expect("a loss");
            let gradients = tape.backward(&loss).expect("gradients");
            let get = |var: &Var| read(&device, gradients.get(var).expect("a gradient"));
            vec![get(&first), get(&second)]
        };
        let (shared, apart) = (gradients(true), gradients(false));
        let sum: Vec<f32> = apart[0].iter().zip(&apart[1]).map(|(a, b)| a + b).collect();
        close(&shared[0], &sum);
        assert!(apart[0] != apart[1], "the two layers send back the same");
        assert_eq!(shared, gradients(true), "not the same bits twice");
    }
}

/// Clipping is by the norm over all gradients, not over each, and leaves a small one alone.
#[test]
fn clipping_is_by_the_norm_of_all() {
    for device in devices() {
        let grads = || {
            [TensorSpec::plain([3, 5]), TensorSpec::linear(4, 6), TensorSpec::plain([2])].map(|s| upload(&device, s, 1))
        };
        let before: Vec<f32> = grads().iter().flat_map(|grad| read(&device, grad)).collect();
        let squares: f32 = before.iter().map(|g| g * g).sum();
        for (max_norm, share) in [(0.5 * squares.sqrt(), 0.5), (2.0 * squares.sqrt(), 1.0)] {
            let grads = grads();
            let sum = tape::clip_norm(&device, &grads.each_ref(), max_norm).expect("a norm");
            close(&read(&device, &sum), &[squares]);
            let after: Vec<f32> = grads.iter().flat_map(|grad| read(&device, grad)).collect();
            close(&after, &before.iter().map(|g| share * g).collect::<Vec<_>>());
            assert!(share < 1.0 || after == before, "a small gradient was touched");
        }
        let grads = grads();
        tape::clip_value(&device, &grads.each_ref(), 0.25).expect("clipped");
        let after: Vec<f32> = grads.iter().flat_map(|grad| read(&device, grad)).collect();
        assert_eq!(after, before.iter().map(|g| g.clamp(-0.25, 0.25)).collect::<Vec<_>>());
        assert_eq!(read(&device, &tape::clip_norm(&device, &[], 1.0).expect("nothing")), [0.0]);
    }
}

/// `y = a * b`, as somebody outside of this workspace would add an operation. It has no kernels.
#[derive(Clone, Debug)]
struct Product(TensorSpec);

impl Contract for Product {
    const NAME: &'static str = "product";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput, Direction::BwdWeight];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.0.clone();
        match direction {
            Direction::Fwd => vec![Arg::read("a", spec()), Arg::read("b", spec()), Arg::write("y", spec())],
            Direction::BwdInput => vec![Arg::read("b", spec()), Arg::read("dy", spec()), Arg::write("da", spec())],
            Direction::BwdWeight => {
                // Reads what the direction before wrote, only to be in the way if that is changed in place.
                let (a, dy, da) = (Arg::read("a", spec()), Arg::read("dy", spec()), Arg::read("da", spec()));
                vec![a, dy, da, Arg::write("db", spec()), Arg::write("seen", spec())]
            }
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), reference::Error> {
        let products = inputs[0].real().iter().zip(inputs[1].real()).map(|(a, b)| T::from_f64(a.to_f64() * b.to_f64()));
        *outputs[0] = Array::Real(products.collect());
        if direction == Direction::BwdWeight {
            *outputs[1] = inputs[2].clone();
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        1
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        self.0.len() as u64
    }
}

/// Both contributions come from one node: the square of a value.
#[test]
fn gradients_of_a_value_used_twice_by_one_operation_are_added() {
    let device = Device::Reference;
    let spec = TensorSpec::plain([5]);
    let (x, upstream) = (upload(&device, spec.clone(), 1), upload(&device, spec.clone(), 2));
    let tape = Tape::new(&device);
    let leaf = tape.leaf(&x);
    let square = tape.apply(Product(spec.clone()), &[&leaf, &leaf]).expect("a square").remove(0);
    let fourth = tape.apply(Product(spec), &[&square, &square]).expect("a fourth power").remove(0);
    let gradients = tape.backward_from(&fourth, &upstream).expect("gradients");
    let expected: Vec<f32> =
        read(&device, &x).iter().zip(read(&device, &upstream)).map(|(x, dy)| 4.0 * x * x * x * dy).collect();
    close(&read(&device, gradients.get(&leaf).expect("a gradient")), &expected);
}

#[test]
fn what_the_loss_does_not_depend_on_has_no_gradient() {
    for device in devices() {
        let tape = Tape::new(&device);
        let x = upload(&device, TensorSpec::plain([2, 3]), 1);
        let (constant, used, unused) = (tape.constant(&x), tape.leaf(&x), tape.leaf(&x));
        let y = tape.relu(&used).expect("a layer");
        tape.relu(&unused).expect("a layer");
        let upstream = upload(&device, TensorSpec::plain([2, 3]), 9);
        let gradients = tape.backward_from(&y, &upstream).expect("gradients");
        assert!(gradients.get(&used).is_some() && gradients.get(&y).is_some());
        assert!(gradients.get(&unused).is_none() && gradients.get(&constant).is_none());
    }
}

#[test]
fn misuse_is_a_typed_error() {
    for device in devices() {
        let (tape, other) = (Tape::new(&device), Tape::new(&device));
        let x = tape.leaf(&upload(&device, TensorSpec::plain([2, 3]), 1));
        assert!(matches!(other.relu(&x), Err(Error::OtherTape { op: "relu" })));
        assert!(matches!(tape.backward(&x), Err(Error::NotAScalar(_))));
        let relu = || Relu::new(TensorSpec::plain([2, 3])).expect("an operation");
        assert!(matches!(tape.apply(relu(), &[]), Err(Error::Operation(_))));
        assert!(matches!(tape.apply(relu(), &[&x, &x]), Err(Error::Operation(_))));
        let small = tape.leaf(&upload(&device, TensorSpec::plain([5]), 1));
        assert!(tape.apply(relu(), &[&small]).is_err());
        // What is written must not be what is read.
        let tensor = upload(&device, TensorSpec::plain([2, 3]), 1);
        if matches!(device, Device::Gpu(_)) {
            assert!(matches!(device.run(&relu(), Direction::Fwd, &[&tensor, &tensor]), Err(Error::Device(_))));
        }
    }
    let [gpu, reference] = devices();
    let tape = Tape::new(&gpu);
    let stranger = tape.leaf(&upload(&reference, TensorSpec::plain([2, 3]), 1));
    assert!(matches!(tape.relu(&stranger), Err(Error::OtherDevice { op: "relu", arg: "x" })));
    assert!(gpu.upload(&TensorSpec::plain([4]), Array::Real(vec![0.0; 3])).is_err());
    assert!(reference.upload(&TensorSpec::plain([4]), Array::Real(vec![0.0; 3])).is_err());
    assert!(reference.empty(&TensorSpec::plain([0])).is_err() && gpu.empty(&TensorSpec::plain([0])).is_err());
}

/// An optimiser finds its state by the names in its signature, whichever it is.
#[test]
fn an_optimiser_moves_what_has_a_gradient_and_leaves_the_rest() {
    for device in devices() {
        let spec = TensorSpec::plain([5]);
        let params = [upload(&device, spec.clone(), 1), upload(&device, spec.clone(), 2)];
        let before = [read(&device, &params[0]), read(&device, &params[1])];
        let optimizer = Optimizer::new(&device, &params, |spec| {
            let op = reference::ops::Sgd::new(spec.clone(), 0.5, false, 0.0)?;
            Ok::<_, Error>(Box::new(op) as Box<dyn reference::Operation>)
        })
        .expect("an optimiser");
        assert_eq!(optimizer.state().map(|(_, name, _)| name).collect::<Vec<_>>(), ["velocity", "velocity"]);
        let rates = device.upload(&TensorSpec::plain([4]), Array::Real(vec![0.25, 1.0, 1.0, 0.0])).expect("rates");
        let grad = upload(&device, spec, 3);
        for _ in 0..2 {
            optimizer.step(&device, &rates, &[Some(&grad), None]).expect("a step");
        }
        // Velocity g, then 1.5 g: together 2.5 g.
        let expected: Vec<f32> = before[0].iter().zip(read(&device, &grad)).map(|(p, g)| p - 0.25 * 2.5 * g).collect();
        close(&read(&device, &params[0]), &expected);
        assert_eq!(read(&device, &params[1]), before[1]);
    }
}

/// What is frozen gets no gradient, and what a wanted gradient needs on the way is computed all the same: `dx` of batch
/// normalisation reads `dweight` and `dbias`.
#[test]
fn frozen_parameters_do_not_stop_the_gradient_of_the_input() {
    for device in devices() {
        let spec = TensorSpec::image(3, 4, 2, 5);
        let (x, upstream) = (upload(&device, spec.clone(), 1), upload(&device, spec, 2));
        let channels = || TensorSpec::plain([4]);
        let (weight, bias) = (upload(&device, channels(), 3), upload(&device, channels(), 4));
        let dx = |frozen: bool| {
            let tape = Tape::new(&device);
            let parameter = |tensor| if frozen { tape.constant(tensor) } else { tape.leaf(tensor) };
            let (weight, bias) = (parameter(&weight), parameter(&bias));
            let [mean, var] = [(); 2].map(|()| tape.constant(&device.zeros(&channels()).expect("zeros")));
            let x = tape.leaf(&x);
            let state = [&weight, &bias, &mean, &var];
            let y = tape.batch_norm(&x, state, reference::ops::BatchNormMode::Training, 1e-5, 0.1).expect("a layer");
            let gradients = tape.backward_from(&y, &upstream).expect("gradients");
            assert_eq!(gradients.get(&weight).is_none(), frozen);
            read(&device, gradients.get(&x).expect("a gradient"))
        };
        assert_eq!(dx(true), dx(false));
    }
}

/// A plan keeps what it reads: memory that others let go of is not handed out again while a replay may use it.
#[test]
fn a_plan_keeps_the_tensors_it_uses() {
    let device = Device::Gpu(gpu().clone());
    let spec = TensorSpec::plain([4099]);
    let y = device.zeros(&spec).expect("a tensor");
    let expected: Vec<f32>;
    let plan = {
        let x = upload(&device, spec.clone(), 1);
        expected = read(&device, &x).into_iter().map(|x| x.max(0.0)).collect();
        let relu = Relu::new(spec.clone()).expect("an operation");
        device.record::<Error>(|recorder| recorder.run(&relu, Direction::Fwd, &[&x, &y])).expect("a plan")
    };
    // The size that was let go of, were it let go of.
    let others: Vec<Tensor> = (2..6).map(|seed| upload(&device, spec.clone(), seed)).collect();
    device.replay(&plan.expect("a plan")).expect("a replay");
    assert_eq!(read(&device, &y), expected);
    assert_eq!(others.len(), 4);
}

/// Nothing that needs the device to run can hide in a plan.
#[test]
fn a_recording_refuses_to_upload_and_to_read() {
    let device = Device::Gpu(gpu().clone());
    let tensor = device.zeros(&TensorSpec::plain([3])).expect("a tensor");
    let outcome = device.record::<Error>(|recorder| {
        let recording =
            |result: Error| assert!(matches!(result, Error::Device(kernels::Error::Recording(_))), "{result}");
        recording(recorder.write(&tensor, Array::Real(vec![0.0; 3])).expect_err("an upload"));
        recording(pollster::block_on(recorder.read(&tensor)).expect_err("a read"));
        recording(recorder.finish().expect_err("a wait"));
        Ok(())
    });
    assert_eq!(outcome.expect("a recording").map(|plan| plan.dispatches()), Some(0));
}
