//! Every backward direction of the reference against central differences of its forward direction,
//! in `f64`; and the same check against backward directions that are wrong on purpose.

mod by_name;

use by_name::{Values, run};
use reference::ops::ALL;
use reference::philox::philox4x32;
use reference::{Access, Arg, Array, DType, Direction, Domain, Error, Operation, TensorSpec};
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How far a coordinate is moved to each side.
const STEP: f64 = 1e-6;
/// Relative distance allowed between a gradient and its central difference.
const RTOL: f64 = 1e-5;
/// Left and right difference of a smooth function are within `STEP` times its curvature.
const KINK: f64 = 1e-3;
/// Cases with more elements than this in the arguments of `fwd` are left to the kernels' tests.
const MAX_CASE_ELEMENTS: usize = 1500;
/// Coordinates moved per argument.
const MAX_COORDINATES: usize = 60;

/// (operation, gradient) pairs that must have been compared.
const MIN_PAIRS: usize = 15;

/// An operation's gradient: direction, and the argument it is written to.
type Pair = (Direction, &'static str);

#[test]
fn backward_is_the_derivative_of_forward() {
    let (mut failures, mut pairs) = (Vec::new(), 0);
    for entry in ALL {
        let cases = (entry.cases)();
        let expected: BTreeSet<Pair> = cases.iter().flat_map(|case| gradients(&*case.op)).collect();
        let mut covered = BTreeSet::new();
        for case in cases.iter().filter(|case| !expected.is_empty() && is_small(&*case.op)) {
            match check(&*case.op) {
                Ok(pairs) => covered.extend(pairs),
                Err(problem) => failures.push(format!("{} `{}`: {problem}", entry.name, case.name)),
            }
        }
        pairs += covered.len();
        for (direction, gradient) in expected.difference(&covered) {
            failures.push(format!(
                "{} {direction}: `{gradient}` was compared nowhere; add a case with at most \
                 {MAX_CASE_ELEMENTS} elements",
                entry.name
            ));
        }
    }
    assert!(failures.is_empty(), "{} problems:\n{}", failures.len(), failures.join("\n"));
    assert!(pairs >= MIN_PAIRS, "only {pairs} (operation, gradient) pairs were compared");
}

/// Gradients that fused operations leave to the operations they stand for.
const ALONE: &[(&str, &str)] = &[
    // Its gradients are for a first convolution, whose input needs none.
    ("conv2d_relu_max_pool2d", "dx"),
];

#[test]
fn every_real_input_has_a_gradient() {
    for entry in ALL {
        for case in (entry.cases)() {
            let gradients: BTreeSet<_> = gradients(&*case.op).into_iter().map(|(_, g)| g).collect();
            if gradients.is_empty() {
                continue;
            }
            for arg in case.op.signature(Direction::Fwd) {
                if arg.access == Access::Read && arg.spec.dtype == DType::Real {
                    let wanted = format!("d{}", arg.name);
                    if ALONE.contains(&(entry.name, &wanted)) {
                        continue;
                    }
                    assert!(gradients.contains(&*wanted), "{} has no `{wanted}`", entry.name);
                }
            }
        }
    }
}

#[test]
fn wrong_backwards_are_rejected() {
    let mut missed = Vec::new();
    for entry in ALL {
        let cases: Vec<_> = (entry.cases)().into_iter().filter(|case| is_small(&*case.op)).collect();
        let directions: BTreeSet<_> =
            cases.iter().flat_map(|case| gradients(&*case.op)).map(|(direction, _)| direction).collect();
        for &direction in &directions {
            for bug in [Bug::Scaled, Bug::Shifted, Bug::LastMissing, Bug::Unwritten] {
                let rejected =
                    cases.iter().any(|case| check(&Planted { op: case.op.clone(), direction, bug }).is_err());
                if !rejected {
                    missed.push(format!("{} {direction}: {bug:?}", entry.name));
                }
            }
        }
    }
    assert!(missed.is_empty(), "accepted although wrong:\n{}", missed.join("\n"));
}

fn is_small(op: &dyn Operation) -> bool {
    op.signature(Direction::Fwd).iter().map(|arg| arg.spec.len()).sum::<usize>() <= MAX_CASE_ELEMENTS
}

fn backward_directions(op: &dyn Operation) -> impl Iterator<Item = Direction> {
    let is_backward = |d: &Direction| !matches!(d, Direction::Fwd | Direction::Update);
    op.directions().iter().copied().filter(is_backward)
}

/// The outputs of backward directions that are the gradient of an input of `fwd`.
fn gradients(op: &dyn Operation) -> Vec<Pair> {
    let inputs = op.signature(Direction::Fwd);
    let is_gradient =
        |arg: &Arg| arg.access == Access::Write && inputs.iter().any(|x| arg.name.strip_prefix('d') == Some(x.name));
    backward_directions(op)
        .flat_map(|d| op.signature(d).into_iter().filter(is_gradient).map(move |arg| (d, arg.name)))
        .collect()
}

/// Compares every gradient of `op` at random arguments with central differences of
/// `Σ upstream * output`. Returns what was compared, or the first disagreement.
fn check(op: &dyn Operation) -> Result<Vec<Pair>, String> {
    let fwd = op.signature(Direction::Fwd);
    let mut given = Values::new();
    for arg in fwd.iter().filter(|arg| arg.access != Access::Write) {
        given.insert(arg.name.into(), random(arg.name, &arg.spec, op.domain(arg.name)));
    }
    // An output counts where its gradient is asked for; saved means and masks have none.
    let mut upstream = Values::new();
    for arg in fwd.iter().filter(|arg| arg.access == Access::Write) {
        let name = format!("d{}", arg.name);
        let reads = |d| op.signature(d).iter().any(|a| a.access == Access::Read && a.name == name);
        if backward_directions(op).any(reads) {
            let values = random(&name, &arg.spec, Domain::Real);
            upstream.insert(name, values);
        }
    }

    let mut computed = Values::new();
    for direction in std::iter::once(Direction::Fwd).chain(backward_directions(op)) {
        for (arg, array) in run(op, direction, &[&given, &upstream, &computed])? {
            // What `fwd` updates in place has served; backward reads what was there before.
            if arg.access == Access::Write {
                computed.insert(arg.name.into(), array);
            }
        }
    }

    let pairs = gradients(op);
    for &(direction, gradient) in &pairs {
        let input = &gradient[1..];
        let analytic = computed[gradient].real();
        let (mut compared, mut kinks) = (0, 0);
        for i in coordinates(analytic.len()) {
            let numeric = Difference::at(op, &given, &upstream, input, i)?;
            if numeric.is_kink() {
                kinks += 1;
                continue;
            }
            compared += 1;
            let (got, expected) = (analytic[i], numeric.central);
            let within = (got - expected).abs() <= numeric.noise + RTOL * expected.abs();
            if !within {
                return Err(format!(
                    "{direction}: `{gradient}`[{i}] is {got:e}, the central difference is {expected:e}"
                ));
            }
        }
        if kinks > compared / 5 {
            return Err(format!("{direction}: `{gradient}`: {kinks} kinks, {compared} smooth places"));
        }
    }
    Ok(pairs)
}

/// All of them, or as many as are worth it, the first and the last among them.
fn coordinates(len: usize) -> impl Iterator<Item = usize> {
    let count = len.min(MAX_COORDINATES);
    (0..count).map(move |i| i * (len - 1) / (count - 1).max(1))
}

/// Differences of `Σ upstream * output` along one coordinate.
struct Difference {
    left: f64,
    right: f64,
    central: f64,
    /// What rounding may have added.
    noise: f64,
}

impl Difference {
    fn at(
        op: &dyn Operation,
        given: &Values<f64>,
        upstream: &Values<f64>,
        input: &str,
        i: usize,
    ) -> Result<Self, String> {
        let mut moved = given.clone();
        let mut value = |step: f64| {
            let old = given[input].real()[i];
            let x = moved.get_mut(input).expect("an input of fwd");
            x.real_mut()[i] = old + step;
            weighted_sum(op, &moved, upstream)
        };
        let ((minus, _), (middle, size), (plus, _)) = (value(-STEP)?, value(0.0)?, value(STEP)?);
        Ok(Self {
            left: (middle - minus) / STEP,
            right: (plus - middle) / STEP,
            central: (plus - minus) / (2.0 * STEP),
            noise: 1e-8 + 8.0 * f64::EPSILON * size / STEP,
        })
    }

    fn is_kink(&self) -> bool {
        (self.left - self.right).abs() > KINK * self.central.abs().max(1.0)
    }
}

/// `Σ upstream * output`, and the sum of its terms' magnitudes.
fn weighted_sum(op: &dyn Operation, given: &Values<f64>, upstream: &Values<f64>) -> Result<(f64, f64), String> {
    let (mut sum, mut size) = (0.0, 0.0);
    for (arg, y) in run(op, Direction::Fwd, &[given])? {
        if let Some(dy) = upstream.get(&format!("d{}", arg.name)) {
            for (dy, y) in dy.real().iter().zip(y.real()) {
                sum += dy * y;
                size += (dy * y).abs();
            }
        }
    }
    Ok((sum, size))
}

/// Values that depend on the argument's name alone: reals in `[-1, 1)`, or what the domain asks for.
fn random(name: &str, spec: &TensorSpec, domain: Domain) -> Array<f64> {
    let key = name.bytes().fold(0, |key: u32, byte| key.wrapping_mul(31).wrapping_add(byte.into()));
    let word = |i| philox4x32([i as u32, 0, 0, 0], [key, 0x5E1])[0];
    let unit = |i| f64::from(word(i)) / 2_f64.powi(32);
    let reals = |low: f64, high: f64| (0..spec.len()).map(|i| low + (high - low) * unit(i)).collect();
    match (spec.dtype, domain) {
        (DType::Index, Domain::Below(bound)) => Array::Index((0..spec.len()).map(|i| word(i) % bound).collect()),
        (DType::Index, _) => Array::Index((0..spec.len()).map(|i| word(i) % 1000).collect()),
        (DType::Real, Domain::Positive) => Array::Real(reals(0.5, 2.0)),
        (DType::Real, _) => Array::Real(reals(-1.0, 1.0)),
    }
}

/// What a planted bug does to the outputs of a direction.
#[derive(Clone, Copy, Debug)]
enum Bug {
    /// Everything one per cent too large.
    Scaled,
    /// Every element is its neighbour's.
    Shifted,
    /// The last element is left at zero.
    LastMissing,
    /// Nothing is written.
    Unwritten,
}

/// An operation of which one direction is wrong.
#[derive(Clone, Debug)]
struct Planted {
    op: Arc<dyn Operation>,
    direction: Direction,
    bug: Bug,
}

impl Operation for Planted {
    fn name(&self) -> &'static str {
        self.op.name()
    }
    fn directions(&self) -> &'static [Direction] {
        self.op.directions()
    }
    fn signature(&self, direction: Direction) -> Vec<Arg> {
        self.op.signature(direction)
    }
    fn run(&self, _: Direction, _: &[&Array<f32>], _: &mut [&mut Array<f32>]) -> Result<(), Error> {
        unreachable!("finite differences need f64")
    }
    fn run_f64(
        &self,
        direction: Direction,
        inputs: &[&Array<f64>],
        outputs: &mut [&mut Array<f64>],
    ) -> Result<(), Error> {
        self.op.run_f64(direction, inputs, outputs)?;
        if direction == self.direction {
            for output in outputs {
                let values = output.real_mut();
                match self.bug {
                    Bug::Scaled => values.iter_mut().for_each(|v| *v *= 1.01),
                    Bug::Shifted => values.rotate_right(1),
                    Bug::LastMissing => values.iter_mut().rev().take(1).for_each(|v| *v = 0.0),
                    Bug::Unwritten => values.fill(f64::NAN),
                }
            }
        }
        Ok(())
    }
    fn terms(&self, direction: Direction) -> usize {
        self.op.terms(direction)
    }
    fn exact_on_integers(&self, direction: Direction) -> bool {
        self.op.exact_on_integers(direction)
    }
    fn flops(&self, direction: Direction) -> u64 {
        self.op.flops(direction)
    }
    fn bytes(&self, direction: Direction) -> u64 {
        self.op.bytes(direction)
    }
    fn domain(&self, arg: &str) -> Domain {
        self.op.domain(arg)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn boxed(&self) -> Box<dyn Operation> {
        Box::new(self.clone())
    }
}
