//! The step counter and what follows from it.

use super::lr_schedule::{LrDecay, LrSchedule};
use super::optimiser::{check_fraction, check_not_negative, rates_spec};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `t = step + 1`; `counter = [t, position + batch, seed_lo, seed_hi]`;
/// `rates = [lr_schedule(lr, step), 1/(1-beta1^t), 1/sqrt(1-beta2^t), 0]`, where [`LrSchedule`] says what
/// becomes of `lr` as steps go by.
///
/// - Shapes: `counter` indices `[4]`, `rates` plain `[4]`.
/// - Writes: `counter` in place (its seed stays), `rates` `=`.
/// - Numerics: `1 - beta^t` as `-expm1(t * ln(beta))`, because at `t = 1` the subtraction would cancel
///   nearly everything; `f64`, rounded once. A beta of 0 gives 1. `position` and `step` wrap at 2^32;
///   at `t = 0` the corrections are infinite.
/// - Errors: `batch` 0, a beta outside `[0, 1)`, an `lr` below 0 or no `f32`, what [`LrSchedule`] refuses.
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
    /// What becomes of the learning rate as steps go by.
    pub lr_schedule: LrSchedule,
}

impl Schedule {
    /// Steps of `batch` samples at the constant rate `lr`.
    pub fn new(batch: u32, lr: f64, beta1: f64, beta2: f64) -> Result<Self, Error> {
        let op = Self::NAME;
        if batch == 0 {
            return Err(Error::ZeroSize { op, what: "batch" });
        }
        check_not_negative(op, "lr", lr)?;
        check_fraction(op, "beta1", beta1)?;
        check_fraction(op, "beta2", beta2)?;
        Ok(Self { batch, lr, beta1, beta2, lr_schedule: LrSchedule::default() })
    }

    /// With a learning rate that changes.
    pub fn with_lr_schedule(self, lr_schedule: LrSchedule) -> Result<Self, Error> {
        lr_schedule.check(Self::NAME)?;
        Ok(Self { lr_schedule, ..self })
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
        let scheduled = self.lr_schedule.lr(self.lr, *step);
        *step = step.wrapping_add(1);
        *position = position.wrapping_add(self.batch);
        *lr = T::from_f64(scheduled);
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
    // A case's step is somewhere below 100,000.
    let one_cycle = |steps, rise| LrDecay::OneCycle { steps, rise, start_div: 25.0, end_div: 1e4 };
    for (name, warm_up, decay) in [
        ("constant-in-warm-up", 100_000, LrDecay::Constant),
        ("constant-after-warm-up", 7, LrDecay::Constant),
        ("step", 0, LrDecay::Step { every: 30_000, factor: 0.5 }),
        ("step-often", 0, LrDecay::Step { every: 3, factor: 0.999_9 }),
        ("step-to-nothing", 5, LrDecay::Step { every: 1, factor: 0.1 }),
        ("step-after-warm-up", 17, LrDecay::Step { every: 20_000, factor: 0.7 }),
        ("step-in-warm-up", 99_999, LrDecay::Step { every: 1, factor: 0.5 }),
        ("cosine", 0, LrDecay::Cosine { steps: 100_000, floor: 0.0 }),
        ("cosine-floor", 0, LrDecay::Cosine { steps: 120_000, floor: 0.25 }),
        ("cosine-over", 0, LrDecay::Cosine { steps: 9, floor: 0.125 }),
        ("cosine-after-warm-up", 100, LrDecay::Cosine { steps: 99_900, floor: 0.0 }),
        ("cosine-in-warm-up", 100_000, LrDecay::Cosine { steps: 10, floor: 0.5 }),
        ("one-cycle-rises", 0, one_cycle(300_000, 0.5)),
        ("one-cycle-falls", 0, one_cycle(100_000, 0.01)),
        ("one-cycle-falls-at-once", 0, one_cycle(100_000, 0.0)),
        ("one-cycle-over", 0, one_cycle(50, 0.3)),
        ("one-cycle-of-one", 0, one_cycle(1, 0.3)),
        ("one-cycle-half-way", 0, one_cycle(100_000, 0.5)),
        ("one-cycle-after-warm-up", 1000, one_cycle(100_000, 0.3)),
        ("one-cycle-in-warm-up", 100_000, one_cycle(100_000, 0.3)),
    ] {
        let op = Schedule::new(64, 0.5, 0.0, 0.0);
        cases.add(name, op.and_then(|op| op.with_lr_schedule(LrSchedule { warm_up, decay })));
    }
    cases.0
}

/// Batches, rates and betas that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{OutOfRange, ZeroSize};
    let new = Schedule::new;
    let decay = |decay| new(1, 0.1, 0.9, 0.999)?.with_lr_schedule(LrSchedule { warm_up: 0, decay });
    let step = |every, factor| decay(LrDecay::Step { every, factor });
    let cosine = |steps, floor| decay(LrDecay::Cosine { steps, floor });
    let one_cycle = |steps, rise, start_div, end_div| decay(LrDecay::OneCycle { steps, rise, start_div, end_div });
    vec![
        ErrorCase::new("drops without end", step(0, 0.5), ZeroSize, "every"),
        ErrorCase::new("drop to nothing", step(1, 0.0), OutOfRange, "factor"),
        ErrorCase::new("drop that rises", step(1, 1.5), OutOfRange, "factor"),
        ErrorCase::new("cosine of no steps", cosine(0, 0.0), ZeroSize, "steps"),
        ErrorCase::new("floor above the top", cosine(9, 1.5), OutOfRange, "floor"),
        ErrorCase::new("floor not a number", cosine(9, f64::NAN), OutOfRange, "floor"),
        ErrorCase::new("cycle of no steps", one_cycle(0, 0.3, 25.0, 1e4), ZeroSize, "steps"),
        ErrorCase::new("cycle that only rises", one_cycle(9, 1.0, 25.0, 1e4), OutOfRange, "rise"),
        ErrorCase::new("cycle from above", one_cycle(9, 0.3, 0.5, 1e4), OutOfRange, "start_div"),
        ErrorCase::new("cycle from nothing", one_cycle(9, 0.3, f64::INFINITY, 1e4), OutOfRange, "start_div"),
        ErrorCase::new("cycle to nothing", one_cycle(9, 0.3, 25.0, f64::INFINITY), OutOfRange, "end_div"),
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

/// Any batch, rate, betas and course of the rate.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let batch = if random.one_in(4) { random.word() } else { random.size(512) as u32 };
    let lr = random.magnitude(1e-6, 10.0);
    let mut beta = || match random.below(4) {
        0 => 0.0,
        1 => random.unit(),
        _ => 1.0 - random.magnitude(1e-7, 1.0),
    };
    let [beta1, beta2] = [beta(), beta()];
    let op = Schedule::new(batch, lr, beta1, beta2).ok()?;
    Some(Arc::new(op.with_lr_schedule(LrSchedule::random(random)).ok()?))
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
