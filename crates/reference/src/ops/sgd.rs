//! Stochastic gradient descent with momentum.

use super::optimiser::{
    check_fraction, check_not_negative, check_param, param_errors, parameters, random_decay, rates, rates_spec,
};
use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments};
use std::sync::Arc;

/// `g = grad + weight_decay*param`; `velocity = momentum*velocity + g`;
/// `param -= lr * step`, where `step = g + momentum*velocity` with Nesterov, else `velocity`.
///
/// - Shapes: `param`, `grad`, `velocity` of any one real shape; `rates` plain `[4]` with `lr` first,
///   as `schedule` writes it.
/// - Writes: `param`, `velocity`, both in place.
/// - Numerics: `f64`, rounded once for each output; deterministic. Without momentum the velocity
///   is the last `g`.
/// - Errors: an empty tensor, one of indices or past [`crate::MAX_ELEMENTS`]; `momentum` outside
///   `[0, 1)`, `weight_decay` below 0, Nesterov without momentum.
/// - Source: Sutskever et al., "On the importance of initialization and momentum in deep learning",
///   2013, in the form of `torch.optim.SGD` with dampening 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// Shape of `param`.
    pub spec: TensorSpec,
    /// How much of the velocity remains.
    pub momentum: f32,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f32,
}

impl Sgd {
    /// For a parameter of this shape; `velocity` starts at 0.
    pub fn new(spec: TensorSpec, momentum: f32, nesterov: bool, weight_decay: f32) -> Result<Self, Error> {
        let op = Self::NAME;
        check_param(op, &spec)?;
        check_fraction(op, "momentum", momentum.into())?;
        check_not_negative(op, "weight_decay", weight_decay.into())?;
        if nesterov && momentum == 0.0 {
            let range = "above 0 and below 1 for Nesterov's step";
            return Err(Error::OutOfRange { op, what: "momentum", got: momentum.into(), range });
        }
        Ok(Self { spec, momentum, nesterov, weight_decay })
    }

    fn update<T: Real>(&self, lr: f64, grad: &[T], param: &mut [T], velocity: &mut [T]) {
        let momentum = f64::from(self.momentum);
        let weight_decay = f64::from(self.weight_decay);
        for ((param, velocity), grad) in param.iter_mut().zip(velocity).zip(grad) {
            let p = param.to_f64();
            let g = grad.to_f64() + weight_decay * p;
            let v = momentum * velocity.to_f64() + g;
            let step = if self.nesterov { g + momentum * v } else { v };
            *velocity = T::from_f64(v);
            *param = T::from_f64(p - lr * step);
        }
    }
}

impl Contract for Sgd {
    const NAME: &'static str = "sgd";
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.spec.clone();
        match direction {
            Direction::Update => vec![
                Arg::update("param", spec()),
                Arg::read("grad", spec()),
                Arg::read("rates", rates_spec()),
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
            (Direction::Update, [grad, rates_in], [param, velocity]) => {
                let [lr, ..] = rates(Self::NAME, rates_in)?;
                self.update(lr, grad.real(), param.real_mut(), velocity.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    /// Up to four products, each below 4 in magnitude for data in `[-1, 1]`.
    fn terms(&self, _direction: Direction) -> usize {
        16
    }

    /// Quarters of small integers, and quarters of those, are exact.
    fn exact_on_integers(&self, _direction: Direction) -> bool {
        [self.momentum, self.weight_decay].iter().all(|factor| *factor <= 1.0 && (4.0 * factor).fract() == 0.0)
    }

    fn flops(&self, _direction: Direction) -> u64 {
        let look_ahead = if self.nesterov { 2 } else { 0 };
        (6 + look_ahead) * self.spec.len() as u64
    }
}

/// Every shape with momentum, and every other setting at a few of them.
pub fn cases() -> Vec<Case> {
    let settings = [
        ("plain-descent", 0.0, false, 0.0),
        ("decay", 0.0, false, 0.01),
        ("momentum", 0.9, false, 0.0),
        ("momentum-decay", 0.9, false, 0.01),
        ("nesterov", 0.9, true, 0.0),
        ("nesterov-decay", 0.9, true, 0.01),
        // Exact on integers, so that a wrong term cannot hide in a tolerance.
        ("nesterov-exact", 0.5, true, 0.25),
    ];
    let mut cases = Cases::default();
    for (name, momentum, nesterov, weight_decay) in settings {
        for spec in parameters() {
            // Without and with a tail behind the last whole vector.
            if name == "nesterov-decay" || [65, 1000].contains(&spec.len()) {
                cases.add(format!("{}-{name}", label(&spec)), Sgd::new(spec, momentum, nesterov, weight_decay));
            }
        }
    }
    cases.0
}

/// Parameters and settings that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::OutOfRange;
    let new = |momentum, nesterov, weight_decay| Sgd::new(TensorSpec::plain([2]), momentum, nesterov, weight_decay);
    let mut errors = param_errors(|spec| Sgd::new(spec, 0.9, false, 0.0));
    errors.extend([
        ErrorCase::new("negative momentum", new(-0.1, false, 0.0), OutOfRange, "momentum"),
        ErrorCase::new("momentum of one", new(1.0, false, 0.0), OutOfRange, "momentum"),
        ErrorCase::new("momentum not a number", new(f32::NAN, false, 0.0), OutOfRange, "momentum"),
        ErrorCase::new("infinite momentum", new(f32::INFINITY, false, 0.0), OutOfRange, "momentum"),
        ErrorCase::new("Nesterov without momentum", new(0.0, true, 0.0), OutOfRange, "momentum"),
        ErrorCase::new("negative decay", new(0.9, false, -0.1), OutOfRange, "weight_decay"),
        ErrorCase::new("decay not a number", new(0.9, false, f32::NAN), OutOfRange, "weight_decay"),
        ErrorCase::new("infinite decay", new(0.9, false, f32::INFINITY), OutOfRange, "weight_decay"),
    ]);
    errors
}

/// Any parameter of up to 4096 elements with any setting, one in three exact on integers.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let spec = random.spec(4096);
    Some(Arc::new(random_setting(random, spec).ok()?))
}

/// Any setting, one in three exact on integers.
pub(super) fn random_setting(random: &mut Random, spec: TensorSpec) -> Result<Sgd, Error> {
    let [momentum, weight_decay] = if random.one_in(3) {
        let quarters = [0.0, 0.25, 0.5, 0.75];
        [random.choose(quarters), random.choose(quarters)]
    } else {
        [random.unit() as f32, random_decay(random) as f32]
    };
    let nesterov = random.one_in(2);
    Sgd::new(spec, momentum, nesterov, weight_decay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> TensorSpec {
        TensorSpec::plain([2])
    }

    /// `param` and `velocity` after a step with each of `grads`, from zero velocity.
    fn steps(op: &Sgd, lr: f64, param: [f64; 2], grads: &[[f64; 2]]) -> Vec<[Array<f64>; 2]> {
        let rates = Array::Real(vec![lr, 7.0, 7.0, 0.0]);
        let mut param = Array::Real(param.to_vec());
        let mut velocity = Array::zeros(&spec());
        let mut seen = Vec::new();
        for grad in grads {
            let grad = Array::Real(grad.to_vec());
            op.run_f64(Direction::Update, &[&grad, &rates], &mut [&mut param, &mut velocity]).unwrap();
            seen.push([param.clone(), velocity.clone()]);
        }
        seen
    }

    #[test]
    fn without_momentum_it_is_the_gradient() {
        let op = Sgd::new(spec(), 0.0, false, 0.5).unwrap();
        // g = [1, -2] + 0.5 * [4, 2] = [3, -1]; param = [4, 2] - 0.25 * g.
        let seen = steps(&op, 0.25, [4.0, 2.0], &[[1.0, -2.0]]);
        assert_eq!(seen, [[Array::Real(vec![3.25, 2.25]), Array::Real(vec![3.0, -1.0])]]);
    }

    #[test]
    fn momentum_by_hand() {
        let op = Sgd::new(spec(), 0.5, false, 0.0).unwrap();
        // velocity 1, 0.5*1 + 2 = 2.5; -1, 0.5*-1 + 0 = -0.5.
        let seen = steps(&op, 2.0, [0.0, 10.0], &[[1.0, -1.0], [2.0, 0.0]]);
        assert_eq!(
            seen,
            [
                [Array::Real(vec![-2.0, 12.0]), Array::Real(vec![1.0, -1.0])],
                [Array::Real(vec![-7.0, 13.0]), Array::Real(vec![2.5, -0.5])],
            ]
        );
    }

    #[test]
    fn nesterov_by_hand() {
        let op = Sgd::new(spec(), 0.5, true, 0.0).unwrap();
        // Velocities as above; step = grad + 0.5*velocity: 1.5, then 2 + 1.25; -1.5, then -0.25.
        let seen = steps(&op, 2.0, [0.0, 10.0], &[[1.0, -1.0], [2.0, 0.0]]);
        assert_eq!(
            seen,
            [
                [Array::Real(vec![-3.0, 13.0]), Array::Real(vec![1.0, -1.0])],
                [Array::Real(vec![-9.5, 13.5]), Array::Real(vec![2.5, -0.5])],
            ]
        );
    }

    #[test]
    fn follows_the_recurrence() {
        let (momentum, weight_decay, lr) = (0.9_f32, 0.01_f32, 0.05);
        let grads: Vec<[f64; 2]> = (0..6).map(|t| [(f64::from(t) * 1.7).sin(), 0.3 - f64::from(t) * 0.2]).collect();
        for nesterov in [false, true] {
            let op = Sgd::new(spec(), momentum, nesterov, weight_decay).unwrap();
            let seen = steps(&op, lr, [0.7, -0.4], &grads);
            // The velocity unrolled: Σ_s momentum^(t-s) * g_s, from the gradients alone.
            let (momentum, weight_decay) = (f64::from(momentum), f64::from(weight_decay));
            for (element, start) in [0.7, -0.4].into_iter().enumerate() {
                let mut param: f64 = start;
                let mut history: Vec<f64> = Vec::new();
                for (grad, [seen_param, seen_velocity]) in grads.iter().zip(&seen) {
                    history.push(grad[element] + weight_decay * param);
                    let ages = history.iter().rev().zip(0..);
                    let velocity: f64 = ages.map(|(g, age)| g * momentum.powi(age)).sum();
                    let g = history.last().unwrap();
                    param -= lr * if nesterov { g + momentum * velocity } else { velocity };
                    assert!((seen_param.real()[element] - param).abs() < 1e-12);
                    assert!((seen_velocity.real()[element] - velocity).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn a_nan_gradient_is_seen() {
        let op = Sgd::new(spec(), 0.9, true, 0.01).unwrap();
        let seen = steps(&op, 0.1, [1.0, 1.0], &[[f64::NAN, 1.0]]);
        let [param, velocity] = &seen[0];
        assert!(param.real()[0].is_nan() && velocity.real()[0].is_nan());
        assert!(!param.real()[1].is_nan());
    }
}
