use super::Train;
use reference::ops::{LrDecay, LrSchedule};
use serde::{Deserialize, Serialize};

/// What becomes of the learning rate as training goes on. `warm_up` is a number of epochs, fractions allowed, over
/// which it rises linearly; what else there is begins after it and lasts to the end of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Schedule {
    /// The optimiser's rate.
    Constant(Constant),
    /// Falls to a share of itself again and again.
    Step(StepDecay),
    /// Falls along half a cosine.
    Cosine(Cosine),
    /// Rises and falls once, each along half a cosine.
    OneCycle(OneCycle),
}

/// See [`Schedule::Constant`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Constant {
    /// Epochs.
    pub warm_up: f64,
}

/// See [`Schedule::Step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDecay {
    /// Epochs.
    #[serde(default)]
    pub warm_up: f64,
    /// Epochs from fall to fall.
    pub every: f64,
    /// What is left of the rate each time.
    pub factor: f64,
}

/// See [`Schedule::Cosine`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cosine {
    /// Epochs.
    pub warm_up: f64,
    /// The last rate as a share of the optimiser's.
    pub floor: f64,
}

/// See [`Schedule::OneCycle`]. The defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OneCycle {
    /// Epochs.
    pub warm_up: f64,
    /// The share of the cycle that rises.
    pub rise: f64,
    /// The optimiser's rate over the first one.
    pub start_div: f64,
    /// The first rate over the last one.
    pub end_div: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self { warm_up: 0.0, rise: 0.3, start_div: 25.0, end_div: 1e4 }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant(Constant::default())
    }
}

impl Schedule {
    /// Its numbers by name, to check.
    pub fn numbers(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Constant(Constant { warm_up }) => vec![("warm_up", *warm_up)],
            Self::Step(StepDecay { warm_up, every, factor }) => {
                vec![("warm_up", *warm_up), ("every", *every), ("factor", *factor)]
            }
            Self::Cosine(Cosine { warm_up, floor }) => vec![("warm_up", *warm_up), ("floor", *floor)],
            Self::OneCycle(OneCycle { warm_up, rise, start_div, end_div }) => {
                vec![("warm_up", *warm_up), ("rise", *rise), ("start_div", *start_div), ("end_div", *end_div)]
            }
        }
    }

    /// In steps, for a run on `images` training images.
    pub fn in_steps(&self, train: &Train, images: usize) -> LrSchedule {
        let per_epoch = images.div_ceil(train.batch_size.max(1)) as u64;
        let all = train.epochs.saturating_mul(per_epoch).min(train.max_steps.unwrap_or(u64::MAX));
        // Steps are 32-bit on the device.
        let steps = |epochs: f64| (epochs * per_epoch as f64).round() as u32;
        let rest = |warm_up: f64| u32::try_from(all).unwrap_or(u32::MAX).saturating_sub(steps(warm_up)).max(1);
        let (warm_up, decay) = match *self {
            Self::Constant(Constant { warm_up }) => (warm_up, LrDecay::Constant),
            Self::Step(StepDecay { warm_up, every, factor }) => {
                (warm_up, LrDecay::Step { every: steps(every).max(1), factor })
            }
            Self::Cosine(Cosine { warm_up, floor }) => (warm_up, LrDecay::Cosine { steps: rest(warm_up), floor }),
            Self::OneCycle(OneCycle { warm_up, rise, start_div, end_div }) => {
                (warm_up, LrDecay::OneCycle { steps: rest(warm_up), rise, start_div, end_div })
            }
        };
        LrSchedule { warm_up: steps(warm_up), decay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn epochs_become_steps() {
        let train = Train { epochs: 10, batch_size: 64, ..Recipe::find("lenet5").unwrap().train };
        let cosine = Schedule::Cosine(Cosine { warm_up: 0.5, floor: 0.1 });
        // 157 steps make an epoch of 10,000 images.
        let expected = LrSchedule { warm_up: 79, decay: LrDecay::Cosine { steps: 1570 - 79, floor: 0.1 } };
        assert_eq!(cosine.in_steps(&train, 10_000), expected);
        let step = Schedule::Step(StepDecay { warm_up: 0.0, every: 2.0, factor: 0.5 });
        let expected = LrSchedule { warm_up: 0, decay: LrDecay::Step { every: 314, factor: 0.5 } };
        assert_eq!(step.in_steps(&train, 10_000), expected);
        let short = Train { max_steps: Some(20), ..train };
        let LrDecay::OneCycle { steps, .. } = Schedule::OneCycle(OneCycle::default()).in_steps(&short, 10_000).decay
        else {
            panic!("no cycle");
        };
        assert_eq!(steps, 20);
    }
}
