//! The gradients of a layer's weights and bias in one.

use super::dense;
use super::{Dense, chain};
use crate::cases::{Case, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, wrong_arguments};
use std::sync::Arc;

/// `dweight` and `dbias` of [`Dense`]: its directions `bwd_weight` and `bwd_bias`, which both read `dy`.
///
/// - Shapes: those of [`Dense`].
/// - Writes: `dweight`, `dbias`, both `=`.
/// - Numerics: those of [`Dense`].
/// - Errors: those of [`Dense`].
/// - Source: the two, fused so that `dy` is read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenseWeightBias {
    /// The layer.
    pub dense: Dense,
}

impl DenseWeightBias {
    /// See [`Dense::new`].
    pub fn new(n: usize, features_in: usize, features_out: usize) -> Result<Self, Error> {
        let dense = Dense::new(n, features_in, features_out).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { dense })
    }
}

impl Contract for DenseWeightBias {
    const NAME: &'static str = "dense_weight_bias";
    const DIRECTIONS: &'static [Direction] = &[Direction::BwdWeight];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        if direction != Direction::BwdWeight {
            return vec![];
        }
        let dbias = Arg::write("dbias", chain::spec(&self.dense, Direction::BwdBias, "dbias"));
        Contract::signature(&self.dense, direction).into_iter().chain([dbias]).collect()
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::BwdWeight, [x, dy], [dweight, dbias]) => {
                self.dense.compute(direction, &[x, dy], &mut [dweight])?;
                self.dense.compute(Direction::BwdBias, &[dy], &mut [dbias])
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
        Contract::flops(&self.dense, direction) + Contract::flops(&self.dense, Direction::BwdBias)
    }
}

/// Those of the layer, without the costliest.
pub fn cases() -> Vec<Case> {
    chain::cases(dense::cases(), Direction::BwdWeight, 1_000_000, |dense: &Dense| {
        Some(DenseWeightBias { dense: dense.clone() })
    })
}

/// Sizes that no layer has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let new = DenseWeightBias::new;
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
    chain::random(draw, random, |dense: &Dense| Some(DenseWeightBias { dense: dense.clone() }))
}
