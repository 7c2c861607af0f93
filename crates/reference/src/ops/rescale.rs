//! Gradients times a number on the device.

use super::optimiser::{check_param, param_errors, parameters};
use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{Arg, Array, Contract, Direction, Error, Operation, Random, Real, TensorSpec, wrong_arguments};
use std::sync::Arc;

/// `grad = grad * factor`.
///
/// - Shapes: `grad` of any one real shape, `factor` `[1]`.
/// - Writes: `grad`, in place.
/// - Numerics: one rounding; exact for powers of 2, as long as nothing leaves the range of f32.
/// - Errors: an empty tensor, one of indices, one past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; with 1/scale it is what PyTorch's `GradScaler.unscale_` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescale {
    /// Shape of `grad`.
    pub spec: TensorSpec,
}

impl Rescale {
    /// For a gradient of this shape.
    pub fn new(spec: TensorSpec) -> Result<Self, Error> {
        check_param(Self::NAME, &spec)?;
        Ok(Self { spec })
    }
}

impl Contract for Rescale {
    const NAME: &'static str = "rescale";
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Update => {
                vec![Arg::update("grad", self.spec.clone()), Arg::read("factor", TensorSpec::plain([1]))]
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
            (Direction::Update, [factor], [grad]) => {
                let factor = factor.real()[0].to_f64();
                for grad in grad.real_mut() {
                    *grad = T::from_f64(grad.to_f64() * factor);
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

/// The optimisers' parameters, and lengths around vectors and workgroups.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    for spec in parameters() {
        cases.add(label(&spec), Rescale::new(spec));
    }
    for len in [2, 130, 255, 256, 257, 1028] {
        cases.add(format!("len-{len}"), Rescale::new(TensorSpec::plain([len])));
    }
    cases.0
}

/// Tensors that are no gradients.
pub fn errors() -> Vec<ErrorCase> {
    param_errors(Rescale::new)
}

/// Any gradient of up to 4096 elements.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    Some(Arc::new(Rescale::new(random.spec(4096)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let op = Rescale::new(TensorSpec::plain([3])).expect("an operation");
        let (factor, mut grad) = (Array::Real(vec![0.25]), Array::Real(vec![3.0, -8.0, f64::NAN]));
        op.compute(Direction::Update, &[&factor], &mut [&mut grad]).expect("an update");
        assert_eq!(grad.real()[..2], [0.75, -2.0]);
        assert!(grad.real()[2].is_nan());
    }
}
