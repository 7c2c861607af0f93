//! ReLU and 2-D max pooling in one.

use super::max_pool2d;
use super::{MaxPool2d, Relu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, Window, wrong_arguments,
};
use std::sync::Arc;

/// `y, argmax = max_pool2d(relu(x))`; `dx[n,c,ih,iw]` is the sum of `dy` over the windows whose argmax it
/// is and whose `y` is above 0: what [`Relu`] and [`MaxPool2d`] compute one after the other. The ReLU is positive at a
/// window's argmax exactly where the window's maximum is, so the backward pass reads `y` alone.
///
/// - Shapes: those of [`MaxPool2d`].
/// - Writes: `y`, `argmax`, `dx`, all `=`.
/// - Numerics: those of [`MaxPool2d`]. A window with nothing above 0 takes its first element. A NaN wins and stays a
///   NaN, and its gradient is 0.
/// - Errors: those of [`MaxPool2d`].
/// - Source: the chain of the two, fused so that the gradient at full size is written once and never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool2dRelu {
    /// The pooling.
    pub pool: MaxPool2d,
}

impl MaxPool2dRelu {
    /// See [`MaxPool2d::new`].
    pub fn new(x: [usize; 4], h: Window, w: Window) -> Result<Self, Error> {
        let pool = MaxPool2d::new(x, h, w).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { pool })
    }
}

impl Contract for MaxPool2dRelu {
    const NAME: &'static str = "max_pool2d_relu";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = |name| chain::spec(&self.pool, Direction::Fwd, name);
        match direction {
            Direction::Fwd => Contract::signature(&self.pool, direction),
            Direction::BwdInput => vec![
                Arg::read("dy", spec("y")),
                Arg::read("argmax", spec("argmax")),
                Arg::read("y", spec("y")),
                Arg::write("dx", spec("x")),
            ],
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs) {
            (Direction::Fwd, inputs) => {
                let relu = Relu { spec: chain::spec(&self.pool, direction, "x") };
                let mut positive = chain::between(&self.pool, direction, "x");
                relu.compute(direction, inputs, &mut [&mut positive])?;
                self.pool.compute(direction, &[&positive], outputs)
            }
            (Direction::BwdInput, [dy, argmax, y]) => {
                let relu = Relu { spec: chain::spec(&self.pool, Direction::Fwd, "y") };
                let mut masked = chain::between(&self.pool, Direction::Fwd, "y");
                relu.compute(direction, &[y, dy], &mut [&mut masked])?;
                self.pool.compute(direction, &[argmax, &masked], outputs)
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.pool, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        let compared = match direction {
            Direction::Fwd => "x",
            _ => "y",
        };
        Contract::flops(&self.pool, direction) + chain::spec(&self.pool, Direction::Fwd, compared).len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        Contract::domain(&self.pool, arg)
    }
}

/// Those of the pooling.
pub fn cases() -> Vec<Case> {
    chain::cases(max_pool2d::cases(), Direction::Fwd, 100_000, |pool: &MaxPool2d| {
        Some(MaxPool2dRelu { pool: pool.clone() })
    })
}

/// Sizes that no pooling has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, OutOfRange, TooLarge, ZeroSize};
    let (new, w) = (MaxPool2dRelu::new, Window::new);
    vec![
        ErrorCase::new("no images", new([0, 1, 4, 5], w(2), w(3)), ZeroSize, "n"),
        ErrorCase::new("no channels", new([1, 0, 4, 5], w(2), w(3)), ZeroSize, "c"),
        ErrorCase::new("kernel too high", new([1, 1, 4, 5], w(5), w(3)), KernelTooLarge, "h"),
        ErrorCase::new("padding over half", new([1, 1, 4, 5], w(2), w(4).pad(3)), OutOfRange, "pad_w"),
        ErrorCase::new("x past i32", new([1 << 11, 1 << 10, 32, 32], w(2), w(3)), TooLarge, "x"),
    ]
}

/// Any pooling that [`MaxPool2d`] draws.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    chain::random(max_pool2d::random, random, |pool: &MaxPool2d| Some(MaxPool2dRelu { pool: pool.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pooling and then ReLU, backwards: the other order of the same chain. Windows overlap, maxima repeat, some are
    /// below zero, one is a NaN.
    #[test]
    fn masking_by_the_pooled_output_is_masking_by_the_relu() -> Result<(), Error> {
        let window = Window::new(3).stride(2).pad(1);
        let op = MaxPool2dRelu::new([2, 3, 9, 8], window, Window::new(4).stride(1).pad(2))?;
        let spec = |name| chain::spec(&op.pool, Direction::Fwd, name);
        let values = |len: usize, seed: usize| -> Array<f64> {
            Array::Real((0..len).map(|i| ((i * 37 + seed) % 23) as f64 - 17.0).collect())
        };
        let mut x = values(spec("x").len(), 5);
        x.real_mut()[40] = f64::NAN;
        let dy = values(spec("y").len(), 11);
        let (mut y, mut argmax) = (Array::zeros(&spec("y")), Array::zeros(&spec("argmax")));
        op.run_f64(Direction::Fwd, &[&x], &mut [&mut y, &mut argmax])?;
        let mut dx = Array::zeros(&spec("x"));
        op.run_f64(Direction::BwdInput, &[&dy, &argmax, &y], &mut [&mut dx])?;

        let relu = Relu::new(spec("x"))?;
        let [mut positive, mut unpooled, mut expected] = [(); 3].map(|()| Array::zeros(&spec("x")));
        relu.run_f64(Direction::Fwd, &[&x], &mut [&mut positive])?;
        op.pool.run_f64(Direction::BwdInput, &[&argmax, &dy], &mut [&mut unpooled])?;
        relu.run_f64(Direction::BwdInput, &[&positive, &unpooled], &mut [&mut expected])?;
        assert_eq!(dx, expected);
        let count = |wanted: fn(&f64) -> bool| y.real().iter().filter(|y| wanted(y)).count();
        assert!(count(|y| *y > 0.0) > 9 && count(|y| *y == 0.0) > 9 && count(|y| y.is_nan()) > 1);
        Ok(())
    }
}
