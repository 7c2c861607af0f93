//! `metrics.jsonl`: one JSON object per line, written as the run goes.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A line. Numbers that are not finite are written as `null`, JSON has no others.
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
    /// Training time of this epoch.
    pub seconds: f64,
    /// Training speed.
    pub samples_per_second: f64,
}

/// How well a network does on some images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of correct predictions, 0 to 1.
    pub accuracy: f64,
}

/// Writes `metrics.jsonl`. Each line reaches the operating system as a whole before the next is begun.
#[derive(Debug)]
pub struct MetricsWriter {
    file: File,
}

impl MetricsWriter {
    /// Begins a new file; fails if there is one.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().append(true).create_new(true).open(path)? })
    }

    /// Adds a line.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_and_there_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = MetricsWriter::create(&path).unwrap();
        metrics.write(&Record::Step { step: 1, loss: 2.5 }).unwrap();
        metrics.write(&Record::Step { step: 2, loss: f64::NAN }).unwrap();
        let scores = Scores { loss: f64::INFINITY, accuracy: 0.5 };
        let epoch =
            Epoch { epoch: 1, steps: 2, train: scores, validation: None, seconds: 0.25, samples_per_second: 8.0 };
        metrics.write(&Record::Epoch(epoch)).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"kind\":\"step\",\"step\":1,\"loss\":2.5}\n\
             {\"kind\":\"step\",\"step\":2,\"loss\":null}\n\
             {\"kind\":\"epoch\",\"epoch\":1,\"steps\":2,\"train\":{\"loss\":null,\"accuracy\":0.5},\
             \"seconds\":0.25,\"samples_per_second\":8.0}\n"
        );
        assert_eq!(MetricsWriter::create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
