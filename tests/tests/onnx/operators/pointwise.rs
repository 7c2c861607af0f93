//! Relu, Flatten, Dropout, Sum.

use super::{Outcome, Problem, one, tensor};
use crate::machine::{Machine, real};
use crate::model::Tensor;
use crate::suite::Case;
use reference::ops::{Accumulate, Dropout, Flatten, Relu};
use reference::{Array, Direction, TensorSpec};

pub fn relu(case: &Case, machine: &mut Machine) -> Outcome {
    let x = case.input(0)?;
    let op = Relu::new(TensorSpec::plain(x.dims.clone()))?;
    let outputs = machine.run(&op, Direction::Fwd, [("x", Array::Real(x.f32()))])?;
    one(x.dims.clone(), &real(&outputs, "y")?)
}

/// The dimensions before `axis` are images, those from it on are channels, rows and columns.
pub fn flatten(case: &Case, machine: &mut Machine) -> Outcome {
    let x = case.input(0)?;
    let rank = x.dims.len() as i64;
    let axis = case.node.integer("axis", 1);
    let axis = if axis < 0 { axis + rank } else { axis } as usize;
    let (images, features) = x.dims.split_at(axis);
    let n = images.iter().product();
    let mut image = [1; 3];
    if let [merged @ .., h, w] = features {
        if axis != 1 || merged.len() != 1 {
            machine.note("another rank regrouped as [n, c, h, w]");
        }
        image = [merged.iter().product(), *h, *w];
    } else {
        machine.note("another rank regrouped as [n, c, h, w]");
        image[..features.len()].copy_from_slice(features);
    }
    let [c, h, w] = image;
    let op = Flatten::new([n, c, h, w])?;
    let outputs = machine.run(&op, Direction::Fwd, [("x", Array::Real(x.f32()))])?;
    one([n, c * h * w], &real(&outputs, "y")?)
}

/// Drops nothing: at inference, or at the ratio 0. The mask is where ones come through.
pub fn dropout(case: &Case, machine: &mut Machine) -> Outcome {
    let x = case.input(0)?;
    let training = case.optional(2).is_some_and(|t| t.values == [1.0]);
    // Before version 12 the ratio was an attribute and training not expressible.
    let ratio = case.optional(1).map_or(0.5, |ratio| ratio.values[0]);
    if training && ratio != 0.0 {
        return Err(Problem::Skip("what is dropped comes from NumPy's random numbers; ours are Philox's"));
    }
    machine.note("nothing is dropped: a rate of 0");
    let op = Dropout::new(TensorSpec::plain(x.dims.clone()), 0.0, 0)?;
    let mut pass = |x: Vec<f32>| {
        let given = [("x", Array::Real(x)), ("counter", Array::Index(vec![1, 0, 2, 3]))];
        real(&machine.run(&op, Direction::Fwd, given)?, "y")
    };
    let mut outputs = vec![tensor(x.dims.clone(), &pass(x.f32())?)];
    if case.outputs.len() > 1 {
        let mask = pass(vec![1.0; x.values.len()])?;
        machine.note("the mask is the dropout of ones");
        let values = mask.iter().map(|&v| f64::from(u8::from(v != 0.0))).collect();
        outputs.push(Tensor { dims: x.dims.clone(), values, whole: true });
    }
    Ok(outputs)
}

/// One addition after the other.
pub fn sum(case: &Case, machine: &mut Machine) -> Outcome {
    let first = case.input(0)?;
    let op = Accumulate::new(TensorSpec::plain(first.dims.clone()))?;
    let mut sum = first.f32();
    if case.inputs.len() == 1 {
        machine.note("one term: added to zeros");
        sum = vec![0.0; sum.len()];
    }
    let terms = if case.inputs.len() == 1 { 0..1 } else { 1..case.inputs.len() };
    for term in terms {
        let given = [("sum", Array::Real(sum)), ("term", Array::Real(case.input(term)?.f32()))];
        sum = real(&machine.run(&op, Direction::Update, given)?, "sum")?;
    }
    one(first.dims.clone(), &sum)
}
