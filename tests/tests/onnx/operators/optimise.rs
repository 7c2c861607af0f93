//! Adam and Momentum, of `ai.onnx.preview.training`.
//!
//! Inputs are the rate R, the step T, then all parameters, all gradients, all first and, for Adam,
//! all second moments; outputs are the new parameters and moments in that order.

use super::{Outcome, Problem, tensor};
use crate::machine::{Machine, real};
use crate::suite::Case;
use reference::ops::{Adam, AdamConfig, Sgd};
use reference::{Array, Direction, TensorSpec};

pub fn adam(case: &Case, machine: &mut Machine) -> Outcome {
    let node = &case.node;
    let norm = node.float("norm_coefficient", 0.0);
    machine.note("norm_coefficient is weight_decay");
    if node.float("norm_coefficient_post", 0.0) != 0.0 {
        return Err(Problem::Skip("ours has no decay after the step"));
    }
    let config = AdamConfig {
        beta1: node.float("alpha", 0.9).into(),
        beta2: node.float("beta", 0.999).into(),
        eps: node.float("epsilon", 0.0).into(),
        weight_decay: norm.into(),
        decoupled: false,
    };
    let rates = rates(case, machine)?;
    let make = |spec| Ok(Box::new(Adam::new(spec, config)?) as _);
    step(case, machine, make, ["param", "grad", "m", "v"], &rates)
}

pub fn momentum(case: &Case, machine: &mut Machine) -> Outcome {
    let node = &case.node;
    // At T = 0 the gradient counts fully, whatever `beta` is.
    let rates = rates(case, machine)?;
    let (alpha, norm) = (node.float("alpha", 0.0), node.float("norm_coefficient", 0.0));
    machine.note("norm_coefficient is weight_decay");
    let nesterov = node.text("mode", "") == "nesterov";
    let make = |spec| Ok(Box::new(Sgd::new(spec, alpha, nesterov, norm)?) as _);
    step(case, machine, make, ["param", "grad", "velocity"], &rates)
}

/// The step size and, as ONNX corrects nothing at T = 0, corrections of 1.
fn rates(case: &Case, machine: &mut Machine) -> Result<Vec<f32>, Problem> {
    if case.input(1)?.values != [0.0] {
        return Err(Problem::Skip(
            "past T = 0 ONNX adds epsilon after the bias correction and scales gradients by beta",
        ));
    }
    machine.note("T = 0: corrections of 1");
    Ok(vec![case.input(0)?.values[0] as f32, 1.0, 1.0, 0.0])
}

/// One step of every parameter; `names` are those of the inputs in our signature.
fn step<const N: usize>(
    case: &Case,
    machine: &mut Machine,
    make: impl Fn(TensorSpec) -> Result<Box<dyn reference::Operation>, reference::Error>,
    names: [&str; N],
    rates: &[f32],
) -> Outcome {
    let count = (case.inputs.len() - 2) / N;
    if count > 1 {
        machine.note("several parameters: one run for each");
    }
    // All new parameters come first, then all first moments, and so on: not in the order of the runs.
    let mut sorted: Vec<Vec<_>> = vec![Vec::new(); N - 1];
    for index in 0..count {
        let dims = case.input(2 + index)?.dims.clone();
        let op = make(TensorSpec::plain(dims.clone()))?;
        let mut given = vec![("rates", Array::Real(rates.to_vec()))];
        for (kind, name) in names.into_iter().enumerate() {
            given.push((name, Array::Real(case.input(2 + kind * count + index)?.f32())));
        }
        let outputs = machine.run(&*op, Direction::Update, given)?;
        let changed = names.into_iter().filter(|&name| name != "grad");
        for (sorted, name) in sorted.iter_mut().zip(changed) {
            sorted.push(tensor(dims.clone(), &real(&outputs, name)?));
        }
    }
    Ok(sorted.into_iter().flatten().collect())
}
