//! The reference against PyTorch: `tests/fixtures/*.safetensors`, written by `make_fixtures.py` there.

mod by_name;

use by_name::{Precision, Values, run};
use reference::ops::*;
use reference::tolerance::Tolerance;
use reference::{Access, Arg, Array, Direction, Error, Operation, TensorSpec, Window};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Operations without a fixture, and why.
const NO_FIXTURE: &[(&str, &str)] = &[
    ("dropout", "its random numbers are ours; PyTorch has others"),
    ("gather", "reads the data set; PyTorch has no such operation"),
    ("accumulate", "an addition"),
    ("max_pool2d_relu_flatten", "the chain of flatten and max_pool2d_relu, as its reference is"),
    ("relu_dense", "the chain of dense and relu, as its reference is"),
    ("rescale", "a product"),
    ("random_erasing", "its random numbers are ours, and the rest is copying"),
    ("conv2d_moments", "conv2d and relu, as its reference is, with moments that a test compares with BatchNorm's"),
    ("conv2d_relu", "the chain of conv2d and relu, as its reference is"),
    ("conv2d_relu_max_pool2d", "the chain of conv2d, relu and max_pool2d, as its reference is"),
    ("batch_norm_of_moments", "batch_norm given moments; a test of its reference compares the two"),
    ("batch_norm_relu", "the chain of batch_norm and relu, as its reference is"),
    ("batch_norm_relu_avg_pool2d", "the chain of batch_norm, relu and avg_pool2d, as its reference is"),
    ("dense_softmax_cross_entropy", "the chain of dense and softmax_cross_entropy, as its reference is"),
    ("dense_relu", "the chain of dense and relu, as its reference is"),
    ("max_pool2d_relu", "the chain of relu and max_pool2d, as its reference is"),
    ("softmax_cross_entropy_with_gradient", "both directions of softmax_cross_entropy, as its reference is"),
    ("conv2d_weight_bias", "two directions of conv2d, as its reference is"),
    ("dense_weight_bias", "two directions of dense, as its reference is"),
    (
        "conv2d_relu_max_pool2d_partial",
        "the chain of max_pool2d_relu and conv2d_weight_bias_partial, as its reference is",
    ),
    ("conv2d_weight_bias_partial", "conv2d_weight_bias cut into parts, which a test in `reference` adds up"),
    ("conv2d_weight_partial", "a direction of conv2d cut into parts, which a test in `reference` adds up"),
    ("split_sum_sgd", "sgd on a gradient whose parts a test in `reference` adds up"),
    ("split_sum_adam", "adam on a gradient whose parts a test in `reference` adds up"),
    ("split_sum_rmsprop", "rmsprop on a gradient whose parts a test in `reference` adds up"),
];

/// (operation, case) pairs that must have been compared.
const MIN_PAIRS: usize = 60;

/// Distance between neighbouring `f32` of magnitude 1.
const ULP: f64 = f32::EPSILON as f64;

#[test]
fn reference_agrees_with_pytorch() {
    let (mut failures, mut pairs) = (Vec::new(), 0);
    for (op, case) in all_cases() {
        let checked = check::<f64>(&*op, &case);
        failures.extend(check::<f32>(&*op, &case).failures);
        failures.extend(checked.failures);
        pairs += usize::from(!checked.compared.is_empty());
        for name in case.tensors.keys() {
            if !checked.used.contains(name) && !checked.compared.contains(name) {
                failures.push(format!("{case}: nothing reads or writes `{name}`"));
            }
        }
    }
    assert!(failures.is_empty(), "{} problems:\n{}", failures.len(), failures.join("\n"));
    assert!(pairs >= MIN_PAIRS, "only {pairs} (operation, case) pairs were compared");
}

/// A check that cannot fail is none: every expected tensor, wrong in one element, must be refused.
#[test]
fn wrong_expectations_are_noticed() {
    let mut silent = Vec::new();
    for (op, case) in all_cases() {
        for name in check::<f64>(&*op, &case).compared {
            for change in [Change::OnePerCent, Change::NotANumber] {
                let mut wrong = case.clone();
                change.apply(&mut wrong.tensors.get_mut(&name).expect("was compared").1);
                if check::<f64>(&*op, &wrong).failures.is_empty() {
                    silent.push(format!("{case} `{name}`: {change:?} in f64"));
                }
                if check::<f32>(&*op, &wrong).failures.is_empty() {
                    silent.push(format!("{case} `{name}`: {change:?} in f32"));
                }
            }
        }
    }
    assert!(silent.is_empty(), "accepted although wrong:\n{}", silent.join("\n"));
}

#[test]
fn every_operation_has_fixtures() {
    let with_fixtures: BTreeSet<_> = all_cases().iter().map(|(op, _)| op.name()).collect();
    for entry in ALL {
        let excuse = NO_FIXTURE.iter().find(|(name, _)| *name == entry.name);
        assert!(
            with_fixtures.contains(entry.name) != excuse.is_some(),
            "{}: add cases to tests/fixtures/make_fixtures.py, or a reason to NO_FIXTURE, not both",
            entry.name
        );
    }
}

/// One case of a fixture file.
#[derive(Clone)]
struct Case {
    file: String,
    name: String,
    /// The descriptor's fields.
    fields: Value,
    /// Dimensions and numbers, by argument.
    tensors: BTreeMap<String, (Vec<usize>, Array<f32>)>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.file, self.name)
    }
}

impl Case {
    fn size(&self, field: &str) -> usize {
        let size = self.fields[field].as_u64();
        size.unwrap_or_else(|| panic!("{self}: no size `{field}`")) as usize
    }

    fn flag(&self, field: &str) -> bool {
        self.fields[field].as_bool().unwrap_or_else(|| panic!("{self}: no flag `{field}`"))
    }

    fn number(&self, field: &str) -> f64 {
        self.fields[field].as_f64().unwrap_or_else(|| panic!("{self}: no number `{field}`"))
    }

    fn sizes<const N: usize>(&self, fields: [&str; N]) -> [usize; N] {
        fields.map(|field| self.size(field))
    }

    fn windows(&self) -> (Window, Window) {
        let along = |axis: &str| Window {
            kernel: self.size(&format!("k_{axis}")),
            stride: self.size(&format!("stride_{axis}")),
            pad: self.size(&format!("pad_{axis}")),
            dilation: self.size(&format!("dilation_{axis}")),
        };
        (along("h"), along("w"))
    }

    fn lr_schedule(&self) -> LrSchedule {
        let size = |field: &str| self.size(field) as u32;
        let decay = match self.fields["shape"].as_str() {
            Some("step") => LrDecay::Step { every: size("every"), factor: self.number("factor") },
            Some("cosine") => LrDecay::Cosine { steps: size("steps"), floor: self.number("floor") },
            Some("one-cycle") => LrDecay::OneCycle {
                steps: size("steps"),
                rise: self.number("rise"),
                start_div: self.number("start_div"),
                end_div: self.number("end_div"),
            },
            _ => LrDecay::Constant,
        };
        LrSchedule { warm_up: size("warm_up"), decay }
    }

    fn affine_augment(&self) -> Result<AffineAugment, Error> {
        let number = |field| self.number(field) as f32;
        let ranges = AffineRanges {
            rotation: number("rotation"),
            shift_h: number("shift_h"),
            shift_w: number("shift_w"),
            shear: number("shear"),
            zoom: number("zoom"),
            flip_horizontal: self.flag("flip_horizontal"),
            flip_vertical: self.flag("flip_vertical"),
        };
        let fill = self.fields["fill"].as_f64().map_or(Fill::Nearest, |value| Fill::Constant(value as f32));
        AffineAugment::new(self.sizes(["n", "c", "h", "w"]), ranges, fill)
    }

    /// Four dimensions are an image's.
    fn spec(&self) -> TensorSpec {
        let dims: Vec<usize> = serde_json::from_value(self.fields["shape"].clone()).expect("a shape");
        match dims[..] {
            [n, c, h, w] => TensorSpec::image(n, c, h, w),
            _ => TensorSpec::plain(dims),
        }
    }

    fn op(&self) -> Result<Box<dyn Operation>, Error> {
        let image = ["n", "c", "h_in", "w_in"];
        Ok(match self.file.as_str() {
            "conv2d" => {
                let (h, w) = self.windows();
                Box::new(Conv2d::new(self.sizes(["n", "c_in", "h_in", "w_in"]), self.size("c_out"), h, w)?)
            }
            "dense" => {
                let [n, features_in, features_out] = self.sizes(["n", "features_in", "features_out"]);
                Box::new(Dense::new(n, features_in, features_out)?)
            }
            "max_pool2d" => {
                let (h, w) = self.windows();
                Box::new(MaxPool2d::new(self.sizes(image), h, w)?)
            }
            "avg_pool2d" => {
                let (h, w) = self.windows();
                Box::new(AvgPool2d::new(self.sizes(image), h, w)?)
            }
            "batch_norm" => {
                let mode = if self.flag("training") { BatchNormMode::Training } else { BatchNormMode::Inference };
                let (eps, momentum) = (self.number("eps") as f32, self.number("momentum") as f32);
                Box::new(BatchNorm::new(self.spec(), mode, eps, momentum)?)
            }
            "relu" => Box::new(Relu::new(self.spec())?),
            "flatten" => Box::new(Flatten::new(self.sizes(["n", "c", "h", "w"]))?),
            "multi_class_hinge" => Box::new(MultiClassHinge::new(self.size("n"), self.size("classes"))?),
            "nll_loss" => Box::new(NllLoss::new(self.size("n"), self.size("classes"))?),
            "log_softmax" => Box::new(LogSoftmax::new(self.size("n"), self.size("classes"))?),
            "fourier_features" => Box::new(FourierFeatures::new(self.spec(), self.number("scale") as f32)?),
            "affine_augment" => Box::new(self.affine_augment()?),
            "sum_of_squares" => Box::new(SumOfSquares::new(self.spec())?),
            "clip_norm" => Box::new(ClipNorm::new(self.spec(), self.number("max_norm") as f32)?),
            "clip_value" => Box::new(ClipValue::new(self.spec(), self.number("limit") as f32)?),
            "softmax_cross_entropy" => {
                let op = SoftmaxCrossEntropy::new(self.size("n"), self.size("classes"))?;
                Box::new(op.with_smoothing(self.number("smoothing") as f32)?)
            }
            "schedule" => {
                Box::new(Schedule::new(1, self.number("lr"), 0.0, 0.0)?.with_lr_schedule(self.lr_schedule())?)
            }
            "sgd" => {
                let (momentum, decay) = (self.number("momentum") as f32, self.number("weight_decay") as f32);
                Box::new(Sgd::new(self.spec(), momentum, self.flag("nesterov"), decay)?)
            }
            "adam" | "adamw" => {
                let config = AdamConfig {
                    beta1: self.number("beta1"),
                    beta2: self.number("beta2"),
                    eps: self.number("eps"),
                    weight_decay: self.number("weight_decay"),
                    decoupled: self.file == "adamw",
                };
                Box::new(Adam::new(self.spec(), config)?)
            }
            "rmsprop" => {
                let [alpha, eps, momentum, decay] =
                    ["alpha", "eps", "momentum", "weight_decay"].map(|field| self.number(field));
                Box::new(RmsProp::new(self.spec(), alpha, eps, momentum, decay)?)
            }
            other => panic!("{other}.safetensors: say here how to build its operation"),
        })
    }
}

/// Every case of every fixture file, with its operation.
fn all_cases() -> Vec<(Box<dyn Operation>, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("tests/fixtures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            cases.extend(read(&path));
        }
    }
    cases.sort_by(|(_, a), (_, b)| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
    cases
}

fn read(path: &Path) -> Vec<(Box<dyn Operation>, Case)> {
    let bytes = std::fs::read(path).expect("a readable fixture");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
    let about = header.metadata().as_ref().and_then(|m| m.get("fixture")).expect("metadata `fixture`");
    let about: Value = serde_json::from_str(about).expect("JSON");
    let file = path.file_stem().expect("a name").to_string_lossy();
    let mut tensors: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(&bytes).expect("a safetensors file").iter() {
        let (case, arg) = name.split_once('/').expect("<case>/<argument>");
        let words = view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let array = match view.dtype() {
            Dtype::F32 => Array::Real(words.map(f32::from_bits).collect()),
            Dtype::U32 => Array::Index(words.collect()),
            other => panic!("{file} {name}: {other:?}"),
        };
        tensors.entry(case.into()).or_default().insert(arg.to_owned(), (view.shape().to_vec(), array));
    }
    let fields = about["cases"].as_object().expect("metadata's cases");
    assert!(fields.keys().eq(tensors.keys()), "{file}: its metadata and its tensors name other cases");
    let case = |(name, tensors): (String, _)| {
        let case = Case { file: file.clone().into(), fields: fields[&name].clone(), name, tensors };
        let op = case.op().unwrap_or_else(|error| panic!("{case}: {error}"));
        (op, case)
    };
    tensors.into_iter().map(case).collect()
}

/// What became of a case.
#[derive(Default)]
struct Checked {
    /// Tensors of the fixture that were read.
    used: BTreeSet<String>,
    /// Tensors of the fixture that an output was compared with.
    compared: BTreeSet<String>,
    failures: Vec<String>,
}

impl Checked {
    /// Compares one output of a direction with the fixture's tensor of that name, if it has one.
    fn compare<T: Precision>(&mut self, case: &Case, direction: Direction, (arg, got): (&Arg, &Array<T>), name: &str) {
        let Some((dims, expected)) = case.tensors.get(name) else { return };
        self.compared.insert(name.to_owned());
        let context = format!("{case} {direction} `{name}` in {}", type_name::<T>());
        if *dims != arg.spec.dims || expected.dtype() != arg.spec.dtype {
            let theirs = expected.dtype();
            self.failures.push(format!("{context}: ours is {}, the fixture's {theirs:?} {dims:?}", arg.spec));
            return;
        }
        let indices = got.index().iter().zip(expected.index());
        if let Some(i) = indices.clone().position(|(got, expected)| got != expected) {
            let (got, expected) = (got.index()[i], expected.index()[i]);
            self.failures.push(format!("{context} at {:?}: {got}, expected {expected}", place(i, dims)));
        }
        let bound = bound::<T>(case, direction, expected.real());
        let reals = got.real().iter().map(|v| v.to_f64()).zip(expected.real().iter().map(|&v| f64::from(v)));
        let wrong = reals.enumerate().filter(|&(_, (got, expected))| !bound.accepts(got, expected));
        // NaN counts as furthest off.
        let distance = |(got, expected): (f64, f64)| (got - expected).abs();
        let worst = wrong.max_by(|&(_, a), &(_, b)| distance(a).total_cmp(&distance(b)));
        if let Some((i, (got, expected))) = worst {
            let place = place(i, dims);
            self.failures.push(format!("{context} at {place:?}: {got:e}, expected {expected:e} ({bound:?})"));
        }
    }
}

/// The index along every dimension of flat index `i`.
fn place(mut i: usize, dims: &[usize]) -> Vec<usize> {
    let mut place: Vec<_> = dims
        .iter()
        .rev()
        .map(|dim| {
            let along = i % dim;
            i /= dim;
            along
        })
        .collect();
    place.reverse();
    place
}

/// Whether `T` is the wide type, in which nothing is rounded on the way.
fn is_exact<T>() -> bool {
    size_of::<T>() == size_of::<f64>()
}

/// Runs every direction of `op` on the fixture's arguments. What the fixture has not comes from an
/// earlier direction; in `f64` also what it has, because there it is rounded.
fn check<T: Precision>(op: &dyn Operation, case: &Case) -> Checked {
    let mut checked = Checked::default();
    let given: Values<T> = case.tensors.iter().map(|(name, (_, array))| (name.clone(), array.cast())).collect();
    let outcome = if op.name() == "schedule" {
        schedule::<T>(op, case, &mut checked)
    } else if case.tensors.contains_key("param") {
        optimise(op, case, &given, &mut checked)
    } else {
        directions(op, case, &given, &mut checked)
    };
    checked.failures.extend(outcome.err().map(|problem| format!("{case}: {problem}")));
    checked
}

fn directions<T: Precision>(
    op: &dyn Operation,
    case: &Case,
    given: &Values<T>,
    checked: &mut Checked,
) -> Result<(), String> {
    let mut computed = Values::new();
    for &direction in op.directions() {
        let read = op.signature(direction).into_iter().filter(|arg| arg.access != Access::Write);
        checked.used.extend(read.map(|arg| arg.name.to_owned()));
        let sources = if is_exact::<T>() { [&computed, given] } else { [given, &computed] };
        for (arg, got) in run(op, direction, &sources)? {
            let after = format!("{}_after", arg.name);
            let name = if arg.access == Access::Update { &after } else { arg.name };
            checked.compare(case, direction, (&arg, &got), name);
            computed.insert(arg.name.into(), got);
        }
    }
    Ok(())
}

/// `lr`, the first of `rates` in step after step from a counter of zeros.
fn schedule<T: Precision>(op: &dyn Operation, case: &Case, checked: &mut Checked) -> Result<(), String> {
    let (dims, _) = case.tensors.get("lr").ok_or("no `lr` in the fixture")?;
    let mut state = Values::<T>::from([("counter".into(), Array::Index(vec![0; 4]))]);
    let mut rates = Vec::new();
    for _ in 0..dims[0] {
        state.extend(run(op, Direction::Update, &[&state])?.into_iter().map(|(arg, array)| (arg.name.into(), array)));
        rates.push(state["rates"].real()[0]);
    }
    let arg = Arg::write("lr", TensorSpec::plain(dims.clone()));
    checked.compare(case, Direction::Update, (&arg, &Array::Real(rates)), "lr");
    Ok(())
}

/// `param<t>` after the step with `grad<t-1>`; all other state starts at zero and is carried along.
fn optimise<T: Precision>(
    op: &dyn Operation,
    case: &Case,
    given: &Values<T>,
    checked: &mut Checked,
) -> Result<(), String> {
    let beta = |name: &str| case.fields[name].as_f64().unwrap_or(0.0);
    let schedule = Schedule::new(1, case.number("lr"), beta("beta1"), beta("beta2"));
    let schedule = schedule.map_err(|error| error.to_string())?;
    let mut state = Values::new();
    for op in [&schedule, op] {
        let updated = op.signature(Direction::Update).into_iter().filter(|arg| arg.access == Access::Update);
        state.extend(updated.map(|arg| (arg.name.to_owned(), Array::zeros(&arg.spec))));
    }
    state.insert("param".into(), given.get("param").ok_or("no `param` in the fixture")?.clone());
    checked.used.insert("param".into());
    for step in 1.. {
        let name = format!("grad{}", step - 1);
        let Some(grad) = given.get(&name) else { break };
        state.insert("grad".into(), grad.clone());
        checked.used.insert(name);
        for op in [&schedule, op] {
            for (arg, array) in run(op, Direction::Update, &[&state])? {
                checked.compare(case, Direction::Update, (&arg, &array), &format!("{}{step}", arg.name));
                state.insert(arg.name.into(), array);
            }
        }
    }
    Ok(())
}

/// How far the reference may be from PyTorch.
///
/// The fixture is the answer rounded once: in `f64` the reference must be within half an ulp of it.
/// In `f32` it rounds too, and is the same number or a neighbour, unless it was given something
/// rounded: saved statistics or probabilities, an optimiser's state.
fn bound<T>(case: &Case, direction: Direction, expected: &[f32]) -> Tolerance {
    let largest = expected.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max);
    let digits_of_f64 = 1e-12 * largest;
    let saves = ["batch_norm", "log_softmax", "softmax_cross_entropy"].contains(&&*case.file);
    match direction {
        _ if is_exact::<T>() => Tolerance { atol: digits_of_f64, rtol: 0.5 * ULP },
        Direction::Fwd => Tolerance { atol: digits_of_f64, rtol: ULP },
        Direction::Update => Tolerance { atol: 8.0 * ULP * largest, rtol: ULP },
        _ if saves => Tolerance { atol: 8.0 * ULP * largest, rtol: ULP },
        _ => Tolerance { atol: digits_of_f64, rtol: ULP },
    }
}

/// How `wrong_expectations_are_noticed` spoils a tensor.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// The largest number of all is one per cent too large; a label or argmax one too many.
    OnePerCent,
    NotANumber,
}

impl Change {
    fn apply(self, array: &mut Array<f32>) {
        match (array, self) {
            (Array::Index(v), _) => v[0] += 1,
            (Array::Real(v), Self::NotANumber) => v[0] = f32::NAN,
            (Array::Real(v), Self::OnePerCent) => {
                let largest = v.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs()));
                largest.into_iter().for_each(|v| *v = *v * 1.01 + 0.01);
            }
        }
    }
}
