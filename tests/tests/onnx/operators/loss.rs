//! Softmax, LogSoftmax, SoftmaxCrossEntropyLoss and NegativeLogLikelihoodLoss, all from
//! `softmax_cross_entropy`.
//!
//! Ours takes rows of logits and returns the mean and the sum of their losses and every probability.
//! The loss of one row by itself is that of a batch of one, and so is a logarithm of a probability:
//! the loss if that class were the label, with the sign turned.

use super::{Outcome, one, tensor};
use crate::machine::{Machine, real, values};
use crate::model::Tensor;
use crate::suite::Case;
use reference::ops::SoftmaxCrossEntropy;
use reference::{Array, Direction};

/// A tensor as rows of classes: those along one of its axes.
struct Rows {
    classes: usize,
    /// Elements from one class to the next.
    inner: usize,
    values: Vec<f32>,
}

impl Rows {
    fn of(x: &Tensor, axis: i64) -> Self {
        let axis = if axis < 0 { axis + x.dims.len() as i64 } else { axis } as usize;
        let (classes, inner) = (x.dims[axis], x.dims[axis + 1..].iter().product());
        let mut rows = Self { classes, inner, values: vec![0.0; x.values.len()] };
        for (at, &value) in x.values.iter().enumerate() {
            let to = rows.place(at);
            rows.values[to] = value as f32;
        }
        rows
    }

    /// Where an element of the tensor stands among the rows.
    fn place(&self, at: usize) -> usize {
        let (outer, class, inner) = (at / (self.inner * self.classes), at / self.inner % self.classes, at % self.inner);
        (outer * self.inner + inner) * self.classes + class
    }

    fn count(&self) -> usize {
        self.values.len() / self.classes
    }

    fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.classes..][..self.classes]
    }

    /// Values given by row, back in the tensor's order.
    fn restore(&self, values: &[f32]) -> Vec<f32> {
        (0..values.len()).map(|at| values[self.place(at)]).collect()
    }

    fn note(&self, machine: &mut Machine) {
        if self.inner > 1 {
            machine.note("the classes' axis moved last");
        }
    }
}

pub fn softmax(case: &Case, machine: &mut Machine) -> Outcome {
    let x = case.input(0)?;
    let rows = Rows::of(x, case.node.integer("axis", -1));
    rows.note(machine);
    let labels = vec![0; rows.count()];
    let op = SoftmaxCrossEntropy::new(rows.count(), rows.classes)?;
    let given = [("x", Array::Real(rows.values.clone())), ("labels", Array::Index(labels))];
    let probs = real(&machine.run(&op, Direction::Fwd, given)?, "probs")?;
    one(x.dims.clone(), &rows.restore(&probs))
}

pub fn log_softmax(case: &Case, machine: &mut Machine) -> Outcome {
    let x = case.input(0)?;
    let rows = Rows::of(x, case.node.integer("axis", -1));
    rows.note(machine);
    one(x.dims.clone(), &log_probabilities(machine, &rows)?)
}

pub fn cross_entropy(case: &Case, machine: &mut Machine) -> Outcome {
    let rows = Rows::of(case.input(0)?, 1);
    rows.note(machine);
    let nothing = vec![0.0; rows.count()];
    let mut outputs = vec![loss(case, machine, &rows, &nothing)?];
    if case.outputs.len() > 1 {
        outputs.push(tensor(case.input(0)?.dims.clone(), &log_probabilities(machine, &rows)?));
    }
    Ok(outputs)
}

/// The input holds logarithms of probabilities by intent but any numbers in fact, and is not
/// normalised: `-x[label]` is our loss less the logarithm of the sum of the row's exponentials, which
/// is 0 for real logarithms.
pub fn negative_log_likelihood(case: &Case, machine: &mut Machine) -> Outcome {
    let rows = Rows::of(case.input(0)?, 1);
    rows.note(machine);
    machine.note("our loss less the row's log of summed exponentials, which is 0 for normalised input");
    let log_sum = |row: usize| rows.row(row).iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
    let excess: Vec<f64> = (0..rows.count()).map(log_sum).collect();
    Ok(vec![loss(case, machine, &rows, &excess)?])
}

/// Losses less `excess`, weighted and reduced as the node says.
fn loss(case: &Case, machine: &mut Machine, rows: &Rows, excess: &[f64]) -> Result<Tensor, super::Problem> {
    let labels = case.input(1)?;
    let weights = case.optional(2);
    let ignored = case.node.has("ignore_index").then(|| case.node.integer("ignore_index", 0) as f64);
    let kept: Vec<usize> = (0..rows.count()).filter(|&row| Some(labels.values[row]) != ignored).collect();
    if kept.len() < rows.count() {
        machine.note("rows of ignore_index left out");
    }
    if weights.is_some() {
        machine.note("class weights applied outside");
    }
    let weight = |row: usize| weights.map_or(1.0, |weights| weights.values[labels.values[row] as usize]);
    let label = |row: usize| labels.values[row] as u32;

    let reduction = case.node.text("reduction", "mean");
    if reduction == "none" {
        let each: Vec<_> = kept.iter().map(|&row| (rows.row(row), label(row))).collect();
        let mut all = vec![0.0; rows.count()];
        for (&row, loss) in kept.iter().zip(losses(machine, rows.classes, &each)?) {
            all[row] = weight(row) * (f64::from(loss) - excess[row]);
        }
        return Ok(Tensor::real(labels.dims.clone(), all));
    }

    // Rows of one weight are one batch: all of them, or those of one class.
    let mut batches: Vec<Vec<usize>> = vec![kept];
    if weights.is_some() {
        machine.note("one run for each class, as each has its weight");
        batches = (0..rows.classes as u32)
            .map(|class| batches[0].iter().copied().filter(|&row| label(row) == class).collect())
            .collect();
    }
    let (mut sum, mut total) = (0.0, 0.0);
    for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
        let op = SoftmaxCrossEntropy::new(batch.len(), rows.classes)?;
        let x = batch.iter().flat_map(|&row| rows.row(row).to_vec()).collect();
        let labels = batch.iter().map(|&row| label(row)).collect();
        let outputs = machine.run(&op, Direction::Fwd, [("x", Array::Real(x)), ("labels", Array::Index(labels))])?;
        // `loss` is the mean over the batch, `metrics` begins with the sum.
        let (what, count) = if reduction == "sum" { ("metrics", 1.0) } else { ("loss", batch.len() as f64) };
        let ours = f64::from(real(&outputs, what)?[0]);
        let excess: f64 = batch.iter().map(|&row| excess[row]).sum();
        sum += weight(batch[0]) * (ours * count - excess);
        total += weight(batch[0]) * batch.len() as f64;
    }
    Ok(Tensor::real([], vec![if reduction == "sum" { sum } else { sum / total }]))
}

/// `log softmax` of every element, in the order of the tensor.
fn log_probabilities(machine: &mut Machine, rows: &Rows) -> Result<Vec<f32>, super::Problem> {
    machine.note("log of a probability as the loss with that label, turned");
    let each: Vec<_> = (0..rows.count())
        .flat_map(|row| (0..rows.classes as u32).map(move |class| (row, class)))
        .map(|(row, class)| (rows.row(row), class))
        .collect();
    let turned: Vec<f32> = losses(machine, rows.classes, &each)?.into_iter().map(|loss| -loss).collect();
    Ok(rows.restore(&turned))
}

/// The loss of each row by itself.
fn losses(machine: &mut Machine, classes: usize, rows: &[(&[f32], u32)]) -> Result<Vec<f32>, super::Problem> {
    machine.note("the loss of a row as that of a batch of one");
    let op = SoftmaxCrossEntropy::new(1, classes)?;
    let given: Vec<_> = rows
        .iter()
        .map(|&(x, label)| values([("x", Array::Real(x.to_vec())), ("labels", Array::Index(vec![label]))]))
        .collect();
    let results = machine.run_each(&op, Direction::Fwd, &given)?;
    Ok(results.iter().map(|result| Ok(real(result, "loss")?[0])).collect::<Result<_, String>>()?)
}
