//! Batch normalisation and ReLU in one.

use super::batch_norm;
use super::{BatchNorm, BatchNormMode, Relu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `y = relu(batch_norm(x, weight, bias))`: what [`BatchNorm`] and then [`Relu`] compute. The gradients are those of
/// [`BatchNorm`], with `dy` where `(x - mean) * (rstd * weight) + bias > 0` and 0 elsewhere: the backward pass does not read
/// `y`, but works out again on which side of 0 it was clipped.
///
/// - Shapes: those of [`BatchNorm`].
/// - Writes: `y`, `mean`, `rstd`, `dweight`, `dbias`, `dx`, all `=`; changes `running_mean` and `running_var` in place.
/// - Numerics: those of [`BatchNorm`]; a NaN stays a NaN. What is compared with 0 is rounded after every operation, as in a
///   kernel: of numbers so small, rounding decides the sign.
/// - Errors: those of [`BatchNorm`].
/// - Source: the chain of the two, fused so that what is normalised is written once.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormRelu {
    /// The normalisation.
    pub norm: BatchNorm,
}

impl BatchNormRelu {
    /// See [`BatchNorm::new`].
    pub fn new(spec: TensorSpec, mode: BatchNormMode, eps: f32, momentum: f32) -> Result<Self, Error> {
        let norm = BatchNorm::new(spec, mode, eps, momentum).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { norm })
    }

    /// `dy` where the ReLU let pass, else 0.
    pub(super) fn passed<T: Real>(&self, [x, weight, bias, dy, mean, rstd]: [&Array<T>; 6]) -> Array<T> {
        let rounded = |value: f64| T::from_f64(value).to_f64();
        let [_, channels, h, w] = self.norm.spec.as_nchw();
        let planes = x.real().chunks(h * w).zip(dy.real().chunks(h * w)).enumerate();
        let passed = planes.flat_map(|(plane, (x, dy))| {
            let at = |values: &Array<T>| values.real()[plane % channels].to_f64();
            let (mean, scale, shift) = (at(mean), rounded(at(rstd) * at(weight)), at(bias));
            x.iter().zip(dy).map(move |(x, &dy)| {
                let v = rounded(rounded(rounded(x.to_f64() - mean) * scale) + shift);
                if v > 0.0 { dy } else { T::default() }
            })
        });
        Array::Real(passed.collect())
    }
}

impl Contract for BatchNormRelu {
    const NAME: &'static str = "batch_norm_relu";
    const DIRECTIONS: &'static [Direction] = BatchNorm::DIRECTIONS;

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let mut args = Contract::signature(&self.norm, direction);
        let per_channel = |name| Arg::read(name, TensorSpec::plain([self.norm.channels()]));
        match direction {
            Direction::BwdWeight => drop(args.splice(1..1, [per_channel("weight"), per_channel("bias")])),
            Direction::BwdInput => args.insert(2, per_channel("bias")),
            _ => {}
        }
        args
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::Fwd, inputs, [running_mean, running_var, y, mean, rstd]) => {
                let mut normal = chain::between(&self.norm, direction, "y");
                self.norm.compute(direction, inputs, &mut [running_mean, running_var, &mut normal, mean, rstd])?;
                Relu { spec: self.norm.spec.clone() }.compute(direction, &[&normal], &mut [y])
            }
            (Direction::BwdWeight, [x, weight, bias, dy, mean, rstd], outputs) => {
                let passed = self.passed([x, weight, bias, dy, mean, rstd]);
                self.norm.compute(direction, &[x, &passed, mean, rstd], outputs)
            }
            (Direction::BwdInput, [x, weight, bias, dy, mean, rstd, dweight, dbias], outputs) => {
                let passed = self.passed([x, weight, bias, dy, mean, rstd]);
                self.norm.compute(direction, &[x, weight, &passed, mean, rstd, dweight, dbias], outputs)
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.norm, direction)
    }

    fn exact_on_integers(&self, direction: Direction) -> bool {
        Contract::exact_on_integers(&self.norm, direction)
    }

    fn flops(&self, direction: Direction) -> u64 {
        let more = if direction == Direction::Fwd { 1 } else { 4 };
        Contract::flops(&self.norm, direction) + more * self.norm.spec.len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        Contract::domain(&self.norm, arg)
    }
}

/// Those of the normalisation.
pub fn cases() -> Vec<Case> {
    chain::cases(batch_norm::cases(), Direction::Fwd, u64::MAX, |norm: &BatchNorm| {
        Some(BatchNormRelu { norm: norm.clone() })
    })
}

/// Tensors that cannot be normalised, and settings that normalise none.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, OutOfRange, ZeroSize};
    let new = |dims: &[usize], eps, momentum| {
        BatchNormRelu::new(TensorSpec::plain(dims), BatchNormMode::Training, eps, momentum)
    };
    vec![
        ErrorCase::new("no rows", new(&[0, 3], 1e-5, 0.1), ZeroSize, "x"),
        ErrorCase::new("one dimension", new(&[3], 1e-5, 0.1), Mismatch, "x"),
        ErrorCase::new("eps of zero", new(&[3, 3], 0.0, 0.1), OutOfRange, "eps"),
        ErrorCase::new("momentum over one", new(&[3, 3], 1e-5, 1.1), OutOfRange, "momentum"),
        ErrorCase::new("training on one row", new(&[1, 3], 1e-5, 0.1), OutOfRange, "values"),
    ]
}

/// Any that [`BatchNorm`] draws.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    chain::random(batch_norm::random, random, |norm: &BatchNorm| Some(BatchNormRelu { norm: norm.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean 2 and variance 4, so that with eps = 5 rstd is 1/3.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = BatchNormRelu::new(TensorSpec::plain([2, 1]), BatchNormMode::Training, 5.0, 0.5)?;
        let [x, weight, bias] = [vec![0.0, 4.0], vec![3.0], vec![1.0]].map(Array::Real);
        let [mut running_mean, mut running_var, mut mean, mut rstd] = [(); 4].map(|()| Array::Real(vec![1.0]));
        let mut y = Array::Real(vec![9.0; 2]);
        let outputs = &mut [&mut running_mean, &mut running_var, &mut y, &mut mean, &mut rstd];
        op.run_f64(Direction::Fwd, &[&x, &weight, &bias], outputs)?;
        let near = |got: &Array<f64>, expected: &[f64]| {
            assert!(got.real().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        };
        near(&y, &[0.0, 3.0]);
        near(&mean, &[2.0]);
        near(&rstd, &[1.0 / 3.0]);
        near(&running_mean, &[1.5]);
        near(&running_var, &[4.5]);
        Ok(())
    }

    /// The gradients of the chain, which masks by the output.
    #[test]
    fn the_gradients_are_those_of_the_chain() -> Result<(), Error> {
        let op = BatchNormRelu::new(TensorSpec::image(3, 2, 3, 5), BatchNormMode::Training, 1e-3, 0.1)?;
        let values = |len: usize, seed: usize| -> Array<f64> {
            Array::Real((0..len).map(|i| ((i * 37 + seed) % 23) as f64 / 7.0 - 1.5).collect())
        };
        let [x, dy, weight, bias] = [values(90, 3), values(90, 8), values(2, 5), values(2, 9)];
        let zeros = |len| Array::Real(vec![0.0; len]);
        let [mut running_mean, mut running_var, mut mean, mut rstd] = [(); 4].map(|()| zeros(2));
        let mut y = zeros(90);
        let outputs = &mut [&mut running_mean, &mut running_var, &mut y, &mut mean, &mut rstd];
        op.run_f64(Direction::Fwd, &[&x, &weight, &bias], outputs)?;
        let mut masked = zeros(90);
        Relu::new(op.norm.spec.clone())?.run_f64(Direction::BwdInput, &[&y, &dy], &mut [&mut masked])?;
        assert!(masked.real().iter().filter(|dy| **dy == 0.0).count() > 20);

        let [mut dweight, mut dbias, mut expected_weight, mut expected_bias] = [(); 4].map(|()| zeros(2));
        let inputs = [&x, &weight, &bias, &dy, &mean, &rstd];
        op.run_f64(Direction::BwdWeight, &inputs, &mut [&mut dweight, &mut dbias])?;
        let outputs = &mut [&mut expected_weight, &mut expected_bias];
        op.norm.run_f64(Direction::BwdWeight, &[&x, &masked, &mean, &rstd], outputs)?;
        assert_eq!((&dweight, &dbias), (&expected_weight, &expected_bias));
        let [mut dx, mut expected] = [(); 2].map(|()| zeros(90));
        let inputs = [&x, &weight, &bias, &dy, &mean, &rstd, &dweight, &dbias];
        op.run_f64(Direction::BwdInput, &inputs, &mut [&mut dx])?;
        let inputs = [&x, &weight, &masked, &mean, &rstd, &dweight, &dbias];
        op.norm.run_f64(Direction::BwdInput, &inputs, &mut [&mut expected])?;
        assert_eq!(dx, expected);
        Ok(())
    }
}
