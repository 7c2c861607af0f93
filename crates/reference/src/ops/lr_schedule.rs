//! What becomes of the learning rate as steps go by.

use crate::{Error, Random};
use std::f64::consts::PI;

/// The learning rate of step `k`, counted from 0: for `k < warm_up`, `decay(0) * (k + 1) / warm_up`, so
/// that the last step of the warm-up has the full rate; then `decay(k - warm_up)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LrSchedule {
    /// Steps over which the rate rises linearly; 0 for none.
    pub warm_up: u32,
    /// What follows.
    pub decay: LrDecay,
}

/// The learning rate `s` steps after the warm-up, from that of the descriptor, `lr`.
///
/// With `ease(from, to, p) = to + (from - to) * (1 + cos(pi*p)) / 2`:
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum LrDecay {
    /// `lr`.
    #[default]
    Constant,
    /// `lr * factor^floor(s / every)`: PyTorch's `StepLR`.
    Step {
        /// Steps between two drops.
        every: u32,
        /// What remains at each drop, above 0 and at most 1.
        factor: f64,
    },
    /// `ease(lr, floor * lr, min(s, steps) / steps)`: PyTorch's `CosineAnnealingLR`, which stays at its
    /// end instead of rising again.
    Cosine {
        /// Steps until the floor.
        steps: u32,
        /// The last rate as a share of `lr`.
        floor: f64,
    },
    /// With `first = lr / start_div`, `last = first / end_div`, `peak = rise * steps - 1`, `end = steps - 1`
    /// and `s` no further than `end`: `ease(first, lr, s / peak)` before the peak, then
    /// `ease(lr, last, (s - peak) / (end - peak))`. PyTorch's `OneCycleLR` in its cosine form, which stays
    /// at its end instead of failing.
    OneCycle {
        /// Steps of the whole cycle.
        steps: u32,
        /// The share of them that rises, below 1.
        rise: f64,
        /// `lr` over the first rate, at least 1.
        start_div: f64,
        /// The first rate over the last, at least 1.
        end_div: f64,
    },
}

/// From `from` to `to` along half a cosine, as `p` goes from 0 to 1.
fn ease(from: f64, to: f64, p: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * p).cos()) / 2.0
}

impl LrSchedule {
    /// The rate of step `k`, counted from 0.
    pub fn lr(&self, lr: f64, k: u32) -> f64 {
        match k.checked_sub(self.warm_up) {
            Some(s) => self.decay.lr(lr, s),
            None => self.decay.lr(lr, 0) * (f64::from(k) + 1.0) / f64::from(self.warm_up),
        }
    }

    /// Refuses what gives no rates.
    pub(super) fn check(&self, op: &'static str) -> Result<(), Error> {
        let size = |what, size| if size == 0 { Err(Error::ZeroSize { op, what }) } else { Ok(()) };
        let number = |what, got, fits, range| {
            if fits { Ok(()) } else { Err(Error::OutOfRange { op, what, got, range }) }
        };
        // Beyond, what is left of a rate is no f32.
        let divisor = |what, got| number(what, got, (1.0..=1e15).contains(&got), "at least 1 and at most 1e15");
        match self.decay {
            LrDecay::Constant => Ok(()),
            LrDecay::Step { every, factor } => {
                size("every", every)?;
                number("factor", factor, factor > 0.0 && factor <= 1.0, "above 0 and at most 1")
            }
            LrDecay::Cosine { steps, floor } => {
                size("steps", steps)?;
                number("floor", floor, (0.0..=1.0).contains(&floor), "at least 0 and at most 1")
            }
            LrDecay::OneCycle { steps, rise, start_div, end_div } => {
                size("steps", steps)?;
                number("rise", rise, (0.0..1.0).contains(&rise), "at least 0 and below 1")?;
                divisor("start_div", start_div)?;
                divisor("end_div", end_div)
            }
        }
    }

    /// Any, of up to 200,000 steps.
    pub(super) fn random(random: &mut Random) -> Self {
        let warm_up = if random.one_in(2) { 0 } else { random.below(100_000) as u32 };
        let steps = 1 + random.below(200_000) as u32;
        let decay = match random.below(4) {
            0 => LrDecay::Constant,
            1 => LrDecay::Step { every: 1 + random.below(50_000) as u32, factor: 1.0 - random.unit() },
            2 => LrDecay::Cosine { steps, floor: random.unit() },
            _ => LrDecay::OneCycle {
                steps,
                rise: random.unit(),
                start_div: random.magnitude(1.0, 100.0),
                end_div: random.magnitude(1.0, 1e5),
            },
        };
        Self { warm_up, decay }
    }
}

impl LrDecay {
    fn lr(&self, lr: f64, s: u32) -> f64 {
        match *self {
            Self::Constant => lr,
            Self::Step { every, factor } => lr * factor.powf(f64::from(s / every)),
            Self::Cosine { steps, floor } => ease(lr, floor * lr, f64::from(s.min(steps)) / f64::from(steps)),
            Self::OneCycle { steps, rise, start_div, end_div } => {
                let first = lr / start_div;
                let (peak, end) = (rise * f64::from(steps) - 1.0, f64::from(steps) - 1.0);
                let s = f64::from(s).min(end);
                if s < peak { ease(first, lr, s / peak) } else { ease(lr, first / end_div, (s - peak) / (end - peak)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates<const N: usize>(warm_up: u32, decay: LrDecay) -> [f64; N] {
        let schedule = LrSchedule { warm_up, decay };
        schedule.check("schedule").expect("a schedule");
        std::array::from_fn(|k| schedule.lr(2.0, k as u32))
    }

    fn near<const N: usize>(got: [f64; N], expected: [f64; N]) {
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn warm_up_reaches_the_rate_with_its_last_step() {
        near(rates(4, LrDecay::Constant), [0.5, 1.0, 1.5, 2.0, 2.0]);
        near(rates(1, LrDecay::Constant), [2.0, 2.0]);
    }

    #[test]
    fn drops_count_from_the_end_of_the_warm_up() {
        near(rates(2, LrDecay::Step { every: 3, factor: 0.5 }), [1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.5]);
    }

    #[test]
    fn a_cosine_passes_its_middle_and_stays_at_its_floor() {
        near(rates(0, LrDecay::Cosine { steps: 2, floor: 0.25 }), [2.0, 1.25, 0.5, 0.5, 0.5]);
    }

    #[test]
    fn one_cycle_rises_falls_and_stays() {
        // Peak at step 2, end at step 5; the first rate is 1, the last 0.25.
        let decay = LrDecay::OneCycle { steps: 6, rise: 0.5, start_div: 2.0, end_div: 4.0 };
        near(rates(0, decay), [1.0, 1.5, 2.0, 1.5625, 0.6875, 0.25, 0.25]);
        near(rates(2, decay), [0.5, 1.0, 1.0, 1.5, 2.0]);
        let falls = LrDecay::OneCycle { steps: 1, rise: 0.5, start_div: 2.0, end_div: 4.0 };
        near(rates(0, falls), [0.25, 0.25]);
    }
}
