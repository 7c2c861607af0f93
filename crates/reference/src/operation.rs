use crate::{Array, Error, Real, TensorSpec};
use std::any::Any;
use std::fmt;

/// What a kernel of an operation computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The outputs from the inputs.
    Fwd,
    /// The gradient of the data input.
    BwdInput,
    /// The gradient of the weights.
    BwdWeight,
    /// The gradient of the bias.
    BwdBias,
    /// A change of state in place: optimisers, counters, accumulators.
    Update,
}

impl Direction {
    /// As it stands in a kernel id.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fwd => "fwd",
            Self::BwdInput => "bwd_input",
            Self::BwdWeight => "bwd_weight",
            Self::BwdBias => "bwd_bias",
            Self::Update => "update",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a direction does with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes every element (`=`), whatever was there before.
    Write,
    /// Reads and changes it in place.
    Update,
}

/// One argument of a direction.
///
/// Names are the contract between an operation, its kernels and the tape: the shader binds a
/// variable of the same name; the gradient of input `x` is called `dx`, the gradient that arrives
/// for the first output `y` is called `dy`; a backward direction finds its other arguments under
/// the names they have in `fwd`, or as the output of an earlier backward direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// As in the formula and in the shader.
    pub name: &'static str,
    /// Whether it is read, written or changed in place.
    pub access: Access,
    /// Type, layout, dimensions.
    pub spec: TensorSpec,
}

impl Arg {
    /// An argument that is read.
    pub fn read(name: &'static str, spec: TensorSpec) -> Self {
        Self { name, access: Access::Read, spec }
    }

    /// An argument of which every element is written.
    pub fn write(name: &'static str, spec: TensorSpec) -> Self {
        Self { name, access: Access::Write, spec }
    }

    /// An argument changed in place.
    pub fn update(name: &'static str, spec: TensorSpec) -> Self {
        Self { name, access: Access::Update, spec }
    }
}

/// The values an argument may take, for tests that make up data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Any real number.
    Real,
    /// Real numbers of few digits, so that sums of their products are exact: which of two such sums is the
    /// larger then does not depend on the order of summation.
    Coarse,
    /// Real numbers well above zero.
    Positive,
    /// Indices below a bound.
    Below(u32),
}

/// What an operation's author writes. Implementing it gives [`Operation`].
pub trait Contract: Clone + fmt::Debug + Any + Send + Sync {
    /// The operation's name, the first part of a kernel id.
    const NAME: &'static str;

    /// What can be computed, forward first; a backward direction may read what an earlier one wrote.
    const DIRECTIONS: &'static [Direction];

    /// The arguments of one of [`Contract::DIRECTIONS`]. Empty for any other.
    fn signature(&self, direction: Direction) -> Vec<Arg>;

    /// Computes a direction. `inputs` are the arguments read, `outputs` those written or updated,
    /// both in the order of the signature and already checked against it.
    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error>;

    /// How many rounded terms reach one output element; error bounds grow with it.
    fn terms(&self, direction: Direction) -> usize;

    /// Whether small integers in give exact integers (or exact halves, quarters, …) out, so that
    /// any order of summation must agree to the last bit.
    fn exact_on_integers(&self, direction: Direction) -> bool;

    /// Floating-point operations (a multiply-add counts as two).
    fn flops(&self, direction: Direction) -> u64;

    /// Bytes that have to be moved: every argument once, unless the operation reads only a part of one.
    fn bytes(&self, direction: Direction) -> u64 {
        self.signature(direction).iter().map(|arg| 4 * arg.spec.len() as u64).sum()
    }

    /// What values make sense for an argument.
    fn domain(&self, _arg: &str) -> Domain {
        Domain::Real
    }
}

/// An operation at fixed sizes, whatever its type: what tests, kernels and tape work with.
pub trait Operation: fmt::Debug + Any + Send + Sync {
    /// See [`Contract::NAME`].
    fn name(&self) -> &'static str;
    /// See [`Contract::DIRECTIONS`].
    fn directions(&self) -> &'static [Direction];
    /// See [`Contract::signature`].
    fn signature(&self, direction: Direction) -> Vec<Arg>;
    /// Checks the arguments against the signature, then computes in `f32`.
    fn run(&self, direction: Direction, inputs: &[&Array<f32>], outputs: &mut [&mut Array<f32>]) -> Result<(), Error>;
    /// Checks the arguments against the signature, then computes in `f64`.
    fn run_f64(
        &self,
        direction: Direction,
        inputs: &[&Array<f64>],
        outputs: &mut [&mut Array<f64>],
    ) -> Result<(), Error>;
    /// See [`Contract::terms`].
    fn terms(&self, direction: Direction) -> usize;
    /// See [`Contract::exact_on_integers`].
    fn exact_on_integers(&self, direction: Direction) -> bool;
    /// See [`Contract::flops`].
    fn flops(&self, direction: Direction) -> u64;
    /// See [`Contract::bytes`].
    fn bytes(&self, direction: Direction) -> u64;
    /// See [`Contract::domain`].
    fn domain(&self, arg: &str) -> Domain;
    /// For recovering the descriptor's own type.
    fn as_any(&self) -> &dyn Any;
    /// A copy, to keep.
    fn boxed(&self) -> Box<dyn Operation>;
}

impl<O: Contract> Operation for O {
    fn name(&self) -> &'static str {
        O::NAME
    }
    fn directions(&self) -> &'static [Direction] {
        O::DIRECTIONS
    }
    fn signature(&self, direction: Direction) -> Vec<Arg> {
        Contract::signature(self, direction)
    }
    fn run(&self, direction: Direction, inputs: &[&Array<f32>], outputs: &mut [&mut Array<f32>]) -> Result<(), Error> {
        check(self, direction, inputs, outputs)?;
        self.compute(direction, inputs, outputs)
    }
    fn run_f64(
        &self,
        direction: Direction,
        inputs: &[&Array<f64>],
        outputs: &mut [&mut Array<f64>],
    ) -> Result<(), Error> {
        check(self, direction, inputs, outputs)?;
        self.compute(direction, inputs, outputs)
    }
    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(self, direction)
    }
    fn exact_on_integers(&self, direction: Direction) -> bool {
        Contract::exact_on_integers(self, direction)
    }
    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(self, direction)
    }
    fn bytes(&self, direction: Direction) -> u64 {
        Contract::bytes(self, direction)
    }
    fn domain(&self, arg: &str) -> Domain {
        Contract::domain(self, arg)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn boxed(&self) -> Box<dyn Operation> {
        Box::new(self.clone())
    }
}

fn check<O: Contract, T: Real>(
    op: &O,
    direction: Direction,
    inputs: &[&Array<T>],
    outputs: &[&mut Array<T>],
) -> Result<(), Error> {
    let signature = Contract::signature(op, direction);
    let (reads, writes): (Vec<_>, Vec<_>) = signature.iter().partition(|arg| arg.access == Access::Read);
    if reads.len() != inputs.len() || writes.len() != outputs.len() || signature.is_empty() {
        return Err(wrong_arguments(O::NAME, direction));
    }
    let inputs = inputs.iter().map(|a| (a.dtype(), a.len()));
    let outputs = outputs.iter().map(|a| (a.dtype(), a.len()));
    for (arg, (dtype, len)) in reads.into_iter().zip(inputs).chain(writes.into_iter().zip(outputs)) {
        if (arg.spec.dtype, arg.spec.len()) != (dtype, len) {
            return Err(Error::Mismatch {
                op: O::NAME,
                what: format!("{direction} argument `{}`", arg.name),
                got: format!("{dtype:?} x {len}"),
                expected: arg.spec.to_string(),
            });
        }
    }
    Ok(())
}

/// The error for a direction the operation does not have, or a wrong number of arguments.
pub fn wrong_arguments(op: &'static str, direction: Direction) -> Error {
    Error::Mismatch {
        op,
        what: format!("the number of arguments of direction `{direction}`"),
        got: "different".into(),
        expected: "one for each entry of its signature".into(),
    }
}
