//! Runs that become longer than they were to be.

use crate::recipe::{Recipe, Schedule, TRAINING_IMAGES, Train};
use crate::train::LoopState;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// How long a run is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// Passes over the training images.
    pub epochs: u64,
    /// Steps at most.
    pub max_steps: Option<u64>,
}

/// A run was made longer in a way that leads elsewhere than a run which was as long from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Steps taken by then.
    pub steps: u64,
    /// How long it was to be.
    pub was: Length,
    /// How long it is to be now.
    pub now: Length,
}

/// What became of a run's length when it was resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is longer, and ends like one that was as long from the start.
    Exact,
    /// It is longer, and it was accepted that it ends otherwise.
    Accepted(Extension),
}

/// Why a run cannot have this length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LengthError {
    /// It was to be longer.
    #[error(
        "{} was to have {was}, and {now} would be fewer steps: a run can be extended, not cut short; begin another with --out",
        run.display()
    )]
    Shorter {
        /// The run's folder.
        run: PathBuf,
        /// How long it was to be.
        was: Length,
        /// How long it is to be now.
        now: Length,
    },
    /// It would end otherwise than a run that was as long from the start.
    #[error(
        "{} was begun with {was}; with {now} it would not end like a run begun so, because {why}; go on all the same with \
         --extend, or begin another with --out",
        run.display()
    )]
    Inexact {
        /// The run's folder.
        run: PathBuf,
        /// How long it was to be.
        was: Length,
        /// How long it is to be now.
        now: Length,
        /// What depends on the length.
        why: String,
    },
}

impl Length {
    fn of(train: &Train) -> Self {
        Self { epochs: train.epochs, max_steps: train.max_steps }
    }

    /// Steps in all, if none is skipped.
    fn steps(self, recipe: &Recipe) -> u64 {
        let images = recipe.data.train_len(TRAINING_IMAGES) as u64;
        let steps = self.epochs.saturating_mul(images.div_ceil(recipe.train.batch_size.max(1) as u64));
        steps.min(self.max_steps.unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        write!(f, "{} epoch{}", self.epochs, plural(self.epochs))?;
        match self.max_steps {
            Some(steps) => write!(f, " and at most {steps} step{}", plural(steps)),
            None => Ok(()),
        }
    }
}

impl Change {
    /// Compares the length a run had with the one it is to have, for a run that has come to `state`.
    pub fn new(run: &Path, old: &Recipe, new: &Recipe, state: &LoopState, accept: bool) -> Result<Self, LengthError> {
        let (was, now) = (Length::of(&old.train), Length::of(&new.train));
        if was == now {
            return Ok(Self::None);
        }
        if now.steps(new) < was.steps(old) {
            return Err(LengthError::Shorter { run: run.to_owned(), was, now });
        }
        match inexact(old, new, state) {
            None => Ok(Self::Exact),
            Some(_) if accept => Ok(Self::Accepted(Extension { steps: state.steps, was, now })),
            Some(why) => Err(LengthError::Inexact { run: run.to_owned(), was, now, why }),
        }
    }
}

/// Why a longer run ends otherwise than one that was as long from the start, if it does.
fn inexact(old: &Recipe, new: &Recipe, state: &LoopState) -> Option<String> {
    let images = new.data.train_len(TRAINING_IMAGES);
    if state.steps > 0 && old.schedule.in_steps(&old.train, images) != new.schedule.in_steps(&new.train, images) {
        let kind = match new.schedule {
            Schedule::Constant(_) => "constant",
            Schedule::Step(_) => "step",
            Schedule::Cosine(_) => "cosine",
            Schedule::OneCycle(_) => "one_cycle",
        };
        return Some(format!(
            "its {kind} schedule of the learning rate depends on the number of steps, and {} were taken",
            state.steps
        ));
    }
    let restores = new.early_stopping.as_ref().is_some_and(|stopping| stopping.restore_best);
    let cut = state.at_last_step(&old.train) && (1..images).contains(&state.position);
    (restores && cut).then(|| {
        let epoch = state.epoch;
        format!("its best epoch was chosen, for restore_best, when epoch {epoch} had ended early")
    })
}

/// What a finished run needs to go on.
pub fn advice(run: &Path, state: &LoopState, train: &Train) -> String {
    let epochs = format!("--epochs above {}", train.epochs);
    let steps = train.max_steps.map(|steps| format!("--max-steps above {steps}")).unwrap_or_default();
    match (state.stopped, state.epoch > train.epochs, state.at_last_step(train)) {
        (true, ..) => {
            format!(
                "early stopping ended it, so it cannot be extended; another run may begin with its weights: --init {}",
                run.join("model.safetensors").display()
            )
        }
        (_, true, true) => format!("{epochs} together with {steps} extends it"),
        (_, true, false) => format!("{epochs} extends it"),
        (_, false, _) => format!("{steps} extends it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Cosine, EarlyStopping, Monitor};

    fn recipe(epochs: u64, max_steps: Option<u64>) -> Recipe {
        let recipe = Recipe::find("lenet5").unwrap();
        // 60 steps make an epoch.
        let train = Train { epochs, max_steps, batch_size: 1000, ..recipe.train.clone() };
        Recipe { train, early_stopping: None, ..recipe }
    }

    fn change(old: &Recipe, new: &Recipe, state: &LoopState) -> Result<Change, String> {
        Change::new(Path::new("run"), old, new, state, false).map_err(|error| error.to_string())
    }

    #[test]
    fn a_run_is_never_cut_short() {
        let state = LoopState { steps: 5, position: 5000, ..LoopState::default() };
        for (old, new, shorter) in [
            ((2, None), (2, None), false),
            ((2, None), (3, None), false),
            ((2, None), (1, None), true),
            ((2, None), (2, Some(119)), true),
            ((2, None), (2, Some(120)), false),
            ((2, Some(50)), (1, Some(50)), false),
            ((2, Some(50)), (9, Some(49)), true),
            ((2, Some(50)), (2, None), false),
        ] {
            let outcome = change(&recipe(old.0, old.1), &recipe(new.0, new.1), &state);
            assert_eq!(outcome.is_err(), shorter, "{old:?} to {new:?}: {outcome:?}");
        }
        let message = change(&recipe(2, None), &recipe(1, Some(7)), &state).unwrap_err();
        assert!(
            message.starts_with("run was to have 2 epochs, and 1 epoch and at most 7 steps would be fewer"),
            "{message}"
        );
    }

    #[test]
    fn what_depends_on_the_length_must_be_accepted() {
        let cosine = |epochs, steps| Recipe { schedule: Schedule::Cosine(Cosine::default()), ..recipe(epochs, steps) };
        let state = LoopState { steps: 5, position: 5000, ..LoopState::default() };
        let (old, new) = (cosine(2, None), cosine(3, None));
        let message = change(&old, &new, &state).unwrap_err();
        assert!(message.contains("cosine schedule") && message.contains("--extend"), "{message}");
        let accepted = Change::new(Path::new("run"), &old, &new, &state, true).unwrap();
        let [was, now] = [2, 3].map(|epochs| Length { epochs, max_steps: None });
        assert_eq!(accepted, Change::Accepted(Extension { steps: 5, was, now }));
        // Nothing was trained yet; the number of steps stays.
        assert_eq!(change(&old, &new, &LoopState::default()), Ok(Change::Exact));
        assert_eq!(change(&cosine(2, Some(9)), &cosine(3, Some(9)), &state), Ok(Change::Exact));

        let stopping = EarlyStopping { monitor: Monitor::Loss, patience: 3, min_delta: 0.0, restore_best: true };
        let best = |epochs, steps| Recipe { early_stopping: Some(stopping.clone()), ..recipe(epochs, steps) };
        let message = change(&best(2, Some(5)), &best(2, Some(70)), &state).unwrap_err();
        assert!(message.contains("restore_best, when epoch 1 had ended early"), "{message}");
        // It was stopped somewhere else, or at the end of an epoch.
        assert_eq!(change(&best(2, Some(6)), &best(2, Some(70)), &state), Ok(Change::Exact));
        let over = LoopState { epoch: 2, steps: 60, position: 0, ..LoopState::default() };
        assert_eq!(change(&best(2, Some(60)), &best(2, Some(70)), &over), Ok(Change::Exact));
    }

    #[test]
    fn advice_leads_somewhere() {
        let told = |state: &LoopState, recipe: Recipe| advice(Path::new("run"), state, &recipe.train);
        let over = LoopState { epoch: 3, steps: 120, ..LoopState::default() };
        assert_eq!(told(&over, recipe(2, None)), "--epochs above 2 extends it");
        // Some steps were skipped: the limit was never reached.
        assert_eq!(told(&over, recipe(2, Some(121))), "--epochs above 2 extends it");
        assert_eq!(
            told(&over, recipe(2, Some(120))),
            "--epochs above 2 together with --max-steps above 120 extends it"
        );
        assert_eq!(told(&over, recipe(9, Some(120))), "--max-steps above 120 extends it");
        let stopped = LoopState { stopped: true, ..over };
        assert!(told(&stopped, recipe(9, None)).starts_with("early stopping ended it, so it cannot be extended; "));
    }
}
