//! The figures of a run, one JSON object per line, written as it goes: `metrics.jsonl`, which a run with the same
//! recipe on the same device repeats byte for byte, and `timings.jsonl`, which holds what a clock said.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A line of `metrics.jsonl`. Numbers that are not finite are written as `null`, JSON has no others.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// After a step.
    Step {
        /// Counted from 1 over the whole run.
        step: u64,
        /// Mean loss of the batch (or of the batches since the last such line).
        loss: f64,
    },
    /// After an epoch.
    Epoch(Epoch),
}

/// The figures of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: u64,
    /// Steps so far.
    pub steps: u64,
    /// On the training images as they were trained on, dropout included.
    pub train: Scores,
    /// On the validation images, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Scores>,
}

/// How well a network does on some images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of correct predictions, 0 to 1.
    pub accuracy: f64,
}

/// A line of `timings.jsonl`: what an epoch took. After a resumption an epoch may be there twice; the later line
/// counts, and its times are those since the resumption.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// From 1.
    pub epoch: u64,
    /// Steps so far.
    pub steps: u64,
    /// Training time of this epoch.
    pub seconds: f64,
    /// Training speed.
    pub samples_per_second: f64,
}

/// Writes a file of JSON lines. Each line reaches the operating system as a whole before the next is begun.
#[derive(Debug)]
pub struct JsonLines {
    file: File,
    bytes: u64,
}

impl JsonLines {
    /// Begins a new file; fails if there is one.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().append(true).create_new(true).open(path)?, bytes: 0 })
    }

    /// Adds a line.
    pub fn write(&mut self, record: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// The file's length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Both files.
#[derive(Debug)]
pub struct Journal {
    /// `metrics.jsonl`
    pub metrics: JsonLines,
    /// `timings.jsonl`
    pub timings: JsonLines,
}

impl Journal {
    /// The name of the file with the figures.
    pub const METRICS: &str = "metrics.jsonl";
    /// The name of the file with the times.
    pub const TIMINGS: &str = "timings.jsonl";

    /// Begins both files in a folder; fails if there is one of them.
    pub fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            metrics: JsonLines::create(&folder.join(Self::METRICS))?,
            timings: JsonLines::create(&folder.join(Self::TIMINGS))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_and_there_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path()).unwrap();
        let metrics = &mut journal.metrics;
        metrics.write(&Record::Step { step: 1, loss: 2.5 }).unwrap();
        metrics.write(&Record::Step { step: 2, loss: f64::NAN }).unwrap();
        let scores = Scores { loss: f64::INFINITY, accuracy: 0.5 };
        metrics.write(&Record::Epoch(Epoch { epoch: 1, steps: 2, train: scores, validation: None })).unwrap();
        let text = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
        assert_eq!(
            text,
            "{\"kind\":\"step\",\"step\":1,\"loss\":2.5}\n\
             {\"kind\":\"step\",\"step\":2,\"loss\":null}\n\
             {\"kind\":\"epoch\",\"epoch\":1,\"steps\":2,\"train\":{\"loss\":null,\"accuracy\":0.5}}\n"
        );
        assert_eq!(metrics.bytes(), text.len() as u64);
        let timing = Timing { epoch: 1, steps: 2, seconds: 0.25, samples_per_second: 8.0 };
        journal.timings.write(&timing).unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.path().join("timings.jsonl")).unwrap(),
            "{\"epoch\":1,\"steps\":2,\"seconds\":0.25,\"samples_per_second\":8.0}\n"
        );
        assert_eq!(Journal::create(folder.path()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
