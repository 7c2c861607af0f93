//! 2-D convolution and ReLU in one.

use super::conv2d;
use super::{Conv2d, Relu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, Window, wrong_arguments};
use std::sync::Arc;

/// `y = relu(conv2d(x, weight, bias))`: what [`Conv2d`] and then [`Relu`] compute.
///
/// - Shapes: those of [`Conv2d`].
/// - Writes: `y` `=`.
/// - Numerics: those of [`Conv2d`]; a NaN stays a NaN.
/// - Errors: those of [`Conv2d`].
/// - Source: the chain of the two, fused so that the sums are written once and never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dRelu {
    /// The convolution.
    pub conv: Conv2d,
}

impl Conv2dRelu {
    /// See [`Conv2d::new`].
    pub fn new(x: [usize; 4], c_out: usize, h: Window, w: Window) -> Result<Self, Error> {
        let conv = Conv2d::new(x, c_out, h, w).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { conv })
    }
}

impl Contract for Conv2dRelu {
    const NAME: &'static str = "conv2d_relu";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => Contract::signature(&self.conv, direction),
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
        let mut sums = chain::between(&self.conv, direction, "y");
        self.conv.compute(direction, inputs, &mut [&mut sums])?;
        Relu { spec: chain::spec(&self.conv, direction, "y") }.compute(direction, &[&sums], outputs)
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.conv, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.conv, direction) + chain::spec(&self.conv, direction, "y").len() as u64
    }
}

/// Those of the convolution, without the costliest.
pub fn cases() -> Vec<Case> {
    chain::cases(conv2d::cases(), Direction::Fwd, 1_000_000, |conv: &Conv2d| Some(Conv2dRelu { conv: conv.clone() }))
}

/// Sizes that no convolution has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, TooLarge, ZeroSize};
    let (new, w) = (Conv2dRelu::new, Window::new);
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
    chain::random(draw, random, |conv: &Conv2d| Some(Conv2dRelu { conv: conv.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = Conv2dRelu::new([1, 1, 1, 4], 1, Window::new(1), Window::new(2))?;
        let [x, weight, bias] = [vec![1.0, 2.0, 5.0, f64::NAN], vec![1.0, -1.0], vec![2.0]].map(Array::Real);
        let mut y = Array::Real(vec![0.0; 3]);
        op.run_f64(Direction::Fwd, &[&x, &weight, &bias], &mut [&mut y])?;
        assert_eq!(y.real()[..2], [1.0, 0.0]);
        assert!(y.real()[2].is_nan());
        Ok(())
    }
}
