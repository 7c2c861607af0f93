//! The harness: does a kernel row compute what the reference computes?
//!
//! Every output is filled with NaN and fenced by sentinel words before the launch, every input is
//! compared with what it was afterwards, and every element is compared by itself. Small integers
//! must come out exactly; random reals within the bound of [`reference::tolerance`].

use crate::{Error, Gpu, Row, Tensor, layout};
use reference::cases::Case;
use reference::philox::philox4x32;
use reference::tolerance::Tolerance;
use reference::{Access, Arg, Array, DType, Direction, Domain, Operation, TensorSpec};
use std::collections::HashMap;
use std::fmt;

/// Words on each side of every tensor that no kernel may touch.
const FENCE: usize = 64;

/// What stands in a fence: a NaN, so that reading it is noticed too.
const SENTINEL: u32 = 0x7fc5_ea1d;

/// What stands in an output before the launch.
const UNWRITTEN: u32 = 0x7fc0_dead;

/// What a kernel is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Integers from -4 to 4: sums are exact in any order.
    Integers,
    /// Reals between -1 and 1.
    Reals,
}

/// A launch that agreed with the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Elements compared.
    pub elements: usize,
    /// The largest absolute difference.
    pub worst: f64,
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launch(error) => write!(f, "did not run: {error}"),
            Self::Fence { arg, at } => write!(f, "wrote outside of `{arg}`, at word {at}"),
            Self::InputChanged { arg, at } => write!(f, "changed its input `{arg}` at {at:?}"),
            Self::Differs { arg, at, got, expected, tolerance, wrong, elements, unwritten } => write!(
                f,
                "`{arg}` is {got} at {at:?}, expected {expected} (within {:.1e} + {:.1e} relative); \
                 {wrong} of {elements} elements differ, {unwritten} were never written",
                tolerance.atol, tolerance.rtol
            ),
        }
    }
}

/// Made-up arguments of a problem and what the reference makes of them, by argument name.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Values before and after each direction.
    directions: HashMap<Direction, HashMap<&'static str, (Array<f32>, Array<f32>)>>,
}

impl Problem {
    /// Makes up the arguments of `fwd`, computes it with the reference, makes up an upstream
    /// gradient (never ones: BatchNorm's `dx` is zero under ones), and computes every backward
    /// direction.
    pub fn new(op: &dyn Operation, data: Data, seed: u64) -> Result<Self, reference::Error> {
        let mut known: HashMap<&'static str, Array<f32>> = HashMap::new();
        let mut directions = HashMap::new();
        for (number, &direction) in op.directions().iter().enumerate() {
            let signature = op.signature(direction);
            let mut before = Vec::with_capacity(signature.len());
            for (index, arg) in signature.iter().enumerate() {
                let stream = (number * 64 + index) as u32;
                before.push(match (arg.access, known.get(arg.name)) {
                    (Access::Write, _) => Array::zeros(&arg.spec),
                    (_, Some(value)) => value.clone(),
                    (_, None) => sample(&arg.spec, op.domain(arg.name), data, seed, stream),
                });
            }
            let mut after = before.clone();
            let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
            for ((arg, before), after) in signature.iter().zip(&before).zip(&mut after) {
                match arg.access {
                    Access::Read => inputs.push(before),
                    _ => outputs.push(after),
                }
            }
            op.run(direction, &inputs, &mut outputs)?;
            let mut values = HashMap::new();
            for ((arg, before), after) in signature.iter().zip(before).zip(after) {
                known.insert(arg.name, after.clone());
                values.insert(arg.name, (before, after));
            }
            directions.insert(direction, values);
        }
        Ok(Self { directions })
    }
}

/// Values for one argument; another stream for each, so that no two are alike.
fn sample(spec: &TensorSpec, domain: Domain, data: Data, seed: u64, stream: u32) -> Array<f32> {
    let key = [seed as u32, (seed >> 32) as u32];
    let words = (0..spec.len().div_ceil(4) as u32).flat_map(|i| philox4x32([i, stream, 0, 0], key)).take(spec.len());
    let unit = |word: u32| (word >> 8) as f32 / (1 << 24) as f32;
    match (spec.dtype, domain, data) {
        (DType::Index, Domain::Below(bound), _) => Array::Index(words.map(|w| w % bound.max(1)).collect()),
        (DType::Index, ..) => Array::Index(words.collect()),
        (_, Domain::Positive, Data::Integers) => Array::Real(words.map(|w| (w % 4 + 1) as f32).collect()),
        (_, Domain::Positive, Data::Reals) => Array::Real(words.map(|w| 0.5 + unit(w)).collect()),
        (_, _, Data::Integers) => Array::Real(words.map(|w| (w % 9) as f32 - 4.0).collect()),
        (_, _, Data::Reals) => Array::Real(words.map(|w| 2.0 * unit(w) - 1.0).collect()),
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
    let problem =
        Problem::new(&*case.op, data, seed).map_err(|error| failure(Fault::Launch(error.to_string())))?;
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
    let tolerance = match data {
        Data::Integers if op.exact_on_integers(direction) => Tolerance::EXACT,
        Data::Integers => Tolerance::for_terms(op.terms(direction), 16.0),
        Data::Reals => Tolerance::for_terms(op.terms(direction), 1.0),
    };
    let no_values = HashMap::new();
    let values = problem.directions.get(&direction).unwrap_or(&no_values);
    let mut fenced = Vec::new();
    for arg in &signature {
        let words = match values.get(arg.name) {
            Some((before, _)) if arg.access != Access::Write => layout::to_device(&arg.spec, before),
            _ => vec![UNWRITTEN; arg.spec.len()],
        };
        fenced.push(Fenced::new(gpu, arg, words)?);
    }
    let tensors: Vec<&Tensor> = fenced.iter().map(|fenced| &fenced.tensor).collect();
    gpu.launch(row, op, &tensors)?;

    let mut agreement = Agreement::default();
    for (arg, fenced) in signature.iter().zip(&fenced) {
        let words = gpu.read_words(&fenced.whole).await?;
        if let Some(at) = fenced.breach(&words) {
            return Ok(Err(Fault::Fence { arg: arg.name, at }));
        }
        let inside = &words[FENCE..][..arg.spec.len()];
        let host = layout::to_host(&arg.spec, inside);
        if arg.access == Access::Read {
            if let Some(at) = inside.iter().zip(&fenced.before).position(|(after, before)| after != before) {
                let at = coordinates(&[arg.spec.len()], at);
                return Ok(Err(Fault::InputChanged { arg: arg.name, at }));
            }
            continue;
        }
        if let Some((_, expected)) = values.get(arg.name) {
            let unwritten = inside.iter().filter(|&&word| word == UNWRITTEN).count();
            match compare(arg, &host, expected, tolerance, unwritten) {
                Ok(worst) => agreement.worst = agreement.worst.max(worst),
                Err(fault) => return Ok(Err(fault)),
            }
            agreement.elements += expected.len();
        }
    }
    Ok(Ok(agreement))
}

/// A tensor between two fences.
struct Fenced {
    whole: Tensor,
    tensor: Tensor,
    before: Vec<u32>,
}

impl Fenced {
    fn new(gpu: &Gpu, arg: &Arg, before: Vec<u32>) -> Result<Self, Error> {
        let fence = [SENTINEL; FENCE];
        let words = [&fence[..], &before, &fence[..]].concat();
        let whole = gpu.empty(&TensorSpec::index([words.len()]))?;
        gpu.write_words(&whole, &words)?;
        let tensor = whole.within(FENCE, arg.spec.clone())?;
        Ok(Self { whole, tensor, before })
    }

    /// The first fence word that was changed, counted from the tensor's start.
    fn breach(&self, words: &[u32]) -> Option<isize> {
        let inside = FENCE..FENCE + self.before.len();
        let at = (0..words.len()).find(|at| !inside.contains(at) && words[*at] != SENTINEL)?;
        Some(at as isize - FENCE as isize)
    }
}

/// Compares element by element; the largest difference if all are within the tolerance.
fn compare(
    arg: &Arg,
    got: &Array<f32>,
    expected: &Array<f32>,
    tolerance: Tolerance,
    unwritten: usize,
) -> Result<f64, Fault> {
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
        0 => Ok(pairs.iter().map(|&(g, e)| (g - e).abs()).filter(|d| d.is_finite()).fold(0.0, f64::max)),
        wrong => {
            let worst = (0..pairs.len())
                .filter(|&i| !tolerance.accepts(pairs[i].0, pairs[i].1))
                .max_by(|&a, &b| distance(pairs[a]).total_cmp(&distance(pairs[b])))
                .unwrap_or_default();
            let (got, expected) = pairs[worst];
            let at = coordinates(&arg.spec.dims, worst);
            Err(Fault::Differs { arg: arg.name, at, got, expected, tolerance, wrong, elements: pairs.len(), unwritten })
        }
    }
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
