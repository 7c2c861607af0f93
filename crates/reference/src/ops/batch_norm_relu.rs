//! Batch normalisation and ReLU in one.

use super::batch_norm;
use super::{BatchNorm, BatchNormMode, Relu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `y = relu(batch_norm(x, weight, bias))`: what [`BatchNorm`] and then [`Relu`] compute.
///
/// - Shapes: those of [`BatchNorm`].
/// - Writes: `y`, `mean`, `rstd`, all `=`; changes `running_mean` and `running_var` in place.
/// - Numerics: those of [`BatchNorm`]; a NaN stays a NaN.
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
}

impl Contract for BatchNormRelu {
    const NAME: &'static str = "batch_norm_relu";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => Contract::signature(&self.norm, direction),
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, outputs) {
            (Direction::Fwd, [running_mean, running_var, y, mean, rstd]) => {
                let mut normal = chain::between(&self.norm, direction, "y");
                self.norm.compute(direction, inputs, &mut [running_mean, running_var, &mut normal, mean, rstd])?;
                Relu { spec: self.norm.spec.clone() }.compute(direction, &[&normal], &mut [y])
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
        Contract::flops(&self.norm, direction) + self.norm.spec.len() as u64
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
}
