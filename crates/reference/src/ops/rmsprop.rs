//! RMSprop.

use super::optimiser::{
    check_eps, check_fraction, check_not_negative, check_param, param_errors, parameters, random_decay, rates,
    rates_spec,
};
use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `g = grad + weight_decay*param`; `square_avg = alpha*square_avg + (1-alpha)*g²`;
/// `velocity = momentum*velocity + g/(sqrt(square_avg) + eps)`; `param -= lr * velocity`.
///
/// - Shapes: `param`, `grad`, `square_avg`, `velocity` of any one real shape; `rates` plain `[4]`
///   with `lr` first, as `schedule` writes it.
/// - Writes: `param`, `square_avg`, `velocity`, all in place.
/// - Numerics: `f64`, rounded once for each output; deterministic. Without momentum the velocity
///   is the last step.
/// - Errors: an empty tensor, one of indices or past [`crate::MAX_ELEMENTS`]; `alpha` or `momentum`
///   outside `[0, 1)`, `weight_decay` below 0, an `eps` that is no normal positive `f32`.
/// - Source: Tieleman & Hinton, "Neural networks for machine learning", lecture 6.5, 2012, in the
///   form of `torch.optim.RMSprop`, not centred.
#[derive(Clone, Debug, PartialEq)]
pub struct RmsProp {
    /// Shape of `param`.
    pub spec: TensorSpec,
    /// How much of the mean of the squared gradients remains.
    pub alpha: f64,
    /// Keeps the divisor away from 0.
    pub eps: f64,
    /// How much of the velocity remains.
    pub momentum: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

impl RmsProp {
    /// For a parameter of this shape; `square_avg` and `velocity` start at 0.
    pub fn new(spec: TensorSpec, alpha: f64, eps: f64, momentum: f64, weight_decay: f64) -> Result<Self, Error> {
        let op = Self::NAME;
        check_param(op, &spec)?;
        check_fraction(op, "alpha", alpha)?;
        check_eps(op, eps)?;
        check_fraction(op, "momentum", momentum)?;
        check_not_negative(op, "weight_decay", weight_decay)?;
        Ok(Self { spec, alpha, eps, momentum, weight_decay })
    }

    fn update<T: Real>(&self, lr: f64, grad: &[T], param: &mut [T], square_avg: &mut [T], velocity: &mut [T]) {
        for (((param, square_avg), velocity), grad) in param.iter_mut().zip(square_avg).zip(velocity).zip(grad) {
            let p = param.to_f64();
            let g = grad.to_f64() + self.weight_decay * p;
            let square = self.alpha * square_avg.to_f64() + (1.0 - self.alpha) * g * g;
            let v = self.momentum * velocity.to_f64() + g / (square.sqrt() + self.eps);
            *square_avg = T::from_f64(square);
            *velocity = T::from_f64(v);
            *param = T::from_f64(p - lr * v);
        }
    }
}

impl Contract for RmsProp {
    const NAME: &'static str = "rmsprop";
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.spec.clone();
        match direction {
            Direction::Update => vec![
                Arg::update("param", spec()),
                Arg::read("grad", spec()),
                Arg::read("rates", rates_spec()),
                Arg::update("square_avg", spec()),
                Arg::update("velocity", spec()),
            ],
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
            (Direction::Update, [grad, rates_in], [param, square_avg, velocity]) => {
                let [lr, ..] = rates(Self::NAME, rates_in)?;
                self.update(lr, grad.real(), param.real_mut(), square_avg.real_mut(), velocity.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    /// About ten roundings; those of `g` are divided by `sqrt(square_avg)`, which may be well below 1.
    fn terms(&self, _direction: Direction) -> usize {
        64
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    /// A square root and a division count as one each.
    fn flops(&self, _direction: Direction) -> u64 {
        13 * self.spec.len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "square_avg" | "rates" => Domain::Positive,
            _ => Domain::Real,
        }
    }
}

/// Every shape with momentum and decay, and every other setting at a few of them.
pub fn cases() -> Vec<Case> {
    let settings = [
        ("torch-default", 0.99, 1e-8, 0.0, 0.0),
        ("decay", 0.99, 1e-8, 0.0, 0.01),
        ("momentum", 0.9, 1e-7, 0.9, 0.0),
        ("momentum-decay", 0.9, 1e-7, 0.9, 0.01),
        // Every factor far from 0 and 1, so that none can hide behind another.
        ("strong", 0.3, 0.1, 0.6, 0.5),
    ];
    let mut cases = Cases::default();
    for (name, alpha, eps, momentum, weight_decay) in settings {
        for spec in parameters() {
            // Without and with a tail behind the last whole vector.
            if name == "momentum-decay" || [65, 1000].contains(&spec.len()) {
                let case = format!("{}-{name}", label(&spec));
                cases.add(case, RmsProp::new(spec, alpha, eps, momentum, weight_decay));
            }
        }
    }
    cases.0
}

/// Parameters and settings that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::OutOfRange;
    let new =
        |alpha, eps, momentum, weight_decay| RmsProp::new(TensorSpec::plain([2]), alpha, eps, momentum, weight_decay);
    let mut errors = param_errors(|spec| RmsProp::new(spec, 0.9, 1e-8, 0.0, 0.0));
    errors.extend([
        ErrorCase::new("alpha of one", new(1.0, 1e-8, 0.0, 0.0), OutOfRange, "alpha"),
        ErrorCase::new("negative alpha", new(-0.1, 1e-8, 0.0, 0.0), OutOfRange, "alpha"),
        ErrorCase::new("eps of zero", new(0.9, 0.0, 0.0, 0.0), OutOfRange, "eps"),
        ErrorCase::new("eps below f32", new(0.9, 1e-40, 0.0, 0.0), OutOfRange, "eps"),
        ErrorCase::new("infinite eps", new(0.9, f64::INFINITY, 0.0, 0.0), OutOfRange, "eps"),
        ErrorCase::new("momentum of one", new(0.9, 1e-8, 1.0, 0.0), OutOfRange, "momentum"),
        ErrorCase::new("momentum not a number", new(0.9, 1e-8, f64::NAN, 0.0), OutOfRange, "momentum"),
        ErrorCase::new("negative decay", new(0.9, 1e-8, 0.0, -1.0), OutOfRange, "weight_decay"),
        ErrorCase::new("decay past f32", new(0.9, 1e-8, 0.0, 1e39), OutOfRange, "weight_decay"),
    ]);
    errors
}

/// Any parameter of up to 4096 elements with any setting.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let spec = random.spec(4096);
    Some(Arc::new(random_setting(random, spec).ok()?))
}

/// Any setting. An alpha near 0 would divide by gradients near 0, and amplify every rounding.
pub(super) fn random_setting(random: &mut Random, spec: TensorSpec) -> Result<RmsProp, Error> {
    let alpha = 1.0 - random.magnitude(1e-3, 0.9);
    let eps = random.magnitude(1e-10, 1.0);
    let momentum = if random.one_in(2) { 0.0 } else { random.unit() };
    let weight_decay = random_decay(random);
    RmsProp::new(spec, alpha, eps, momentum, weight_decay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> TensorSpec {
        TensorSpec::plain([2])
    }

    #[test]
    fn one_step_by_hand() {
        let op = RmsProp::new(spec(), 0.75, 1.0, 0.5, 0.5).unwrap();
        let grad = Array::Real(vec![2.0, -4.0]);
        let rates = Array::Real(vec![0.5, 7.0, 7.0, 0.0]);
        let mut param = Array::Real(vec![4.0, 0.0]);
        let mut square_avg = Array::Real(vec![0.0, 16.0]);
        let mut velocity = Array::Real(vec![2.0, -2.0]);
        op.run_f64(Direction::Update, &[&grad, &rates], &mut [&mut param, &mut square_avg, &mut velocity]).unwrap();
        // g = [4, -4]; square_avg = 0.75*[0, 16] + 0.25*16; step = [4/(2+1), -4/(4+1)].
        assert_eq!(square_avg, Array::Real(vec![4.0, 16.0]));
        assert_eq!(velocity, Array::Real(vec![1.0 + 4.0 / 3.0, -1.0 - 4.0 / 5.0]));
        assert_eq!(param, Array::Real(vec![4.0 - 0.5 * (1.0 + 4.0 / 3.0), 0.5 * (1.0 + 4.0 / 5.0)]));
    }

    /// Against PyTorch's algorithm, which has a branch where momentum is 0.
    #[test]
    fn follows_the_recurrence() {
        let lr = 0.01;
        let rates = Array::Real(vec![lr, 7.0, 7.0, 0.0]);
        for (alpha, eps, momentum, weight_decay) in
            [(0.99, 1e-8, 0.0, 0.0), (0.9, 1e-7, 0.9, 0.0), (0.99, 1e-8, 0.0, 0.1), (0.9, 1e-3, 0.5, 0.1)]
        {
            let op = RmsProp::new(spec(), alpha, eps, momentum, weight_decay).unwrap();
            let mut param = Array::Real(vec![0.7, -0.4]);
            let [mut square_avg, mut velocity] = [Array::zeros(&spec()), Array::zeros(&spec())];
            let mut expected = [(0.7, 0.0, 0.0), (-0.4, 0.0, 0.0)];
            for t in 1..=6 {
                let grad = [(f64::from(t) * 1.7).sin(), 0.3 - f64::from(t) * 0.2];
                let grad_in = Array::Real(grad.to_vec());
                let mut outputs = [&mut param, &mut square_avg, &mut velocity];
                op.run_f64(Direction::Update, &[&grad_in, &rates], &mut outputs).unwrap();
                for (element, (p, square, buffer)) in expected.iter_mut().enumerate() {
                    let g: f64 = grad[element] + weight_decay * *p;
                    *square = alpha * *square + (1.0 - alpha) * g.powi(2);
                    let divisor = f64::sqrt(*square) + eps;
                    if momentum > 0.0 {
                        *buffer = momentum * *buffer + g / divisor;
                        *p -= lr * *buffer;
                    } else {
                        *p -= lr * g / divisor;
                    }
                    assert!((param.real()[element] - *p).abs() < 1e-12, "{op:?} t={t}");
                    assert!((square_avg.real()[element] - *square).abs() < 1e-12, "{op:?} t={t}");
                    if momentum > 0.0 {
                        assert!((velocity.real()[element] - *buffer).abs() < 1e-12, "{op:?} t={t}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_nan_gradient_is_seen() {
        let op = RmsProp::new(spec(), 0.99, 1e-8, 0.0, 0.0).unwrap();
        let grad = Array::Real(vec![f64::NAN, 1.0]);
        let rates = Array::Real(vec![0.1, 1.0, 1.0, 0.0]);
        let [mut param, mut square_avg, mut velocity] =
            [Array::zeros(&spec()), Array::zeros(&spec()), Array::zeros(&spec())];
        op.run_f64(Direction::Update, &[&grad, &rates], &mut [&mut param, &mut square_avg, &mut velocity]).unwrap();
        for array in [param, square_avg, velocity] {
            assert!(array.real()[0].is_nan() && !array.real()[1].is_nan());
        }
    }
}
