//! Gemm and MatMul, both as a dense layer.

use super::{Outcome, Problem, one};
use crate::machine::{Machine, real};
use crate::suite::Case;
use reference::ops::Dense;
use reference::{Array, Direction};

/// `y = alpha * A' B' + beta * C`.
pub fn gemm(case: &Case, machine: &mut Machine) -> Outcome {
    let (a, b) = (case.input(0)?, case.input(1)?);
    let flag = |name| case.node.integer(name, 0) != 0;
    let (&[rows, columns], &[b_rows, b_columns]) = (&a.dims[..], &b.dims[..]) else {
        return Err("Gemm multiplies matrices".to_owned().into());
    };
    let (mut a, mut weight) = (a.f32(), b.f32());
    let (mut m, mut k) = (rows, columns);
    if flag("transA") {
        machine.note("A transposed outside");
        (m, k) = (k, m);
        a = transposed(&a, rows, columns);
    }
    // Dense weights are [out, in] already.
    let mut n = b_rows;
    if !flag("transB") {
        machine.note("B transposed into a weight [out, in]");
        n = b_columns;
        weight = transposed(&weight, b_rows, b_columns);
    }
    let alpha = case.node.float("alpha", 1.0);
    if alpha != 1.0 {
        machine.note("A times alpha outside");
        a.iter_mut().for_each(|a| *a *= alpha);
    }
    let beta = case.node.float("beta", 1.0);
    if beta != 1.0 {
        machine.note("C times beta outside");
    }
    let mut bias = vec![0.0; m * n];
    match case.optional(2) {
        None => machine.note("no bias: zeros"),
        Some(c) => {
            // One for each row and column, one for each column, or one for all.
            let (rows, columns) = match c.dims[..] {
                [rows, columns] => (rows, columns),
                [columns] => (1, columns),
                _ => (1, 1),
            };
            if (rows, columns) != (1, n) {
                machine.note("C broadcast outside");
            }
            for (i, bias) in bias.iter_mut().enumerate() {
                let (row, column) = (i / n % rows, i % n % columns);
                *bias = beta * c.values[row * columns + column] as f32;
            }
        }
    }
    // A layer has one bias for all rows; a matrix of them takes a layer for each.
    let same = bias.chunks(n).all(|row| row == &bias[..n]);
    let batch = if same { m } else { 1 };
    if !same {
        machine.note("a bias for each row: one run for each");
    }
    let mut y = Vec::new();
    for (a, bias) in a.chunks(batch * k).zip(bias.chunks(batch * n)) {
        y.extend(dense(machine, [batch, k, n], a.to_vec(), &weight, bias[..n].to_vec())?);
    }
    one([m, n], &y)
}

/// NumPy's product: matrices in the last two dimensions, the others broadcast.
pub fn matmul(case: &Case, machine: &mut Machine) -> Outcome {
    let (a, b) = (case.input(0)?, case.input(1)?);
    let (mut a_dims, mut b_dims) = (a.dims.clone(), b.dims.clone());
    if a_dims.len() == 1 {
        a_dims.insert(0, 1);
    }
    if b_dims.len() == 1 {
        b_dims.push(1);
    }
    let (&[ref a_batch @ .., m, k], &[ref b_batch @ .., b_k, n]) = (&a_dims[..], &b_dims[..]) else {
        return Err("MatMul needs two dimensions".to_owned().into());
    };
    if k != b_k {
        return Err(format!("{:?} times {:?}", a.dims, b.dims).into());
    }
    machine.note("B transposed into a weight [out, in]");
    machine.note("no bias: zeros");
    let rank = a_batch.len().max(b_batch.len());
    let size = |batch: &[usize], axis: usize| (axis + batch.len()).checked_sub(rank).map_or(1, |axis| batch[axis]);
    let batch: Vec<usize> = (0..rank).map(|axis| size(a_batch, axis).max(size(b_batch, axis))).collect();
    let products: usize = batch.iter().product();
    if products > 1 {
        machine.note("a batch of matrices: one run for each");
    }
    // The matrix of an operand that belongs to product `index`.
    let place = |operand: &[usize], index: usize| {
        let (mut rest, mut stride, mut place) = (index, 1, 0);
        for axis in (0..rank).rev() {
            let dim = size(operand, axis);
            place += rest % batch[axis] % dim * stride;
            rest /= batch[axis];
            stride *= dim;
        }
        place
    };
    let (a_values, b_values) = (a.f32(), b.f32());
    let mut y = Vec::new();
    for index in 0..products {
        let a = &a_values[place(a_batch, index) * m * k..][..m * k];
        let b = &b_values[place(b_batch, index) * k * n..][..k * n];
        y.extend(dense(machine, [m, k, n], a.to_vec(), &transposed(b, k, n), vec![0.0; n])?);
    }
    let mut dims = batch;
    if a.dims.len() > 1 {
        dims.push(m);
    }
    if b.dims.len() > 1 {
        dims.push(n);
    }
    one(dims, &y)
}

fn dense(
    machine: &mut Machine,
    [n, features_in, features_out]: [usize; 3],
    x: Vec<f32>,
    weight: &[f32],
    bias: Vec<f32>,
) -> Result<Vec<f32>, Problem> {
    let op = Dense::new(n, features_in, features_out)?;
    let given = [("x", Array::Real(x)), ("weight", Array::Real(weight.to_vec())), ("bias", Array::Real(bias))];
    Ok(real(&machine.run(&op, Direction::Fwd, given)?, "y")?)
}

fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| matrix[i % rows * columns + i / rows]).collect()
}
