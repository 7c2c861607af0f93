//! Fully connected layer and ReLU in one.

use super::dense;
use super::{Dense, Relu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, wrong_arguments};
use std::sync::Arc;

/// `y = relu(dense(x, weight, bias))`: what [`Dense`] and then [`Relu`] compute.
///
/// - Shapes: those of [`Dense`].
/// - Writes: `y` `=`.
/// - Numerics: those of [`Dense`]; a NaN stays a NaN.
/// - Errors: those of [`Dense`].
/// - Source: the chain of the two, fused so that the sums are written once and never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenseRelu {
    /// The layer.
    pub dense: Dense,
}

impl DenseRelu {
    /// See [`Dense::new`].
    pub fn new(n: usize, features_in: usize, features_out: usize) -> Result<Self, Error> {
        let dense = Dense::new(n, features_in, features_out).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { dense })
    }
}

impl Contract for DenseRelu {
    const NAME: &'static str = "dense_relu";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => Contract::signature(&self.dense, direction),
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        if direction != Direction::Fwd {
            return Err(wrong_arguments(Self::NAME, direction));
        }
        let mut sums = chain::between(&self.dense, direction, "y");
        self.dense.compute(direction, inputs, &mut [&mut sums])?;
        Relu { spec: chain::spec(&self.dense, direction, "y") }.compute(direction, &[&sums], outputs)
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.dense, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.dense, direction) + chain::spec(&self.dense, direction, "y").len() as u64
    }
}

/// Those of the layer, without the costliest.
pub fn cases() -> Vec<Case> {
    chain::cases(dense::cases(), Direction::Fwd, 1_000_000, |dense: &Dense| Some(DenseRelu { dense: dense.clone() }))
}

/// Sizes that no layer has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let new = DenseRelu::new;
    vec![
        ErrorCase::new("empty batch", new(0, 2, 3), ZeroSize, "n"),
        ErrorCase::new("no features in", new(1, 0, 3), ZeroSize, "features_in"),
        ErrorCase::new("no features out", new(1, 2, 0), ZeroSize, "features_out"),
        ErrorCase::new("weight past i32", new(1, 1 << 16, 1 << 15), TooLarge, "weight"),
    ]
}

/// Any layer that [`Dense`] draws; one in four in whole vec4s.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let draw = if random.one_in(4) { chain::dense_in_vec4s } else { dense::random };
    chain::random(draw, random, |dense: &Dense| Some(DenseRelu { dense: dense.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = DenseRelu::new(2, 2, 2)?;
        let (x, weight) = (Array::Real(vec![1.0, 2.0, f64::NAN, 0.0]), Array::Real(vec![3.0, 1.0, -1.0, -2.0]));
        let (bias, mut y) = (Array::Real(vec![0.5, 1.0]), Array::Real(vec![0.0; 4]));
        op.run_f64(Direction::Fwd, &[&x, &weight, &bias], &mut [&mut y])?;
        assert_eq!(y.real()[..2], [5.5, 0.0]);
        assert!(y.real()[2..].iter().all(|y| y.is_nan()));
        Ok(())
    }
}
