//! Adding one tensor to another in place.

use crate::cases::Case;
use crate::{Arg, Array, Contract, DType, Direction, Error, Real, TensorSpec, wrong_arguments};

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
    let plain = [1, 2, 3, 4, 5, 8, 63, 64, 65, 255, 256, 257, 1031].map(|len| TensorSpec::plain([len]));
    let others = [
        TensorSpec::image(3, 6, 16, 16),
        TensorSpec::image(3, 5, 7, 3),
        TensorSpec::filter(16, 6, 5, 5),
        TensorSpec::filter(7, 5, 3, 1),
        TensorSpec::linear(84, 120),
        TensorSpec::linear(11, 13),
    ];
    plain
        .into_iter()
        .chain(others)
        .filter_map(|spec| Some(Case::new(spec.to_string(), Accumulate::new(spec).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    #[test]
    fn by_hand() {
        let op = Accumulate::new(TensorSpec::plain([3])).expect("a shape");
        let (mut sum, term) = (Array::Real(vec![1.0_f32, -2.0, 0.5]), Array::Real(vec![10.0, 2.0, -1.0]));
        for expected in [[11.0, 0.0, -0.5], [21.0, 2.0, -1.5]] {
            op.run(Direction::Update, &[&term], &mut [&mut sum]).expect("an update");
            assert_eq!(sum.real(), expected);
        }
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let error = |spec| Accumulate::new(spec).expect_err("an impossible shape").to_string();
        assert!(error(TensorSpec::plain([3, 0])).contains("sum is 0"));
        assert!(error(TensorSpec::index([3])).contains("index"));
        assert!(error(TensorSpec::plain([1 << 20, 1 << 20])).contains("more than"));
    }
}
