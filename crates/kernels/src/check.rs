//! The harness: does a kernel row compute what the reference computes?
//!
//! Every output is filled with NaN and fenced by sentinel words before the launch, every input is
//! compared with what it was afterwards, and every element is compared by itself. Small integers
//! must come out exactly; random reals within the bound of [`reference::tolerance`].

use crate::{Element, Error, Gpu, Row, Storage, Tensor, layout};
use reference::cases::Case;
use reference::ops::{BatchNormRelu, BatchNormReluAvgPool2d, Conv2dMoments, Conv2dRelu, Conv2dReluMaxPool2d};
use reference::philox::philox4x32;
use reference::tolerance::Tolerance;
use reference::{Access, Arg, Array, DType, Direction, Domain, Layout, Operation, TensorSpec};
use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

/// Words on each side of every tensor that no kernel may touch.
const FENCE: usize = 64;

/// What stands in a fence, plus the number of the argument: a NaN, so that reading it is noticed
/// too. A signalling one: arithmetic turns it into a quiet one, whereas a quiet NaN that a kernel
/// reads past one tensor would come out as it went in, and be the right word to write past another.
const SENTINEL: u32 = 0x7f85_ea00;

/// What stands in an output before the launch. Signalling, so that a sum that starts from it is told
/// from what was never written.
const UNWRITTEN: u32 = 0x7f80_dead;

/// The same for two f16.
const UNWRITTEN_F16: u32 = 0x7dad_7dad;

/// What stands in a fence of f16: two signalling NaN, plus the number of the argument for both.
const SENTINEL_F16: u32 = 0x7d00_7d00;

/// What a kernel is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Integers from -4 to 4: sums are exact in any order.
    Integers,
    /// Reals between -1 and 1.
    Reals,
    /// The same with a NaN here and there in the first argument. It must reach the outputs that the
    /// reference says, and no others: divergence is seen, and not spread.
    Nans,
    /// The same with 1000 added to the first argument: nothing may overflow, or cancel where the
    /// formula subtracts a mean or a maximum.
    Offset,
}

impl Data {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Integers, Self::Reals, Self::Nans, Self::Offset];

    /// As it stands on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integers => "integers",
            Self::Reals => "reals",
            Self::Nans => "nans",
            Self::Offset => "offset",
        }
    }

    /// How far a row may be from the reference.
    pub fn tolerance(self, op: &dyn Operation, direction: Direction) -> Tolerance {
        let terms = op.terms(direction);
        match self {
            Self::Integers if op.exact_on_integers(direction) => Tolerance::EXACT,
            Self::Integers => Tolerance::for_terms(terms, 16.0),
            Self::Reals | Self::Nans => Tolerance::for_terms(terms, 1.0),
            Self::Offset => Tolerance::for_terms(terms, OFFSET.into()),
        }
    }

    /// Puts what is extreme about the data into the first argument; the others follow from it.
    fn into_first(self, values: &mut Array<f32>, seed: u64) {
        let len = values.len() as u64;
        for (i, value) in values.real_mut().iter_mut().enumerate() {
            match self {
                Self::Integers | Self::Reals => {}
                // One at least, at a place that differs from seed to seed.
                Self::Nans if i as u64 % NAN_EVERY.min(len) == seed % NAN_EVERY.min(len) => *value = f32::NAN,
                Self::Nans => {}
                Self::Offset => *value += OFFSET,
            }
        }
    }
}

/// What is added to every element of the first argument.
const OFFSET: f32 = 1000.0;

/// From one NaN to the next. A prime, so that they fall into different channels.
const NAN_EVERY: u64 = 61;

/// A launch that agreed with the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Elements compared.
    pub elements: usize,
    /// The largest absolute difference.
    pub worst: f64,
    /// The largest difference as a share of the largest magnitude in its tensor. (As a share of the
    /// element itself it would say nothing where terms cancel.)
    pub relative: f64,
    /// The largest difference in units in the last place of the largest magnitude in its tensor.
    pub ulps: f64,
    /// The largest difference as a share of what its element's bound allows: 1 is just accepted.
    pub of_bound: f64,
}

impl Agreement {
    /// Two launches taken together.
    pub fn and(self, other: Self) -> Self {
        Self {
            elements: self.elements + other.elements,
            worst: self.worst.max(other.worst),
            relative: self.relative.max(other.relative),
            ulps: self.ulps.max(other.ulps),
            of_bound: self.of_bound.max(other.of_bound),
        }
    }

    /// The elements of one tensor, got and expected, which were all accepted.
    fn of(pairs: &[(f64, f64)], tolerance: Tolerance) -> Self {
        let mut agreement = Self { elements: pairs.len(), ..Self::default() };
        let mut scale = 0.0_f64;
        // Equal infinities have no distance, nor have two NaN.
        for &(got, expected) in pairs.iter().filter(|(got, expected)| got.is_finite() && expected.is_finite()) {
            scale = scale.max(got.abs()).max(expected.abs());
            let distance = (got - expected).abs();
            if distance > 0.0 {
                agreement.worst = agreement.worst.max(distance);
                let bound = tolerance.atol + tolerance.rtol * expected.abs();
                agreement.of_bound = agreement.of_bound.max(distance / bound);
            }
        }
        if agreement.worst > 0.0 {
            let top = (scale as f32).min(f32::MAX);
            agreement.relative = agreement.worst / scale;
            agreement.ulps = agreement.worst / f64::from(top - top.next_down());
        }
        agreement
    }
}

/// A launch that did not.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{row} on {op} case `{case}` ({data:?}, seed {seed}): {fault}")]
pub struct Failure {
    /// The kernel row.
    pub row: &'static str,
    /// The operation at the case's sizes.
    pub op: String,
    /// The case.
    pub case: String,
    /// What it was fed.
    pub data: Data,
    /// The seed of what it was fed.
    pub seed: u64,
    /// What was wrong.
    pub fault: Fault,
}

impl Failure {
    /// The command that repeats it, for a case of the operation's own table.
    pub fn repeat(&self) -> String {
        let Self { row, case, data, seed, .. } = self;
        format!(
            "cargo run --release -p trainer -- kernels check {row} --case {case} --data {} --seed {seed}",
            data.name()
        )
    }
}

/// What was wrong with a launch.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It did not run.
    Launch(String),
    /// Words outside of a tensor were written.
    Fence {
        /// The tensor.
        arg: &'static str,
        /// Words from the start of the tensor; negative before it.
        at: isize,
    },
    /// A tensor that is only read was changed.
    InputChanged {
        /// The tensor.
        arg: &'static str,
        /// Where.
        at: Vec<usize>,
    },
    /// Elements differ from the reference.
    Differs {
        /// The tensor.
        arg: &'static str,
        /// What its dimensions mean.
        layout: Layout,
        /// Where it is worst, in the order of the host layout's dimensions.
        at: Vec<usize>,
        /// The kernel's element.
        got: f64,
        /// The reference's.
        expected: f64,
        /// How far it may be.
        tolerance: Tolerance,
        /// How many elements differ.
        wrong: usize,
        /// Out of how many.
        elements: usize,
        /// How many still hold what stood there before the launch.
        unwritten: usize,
    },
}

impl Fault {
    /// Which check found it.
    pub fn caught_by(&self) -> &'static str {
        match self {
            Self::Launch(_) => "launch",
            Self::Fence { .. } => "fence",
            Self::InputChanged { .. } => "input",
            Self::Differs { unwritten: 1.., .. } => "unwritten",
            Self::Differs { got, expected, .. } if got.is_nan() != expected.is_nan() => "nan",
            Self::Differs { tolerance: Tolerance::EXACT, .. } => "exact",
            Self::Differs { .. } => "tolerance",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launch(error) => write!(f, "did not run: {error}"),
            Self::Fence { arg, at } => write!(f, "wrote outside of `{arg}`, at word {at}"),
            Self::InputChanged { arg, at } => write!(f, "changed its input `{arg}` at {at:?}"),
            Self::Differs { arg, layout, at, got, expected, tolerance, wrong, elements, unwritten } => write!(
                f,
                "`{arg}` is {got} at {}, expected {expected} (within {:.1e} + {:.1e} relative); \
                 {wrong} of {elements} elements differ, {unwritten} were never written",
                place(*layout, at),
                tolerance.atol,
                tolerance.rtol
            ),
        }
    }
}

/// By argument name, the values before and after a direction.
type Values = HashMap<&'static str, (Array<f32>, Array<f32>)>;

/// Made-up arguments of a problem and what the reference makes of them, by argument name.
#[derive(Clone, Debug)]
pub struct Problem {
    data: Data,
    seed: u64,
    /// Values before and after each direction.
    directions: HashMap<Direction, Values>,
    /// The same problem for kernels that store f16, made when the first of them asks.
    f16: OnceLock<Box<Problem>>,
    f16_x: OnceLock<Box<Problem>>,
}

impl Problem {
    /// Makes up the arguments of `fwd`, computes it with the reference, makes up an upstream
    /// gradient (never ones: BatchNorm's `dx` is zero under ones), and computes every backward
    /// direction.
    ///
    /// Kernels that store f16 are fed what is left of these arguments in f16, and compared with what the reference makes
    /// of those.
    pub fn new(op: &dyn Operation, data: Data, seed: u64) -> Result<Self, reference::Error> {
        Self::stored(op, data, seed, Storage::F32)
    }

    /// The problem for kernels that store their arguments in this way.
    fn of(&self, op: &dyn Operation, storage: Storage) -> Result<&Self, reference::Error> {
        let stored = match storage {
            Storage::F32 => return Ok(self),
            Storage::F16 => &self.f16,
            Storage::F16X => &self.f16_x,
        };
        if stored.get().is_none() {
            let _ = stored.set(Box::new(Self::stored(op, self.data, self.seed, storage)?));
        }
        Ok(stored.get().map_or(self, |problem| problem))
    }

    fn stored(op: &dyn Operation, data: Data, seed: u64, storage: Storage) -> Result<Self, reference::Error> {
        let mut known: HashMap<&'static str, Array<f32>> = HashMap::new();
        let mut directions = HashMap::new();
        for (number, &direction) in op.directions().iter().enumerate() {
            let signature = op.signature(direction);
            let mut before = Vec::with_capacity(signature.len());
            for (index, arg) in signature.iter().enumerate() {
                let stream = (number * 64 + index) as u32;
                let mut values = match (arg.access, known.get(arg.name)) {
                    (Access::Write, _) => Array::zeros(&arg.spec),
                    (_, Some(value)) => value.clone(),
                    (_, None) => sample(&arg.spec, op.domain(arg.name), data, seed, stream),
                };
                if (number, index) == (0, 0) {
                    data.into_first(&mut values, seed);
                }
                storage.element(arg.name).round_all(&mut values);
                before.push(values);
            }
            let mut after = before.clone();
            let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
            for ((arg, before), after) in signature.iter().zip(&before).zip(&mut after) {
                match arg.access {
                    Access::Read => inputs.push(before),
                    _ => outputs.push(after),
                }
            }
            run(op, direction, &inputs, &mut outputs, storage)?;
            for (arg, after) in signature.iter().zip(&mut after) {
                storage.element(arg.name).round_all(after);
            }
            let mut values = HashMap::new();
            for ((arg, before), after) in signature.iter().zip(before).zip(after) {
                known.insert(arg.name, after.clone());
                values.insert(arg.name, (before, after));
            }
            directions.insert(direction, values);
        }
        Ok(Self { data, seed, directions, f16: OnceLock::new(), f16_x: OnceLock::new() })
    }

    /// Tensors for the arguments of a row, with their values from before it; those that are only written hold
    /// arbitrary values.
    pub fn upload(&self, gpu: &Gpu, op: &dyn Operation, row: &dyn Row) -> Result<Vec<Tensor>, Error> {
        let values = self.of(op, row.storage())?.directions.get(&row.direction());
        let tensor = |arg: &Arg| {
            let element = row.storage().element(arg.name);
            let tensor = gpu.empty_stored(&arg.spec, element, &|| arg.name.to_owned())?;
            match values.and_then(|values| values.get(arg.name)) {
                Some((before, _)) if arg.access != Access::Write => gpu.write(&tensor, before)?,
                _ => {}
            }
            Ok(tensor)
        };
        op.signature(row.direction()).iter().map(tensor).collect()
    }
}

/// What the reference makes of these arguments. Where a fused operation compares numbers that the chain it stands for
/// would have stored, it is run as that chain: of two numbers that are equal once they are stored the first is the larger.
/// So it is where it looks at the spread of such numbers, or adds up many.
fn run(
    op: &dyn Operation,
    direction: Direction,
    inputs: &[&Array<f32>],
    outputs: &mut [&mut Array<f32>],
    storage: Storage,
) -> Result<(), reference::Error> {
    if let (Some(op), [y, moments]) = (op.as_any().downcast_ref::<Conv2dMoments>(), &mut *outputs) {
        op.sums(inputs, y)?;
        storage.element("y").round_all(y);
        op.moments_of(y, moments);
        return Ok(());
    }
    if let Some(BatchNormReluAvgPool2d { norm, pool }) = op.as_any().downcast_ref() {
        let relu = BatchNormRelu { norm: norm.clone() };
        let mut between = Array::zeros(&norm.spec);
        return match (direction, inputs, outputs) {
            (Direction::Fwd, inputs, [running_mean, running_var, y, mean, rstd]) => {
                relu.run(direction, inputs, &mut [running_mean, running_var, &mut between, mean, rstd])?;
                storage.element("y").round_all(&mut between);
                pool.run(direction, &[&between], &mut [y])
            }
            (_, [x, weight, bias, dy, rest @ ..], outputs) => {
                pool.run(Direction::BwdInput, &[dy], &mut [&mut between])?;
                storage.element("dy").round_all(&mut between);
                relu.run(direction, &[&[*x, *weight, *bias, &between], rest].concat(), outputs)
            }
            (_, inputs, outputs) => op.run(direction, inputs, outputs),
        };
    }
    let (Some(Conv2dReluMaxPool2d { conv, pool }), Direction::Fwd) = (op.as_any().downcast_ref(), direction) else {
        return op.run(direction, inputs, outputs);
    };
    let relu = Conv2dRelu { conv: conv.clone() };
    let y = Operation::signature(&relu, direction).into_iter().find(|arg| arg.name == "y");
    let mut between = y.map_or(Array::Real(Vec::new()), |y| Array::zeros(&y.spec));
    relu.run(direction, inputs, &mut [&mut between])?;
    storage.element("y").round_all(&mut between);
    pool.run(direction, &[&between], outputs)
}

/// Values for one argument; another stream for each, so that no two are alike.
fn sample(spec: &TensorSpec, domain: Domain, data: Data, seed: u64, stream: u32) -> Array<f32> {
    let key = [seed as u32, (seed >> 32) as u32];
    let words = (0..spec.len().div_ceil(4) as u32).flat_map(|i| philox4x32([i, stream, 0, 0], key)).take(spec.len());
    let unit = |word: u32| (word >> 8) as f32 / (1 << 24) as f32;
    match (spec.dtype, domain, data) {
        // One more than there are: what an operation says of a label that is none must hold on the device, too.
        (DType::Index, Domain::Below(bound), Data::Nans) if bound < u32::MAX => {
            Array::Index(words.map(|w| w % (bound + 1)).collect())
        }
        (DType::Index, Domain::Below(bound), _) => Array::Index(words.map(|w| w % bound.max(1)).collect()),
        (DType::Index, ..) => Array::Index(words.collect()),
        (_, Domain::Positive, Data::Integers) => Array::Real(words.map(|w| (w % 4 + 1) as f32).collect()),
        (_, Domain::Positive, _) => Array::Real(words.map(|w| 0.5 + unit(w)).collect()),
        (_, Domain::Coarse, Data::Reals | Data::Nans | Data::Offset) => {
            Array::Real(words.map(|w| (w % 17) as f32 / 8.0 - 1.0).collect())
        }
        (_, _, Data::Integers) => Array::Real(words.map(|w| (w % 9) as f32 - 4.0).collect()),
        _ => Array::Real(words.map(|w| 2.0 * unit(w) - 1.0).collect()),
    }
}

/// Runs a row on a case and compares it with the reference.
pub async fn check(
    gpu: &Gpu,
    row: &'static dyn Row,
    case: &Case,
    data: Data,
    seed: u64,
) -> Result<Agreement, Box<Failure>> {
    let failure = |fault| {
        let (case, op) = (case.name.clone(), format!("{:?}", case.op));
        Box::new(Failure { row: row.id(), op, case, data, seed, fault })
    };
    let problem = Problem::new(&*case.op, data, seed).map_err(|error| failure(Fault::Launch(error.to_string())))?;
    check_problem(gpu, row, &*case.op, data, &problem)
        .await
        .map_err(|error| failure(Fault::Launch(error.to_string())))?
        .map_err(failure)
}

/// Like [`check`], over arguments made up before (several rows can share them).
pub async fn check_problem(
    gpu: &Gpu,
    row: &'static dyn Row,
    op: &dyn Operation,
    data: Data,
    problem: &Problem,
) -> Result<Result<Agreement, Fault>, Error> {
    let direction = row.direction();
    let signature = op.signature(direction);
    let tolerance = data.tolerance(op, direction);
    let no_values = HashMap::new();
    let values = problem.of(op, row.storage())?.directions.get(&direction).unwrap_or(&no_values);
    let mut fenced = Vec::new();
    for (number, arg) in (0..).zip(&signature) {
        let elements = match values.get(arg.name) {
            Some((before, _)) if arg.access != Access::Write => Some(layout::to_device(&arg.spec, before)),
            _ => None,
        };
        fenced.push(Fenced::new(gpu, arg, row.storage().element(arg.name).of(&arg.spec), elements, number)?);
    }
    let tensors: Vec<&Tensor> = fenced.iter().map(|fenced| &fenced.tensor).collect();
    gpu.launch(row, op, &tensors)?;

    let mut agreement = Agreement::default();
    for (arg, fenced) in signature.iter().zip(&fenced) {
        let words = gpu.read_words(&fenced.whole).await?;
        if let Some(at) = fenced.breach(&words) {
            return Ok(Err(Fault::Fence { arg: arg.name, at }));
        }
        let inside = &words[FENCE..][..fenced.before.len()];
        let element = fenced.tensor.element();
        let host = layout::to_host(&arg.spec, &element.unpack(&arg.spec, inside));
        if arg.access == Access::Read {
            if let Some(word) = inside.iter().zip(&fenced.before).position(|(after, before)| after != before) {
                let at = coordinates(&[arg.spec.len()], word * arg.spec.len().div_ceil(fenced.before.len()));
                return Ok(Err(Fault::InputChanged { arg: arg.name, at }));
            }
            continue;
        }
        if let Some((_, expected)) = values.get(arg.name) {
            let unwritten = fenced.unwritten(inside);
            let tolerance = match element {
                Element::F16 if tolerance != Tolerance::EXACT => tolerance.and_rounded_to_f16(),
                _ => tolerance,
            };
            let tolerance = match (arg.name, values.get("y")) {
                ("moments", Some((_, y))) => {
                    let stored = match row.storage().element("y") {
                        Element::F16 => tolerance.and_rounded_to_f16(),
                        Element::F32 => tolerance,
                    };
                    stored.of_moments(Conv2dMoments::PIXELS, largest(y), largest(expected))
                }
                // Gradients of numbers that were stored in between.
                (_, _) if op.as_any().is::<BatchNormReluAvgPool2d>() && row.storage() == Storage::F16 => {
                    values.get("dy").map_or(tolerance, |(dy, _)| tolerance.and_made_of_f16(largest(dy)))
                }
                _ => tolerance,
            };
            match compare(arg, &host, expected, tolerance, unwritten) {
                Ok(agreed) => agreement = agreement.and(agreed),
                Err(fault) => return Ok(Err(fault)),
            }
        }
    }
    Ok(Ok(agreement))
}

/// A tensor between two fences.
struct Fenced {
    whole: Tensor,
    tensor: Tensor,
    before: Vec<u32>,
    sentinel: u32,
}

impl Fenced {
    /// Around these elements, one word for each, or around an output, which nothing has been written to.
    fn new(gpu: &Gpu, arg: &Arg, element: Element, elements: Option<Vec<u32>>, number: u32) -> Result<Self, Error> {
        let (sentinel, unwritten) = match element {
            Element::F32 => (SENTINEL + number, UNWRITTEN),
            Element::F16 => (SENTINEL_F16 + 0x0001_0001 * (number + 1), UNWRITTEN_F16),
        };
        let mut before = match elements {
            Some(elements) => element.pack(&arg.spec, elements),
            None => vec![unwritten; element.words(&arg.spec)],
        };
        // The half word behind an odd number of f16 is part of the fence.
        if let Some(last) = before.last_mut().filter(|_| element == Element::F16 && arg.spec.len() % 2 == 1) {
            *last = *last & 0xffff | sentinel << 16;
        }
        let fence = [sentinel; FENCE];
        let words = [&fence[..], &before, &fence[..]].concat();
        let whole = gpu.empty(&TensorSpec::index([words.len()]))?;
        gpu.write_words(&whole, &words)?;
        let tensor = whole.within_stored(FENCE, arg.spec.clone(), element)?;
        Ok(Self { whole, tensor, before, sentinel })
    }

    /// The first fence word that was changed, counted from the tensor's start.
    fn breach(&self, words: &[u32]) -> Option<isize> {
        let inside = FENCE..FENCE + self.before.len();
        let spec = &self.tensor.spec;
        let half = self.tensor.element() == Element::F16 && spec.len() % 2 == 1;
        let breached = |&at: &usize| match inside.contains(&at) {
            true => half && at + 1 == inside.end && words[at] >> 16 != self.sentinel >> 16,
            false => words[at] != self.sentinel,
        };
        let at = (0..words.len()).find(breached)?;
        Some(at as isize - FENCE as isize)
    }

    /// Elements of these words that nothing was written to.
    fn unwritten(&self, inside: &[u32]) -> usize {
        match self.tensor.element() {
            Element::F32 => inside.iter().filter(|&&word| word == UNWRITTEN).count(),
            Element::F16 => {
                let halves = inside.iter().flat_map(|word| [word & 0xffff, word >> 16]);
                halves.filter(|&half| half == UNWRITTEN_F16 & 0xffff).count()
            }
        }
    }
}

/// The largest magnitude of finite numbers.
fn largest(values: &Array<f32>) -> f64 {
    let finite = values.real().iter().filter(|value| value.is_finite());
    finite.fold(0.0, |largest, value| largest.max(f64::from(value.abs())))
}

/// Compares element by element; the largest differences if all are within the tolerance.
fn compare(
    arg: &Arg,
    got: &Array<f32>,
    expected: &Array<f32>,
    tolerance: Tolerance,
    unwritten: usize,
) -> Result<Agreement, Fault> {
    let pairs: Vec<(f64, f64)> = match (got, expected) {
        (Array::Index(got), Array::Index(expected)) => {
            got.iter().zip(expected).map(|(&g, &e)| (f64::from(g), f64::from(e))).collect()
        }
        _ => got.real().iter().zip(expected.real()).map(|(&g, &e)| (f64::from(g), f64::from(e))).collect(),
    };
    let tolerance = if arg.spec.dtype == DType::Index { Tolerance::EXACT } else { tolerance };
    // A NaN where a number belongs is worse than any number.
    let distance = |(got, expected): (f64, f64)| {
        let distance = (got - expected).abs();
        if distance.is_nan() { f64::INFINITY } else { distance }
    };
    let wrong = pairs.iter().filter(|(got, expected)| !tolerance.accepts(*got, *expected));
    match wrong.clone().count() {
        // What was never written holds a NaN, and would pass where one is expected.
        0 if unwritten == 0 => Ok(Agreement::of(&pairs, tolerance)),
        wrong => {
            let worst = (0..pairs.len())
                .filter(|&i| !tolerance.accepts(pairs[i].0, pairs[i].1))
                .max_by(|&a, &b| distance(pairs[a]).total_cmp(&distance(pairs[b])))
                .unwrap_or_default();
            let (got, expected) = pairs[worst];
            let at = coordinates(&arg.spec.dims, worst);
            let (arg, layout, elements) = (arg.name, arg.spec.layout, pairs.len());
            Err(Fault::Differs { arg, layout, at, got, expected, tolerance, wrong, elements, unwritten })
        }
    }
}

/// Coordinates with the names of their dimensions, where these have names: `(n 2, c 0, h 5, w 3)`.
fn place(layout: Layout, at: &[usize]) -> String {
    let names = layout.dims();
    if names.len() != at.len() {
        return format!("{at:?}");
    }
    let named: Vec<String> = names.iter().zip(at).map(|(name, at)| format!("{name} {at}")).collect();
    format!("({})", named.join(", "))
}

/// The coordinates of a row-major position.
fn coordinates(dims: &[usize], mut position: usize) -> Vec<usize> {
    let mut at: Vec<usize> = dims
        .iter()
        .rev()
        .map(|&dim| {
            let coordinate = position % dim.max(1);
            position /= dim.max(1);
            coordinate
        })
        .collect();
    at.reverse();
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_element_is_named_by_its_coordinates() {
        let spec = TensorSpec::image(2, 3, 4, 5);
        let (mut got, expected) = (vec![1.0; spec.len()], Array::Real(vec![1.0; spec.len()]));
        let flat = |[n, c, h, w]: [usize; 4]| ((n * 3 + c) * 4 + h) * 5 + w;
        (got[flat([0, 2, 3, 4])], got[flat([1, 0, 2, 3])]) = (1.5, 3.0);
        let arg = Arg::write("y", spec);
        let fault = compare(&arg, &Array::Real(got), &expected, Tolerance::EXACT, 0).expect_err("a difference");
        let text = fault.to_string();
        assert!(text.starts_with("`y` is 3 at (n 1, c 0, h 2, w 3), expected 1 "), "{text}");
        assert!(text.contains("2 of 120 elements differ"), "{text}");
        assert_eq!(place(Layout::Plain, &[7]), "[7]");
    }

    #[test]
    fn distances_are_measured_by_the_largest_element_and_by_the_bound() {
        let tolerance = Tolerance { atol: 0.5, rtol: 0.125 };
        let agreed = Agreement::of(&[(0.25, 0.0), (-3.0, -2.5), (f64::NAN, f64::NAN), (4.0, 4.0)], tolerance);
        let expected =
            Agreement { elements: 4, worst: 0.5, relative: 0.125, ulps: 0.5 * 4_194_304.0, of_bound: 0.5 / 0.8125 };
        assert_eq!(agreed, expected);
        let one_ulp = f64::from(1.5_f32.next_up());
        assert_eq!(Agreement::of(&[(1.5, one_ulp)], tolerance).ulps, 1.0);
        assert_eq!(Agreement::of(&[(0.0, -0.0), (f64::INFINITY, f64::INFINITY)], Tolerance::EXACT).ulps, 0.0);
        assert_eq!(agreed.and(Agreement::default()), agreed);
    }
}
