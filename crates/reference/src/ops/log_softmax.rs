//! Logarithms of softmax probabilities, over one row per sample.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments};
use std::sync::Arc;

/// `y[r,k] = x[r,k] - max_r - log Σ_j exp(x[r,j] - max_r)`;
/// `dx[r,k] = dy[r,k] - exp(y[r,k]) * Σ_j dy[r,j]`.
///
/// - Shapes: `x`, `y`, `dy`, `dx` plain `[n, classes]`.
/// - Writes: `y`, `dx`, both `=`.
/// - Numerics: the maximum is subtracted, so that no logit overflows. `f64` sums, rounded once;
///   deterministic. A NaN makes its row NaN.
/// - Errors: a zero size, tensors past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; PyTorch's `log_softmax` along the last dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSoftmax {
    /// Samples.
    pub n: usize,
    /// Classes.
    pub classes: usize,
}

impl LogSoftmax {
    /// Over a batch of `n` samples.
    pub fn new(n: usize, classes: usize) -> Result<Self, Error> {
        let this = Self { n, classes };
        for (what, size) in [("n", n), ("classes", classes)] {
            if size == 0 {
                return Err(Error::ZeroSize { op: Self::NAME, what });
            }
        }
        this.x().check(Self::NAME, "x")?;
        Ok(this)
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::plain([self.n, self.classes])
    }
}

impl Contract for LogSoftmax {
    const NAME: &'static str = "log_softmax";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => vec![Arg::read("x", self.x()), Arg::write("y", self.x())],
            Direction::BwdInput => {
                vec![Arg::read("y", self.x()), Arg::read("dy", self.x()), Arg::write("dx", self.x())]
            }
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        let classes = self.classes;
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x], [y]) => {
                for (x, y) in x.real().chunks(classes).zip(y.real_mut().chunks_mut(classes)) {
                    let max = x.iter().map(|x| x.to_f64()).fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = x.iter().map(|x| (x.to_f64() - max).exp()).sum();
                    for (y, x) in y.iter_mut().zip(x) {
                        *y = T::from_f64(x.to_f64() - max - sum.ln());
                    }
                }
            }
            (Direction::BwdInput, [y, dy], [dx]) => {
                let rows = y.real().chunks(classes).zip(dy.real().chunks(classes));
                for ((y, dy), dx) in rows.zip(dx.real_mut().chunks_mut(classes)) {
                    let sum: f64 = dy.iter().map(|dy| dy.to_f64()).sum();
                    for ((y, dy), dx) in y.iter().zip(dy).zip(dx) {
                        *dx = T::from_f64(dy.to_f64() - y.to_f64().exp() * sum);
                    }
                }
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        2 * self.classes
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, direction: Direction) -> u64 {
        let per_element = match direction {
            Direction::Fwd => 5,
            _ => 4,
        };
        per_element * self.x().len() as u64
    }
}

/// The networks' ten classes at batches around every workgroup's samples, few and many classes.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    let mut add = |[n, classes]: [usize; 2]| {
        cases.add(format!("{n}x{classes}"), LogSoftmax::new(n, classes));
    };
    for n in [1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 128, 257] {
        add([n, 10]);
    }
    for sizes in [[1, 1], [4, 1], [5, 2], [3, 3], [7, 4], [3, 5], [13, 17], [3, 100], [67, 129], [4097, 3]] {
        add(sizes);
    }
    cases.0
}

/// Sizes that no batch of logits has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let (new, huge) = (LogSoftmax::new, usize::MAX);
    vec![
        ErrorCase::new("empty batch", new(0, 10), ZeroSize, "n"),
        ErrorCase::new("no classes", new(10, 0), ZeroSize, "classes"),
        ErrorCase::new("past i32", new(1 << 16, 1 << 15), TooLarge, "x"),
        ErrorCase::new("past usize", new(huge, huge), TooLarge, "x"),
    ]
}

/// Any batch of up to 4096 logits.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let classes = if random.one_in(3) { 10 } else { random.size(129) };
    let n = random.size(300.min(4096 / classes));
    Some(Arc::new(LogSoftmax::new(n, classes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The logits are log 3 apart: probabilities 3/4 and 1/4. The second row would overflow an exponential.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = LogSoftmax::new(2, 2)?;
        let x = Array::Real(vec![3.0_f64.ln(), 0.0, 1e4, -1e4]);
        let [mut y, mut dx] = [4, 4].map(|len| Array::Real(vec![0.0; len]));
        op.compute(Direction::Fwd, &[&x], &mut [&mut y])?;
        let near = |got: &[f64], expected: &[f64]| {
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        };
        near(y.real(), &[0.75_f64.ln(), 0.25_f64.ln(), 0.0, -2e4]);
        let dy = Array::Real(vec![1.0, 3.0, 5.0, 7.0]);
        op.compute(Direction::BwdInput, &[&y, &dy], &mut [&mut dx])?;
        near(dx.real(), &[-2.0, 2.0, -7.0, 7.0]);
        Ok(())
    }

    #[test]
    fn a_nan_makes_its_row_nan() -> Result<(), Error> {
        let mut y = Array::Real(vec![0.0; 4]);
        let x = Array::Real(vec![0.0, f64::NAN, 1.0, 2.0]);
        LogSoftmax::new(2, 2)?.compute(Direction::Fwd, &[&x], &mut [&mut y])?;
        assert_eq!(y.real().iter().map(|y| y.is_nan()).collect::<Vec<_>>(), [true, true, false, false]);
        Ok(())
    }
}
