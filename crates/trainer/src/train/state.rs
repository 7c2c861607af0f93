//! What the host carries from step to step.

use crate::evaluation::Evaluation;
use crate::metrics::Scores;
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
    /// The best epoch so far.
    pub best: Option<Best>,
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
            best: None,
        }
    }
}

impl LoopState {
    /// Epochs begun.
    pub fn epochs(&self) -> u64 {
        if self.position > 0 { self.epoch } else { self.epoch - 1 }
    }

    /// Takes note of an epoch's scores. Whether it is the best so far: the higher accuracy, of equal ones the lower
    /// loss, of equal epochs the first.
    pub fn judge(&mut self, epoch: u64, scores: Scores) -> bool {
        let better = self.best.is_none_or(|best| {
            let accuracy = scores.accuracy.total_cmp(&best.scores.accuracy);
            accuracy.then(best.scores.loss.total_cmp(&scores.loss)).is_gt()
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
        let mut judge = |epoch, accuracy, loss| state.judge(epoch, Scores { loss, accuracy });
        assert!(judge(1, 0.5, 2.0));
        assert!(!judge(2, 0.4, 1.0));
        assert!(!judge(3, 0.5, 2.0));
        assert!(judge(4, 0.5, 1.5));
        assert!(judge(5, 0.6, 9.0));
        assert_eq!(state.best.map(|best| best.epoch), Some(5));
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
    fn it_survives_json() {
        let mut state = LoopState { epoch: 2, steps: u64::MAX, seconds: 0.1 + 0.2, ..LoopState::default() };
        state.judge(1, Scores { loss: 1.0 / 3.0, accuracy: 0.1 });
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<LoopState>(&text).unwrap(), state);
        assert!(serde_json::from_str::<LoopState>(&text.replacen("epoch", "eboch", 1)).is_err());
    }
}
