//! The sum of a tensor's squares: what a norm over many tensors is made of.

use super::optimiser::parameters;
use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{
    Arg, Array, Contract, DType, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `sum = Σ x^2`.
///
/// The global norm over several gradients is the square root of their sums, added by `accumulate` in the
/// order of the parameters; `clip_norm` takes that root.
///
/// - Shapes: `x` of any one real shape; `sum` plain `[1]`.
/// - Writes: `sum`, `=`.
/// - Numerics: `f64` sum, rounded once. On a device in an order that depends on the length alone, so
///   deterministic; it overflows where the norm is past 1.8e19.
/// - Errors: an empty tensor, one of indices, one past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; the inner sum of PyTorch's `clip_grad_norm_` with the norm type 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumOfSquares {
    /// Shape of `x`.
    pub spec: TensorSpec,
}

impl SumOfSquares {
    /// Over a tensor of this shape.
    pub fn new(spec: TensorSpec) -> Result<Self, Error> {
        let op = Self::NAME;
        spec.check(op, "x")?;
        if spec.dtype != DType::Real {
            let (what, got, expected) = ("`x`".into(), spec.to_string(), "real numbers".into());
            return Err(Error::Mismatch { op, what, got, expected });
        }
        Ok(Self { spec })
    }
}

impl Contract for SumOfSquares {
    const NAME: &'static str = "sum_of_squares";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => vec![Arg::read("x", self.spec.clone()), Arg::write("sum", TensorSpec::plain([1]))],
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
            (Direction::Fwd, [x], [sum]) => {
                sum.real_mut()[0] = T::from_f64(x.real().iter().map(|x| x.to_f64() * x.to_f64()).sum());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    /// Squares are positive: their sum grows like the length, and what each addition rounds away like a
    /// random walk.
    fn terms(&self, _direction: Direction) -> usize {
        let len = self.spec.len();
        len * (len.isqrt() + 1)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        2 * self.spec.len() as u64
    }
}

/// The optimisers' parameters, and lengths around the number of partial sums.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    let longer = [2047, 2048, 2049, 4097, 51_200, 401_408].map(|len| TensorSpec::plain([len]));
    for spec in parameters().into_iter().chain(longer) {
        cases.add(label(&spec), SumOfSquares::new(spec));
    }
    cases.0
}

/// Tensors that have no elements, too many, or no reals.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, TooLarge, ZeroSize};
    let new = SumOfSquares::new;
    vec![
        ErrorCase::new("empty", new(TensorSpec::plain([3, 0])), ZeroSize, "x"),
        ErrorCase::new("indices", new(TensorSpec::index([3])), Mismatch, "x"),
        ErrorCase::new("past i32", new(TensorSpec::linear(1 << 16, 1 << 15)), TooLarge, "x"),
        ErrorCase::new("past usize", new(TensorSpec::plain([usize::MAX, 2])), TooLarge, "x"),
    ]
}

/// Any tensor of up to 4096 elements.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    Some(Arc::new(SumOfSquares::new(random.spec(4096)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let op = SumOfSquares::new(TensorSpec::plain([3])).expect("a shape");
        let (x, mut sum) = (Array::Real(vec![1.0_f32, -2.0, 0.5]), Array::Real(vec![7.0]));
        op.run(Direction::Fwd, &[&x], &mut [&mut sum]).expect("a sum");
        assert_eq!(sum.real(), [5.25]);
    }
}
