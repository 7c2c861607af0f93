//! The gradients of a convolution's weights and bias in one.

use super::conv2d;
use super::{Conv2d, chain};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, Window, wrong_arguments};
use std::sync::Arc;

/// `dweight` and `dbias` of [`Conv2d`]: its directions `bwd_weight` and `bwd_bias`, which both read `dy`.
///
/// - Shapes: those of [`Conv2d`].
/// - Writes: `dweight`, `dbias`, both `=`.
/// - Numerics: those of [`Conv2d`].
/// - Errors: those of [`Conv2d`].
/// - Source: the two, fused so that `dy` is read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dWeightBias {
    /// The convolution.
    pub conv: Conv2d,
}

impl Conv2dWeightBias {
    /// See [`Conv2d::new`].
    pub fn new(x: [usize; 4], c_out: usize, h: Window, w: Window) -> Result<Self, Error> {
        let conv = Conv2d::new(x, c_out, h, w).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { conv })
    }
}

impl Contract for Conv2dWeightBias {
    const NAME: &'static str = "conv2d_weight_bias";
    const DIRECTIONS: &'static [Direction] = &[Direction::BwdWeight];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        if direction != Direction::BwdWeight {
            return vec![];
        }
        let dbias = Arg::write("dbias", chain::spec(&self.conv, Direction::BwdBias, "dbias"));
        Contract::signature(&self.conv, direction).into_iter().chain([dbias]).collect()
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::BwdWeight, [x, dy], [dweight, dbias]) => {
                self.conv.compute(direction, &[x, dy], &mut [dweight])?;
                self.conv.compute(Direction::BwdBias, &[dy], &mut [dbias])
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.conv, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.conv, direction) + Contract::flops(&self.conv, Direction::BwdBias)
    }
}

/// Those of the convolution, without the costliest, and sums that are split in whole vec4s.
pub fn cases() -> Vec<Case> {
    let fuse = |conv: &Conv2d| Some(Conv2dWeightBias { conv: conv.clone() });
    let mut cases = Cases(chain::cases(conv2d::cases(), Direction::BwdWeight, 1_000_000, fuse));
    let w = Window::new;
    for (name, x, c_out) in
        [("splits-vec4", [1, 4, 48, 65], 8), ("splits-short", [3, 1, 37, 29], 20), ("splits-wide", [2, 4, 32, 33], 36)]
    {
        cases.add(name, Conv2dWeightBias::new(x, c_out, w(1), w(1)));
    }
    cases.0
}

/// Sizes that no convolution has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, TooLarge, ZeroSize};
    let (new, w) = (Conv2dWeightBias::new, Window::new);
    vec![
        ErrorCase::new("no images", new([0, 1, 4, 5], 1, w(2), w(3)), ZeroSize, "n"),
        ErrorCase::new("no output channels", new([1, 1, 4, 5], 0, w(2), w(3)), ZeroSize, "c_out"),
        ErrorCase::new("zero stride", new([1, 1, 4, 5], 1, w(2).stride(0), w(3)), ZeroSize, "stride_h"),
        ErrorCase::new("kernel too wide", new([1, 1, 4, 5], 1, w(2), w(6)), KernelTooLarge, "w"),
        ErrorCase::new("x past i32", new([1 << 11, 1 << 10, 32, 32], 1, w(2), w(3)), TooLarge, "x"),
    ]
}

/// Any convolution that [`Conv2d`] draws; one in four in whole vec4s, one in four in strips.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let draw = match random.below(4) {
        0 => chain::conv2d_in_strips,
        1 => chain::conv2d_in_vec4s,
        _ => conv2d::random,
    };
    chain::random(draw, random, |conv: &Conv2d| Some(Conv2dWeightBias { conv: conv.clone() }))
}
