//! ReLU, 2-D max pooling and flattening, on the way back.

use super::max_pool2d;
use super::{Flatten, MaxPool2d, MaxPool2dRelu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, Window, wrong_arguments,
};
use std::sync::Arc;

/// `dx` of [`MaxPool2dRelu`], from the gradient of what [`Flatten`] makes of its `y`: what the two compute one after the other.
///
/// - Shapes: those of [`MaxPool2dRelu`], but `dy` plain `[n, c*h_out*w_out]`.
/// - Writes: `dx` `=`.
/// - Numerics: those of [`MaxPool2dRelu`].
/// - Errors: those of [`MaxPool2d`].
/// - Source: the chain of the two, fused so that nothing is moved that is read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool2dReluFlatten {
    /// The pooling.
    pub pool: MaxPool2d,
}

impl MaxPool2dReluFlatten {
    /// See [`MaxPool2d::new`].
    pub fn new(x: [usize; 4], h: Window, w: Window) -> Result<Self, Error> {
        let pool = MaxPool2d::new(x, h, w).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { pool })
    }

    fn parts(&self) -> (MaxPool2dRelu, Flatten) {
        let MaxPool2d { n, c, h, w } = self.pool;
        (MaxPool2dRelu { pool: self.pool.clone() }, Flatten { n, c, h: h.size_out, w: w.size_out })
    }
}

impl Contract for MaxPool2dReluFlatten {
    const NAME: &'static str = "max_pool2d_relu_flatten";
    const DIRECTIONS: &'static [Direction] = &[Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let (pool, flatten) = self.parts();
        let mut args = match direction {
            Direction::BwdInput => Contract::signature(&pool, direction),
            _ => vec![],
        };
        for arg in args.iter_mut().filter(|arg| arg.name == "dy") {
            arg.spec = chain::spec(&flatten, direction, "dy");
        }
        args
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs) {
            (Direction::BwdInput, [dy, argmax, y]) => {
                let (pool, flatten) = self.parts();
                let mut image = chain::between(&flatten, direction, "dx");
                flatten.compute(direction, &[dy], &mut [&mut image])?;
                pool.compute(direction, &[&image, argmax, y], outputs)
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
        Contract::flops(&self.parts().0, direction)
    }

    fn domain(&self, arg: &str) -> Domain {
        Contract::domain(&self.pool, arg)
    }
}

/// Those of the pooling.
pub fn cases() -> Vec<Case> {
    chain::cases(max_pool2d::cases(), Direction::Fwd, 100_000, |pool: &MaxPool2d| {
        Some(MaxPool2dReluFlatten { pool: pool.clone() })
    })
}

/// Sizes that no pooling has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, OutOfRange, TooLarge, ZeroSize};
    let (new, w) = (MaxPool2dReluFlatten::new, Window::new);
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
    chain::random(max_pool2d::random, random, |pool: &MaxPool2d| Some(MaxPool2dReluFlatten { pool: pool.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two channels of one window each over two columns: the first hands 3 to its second column, the second has nothing above 0.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = MaxPool2dReluFlatten::new([1, 2, 1, 2], Window::new(1), Window::new(2).stride(2))?;
        let [dy, y] = [vec![3.0, 5.0], vec![0.5, 0.0]].map(Array::Real);
        let argmax = Array::Index(vec![1, 0]);
        let mut dx = Array::Real(vec![7.0; 4]);
        op.run_f64(Direction::BwdInput, &[&dy, &argmax, &y], &mut [&mut dx])?;
        assert_eq!(dx.real(), [0.0, 3.0, 0.0, 0.0]);
        Ok(())
    }
}
