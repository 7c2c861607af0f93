//! Clipping gradients element by element.

use super::optimiser::{check_param, param_errors, parameters};
use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments};
use std::sync::Arc;

/// `grad = max(-limit, min(limit, grad))`.
///
/// - Shapes: `grad` of any one real shape.
/// - Writes: `grad`, in place.
/// - Numerics: exact; a NaN stays a NaN so that divergence is seen.
/// - Errors: an empty tensor, one of indices, one past [`crate::MAX_ELEMENTS`]; a `limit` that is not above
///   0 and finite.
/// - Source: the definition; PyTorch's `clip_grad_value_`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipValue {
    /// Shape of `grad`.
    pub spec: TensorSpec,
    /// The largest magnitude that stays as it is.
    pub limit: f32,
}

impl ClipValue {
    /// For a gradient of this shape.
    pub fn new(spec: TensorSpec, limit: f32) -> Result<Self, Error> {
        let op = Self::NAME;
        check_param(op, &spec)?;
        if !(limit > 0.0 && limit.is_finite()) {
            return Err(Error::OutOfRange { op, what: "limit", got: limit.into(), range: "above 0 and finite" });
        }
        Ok(Self { spec, limit })
    }
}

impl Contract for ClipValue {
    const NAME: &'static str = "clip_value";
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Update => vec![Arg::update("grad", self.spec.clone())],
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
            (Direction::Update, [], [grad]) => {
                let limit = f64::from(self.limit);
                for grad in grad.real_mut() {
                    let value = grad.to_f64();
                    // Not `min` and `max`, which would turn a NaN into the limit.
                    if value > limit {
                        *grad = T::from_f64(limit);
                    } else if value < -limit {
                        *grad = T::from_f64(-limit);
                    }
                }
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
        self.spec.len() as u64
    }
}

/// The optimisers' parameters, with limits that clip much, little and nothing.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    for (spec, number) in parameters().into_iter().zip(0..) {
        let limit = [0.25, 1.0, 5.0][number % 3];
        cases.add(format!("{}-limit-{limit}", label(&spec)), ClipValue::new(spec, limit));
    }
    for limit in [1e-3, 0.5, 2.0] {
        cases.add(format!("limit-{limit}"), ClipValue::new(TensorSpec::plain([132]), limit));
    }
    cases.0
}

/// Tensors that are no gradients, and limits that are none.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::OutOfRange;
    let new = |limit| ClipValue::new(TensorSpec::plain([2]), limit);
    let mut errors = param_errors(|spec| ClipValue::new(spec, 1.0));
    errors.extend([
        ErrorCase::new("limit of nothing", new(0.0), OutOfRange, "limit"),
        ErrorCase::new("negative limit", new(-1.0), OutOfRange, "limit"),
        ErrorCase::new("limit not a number", new(f32::NAN), OutOfRange, "limit"),
        ErrorCase::new("infinite limit", new(f32::INFINITY), OutOfRange, "limit"),
    ]);
    errors
}

/// Any gradient of up to 4096 elements, at any limit.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let spec = random.spec(4096);
    let limit = random.magnitude(0.1, 10.0) as f32;
    Some(Arc::new(ClipValue::new(spec, limit).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let op = ClipValue::new(TensorSpec::plain([5]), 2.0).expect("a clip");
        let mut grad = Array::Real(vec![3.0, -8.0, -2.0, 0.5, f64::NAN]);
        op.compute(Direction::Update, &[], &mut [&mut grad]).expect("an update");
        assert_eq!(grad.real()[..4], [2.0, -2.0, -2.0, 0.5]);
        assert!(grad.real()[4].is_nan());
    }
}
