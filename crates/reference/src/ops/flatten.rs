//! From an image to features.

use crate::cases::Case;
use crate::{Arg, Array, Contract, Direction, Error, Real, TensorSpec, wrong_arguments};

/// `y[n, (c*h + ih)*w + iw] = x[n,c,ih,iw]`.
///
/// - Shapes: `x` image `[n, c, h, w]`, `y` plain `[n, c*h*w]`.
/// - Writes: `y`, `dx`, both `=`.
/// - Numerics: exact; nothing but a change of layout, and none at all in PyTorch's.
/// - Errors: a zero size, tensors past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; features in PyTorch's order, so that dense weights move between the two
///   unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flatten {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

impl Flatten {
    /// Of images `[n, c, h, w]`.
    pub fn new([n, c, h, w]: [usize; 4]) -> Result<Self, Error> {
        let this = Self { n, c, h, w };
        for (what, size) in [("n", n), ("c", c), ("h", h), ("w", w)] {
            if size == 0 {
                return Err(Error::ZeroSize { op: Self::NAME, what });
            }
        }
        this.x().check(Self::NAME, "x")?;
        Ok(this)
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c, self.h, self.w)
    }

    fn y(&self) -> TensorSpec {
        TensorSpec::plain([self.n, self.c * self.h * self.w])
    }
}

impl Contract for Flatten {
    const NAME: &'static str = "flatten";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => vec![Arg::read("x", self.x()), Arg::write("y", self.y())],
            Direction::BwdInput => vec![Arg::read("dy", self.y()), Arg::write("dx", self.x())],
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::Fwd, [from], [to]) | (Direction::BwdInput, [from], [to]) => {
                to.real_mut().copy_from_slice(from.real());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        1
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        0
    }
}

/// The networks' last images, single rows and columns, and sizes around a tile of 16.
pub fn cases() -> Vec<Case> {
    [
        ("lenet5", [3, 16, 8, 8]),
        ("depth2", [3, 64, 7, 7]),
        ("depth3", [2, 128, 3, 3]),
        ("1x1", [1, 1, 1, 1]),
        ("one-channel", [3, 1, 5, 7]),
        ("one-pixel", [3, 13, 1, 1]),
        ("row", [3, 5, 1, 11]),
        ("column", [3, 5, 11, 1]),
        ("primes", [3, 7, 5, 3]),
        ("channels-3", [1, 3, 4, 4]),
        ("channels-4", [3, 4, 5, 3]),
        ("channels-8", [3, 8, 2, 9]),
        ("channels-15", [2, 15, 5, 3]),
        ("channels-16", [2, 16, 4, 4]),
        ("channels-17", [2, 17, 17, 1]),
        ("channels-31", [1, 31, 3, 11]),
        ("channels-32", [3, 32, 4, 8]),
        ("channels-33", [3, 33, 31, 1]),
        ("batch-5", [5, 9, 6, 8]),
    ]
    .into_iter()
    .filter_map(|(name, x)| Flatten::new(x).ok().map(|op| Case::new(name, op)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    #[test]
    fn by_hand() {
        let op = Flatten::new([1, 2, 1, 3]).expect("a shape");
        let (x, mut y) = (Array::Real(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Array::zeros(&op.y()));
        op.run(Direction::Fwd, &[&x], &mut [&mut y]).expect("a forward pass");
        // All of channel 0, then all of channel 1.
        assert_eq!(y.real(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mut dx = Array::zeros(&op.x());
        op.run(Direction::BwdInput, &[&y], &mut [&mut dx]).expect("a backward pass");
        assert_eq!(dx, x);
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let error = |x| Flatten::new(x).expect_err("an impossible shape").to_string();
        assert!(error([0, 2, 3, 4]).contains("n is 0"));
        assert!(error([1, 2, 3, 0]).contains("w is 0"));
        assert!(error([1 << 20, 1 << 20, 1 << 20, 1 << 20]).contains("more than"));
    }
}
