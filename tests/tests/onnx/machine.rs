//! What computes: the reference, or the kernels on the GPU.

use crate::by_name::{self, Values};
use kernels::{Gpu, Row, Tensor};
use reference::{Access, Arg, Array, DType, Direction, Layout, Operation, TensorSpec};
use std::collections::BTreeSet;

/// Words between which WebGPU lets a binding start.
const ALIGNMENT: usize = 64;

/// Computes a case's directions and keeps account of how.
pub struct Machine {
    /// `None`: the reference.
    gpu: Option<&'static Gpu>,
    /// Which of the rows that can compute a problem, counted from `naive`.
    choice: usize,
    /// The most rows that any problem so far had to choose from.
    pub widest: usize,
    /// The rows that ran.
    pub rows: BTreeSet<&'static str>,
    /// How the case had to be adapted to our descriptors.
    pub notes: BTreeSet<&'static str>,
}

impl Machine {
    pub fn reference() -> Self {
        Self { gpu: None, choice: 0, widest: 0, rows: BTreeSet::new(), notes: BTreeSet::new() }
    }

    /// The GPU with the `choice`-th row of every direction, or its last if it has fewer.
    pub fn gpu(gpu: &'static Gpu, choice: usize) -> Self {
        Self { gpu: Some(gpu), choice, ..Self::reference() }
    }

    /// Remembers an adaptation.
    pub fn note(&mut self, what: &'static str) {
        self.notes.insert(what);
    }

    /// Computes a direction. Arguments that are read or updated are found by name; what was written
    /// or updated comes back by name.
    pub fn run<'a>(
        &mut self,
        op: &dyn Operation,
        direction: Direction,
        given: impl IntoIterator<Item = (&'a str, Array<f32>)>,
    ) -> Result<Values<f32>, String> {
        let given = values(given);
        let Some(gpu) = self.gpu else {
            return on_reference(op, direction, &given);
        };
        let row = self.choose(gpu, op, direction)?;
        let on_gpu = || {
            let signature = op.signature(direction);
            let tensors: Vec<Tensor> = signature
                .iter()
                .map(|arg| match given.get(arg.name) {
                    Some(array) if arg.access != Access::Write => gpu.upload(&arg.spec, array),
                    _ => gpu.empty(&arg.spec),
                })
                .collect::<Result<_, _>>()?;
            gpu.launch(row, op, &tensors.iter().collect::<Vec<_>>())?;
            let outputs = signature.iter().zip(&tensors).filter(|(arg, _)| arg.access != Access::Read);
            outputs
                .map(|(arg, tensor)| Ok((arg.name.to_owned(), pollster::block_on(gpu.read(tensor))?)))
                .collect::<Result<Values<f32>, kernels::Error>>()
        };
        on_gpu().map_err(|error| error.to_string())
    }

    /// Computes a direction of one problem for many arguments, all of them plain. On the GPU each is
    /// a launch of its own, but all share one upload and one read-back.
    pub fn run_each(
        &mut self,
        op: &dyn Operation,
        direction: Direction,
        given: &[Values<f32>],
    ) -> Result<Vec<Values<f32>>, String> {
        let Some(gpu) = self.gpu else {
            return given.iter().map(|given| on_reference(op, direction, given)).collect();
        };
        let signature = op.signature(direction);
        if signature.iter().any(|arg| arg.spec.layout != Layout::Plain) {
            return Err(format!("{} {direction}: only plain tensors lie alike here and on the device", op.name()));
        }
        let row = self.choose(gpu, op, direction)?;
        let on_gpu = || {
            let stacks: Vec<Tensor> = signature
                .iter()
                .map(|arg| {
                    let spec = stacked(arg, given.len());
                    if arg.access == Access::Write {
                        return gpu.empty(&spec);
                    }
                    gpu.upload(&spec, &stack(arg, given))
                })
                .collect::<Result<_, _>>()?;
            for index in 0..given.len() {
                let tensors: Vec<Tensor> = stacks
                    .iter()
                    .zip(&signature)
                    .map(|(stack, arg)| stack.within(index * room(arg), arg.spec.clone()))
                    .collect::<Result<_, _>>()?;
                gpu.launch(row, op, &tensors.iter().collect::<Vec<_>>())?;
            }
            let mut results = vec![Values::new(); given.len()];
            for (arg, stack) in signature.iter().zip(&stacks).filter(|(arg, _)| arg.access != Access::Read) {
                let all = pollster::block_on(gpu.read(stack))?;
                for (index, result) in results.iter_mut().enumerate() {
                    let place = index * room(arg)..index * room(arg) + arg.spec.len();
                    let one = match &all {
                        Array::Real(values) => Array::Real(values[place].to_vec()),
                        Array::Index(values) => Array::Index(values[place].to_vec()),
                    };
                    result.insert(arg.name.into(), one);
                }
            }
            Ok::<_, kernels::Error>(results)
        };
        on_gpu().map_err(|error| error.to_string())
    }

    fn choose(&mut self, gpu: &Gpu, op: &dyn Operation, direction: Direction) -> Result<&'static dyn Row, String> {
        let rows = kernels::ops::all().iter().map(|row| &**row).filter(|row| {
            row.op() == op.name()
                && row.direction() == direction
                && row.storage() == kernels::Storage::F32
                && gpu.supports(*row).is_ok()
                && row.accepts(op).is_ok()
        });
        let rows: Vec<_> = rows.collect();
        self.widest = self.widest.max(rows.len());
        let row = rows.get(self.choice).or(rows.last()).copied();
        let row = row.ok_or_else(|| format!("no row can compute {op:?} {direction}"))?;
        self.rows.insert(row.id());
        Ok(row)
    }
}

/// Arguments by name.
pub fn values<'a>(given: impl IntoIterator<Item = (&'a str, Array<f32>)>) -> Values<f32> {
    given.into_iter().map(|(name, array)| (name.to_owned(), array)).collect()
}

/// The real numbers of an argument.
pub fn real(values: &Values<f32>, name: &str) -> Result<Vec<f32>, String> {
    match values.get(name) {
        Some(Array::Real(values)) => Ok(values.clone()),
        _ => Err(format!("no real numbers are called `{name}`")),
    }
}

fn on_reference(op: &dyn Operation, direction: Direction, given: &Values<f32>) -> Result<Values<f32>, String> {
    let outputs = by_name::run(op, direction, &[given])?;
    Ok(outputs.into_iter().map(|(arg, array)| (arg.name.to_owned(), array)).collect())
}

/// Words from the start of one argument in a stack to the start of the next.
fn room(arg: &Arg) -> usize {
    arg.spec.len().next_multiple_of(ALIGNMENT)
}

fn stacked(arg: &Arg, count: usize) -> TensorSpec {
    let spec = TensorSpec::plain([room(arg) * count]);
    if arg.spec.dtype == DType::Index { spec.of_indices() } else { spec }
}

fn stack(arg: &Arg, given: &[Values<f32>]) -> Array<f32> {
    let mut all = Array::zeros(&stacked(arg, given.len()));
    for (index, array) in given.iter().enumerate().filter_map(|(i, values)| Some((i, values.get(arg.name)?))) {
        let place = index * room(arg)..index * room(arg) + array.len();
        match (&mut all, array) {
            (Array::Real(all), Array::Real(values)) => all[place].copy_from_slice(values),
            (Array::Index(all), Array::Index(values)) => all[place].copy_from_slice(values),
            _ => {}
        }
    }
    all
}
