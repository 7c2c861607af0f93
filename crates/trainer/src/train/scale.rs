//! The scale of the loss while activations are stored as f16.

use serde::{Deserialize, Serialize};

/// What the loss is multiplied by, so that gradients stay within the range of f16. It goes the way of PyTorch's
/// `GradScaler`: it is halved where a gradient overflows, and doubled after [`LossScale::GROWTH`] steps without that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// A power of 2.
    pub scale: f32,
    /// Steps since it was changed.
    pub steps: u64,
    /// How often it was halved.
    pub halved: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { scale: 65536.0, steps: 0, halved: 0 }
    }
}

impl From<f64> for LossScale {
    fn from(scale: f64) -> Self {
        Self { scale: scale as f32, ..Self::default() }
    }
}

impl LossScale {
    /// Steps without an overflow until it is doubled.
    pub const GROWTH: u64 = 2000;

    /// Far below where it would itself be lost.
    const MOST: f32 = (1_u32 << 30) as f32;

    /// Takes note of a step. Whether the scale changed.
    pub fn advance(&mut self) -> bool {
        self.steps += 1;
        let grows = self.steps >= Self::GROWTH;
        if grows {
            *self = Self { scale: (2.0 * self.scale).min(Self::MOST), steps: 0, ..*self };
        }
        grows
    }

    /// Halves it; `false` if it is 1 already: what overflows then is no matter of the scale.
    pub fn halve(&mut self) -> bool {
        let can = self.scale > 1.0;
        if can {
            *self = Self { scale: self.scale / 2.0, steps: 0, halved: self.halved + 1 };
        }
        can
    }

    /// Refuses what no run comes to.
    pub fn check(&self) -> Result<(), String> {
        let possible = (1.0..=Self::MOST).contains(&self.scale) && self.scale.log2().fract() == 0.0;
        if possible && self.steps < Self::GROWTH { Ok(()) } else { Err(format!("loss_scale is {self:?}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_after_a_while_and_is_halved_at_once() {
        let mut scale = LossScale::default();
        assert_eq!((0..LossScale::GROWTH).map(|_| usize::from(scale.advance())).sum::<usize>(), 1);
        assert_eq!(scale, LossScale { scale: 131_072.0, steps: 0, halved: 0 });
        assert!(!scale.advance() && scale.halve());
        assert_eq!(scale, LossScale { scale: 65536.0, steps: 0, halved: 1 });
        assert_eq!((0..20).filter(|_| scale.halve()).count(), 16);
        assert_eq!((scale.scale, scale.halved), (1.0, 17));
    }

    #[test]
    fn it_stops_growing_before_it_is_no_number() {
        let mut scale = LossScale::default();
        (0..100 * LossScale::GROWTH).for_each(|_| {
            scale.advance();
        });
        assert_eq!((scale.scale, scale.check()), (LossScale::MOST, Ok(())));
    }

    #[test]
    fn impossible_scales_are_refused() {
        for scale in [0.0, 0.5, 3.0, f32::NAN, f32::INFINITY, -2.0] {
            assert!(LossScale { scale, ..LossScale::default() }.check().is_err(), "{scale}");
        }
        assert!(LossScale { steps: LossScale::GROWTH, ..LossScale::default() }.check().is_err());
    }
}
