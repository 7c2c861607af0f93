//! Adding one tensor to another in place.

use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{
    Arg, Array, Contract, DType, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `sum += term`.
///
/// - Shapes: `sum` and `term` of any one real shape.
/// - Writes: `sum`, `+=`.
/// - Numerics: one addition in `f64`, rounded once: the correctly rounded sum, as in `f32`.
/// - Errors: an empty tensor, one of indices, one past [`crate::MAX_ELEMENTS`].
/// - Source: the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulate {
    /// Shape of `sum` and of `term`.
    pub spec: TensorSpec,
}

impl Accumulate {
    /// Over tensors of this shape.
    pub fn new(spec: TensorSpec) -> Result<Self, Error> {
        let op = Self::NAME;
        spec.check(op, "sum")?;
        if spec.dtype != DType::Real {
            return Err(Error::Mismatch {
                op,
                what: "sum".into(),
                got: spec.to_string(),
                expected: "real numbers".into(),
            });
        }
        Ok(Self { spec })
    }
}

impl Contract for Accumulate {
    const NAME: &'static str = "accumulate";
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Update => vec![Arg::update("sum", self.spec.clone()), Arg::read("term", self.spec.clone())],
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
            (Direction::Update, [term], [sum]) => {
                for (sum, term) in sum.real_mut().iter_mut().zip(term.real()) {
                    *sum = T::from_f64(sum.to_f64() + term.to_f64());
                }
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        2
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        self.spec.len() as u64
    }
}

/// One element, around the workgroup and vector widths, and each layout.
pub fn cases() -> Vec<Case> {
    let lengths = [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 252, 255, 256, 257, 260, 1031];
    let others = [
        TensorSpec::image(3, 6, 16, 16),
        TensorSpec::image(3, 5, 7, 3),
        TensorSpec::filter(16, 6, 5, 5),
        TensorSpec::filter(64, 32, 3, 3),
        TensorSpec::filter(7, 5, 3, 1),
        TensorSpec::linear(84, 120),
        TensorSpec::linear(11, 13),
        TensorSpec::plain([3, 64]),
    ];
    let mut cases = Cases::default();
    for spec in lengths.map(|len| TensorSpec::plain([len])).into_iter().chain(others) {
        cases.add(label(&spec), Accumulate::new(spec));
    }
    cases.0
}

/// Tensors that have no elements, too many, or no reals.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, TooLarge, ZeroSize};
    let new = Accumulate::new;
    vec![
        ErrorCase::new("empty", new(TensorSpec::plain([3, 0])), ZeroSize, "sum"),
        ErrorCase::new("indices", new(TensorSpec::index([3])), Mismatch, "sum"),
        ErrorCase::new("past i32", new(TensorSpec::linear(1 << 16, 1 << 15)), TooLarge, "sum"),
        ErrorCase::new("past usize", new(TensorSpec::plain([usize::MAX, 2])), TooLarge, "sum"),
    ]
}

/// Any tensor of up to 4096 elements.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    Some(Arc::new(Accumulate::new(random.spec(4096)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let op = Accumulate::new(TensorSpec::plain([3])).expect("a shape");
        let (mut sum, term) = (Array::Real(vec![1.0_f32, -2.0, 0.5]), Array::Real(vec![10.0, 2.0, -1.0]));
        for expected in [[11.0, 0.0, -0.5], [21.0, 2.0, -1.5]] {
            op.run(Direction::Update, &[&term], &mut [&mut sum]).expect("an update");
            assert_eq!(sum.real(), expected);
        }
    }
}
