//! BatchNormalization.

use super::{Outcome, tensor};
use crate::machine::{Machine, real};
use crate::suite::Case;
use reference::ops::{BatchNorm, BatchNormMode};
use reference::{Array, Direction, TensorSpec};

/// At training ONNX moves the running variance towards the biased variance of the batch, we towards
/// the unbiased one, which is `m/(m-1)` times as large: so a running variance times `m/(m-1)` goes in,
/// and what comes out is divided by that.
pub fn batch(case: &Case, machine: &mut Machine) -> Outcome {
    let x = case.input(0)?;
    let &[n, c, h, w] = &x.dims[..] else {
        return Err(format!("an image is expected, not {:?}", x.dims).into());
    };
    let training = case.node.integer("training_mode", 0) != 0;
    // Ours is the weight of the batch, ONNX's that of the past.
    let momentum = 1.0 - case.node.float("momentum", 0.9);
    machine.note("momentum is that of the batch: 1 - momentum");
    let mode = if training { BatchNormMode::Training } else { BatchNormMode::Inference };
    let op = BatchNorm::new(TensorSpec::image(n, c, h, w), mode, case.node.float("epsilon", 1e-5), momentum)?;
    let mut unbiased = 1.0;
    if training {
        let m = op.rows() as f32;
        unbiased = m / (m - 1.0);
        machine.note("the running variance times m/(m-1) going in, divided by it coming out");
    }
    let input = |index: usize| Ok::<_, String>(Array::Real(case.input(index)?.f32()));
    let variance = case.input(4)?.f32().into_iter().map(|v| v * unbiased).collect();
    let given = [
        ("x", input(0)?),
        ("weight", input(1)?),
        ("bias", input(2)?),
        ("running_mean", input(3)?),
        ("running_var", Array::Real(variance)),
    ];
    let outputs = machine.run(&op, Direction::Fwd, given)?;
    let mut all = vec![tensor(x.dims.clone(), &real(&outputs, "y")?)];
    if training {
        all.push(tensor([c], &real(&outputs, "running_mean")?));
        let variance: Vec<f32> = real(&outputs, "running_var")?.into_iter().map(|v| v / unbiased).collect();
        all.push(tensor([c], &variance));
    }
    Ok(all)
}
