//! What the host carries from step to step.

use super::LossScale;
use crate::evaluation::Evaluation;
use crate::extend::Extension;
use crate::metrics::Scores;
use crate::recipe::{EarlyStopping, Monitor, Train};
use serde::{Deserialize, Serialize};

/// Everything that the next step depends on and that does not lie on the device. A checkpoint keeps it as JSON.
///
/// Orders, splits and random streams are not in here: they follow from the recipe's seed, the epoch and the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopState {
    /// The epoch that the next step belongs to, from 1.
    pub epoch: u64,
    /// Steps that changed the weights, over the whole run.
    pub steps: u64,
    /// Where in the epoch's order the next batch begins.
    pub position: usize,
    /// Images in the sums of this epoch.
    pub images_of_epoch: usize,
    /// Images in the sums since the last log line.
    pub images_since_log: usize,
    /// Length of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// Time spent on epochs that have ended, in seconds.
    pub seconds: f64,
    /// On the validation images, after the last epoch that ended.
    pub validation: Option<Evaluation>,
    /// On the same, moved at random as in training, where that is asked for.
    pub validation_augmented: Option<Evaluation>,
    /// On the training images during the last epoch that ended, as they were trained on.
    pub train: Option<Scores>,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// What early stopping watches, in the last epoch in which it got better.
    pub monitored: Option<f64>,
    /// Epochs since.
    pub waited: u64,
    /// Whether early stopping has ended the run.
    pub stopped: bool,
    /// Batches that were passed over because they made training diverge.
    pub skipped: u64,
    /// Of these, the last ones with no step between them.
    pub skipped_in_row: u64,
    /// Steps when they were passed over.
    pub skipped_at: Option<u64>,
    /// What the loss is multiplied by, where activations are stored as f16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// How the run was made longer, where it therefore ends otherwise.
    #[serde(default)]
    pub extended: Vec<Extension>,
}

/// An epoch and its scores: on the validation images if there are any, else on the training images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// From 1.
    pub epoch: u64,
    /// Steps by then.
    pub steps: u64,
    /// The scores it is judged by.
    pub scores: Scores,
}

impl Default for LoopState {
    fn default() -> Self {
        Self {
            epoch: 1,
            steps: 0,
            position: 0,
            images_of_epoch: 0,
            images_since_log: 0,
            metrics_bytes: 0,
            seconds: 0.0,
            validation: None,
            validation_augmented: None,
            train: None,
            best: None,
            monitored: None,
            waited: 0,
            stopped: false,
            skipped: 0,
            skipped_in_row: 0,
            skipped_at: None,
            loss_scale: None,
            extended: Vec::new(),
        }
    }
}

impl LoopState {
    /// Epochs begun.
    pub fn epochs(&self) -> u64 {
        if self.position > 0 { self.epoch } else { self.epoch - 1 }
    }

    /// Whether nothing is left to train.
    pub fn is_done(&self, train: &Train) -> bool {
        self.epoch > train.epochs || self.stopped || self.at_last_step(train)
    }

    /// Whether the recipe allows no further step.
    pub fn at_last_step(&self, train: &Train) -> bool {
        train.max_steps.is_some_and(|steps| self.steps >= steps)
    }

    /// Batches passed over since the last step.
    pub fn skipped_in_row_now(&self) -> u64 {
        if self.skipped_at == Some(self.steps) { self.skipped_in_row } else { 0 }
    }

    /// Goes past a batch of `images` without a step. Returned: how many in a row were passed over.
    pub fn skip(&mut self, images: usize) -> u64 {
        self.skipped += 1;
        self.skipped_in_row = self.skipped_in_row_now() + 1;
        self.skipped_at = Some(self.steps);
        self.position += images;
        self.skipped_in_row
    }

    /// Refuses numbers that no run comes to, so that nothing overflows.
    pub fn check(&self) -> Result<(), String> {
        // Far beyond what recipes allow.
        const MOST: u64 = 1 << 40;
        let counts = [
            ("epoch", self.epoch, 1),
            ("position", self.position as u64, 0),
            ("images_of_epoch", self.images_of_epoch as u64, 0),
            ("images_since_log", self.images_since_log as u64, 0),
            ("waited", self.waited, 0),
            ("skipped", self.skipped, 0),
            ("skipped_in_row", self.skipped_in_row, 0),
        ];
        for (name, count, least) in counts {
            if !(least..=MOST).contains(&count) {
                return Err(format!("{name} is {count}"));
            }
        }
        if i64::try_from(self.steps).is_err() {
            return Err(format!("steps is {}", self.steps));
        }
        self.loss_scale.as_ref().map_or(Ok(()), LossScale::check)?;
        if !(self.seconds >= 0.0 && self.seconds.is_finite()) {
            return Err(format!("seconds is {}", self.seconds));
        }
        Ok(())
    }

    /// Has early stopping look at an epoch's scores.
    pub fn watch(&mut self, stopping: &EarlyStopping, scores: Scores) {
        let min_delta = stopping.min_delta;
        let (value, better) = match stopping.monitor {
            Monitor::Loss => (scores.loss, self.monitored.is_none_or(|best| scores.loss < best - min_delta)),
            Monitor::Accuracy => {
                (scores.accuracy, self.monitored.is_none_or(|best| scores.accuracy > best + min_delta))
            }
        };
        if better {
            self.monitored = Some(value);
            self.waited = 0;
        } else {
            self.waited += 1;
            self.stopped = self.waited >= stopping.patience;
        }
    }

    /// Takes note of an epoch's scores. Whether it is the best so far: the higher accuracy, of equal ones the lower
    /// loss, of equal epochs the first. By the loss first if that is what is monitored.
    pub fn judge(&mut self, epoch: u64, scores: Scores, monitor: Monitor) -> bool {
        let better = self.best.is_none_or(|best| {
            let accuracy = scores.accuracy.total_cmp(&best.scores.accuracy);
            let loss = best.scores.loss.total_cmp(&scores.loss);
            match monitor {
                Monitor::Accuracy => accuracy.then(loss).is_gt(),
                Monitor::Loss => loss.then(accuracy).is_gt(),
            }
        });
        if better {
            self.best = Some(Best { epoch, steps: self.steps, scores });
        }
        better
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_the_most_accurate_then_the_surest_then_the_first() {
        let mut state = LoopState::default();
        let mut judge = |epoch, accuracy, loss| state.judge(epoch, Scores { loss, accuracy }, Monitor::Accuracy);
        assert!(judge(1, 0.5, 2.0));
        assert!(!judge(2, 0.4, 1.0));
        assert!(!judge(3, 0.5, 2.0));
        assert!(judge(4, 0.5, 1.5));
        assert!(judge(5, 0.6, 9.0));
        assert_eq!(state.best.map(|best| best.epoch), Some(5));
        assert!(state.judge(6, Scores { loss: 1.0, accuracy: 0.1 }, Monitor::Loss));
        assert!(!state.judge(7, Scores { loss: 1.5, accuracy: 0.9 }, Monitor::Loss));
    }

    #[test]
    fn an_epoch_has_begun_when_a_batch_was_visited() {
        let mut state = LoopState::default();
        assert_eq!(state.epochs(), 0);
        state.position = 32;
        assert_eq!(state.epochs(), 1);
        state = LoopState { epoch: 3, position: 0, ..state };
        assert_eq!(state.epochs(), 2);
    }

    #[test]
    fn batches_are_skipped_in_a_row_until_a_step_is_taken() {
        let mut state = LoopState::default();
        assert_eq!([state.skip(4), state.skip(4)], [1, 2]);
        state.steps += 1;
        assert_eq!([state.skip(4), state.skip(2)], [1, 2]);
        assert_eq!((state.skipped, state.position), (4, 14));
    }

    #[test]
    fn impossible_states_are_refused() {
        assert_eq!(LoopState::default().check(), Ok(()));
        let default = LoopState::default;
        assert!(LoopState { epoch: 0, ..default() }.check().is_err());
        assert!(LoopState { position: usize::MAX, ..default() }.check().is_err());
        assert!(LoopState { steps: u64::MAX, ..default() }.check().is_err());
        assert!(LoopState { seconds: -1.0, ..default() }.check().is_err());
        let loss_scale = Some(LossScale { scale: 3.0, ..LossScale::default() });
        assert!(LoopState { loss_scale, ..default() }.check().is_err());
    }

    #[test]
    fn training_stops_when_it_no_longer_gets_better() {
        let stopping = EarlyStopping { monitor: Monitor::Loss, patience: 2, min_delta: 0.1, restore_best: false };
        let mut state = LoopState::default();
        let mut stops = |stopping: &EarlyStopping, loss: f64| {
            state.watch(stopping, Scores { loss, accuracy: loss });
            state.stopped
        };
        // 0.95 is not better enough than 1, 0.85 is; then two epochs are not.
        assert_eq!([1.0, 0.95, 0.85, 0.8, 0.76].map(|loss| stops(&stopping, loss)), [false, false, false, false, true]);
        let upwards = EarlyStopping { monitor: Monitor::Accuracy, min_delta: 0.0, ..stopping };
        state = LoopState::default();
        let mut stops = |accuracy: f64| {
            state.watch(&upwards, Scores { loss: 1.0, accuracy });
            state.stopped
        };
        assert_eq!([0.5, 0.6, 0.6, 0.55].map(&mut stops), [false, false, false, true]);
    }

    #[test]
    fn it_survives_json() {
        let loss_scale = Some(LossScale { steps: 7, ..LossScale::default() });
        let mut state = LoopState { epoch: 2, steps: u64::MAX, seconds: 0.1 + 0.2, loss_scale, ..LoopState::default() };
        state.judge(1, Scores { loss: 1.0 / 3.0, accuracy: 0.1 }, Monitor::Accuracy);
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<LoopState>(&text).unwrap(), state);
        assert!(serde_json::from_str::<LoopState>(&text.replacen("epoch", "eboch", 1)).is_err());
    }
}
