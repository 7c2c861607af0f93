//! The step counter and what follows from it.

use super::optimiser::{check_fraction, check_not_negative, rates_spec};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `t = step + 1`; `counter = [t, position + batch, seed_lo, seed_hi]`;
/// `rates = [lr, 1/(1-beta1^t), 1/sqrt(1-beta2^t), 0]`.
///
/// - Shapes: `counter` indices `[4]`, `rates` plain `[4]`.
/// - Writes: `counter` in place (its seed stays), `rates` `=`.
/// - Numerics: `1 - beta^t` as `-expm1(t * ln(beta))`, because at `t = 1` the subtraction would cancel
///   nearly everything; `f64`, rounded once. A beta of 0 gives 1. `position` and `step` wrap at 2^32;
///   at `t = 0` the corrections are infinite.
/// - Errors: `batch` 0, a beta outside `[0, 1)`, an `lr` below 0 or no `f32`.
/// - Source: the bias corrections of Kingma & Ba, "Adam: a method for stochastic optimization",
///   2015; `docs/decisions/0002-optimiser-state-on-the-device.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Samples that a step takes.
    pub batch: u32,
    /// The learning rate.
    pub lr: f64,
    /// The optimiser's first beta; 0 where it has none.
    pub beta1: f64,
    /// The optimiser's second beta; 0 where it has none.
    pub beta2: f64,
}

impl Schedule {
    /// Steps of `batch` samples at the rate `lr`.
    pub fn new(batch: u32, lr: f64, beta1: f64, beta2: f64) -> Result<Self, Error> {
        let op = Self::NAME;
        if batch == 0 {
            return Err(Error::ZeroSize { op, what: "batch" });
        }
        check_not_negative(op, "lr", lr)?;
        check_fraction(op, "beta1", beta1)?;
        check_fraction(op, "beta2", beta2)?;
        Ok(Self { batch, lr, beta1, beta2 })
    }
}

/// `1 - beta^t`. For a beta of 0 the logarithm is minus infinity and the result 1.
fn one_minus_power(beta: f64, t: u32) -> f64 {
    -(f64::from(t) * beta.ln()).exp_m1()
}

impl Contract for Schedule {
    const NAME: &'static str = "schedule";
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Update => {
                vec![Arg::update("counter", TensorSpec::index([4])), Arg::write("rates", rates_spec())]
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
        let (Direction::Update, [], [counter, rates]) = (direction, inputs, outputs) else {
            return Err(wrong_arguments(Self::NAME, direction));
        };
        let ([step, position, ..], [lr, first, second, unused]) = (counter.index_mut(), rates.real_mut()) else {
            return Err(wrong_arguments(Self::NAME, direction));
        };
        *step = step.wrapping_add(1);
        *position = position.wrapping_add(self.batch);
        *lr = T::from_f64(self.lr);
        *first = T::from_f64(1.0 / one_minus_power(self.beta1, *step));
        *second = T::from_f64(1.0 / one_minus_power(self.beta2, *step).sqrt());
        *unused = T::default();
        Ok(())
    }

    /// The logarithm, its multiple, the series or exponential, a root and a division.
    fn terms(&self, _direction: Direction) -> usize {
        16
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, _direction: Direction) -> u64 {
        64
    }

    fn domain(&self, arg: &str) -> Domain {
        if arg == "counter" { Domain::Below(100_000) } else { Domain::Real }
    }
}

/// Betas for which `t * ln(beta)` is, at a step somewhere below 100,000, tiny, about -1, or far below;
/// the reports' rates and batches.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    for (name, batch, lr, beta1, beta2) in [
        ("adam", 32, 1e-3, 0.9, 0.999),
        ("adam-64", 64, 1e-3, 0.9, 0.999),
        ("adam-slow", 100, 1e-4, 0.9, 0.999),
        ("sgd", 64, 1e-3, 0.0, 0.0),
        ("no-betas", 64, 0.1, 0.0, 0.0),
        ("one-beta", 1, 0.0, 0.0, 0.99),
        ("other-beta", 3, 0.25, 0.95, 0.0),
        ("slow", 128, 3e-4, 0.999_99, 0.9999),
        ("slower", 7, 0.05, 0.999_998, 0.999_99),
        ("slowest", 100, 1.0, 0.999_999_9, 0.999_999_999),
        ("around-one", 33, 0.5, 0.999_98, 0.999_97),
        ("batch-wraps", u32::MAX, 2.5, 1e-40, 0.5),
    ] {
        cases.add(name, Schedule::new(batch, lr, beta1, beta2));
    }
    cases.0
}

/// Batches, rates and betas that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{OutOfRange, ZeroSize};
    let new = Schedule::new;
    vec![
        ErrorCase::new("empty batch", new(0, 0.1, 0.9, 0.999), ZeroSize, "batch"),
        ErrorCase::new("negative rate", new(1, -0.1, 0.9, 0.999), OutOfRange, "lr"),
        ErrorCase::new("rate not a number", new(1, f64::NAN, 0.9, 0.999), OutOfRange, "lr"),
        ErrorCase::new("rate past f32", new(1, 1e39, 0.9, 0.999), OutOfRange, "lr"),
        ErrorCase::new("first beta of one", new(1, 0.1, 1.0, 0.999), OutOfRange, "beta1"),
        ErrorCase::new("negative first beta", new(1, 0.1, -0.1, 0.999), OutOfRange, "beta1"),
        ErrorCase::new("second beta of one", new(1, 0.1, 0.9, 1.0), OutOfRange, "beta2"),
        ErrorCase::new("negative second beta", new(1, 0.1, 0.9, -0.1), OutOfRange, "beta2"),
        ErrorCase::new("second beta not a number", new(1, 0.1, 0.9, f64::NAN), OutOfRange, "beta2"),
    ]
}

/// Any batch, rate and betas.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let batch = if random.one_in(4) { random.word() } else { random.size(512) as u32 };
    let lr = random.magnitude(1e-6, 10.0);
    let mut beta = || match random.below(4) {
        0 => 0.0,
        1 => random.unit(),
        _ => 1.0 - random.magnitude(1e-7, 1.0),
    };
    let [beta1, beta2] = [beta(), beta()];
    Some(Arc::new(Schedule::new(batch, lr, beta1, beta2).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(op: &Schedule, counter: &mut Array<f64>) -> Vec<f64> {
        // Not zeros: what is not written must show.
        let mut rates = Array::Real(vec![f64::NAN; 4]);
        op.run_f64(Direction::Update, &[], &mut [counter, &mut rates]).unwrap();
        rates.real().to_vec()
    }

    #[test]
    fn three_steps_by_hand() {
        let op = Schedule::new(32, 0.25, 0.5, 0.75).unwrap();
        let mut counter = Array::Index(vec![0, u32::MAX - 31, 5, 6]);
        // 1 - 0.5^t: 1/2, 3/4, 7/8. 1 - 0.75^t: 1/4, 7/16, 37/64.
        let expected = [(2.0, 1.0_f64 / 4.0), (4.0 / 3.0, 7.0 / 16.0), (8.0 / 7.0, 37.0 / 64.0)];
        for (t, (first, second)) in (1..).zip(expected) {
            let rates = step(&op, &mut counter);
            // The position wraps, the seed stays.
            assert_eq!(counter, Array::Index(vec![t, (t - 1) * 32, 5, 6]));
            assert_eq!((rates[0], rates[3]), (0.25, 0.0));
            assert!((rates[1] - first).abs() < 1e-14);
            assert!((rates[2] - 1.0 / second.sqrt()).abs() < 1e-14);
        }
    }

    #[test]
    fn follows_the_recurrence() {
        let (beta1, beta2) = (0.9, 0.999);
        let op = Schedule::new(1, 1e-3, beta1, beta2).unwrap();
        let mut counter = Array::Index(vec![0; 4]);
        // 1 - beta^t as a sum without cancellation: Σ_{s<t} (1-beta) * beta^s.
        let (mut sum1, mut sum2, mut power1, mut power2) = (0.0, 0.0, 1.0, 1.0);
        for _ in 0..2000 {
            sum1 += (1.0 - beta1) * power1;
            sum2 += (1.0 - beta2) * power2;
            power1 *= beta1;
            power2 *= beta2;
            let rates = step(&op, &mut counter);
            assert!((rates[1] * sum1 - 1.0).abs() < 1e-12);
            assert!((rates[2] * f64::sqrt(sum2) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn without_betas_there_is_no_correction() {
        let op = Schedule::new(1, 0.1, 0.0, 0.0).unwrap();
        let mut counter = Array::Index(vec![0; 4]);
        for _ in 0..3 {
            assert_eq!(step(&op, &mut counter), [0.1, 1.0, 1.0, 0.0]);
        }
    }
}
