//! What `metrics.jsonl` says, read leniently: a run may have ended in the middle of a line, and may say more than this
//! program knows of.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The scores of one epoch on one set of images. `None` is a number that was not finite.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Marks {
    /// Mean loss.
    pub loss: Option<f64>,
    /// Share of correct predictions, 0 to 1.
    pub accuracy: Option<f64>,
}

/// An epoch's line.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochLine {
    /// From 1.
    pub epoch: u64,
    /// Steps so far.
    pub steps: u64,
    /// By set: `train`, `validation`, `test`, whatever else was scored.
    pub sets: BTreeMap<String, Marks>,
}

/// What a run logged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// In order.
    pub epochs: Vec<EpochLine>,
    /// Step and loss, in order, where the loss is finite.
    pub steps: Vec<(u64, f64)>,
    /// Training time of an epoch in seconds, and images per second, where they are known.
    pub timings: BTreeMap<u64, (f64, f64)>,
    /// Lines that could not be read.
    pub unreadable: usize,
}

#[derive(Deserialize)]
struct TimingLine {
    epoch: u64,
    seconds: f64,
    samples_per_second: f64,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Step {
        step: u64,
        loss: Option<f64>,
    },
    Epoch {
        epoch: u64,
        steps: u64,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    },
    #[serde(other)]
    Other,
}

impl History {
    /// Reads lines of JSON. Where an epoch or a step appears twice, the later line counts.
    pub fn parse(text: &str, timings: &str) -> Self {
        let (mut epochs, mut steps) = (BTreeMap::new(), BTreeMap::new());
        let mut unreadable = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(Line::Step { step, loss }) => {
                    steps.insert(step, loss);
                }
                Ok(Line::Epoch { epoch, steps, rest }) => {
                    let marks = |(name, value): (String, Value)| Some((name, scores(value)?));
                    let sets = rest.into_iter().filter_map(marks).collect();
                    epochs.insert(epoch, EpochLine { epoch, steps, sets });
                }
                Ok(Line::Other) => {}
                Err(_) => unreadable += 1,
            }
        }
        let timing = |line| serde_json::from_str(line).ok();
        let timing = |line| timing(line).map(|line: TimingLine| (line.epoch, (line.seconds, line.samples_per_second)));
        Self {
            timings: timings.lines().filter_map(timing).collect(),
            epochs: epochs.into_values().collect(),
            steps: steps.into_iter().filter_map(|(step, loss)| Some((step, loss?))).collect(),
            unreadable,
        }
    }

    /// The sets that were scored, the well-known ones first.
    pub fn sets(&self) -> Vec<String> {
        let mut sets: Vec<String> = Vec::new();
        for name in self.epochs.iter().flat_map(|epoch| epoch.sets.keys()) {
            if !sets.contains(name) {
                sets.push(name.clone());
            }
        }
        sets.sort_by_key(|name| (rank(name), name.clone()));
        sets
    }

    /// Epoch and score of the epoch that did best on a set, the first of equals.
    pub fn best(&self, set: &str) -> Option<(u64, f64)> {
        let mut best: Option<(u64, f64)> = None;
        for line in &self.epochs {
            let accuracy = line.sets.get(set).and_then(|marks| marks.accuracy);
            if let Some(accuracy) = accuracy.filter(|accuracy| best.is_none_or(|(_, best)| *accuracy > best)) {
                best = Some((line.epoch, accuracy));
            }
        }
        best
    }

    /// Where a step lies on the axis of epochs: between the lines of the epochs around it.
    pub fn at_epoch(&self, step: u64) -> f64 {
        let (mut epoch, mut steps, mut pace) = (0.0, 0, None);
        for line in &self.epochs {
            let length = line.steps.saturating_sub(steps).max(1) as f64 / (line.epoch as f64 - epoch).max(1.0);
            if step <= line.steps {
                return epoch + step.saturating_sub(steps) as f64 / length;
            }
            (epoch, steps, pace) = (line.epoch as f64, line.steps, Some(length));
        }
        epoch + step.saturating_sub(steps) as f64 / pace.unwrap_or(1.0)
    }
}

fn scores(value: Value) -> Option<Marks> {
    let is_scores = value.get("loss").is_some() && value.get("accuracy").is_some();
    is_scores.then(|| serde_json::from_value(value).ok()).flatten()
}

/// Orders the sets.
fn rank(set: &str) -> usize {
    ["train", "validation", "test"].iter().position(|known| *known == set).unwrap_or(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"kind":"step","step":5,"loss":2.0}
{"kind":"step","step":10,"loss":null}
{"kind":"epoch","epoch":1,"steps":10,"train":{"loss":1.5,"accuracy":0.5},"validation":{"loss":null,"accuracy":0.6},"seconds":3.5}

{"kind":"resumed","step":10}
{"kind":"epoch","epoch":2,"steps":20,"train":{"loss":1.0,"accuracy":0.7},"test":{"loss":1,"accuracy":0.6},"flipped":{"loss":1,"accuracy":0.6}}
{"kind":"epoch","epoch":3,"st"#;

    #[test]
    fn what_is_known_is_read_and_the_rest_is_counted() {
        let history = History::parse(TEXT, "");
        assert_eq!(history.steps, [(5, 2.0)]);
        assert_eq!((history.epochs.len(), history.unreadable), (2, 1));
        assert_eq!(history.epochs[0].sets["validation"], Marks { loss: None, accuracy: Some(0.6) });
        assert_eq!(history.sets(), ["train", "validation", "test", "flipped"]);
        assert_eq!(history.best("train"), Some((2, 0.7)));
        assert_eq!(history.best("validation"), Some((1, 0.6)));
        assert_eq!(history.best("other"), None);
        assert_eq!(History::parse("", "").epochs, []);
    }

    #[test]
    fn times_are_taken_where_they_are() {
        let line = |epoch, seconds| format!("{{\"epoch\":{epoch},\"seconds\":{seconds},\"samples_per_second\":8.0}}\n");
        let history = History::parse("", &(line(1, 2.0) + "cut off\n" + &line(2, 4.0) + &line(1, 3.0)));
        assert_eq!(history.timings, BTreeMap::from([(1, (3.0, 8.0)), (2, (4.0, 8.0))]));
    }

    #[test]
    fn steps_lie_between_epochs() {
        let history = History::parse(TEXT, "");
        for (step, epoch) in [(0, 0.0), (5, 0.5), (10, 1.0), (15, 1.5), (20, 2.0), (25, 2.5)] {
            assert_eq!(history.at_epoch(step), epoch, "{step}");
        }
    }

    #[test]
    fn the_later_line_counts() {
        let line = |loss: f64| {
            format!("{{\"kind\":\"epoch\",\"epoch\":1,\"steps\":2,\"train\":{{\"loss\":{loss},\"accuracy\":0}}}}\n")
        };
        let history = History::parse(&(line(3.0) + &line(2.0)), "");
        assert_eq!(history.epochs.len(), 1);
        assert_eq!(history.epochs[0].sets["train"].loss, Some(2.0));
    }
}
