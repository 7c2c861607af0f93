//! Running an operation's directions with arguments found by their names.

use reference::{Access, Arg, Array, DType, Direction, Error, Operation, Real, TensorSpec};
use std::collections::BTreeMap;

/// Arguments by name.
pub type Values<T> = BTreeMap<String, Array<T>>;

/// A number type an operation can be run in.
pub trait Precision: Real {
    /// [`Operation::run`] or [`Operation::run_f64`].
    fn run(
        op: &dyn Operation,
        direction: Direction,
        inputs: &[&Array<Self>],
        outputs: &mut [&mut Array<Self>],
    ) -> Result<(), Error>;
}

impl Precision for f32 {
    fn run(
        op: &dyn Operation,
        direction: Direction,
        inputs: &[&Array<f32>],
        outputs: &mut [&mut Array<f32>],
    ) -> Result<(), Error> {
        op.run(direction, inputs, outputs)
    }
}

impl Precision for f64 {
    fn run(
        op: &dyn Operation,
        direction: Direction,
        inputs: &[&Array<f64>],
        outputs: &mut [&mut Array<f64>],
    ) -> Result<(), Error> {
        op.run_f64(direction, inputs, outputs)
    }
}

/// Computes a direction. Each argument that is read or updated comes from the first of `sources`
/// that has it. Returns what was written or updated, in the order of the signature; what is only
/// written starts as NaN.
pub fn run<T: Precision>(
    op: &dyn Operation,
    direction: Direction,
    sources: &[&Values<T>],
) -> Result<Vec<(Arg, Array<T>)>, String> {
    let find = |arg: &Arg| {
        sources
            .iter()
            .find_map(|source| source.get(arg.name))
            .ok_or_else(|| format!("{} {direction}: nothing is called `{}` here", op.name(), arg.name))
    };
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for arg in op.signature(direction) {
        match arg.access {
            Access::Read => inputs.push(find(&arg)?),
            Access::Write => outputs.push((arg.clone(), poison(&arg.spec))),
            Access::Update => outputs.push((arg.clone(), find(&arg)?.clone())),
        }
    }
    let mut writes: Vec<_> = outputs.iter_mut().map(|(_, array)| array).collect();
    T::run(op, direction, &inputs, &mut writes).map_err(|error| error.to_string())?;
    Ok(outputs)
}

/// Values that no direction may leave behind.
fn poison<T: Real>(spec: &TensorSpec) -> Array<T> {
    match spec.dtype {
        DType::Real => Array::Real(vec![T::from_f64(f64::NAN); spec.len()]),
        DType::Index => Array::Index(vec![u32::MAX; spec.len()]),
    }
}
