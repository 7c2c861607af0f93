//! Adam and AdamW.

use super::optimiser::{
    check_eps, check_fraction, check_not_negative, check_param, param_errors, parameters, random_decay, rates,
    rates_spec,
};
use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// What Adam's user chooses. The default is that of `torch.optim.Adam`.
///
/// In `f64` because `1 - beta` is taken of it: `1 - 0.999` in `f32` is off by 1.3e-5 of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// How much of the mean of the gradients remains.
    pub beta1: f64,
    /// How much of the mean of their squares remains.
    pub beta2: f64,
    /// Keeps the divisor away from 0.
    pub eps: f64,
    /// How fast weights decay.
    pub weight_decay: f64,
    /// Whether the decay acts on the weights (AdamW) or is added to the gradient.
    pub decoupled: bool,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }
}

/// `g = grad + weight_decay*param`, but `g = grad` where the decay is decoupled;
/// `m = beta1*m + (1-beta1)*g`; `v = beta2*v + (1-beta2)*g²`;
/// `step = m/(1-beta1^t) / (sqrt(v)/sqrt(1-beta2^t) + eps)`;
/// `param -= lr * step`, but `param -= lr * (weight_decay*param + step)` where it is decoupled.
///
/// - Shapes: `param`, `grad`, `m`, `v` of any one real shape; `rates` plain `[4]`,
///   `[lr, 1/(1-beta1^t), 1/sqrt(1-beta2^t), 0]` as `schedule` writes it from the same betas.
/// - Writes: `param`, `m`, `v`, all in place.
/// - Numerics: `f64`, rounded once for each output; deterministic. The decoupled decay is written as
///   a difference: `param * (1 - lr*weight_decay)` is the same number, but its factor rounded to `f32`
///   would be off by the same 1e-8 or so in every step.
/// - Errors: an empty tensor, one of indices or past [`crate::MAX_ELEMENTS`]; a beta outside
///   `[0, 1)`, `weight_decay` below 0, an `eps` that is no normal positive `f32`.
/// - Source: Kingma & Ba, "Adam: a method for stochastic optimization", 2015; Loshchilov & Hutter,
///   "Decoupled weight decay regularization", 2019; the divisor as in `torch.optim.Adam`.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Shape of `param`.
    pub spec: TensorSpec,
    /// The settings.
    pub config: AdamConfig,
}

impl Adam {
    /// For a parameter of this shape; `m` and `v` start at 0.
    pub fn new(spec: TensorSpec, config: AdamConfig) -> Result<Self, Error> {
        let op = Self::NAME;
        check_param(op, &spec)?;
        check_fraction(op, "beta1", config.beta1)?;
        check_fraction(op, "beta2", config.beta2)?;
        check_eps(op, config.eps)?;
        check_not_negative(op, "weight_decay", config.weight_decay)?;
        Ok(Self { spec, config })
    }

    /// The decay added to the gradient and the decay of the weights; one of them is 0.
    pub fn decays(&self) -> [f64; 2] {
        let decay = self.config.weight_decay;
        if self.config.decoupled { [0.0, decay] } else { [decay, 0.0] }
    }

    fn update<T: Real>(&self, rates: [f64; 3], grad: &[T], param: &mut [T], m: &mut [T], v: &mut [T]) {
        let [lr, correction1, correction2] = rates;
        let AdamConfig { beta1, beta2, eps, .. } = self.config;
        let [grad_decay, param_decay] = self.decays();
        for (((param, m), v), grad) in param.iter_mut().zip(m).zip(v).zip(grad) {
            let p = param.to_f64();
            let g = grad.to_f64() + grad_decay * p;
            let mean = beta1 * m.to_f64() + (1.0 - beta1) * g;
            let square = beta2 * v.to_f64() + (1.0 - beta2) * g * g;
            let step = correction1 * mean / (square.sqrt() * correction2 + eps);
            *m = T::from_f64(mean);
            *v = T::from_f64(square);
            *param = T::from_f64(p - lr * (param_decay * p + step));
        }
    }
}

impl Contract for Adam {
    const NAME: &'static str = "adam";
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.spec.clone();
        match direction {
            Direction::Update => vec![
                Arg::update("param", spec()),
                Arg::read("grad", spec()),
                Arg::read("rates", rates_spec()),
                Arg::update("m", spec()),
                Arg::update("v", spec()),
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
            (Direction::Update, [grad, rates_in], [param, m, v]) => {
                let rates = rates(Self::NAME, rates_in)?;
                self.update(rates, grad.real(), param.real_mut(), m.real_mut(), v.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    /// About ten roundings; those of `m` are divided by `sqrt(v) * rates[2]`, which may be well below 1.
    fn terms(&self, _direction: Direction) -> usize {
        64
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    /// A square root and a division count as one each.
    fn flops(&self, _direction: Direction) -> u64 {
        18 * self.spec.len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "v" | "rates" => Domain::Positive,
            _ => Domain::Real,
        }
    }
}

/// Every shape with AdamW, and every other setting at a few of them.
pub fn cases() -> Vec<Case> {
    let adam = AdamConfig::default();
    let settings = [
        ("adam", adam),
        ("adam-l2", AdamConfig { weight_decay: 0.01, ..adam }),
        ("adamw-no-decay", AdamConfig { decoupled: true, ..adam }),
        ("adamw", AdamConfig { weight_decay: 0.01, decoupled: true, ..adam }),
        ("no-mean", AdamConfig { beta1: 0.0, ..adam }),
        // Every factor far from 0 and 1, so that none can hide behind another.
        ("strong-l2", AdamConfig { beta1: 0.3, beta2: 0.7, eps: 0.1, weight_decay: 0.5, decoupled: false }),
        ("strong-decay", AdamConfig { beta1: 0.3, beta2: 0.7, eps: 0.1, weight_decay: 0.5, decoupled: true }),
    ];
    let mut cases = Cases::default();
    for (name, config) in settings {
        for spec in parameters() {
            // Without and with a tail behind the last whole vector.
            if name == "adamw" || [65, 1000].contains(&spec.len()) {
                cases.add(format!("{}-{name}", label(&spec)), Adam::new(spec, config));
            }
        }
    }
    cases.0
}

/// Parameters and settings that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::OutOfRange;
    let config = AdamConfig::default();
    let new = |config| Adam::new(TensorSpec::plain([2]), config);
    let mut errors = param_errors(|spec| Adam::new(spec, config));
    errors.extend([
        ErrorCase::new("first beta of one", new(AdamConfig { beta1: 1.0, ..config }), OutOfRange, "beta1"),
        ErrorCase::new("negative first beta", new(AdamConfig { beta1: -0.1, ..config }), OutOfRange, "beta1"),
        ErrorCase::new("second beta of one", new(AdamConfig { beta2: 1.0, ..config }), OutOfRange, "beta2"),
        ErrorCase::new("second beta not a number", new(AdamConfig { beta2: f64::NAN, ..config }), OutOfRange, "beta2"),
        ErrorCase::new("eps of zero", new(AdamConfig { eps: 0.0, ..config }), OutOfRange, "eps"),
        ErrorCase::new("eps below f32", new(AdamConfig { eps: 1e-40, ..config }), OutOfRange, "eps"),
        ErrorCase::new("eps not a number", new(AdamConfig { eps: f64::NAN, ..config }), OutOfRange, "eps"),
        ErrorCase::new("negative decay", new(AdamConfig { weight_decay: -0.1, ..config }), OutOfRange, "weight_decay"),
        ErrorCase::new("decay past f32", new(AdamConfig { weight_decay: 1e39, ..config }), OutOfRange, "weight_decay"),
    ]);
    errors
}

/// Any parameter of up to 4096 elements with any setting.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let spec = random.spec(4096);
    Some(Arc::new(random_setting(random, spec).ok()?))
}

/// Any setting. A second beta near 0 would divide by gradients near 0, and amplify every rounding.
pub(super) fn random_setting(random: &mut Random, spec: TensorSpec) -> Result<Adam, Error> {
    let beta1 = if random.one_in(3) { 0.0 } else { 1.0 - random.magnitude(1e-3, 1.0) };
    let beta2 = 1.0 - random.magnitude(1e-4, 0.9);
    let eps = random.magnitude(1e-10, 1.0);
    let weight_decay = random_decay(random);
    let config = AdamConfig { beta1, beta2, eps, weight_decay, decoupled: random.one_in(2) };
    Adam::new(spec, config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Schedule;

    fn spec() -> TensorSpec {
        TensorSpec::plain([2])
    }

    #[test]
    fn one_step_by_hand() {
        let config = AdamConfig { beta1: 0.5, beta2: 0.75, eps: 1.0, weight_decay: 0.5, decoupled: false };
        let grad = Array::Real(vec![2.0, -4.0]);
        let rates = Array::Real(vec![0.5, 2.0, 2.0, 0.0]);
        let run = |config| {
            let op = Adam::new(spec(), config).unwrap();
            let mut param = Array::Real(vec![4.0, 0.0]);
            let mut m = Array::Real(vec![2.0, 1.0]);
            let mut v = Array::Real(vec![0.0, 0.0]);
            op.run_f64(Direction::Update, &[&grad, &rates], &mut [&mut param, &mut m, &mut v]).unwrap();
            [param, m, v]
        };
        // Coupled: g = 2 + 0.5*4 = 4 and -4; m = 0.5*[2, 1] + 0.5*g; v = 0.25*g² = 4;
        // step = 2*m / (2*2 + 1).
        let expected = [vec![4.0 - 0.5 * 6.0 / 5.0, 0.5 * 3.0 / 5.0], vec![3.0, -1.5], vec![4.0, 4.0]];
        assert_eq!(run(config), expected.map(Array::Real));
        // Decoupled: g = 2 and -4; m = [2, -1.5]; v = [1, 4]; step = [4 / 3, -3 / 5].
        let expected = [vec![4.0 - 0.5 * (2.0 + 4.0 / 3.0), 0.5 * 3.0 / 5.0], vec![2.0, -1.5], vec![1.0, 4.0]];
        assert_eq!(run(AdamConfig { decoupled: true, ..config }), expected.map(Array::Real));
    }

    #[test]
    fn the_first_step_is_lr_whatever_the_gradient() {
        let op = Adam::new(spec(), AdamConfig::default()).unwrap();
        let schedule = Schedule::new(1, 1e-3, 0.9, 0.999).unwrap();
        let mut counter = Array::Index(vec![0; 4]);
        let mut rates = Array::zeros(&rates_spec());
        schedule.run(Direction::Update, &[], &mut [&mut counter, &mut rates]).unwrap();
        let grad = Array::Real(vec![250.0_f32, -0.003]);
        let [mut param, mut m, mut v] = [Array::zeros(&spec()), Array::zeros(&spec()), Array::zeros(&spec())];
        op.run(Direction::Update, &[&grad, &rates], &mut [&mut param, &mut m, &mut v]).unwrap();
        for (got, expected) in param.real().iter().zip([-1e-3, 1e-3]) {
            assert!((f64::from(*got) - expected).abs() < 1e-8, "{got}");
        }
    }

    /// With the rates of `schedule`, against the algorithms as they stand in the papers.
    #[test]
    fn follows_the_recurrence() {
        let lr = 0.01;
        let base = AdamConfig::default();
        for config in [
            base,
            AdamConfig { weight_decay: 0.1, ..base },
            AdamConfig { weight_decay: 0.1, decoupled: true, ..base },
            AdamConfig { beta1: 0.0, beta2: 0.5, eps: 1e-3, ..base },
        ] {
            let AdamConfig { beta1, beta2, eps, weight_decay, decoupled } = config;
            let op = Adam::new(spec(), config).unwrap();
            let schedule = Schedule::new(32, lr, beta1, beta2).unwrap();
            let mut counter = Array::Index(vec![0; 4]);
            let mut rates = Array::<f64>::zeros(&rates_spec());
            let mut param = Array::Real(vec![0.7, -0.4]);
            let [mut m, mut v] = [Array::zeros(&spec()), Array::zeros(&spec())];
            let mut expected = [(0.7, 0.0, 0.0), (-0.4, 0.0, 0.0)];
            for t in 1..=6 {
                let grad = [(f64::from(t) * 1.7).sin(), 0.3 - f64::from(t) * 0.2];
                schedule.run_f64(Direction::Update, &[], &mut [&mut counter, &mut rates]).unwrap();
                let grad_in = Array::Real(grad.to_vec());
                op.run_f64(Direction::Update, &[&grad_in, &rates], &mut [&mut param, &mut m, &mut v]).unwrap();
                for (element, (p, mean, square)) in expected.iter_mut().enumerate() {
                    let mut g: f64 = grad[element];
                    if decoupled {
                        *p *= 1.0 - lr * weight_decay;
                    } else {
                        g += weight_decay * *p;
                    }
                    *mean = beta1 * *mean + (1.0 - beta1) * g;
                    *square = beta2 * *square + (1.0 - beta2) * g.powi(2);
                    let mean_hat = *mean / (1.0 - beta1.powi(t));
                    let square_hat: f64 = *square / (1.0 - beta2.powi(t));
                    *p -= lr * mean_hat / (square_hat.sqrt() + eps);
                    assert!((param.real()[element] - *p).abs() < 1e-12, "{config:?} t={t}");
                    assert!((m.real()[element] - *mean).abs() < 1e-12, "{config:?} t={t}");
                    assert!((v.real()[element] - *square).abs() < 1e-12, "{config:?} t={t}");
                }
            }
        }
    }

    #[test]
    fn a_nan_gradient_is_seen() {
        let op = Adam::new(spec(), AdamConfig::default()).unwrap();
        let grad = Array::Real(vec![f64::NAN, 1.0]);
        let rates = Array::Real(vec![0.1, 1.0, 1.0, 0.0]);
        let [mut param, mut m, mut v] = [Array::zeros(&spec()), Array::zeros(&spec()), Array::zeros(&spec())];
        op.run_f64(Direction::Update, &[&grad, &rates], &mut [&mut param, &mut m, &mut v]).unwrap();
        for array in [param, m, v] {
            assert!(array.real()[0].is_nan() && !array.real()[1].is_nan());
        }
    }
}
