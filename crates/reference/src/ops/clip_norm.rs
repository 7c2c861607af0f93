//! Clipping gradients by their global norm.

use super::optimiser::{check_param, param_errors, parameters};
use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `grad *= min(1, max_norm / (sqrt(square_sum) + 1e-6))`.
///
/// `square_sum` is the sum of squares over all gradients of the step, not over this one: `sum_of_squares`
/// for each, added by `accumulate`.
///
/// - Shapes: `grad` of any one real shape; `square_sum` plain `[1]`.
/// - Writes: `grad`, in place.
/// - Numerics: `f64`, rounded once; deterministic. Below the norm a gradient stays as it is to the last
///   bit. A NaN in `square_sum` makes all of `grad` NaN, so that divergence is seen; an infinite
///   one makes it 0.
/// - Errors: an empty tensor, one of indices, one past [`crate::MAX_ELEMENTS`]; a `max_norm` that is not
///   above 0 and finite.
/// - Source: Pascanu et al., "On the difficulty of training recurrent neural networks", 2013, in the form
///   of PyTorch's `clip_grad_norm_`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipNorm {
    /// Shape of `grad`.
    pub spec: TensorSpec,
    /// The largest norm that stays as it is.
    pub max_norm: f32,
}

impl ClipNorm {
    /// For a gradient of this shape.
    pub fn new(spec: TensorSpec, max_norm: f32) -> Result<Self, Error> {
        let op = Self::NAME;
        check_param(op, &spec)?;
        if !(max_norm > 0.0 && max_norm.is_finite()) {
            return Err(Error::OutOfRange { op, what: "max_norm", got: max_norm.into(), range: "above 0 and finite" });
        }
        Ok(Self { spec, max_norm })
    }
}

impl Contract for ClipNorm {
    const NAME: &'static str = "clip_norm";
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Update => {
                vec![Arg::update("grad", self.spec.clone()), Arg::read("square_sum", TensorSpec::plain([1]))]
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
        match (direction, inputs, outputs) {
            (Direction::Update, [square_sum], [grad]) => {
                let share = f64::from(self.max_norm) / (square_sum.real()[0].to_f64().sqrt() + 1e-6);
                // Not `min`, which would turn a NaN into 1.
                let share = if share >= 1.0 { 1.0 } else { share };
                for grad in grad.real_mut() {
                    *grad = T::from_f64(grad.to_f64() * share);
                }
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    /// A root, a sum, a division and a product.
    fn terms(&self, _direction: Direction) -> usize {
        4
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        // The sums of squares that are made up have roots up to 2.
        self.max_norm >= 3.0
    }

    fn flops(&self, _direction: Direction) -> u64 {
        self.spec.len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        if arg == "square_sum" { Domain::Positive } else { Domain::Real }
    }
}

/// The optimisers' parameters, with norms that clip always, sometimes and never: those made up lie between
/// 0.7 and 2.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    for (spec, number) in parameters().into_iter().zip(0..) {
        let max_norm = [0.5, 1.0, 5.0][number % 3];
        cases.add(format!("{}-norm-{max_norm}", label(&spec)), ClipNorm::new(spec, max_norm));
    }
    for max_norm in [1e-3, 0.25, 1.0, 4.0] {
        cases.add(format!("norm-{max_norm}"), ClipNorm::new(TensorSpec::plain([132]), max_norm));
    }
    cases.0
}

/// Tensors that are no gradients, and norms that are none.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::OutOfRange;
    let new = |max_norm| ClipNorm::new(TensorSpec::plain([2]), max_norm);
    let mut errors = param_errors(|spec| ClipNorm::new(spec, 1.0));
    errors.extend([
        ErrorCase::new("norm of nothing", new(0.0), OutOfRange, "max_norm"),
        ErrorCase::new("negative norm", new(-1.0), OutOfRange, "max_norm"),
        ErrorCase::new("norm not a number", new(f32::NAN), OutOfRange, "max_norm"),
        ErrorCase::new("infinite norm", new(f32::INFINITY), OutOfRange, "max_norm"),
    ]);
    errors
}

/// Any gradient of up to 4096 elements, at any norm.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let spec = random.spec(4096);
    let max_norm = random.magnitude(0.1, 10.0) as f32;
    Some(Arc::new(ClipNorm::new(spec, max_norm).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let clipped = |max_norm: f32, square_sum: f64| {
            let op = ClipNorm::new(TensorSpec::plain([2]), max_norm).expect("a clip");
            let mut grad = Array::Real(vec![3.0, -8.0]);
            op.compute(Direction::Update, &[&Array::Real(vec![square_sum])], &mut [&mut grad]).expect("an update");
            grad.real().to_vec()
        };
        let near = |got: Vec<f64>, expected: [f64; 2]| {
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?}");
        };
        near(clipped(5.0, 100.0), [1.5, -4.0]);
        assert_eq!(clipped(11.0, 100.0), [3.0, -8.0]);
        assert_eq!(clipped(1.0, f64::INFINITY), [0.0, 0.0]);
        assert!(clipped(1.0, f64::NAN).iter().all(|grad| grad.is_nan()));
    }
}
