//! From an image to features.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments};
use std::sync::Arc;

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
    let mut cases = Cases::default();
    for (name, x) in [
        ("lenet5", [3, 16, 8, 8]),
        ("depth2", [3, 64, 7, 7]),
        ("depth3", [3, 128, 7, 7]),
        ("grid", [3, 64, 3, 3]),
        ("grid-small", [3, 64, 1, 1]),
        ("shallow1", [3, 32, 13, 13]),
        ("deep4-valid", [3, 128, 4, 4]),
        ("two-dense", [3, 64, 6, 6]),
        ("variant", [3, 64, 5, 5]),
        ("pixels", [3, 1, 28, 28]),
        ("1x1", [1, 1, 1, 1]),
        ("one-channel", [3, 1, 5, 7]),
        ("one-pixel", [3, 13, 1, 1]),
        ("row", [3, 5, 1, 11]),
        ("column", [3, 5, 11, 1]),
        ("primes", [3, 7, 5, 3]),
        ("batch-1", [1, 6, 5, 7]),
        ("batch-5", [5, 9, 6, 8]),
    ] {
        cases.add(name, Flatten::new(x));
    }
    for edge in [3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 64, 65] {
        cases.add(format!("channels-{edge}"), Flatten::new([2, edge, 3, 5]));
        cases.add(format!("pixels-{edge}"), Flatten::new([2, 5, 1, edge]));
        cases.add(format!("tile-{edge}"), Flatten::new([1, edge, edge, 1]));
    }
    cases.0
}

/// Sizes that no image has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let (new, huge) = (Flatten::new, usize::MAX);
    vec![
        ErrorCase::new("no images", new([0, 2, 3, 4]), ZeroSize, "n"),
        ErrorCase::new("no channels", new([1, 0, 3, 4]), ZeroSize, "c"),
        ErrorCase::new("no rows", new([1, 2, 0, 4]), ZeroSize, "h"),
        ErrorCase::new("no columns", new([1, 2, 3, 0]), ZeroSize, "w"),
        ErrorCase::new("past i32", new([1 << 11, 1 << 10, 32, 32]), TooLarge, "x"),
        ErrorCase::new("past usize", new([huge, huge, huge, huge]), TooLarge, "x"),
    ]
}

/// Any image of up to 8192 elements.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    Some(Arc::new(Flatten::new(random.image(8192).as_nchw()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
