//! ReLU and the fully connected layer behind it, on the way back.

use super::dense;
use super::{Dense, Relu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, wrong_arguments};
use std::sync::Arc;

/// `dx` of `dense(relu(z))` with respect to `z`, from `x = relu(z)`: what [`Dense`] and then [`Relu`] compute on the way back.
///
/// - Shapes: those of [`Dense`].
/// - Writes: `dx` `=`.
/// - Numerics: those of [`Dense`]; where `x` is a NaN the gradient is 0.
/// - Errors: those of [`Dense`].
/// - Source: the chain of the two, fused so that the gradient of `x` is never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReluDense {
    /// The layer.
    pub dense: Dense,
}

impl ReluDense {
    /// See [`Dense::new`].
    pub fn new(n: usize, features_in: usize, features_out: usize) -> Result<Self, Error> {
        let dense = Dense::new(n, features_in, features_out).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { dense })
    }
}

impl Contract for ReluDense {
    const NAME: &'static str = "relu_dense";
    const DIRECTIONS: &'static [Direction] = &[Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        if direction != Direction::BwdInput {
            return vec![];
        }
        let spec = |name| chain::spec(&self.dense, direction, name);
        vec![
            Arg::read("weight", spec("weight")),
            Arg::read("dy", spec("dy")),
            Arg::read("x", spec("dx")),
            Arg::write("dx", spec("dx")),
        ]
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs) {
            (Direction::BwdInput, [weight, dy, x]) => {
                let mut gradient = chain::between(&self.dense, direction, "dx");
                self.dense.compute(direction, &[weight, dy], &mut [&mut gradient])?;
                Relu { spec: chain::spec(&self.dense, direction, "dx") }.compute(direction, &[x, &gradient], outputs)
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.dense, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.dense, direction) + chain::spec(&self.dense, direction, "dx").len() as u64
    }
}

/// Those of the layer, without the costliest.
pub fn cases() -> Vec<Case> {
    chain::cases(dense::cases(), Direction::BwdInput, 1_000_000, |dense: &Dense| {
        Some(ReluDense { dense: dense.clone() })
    })
}

/// Sizes that no layer has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let new = ReluDense::new;
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
    chain::random(draw, random, |dense: &Dense| Some(ReluDense { dense: dense.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = ReluDense::new(1, 3, 2)?;
        // Weights of two outputs over three inputs, of which the second was clipped.
        let [weight, dy, x] =
            [vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![10.0, 1.0], vec![0.5, 0.0, 2.0]].map(Array::Real);
        let mut dx = Array::Real(vec![7.0; 3]);
        op.run_f64(Direction::BwdInput, &[&weight, &dy, &x], &mut [&mut dx])?;
        assert_eq!(dx.real(), [14.0, 0.0, 36.0]);
        Ok(())
    }
}
