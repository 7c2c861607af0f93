//! The figures of a run, one JSON object per line, written as it goes: `metrics.jsonl`, which a run with the same
//! recipe on the same device repeats byte for byte, and `timings.jsonl`, which holds what a clock said.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

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
    /// A batch was passed over, because the step on it left NaN or infinity behind.
    Skipped {
        /// The number that the step had, and that the next one has.
        step: u64,
        /// From 1.
        epoch: u64,
        /// Where in the epoch's order the batch begins.
        first: usize,
        /// Images in it.
        images: usize,
        /// What was not finite first.
        what: String,
    },
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
    /// On the same, moved at random as in training, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_augmented: Option<Scores>,
    /// On the test images, where they are evaluated after every epoch and not validated on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Scores>,
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
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// A file of figures cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    pub error: io::Error,
}

impl JsonLines {
    /// Begins a new file; fails if there is one.
    pub fn create(path: PathBuf) -> Result<Self, JournalError> {
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => Ok(Self { path, file, bytes: 0 }),
            Err(error) => Err(JournalError { path, error }),
        }
    }

    /// Goes on with a file, cut off behind the last line that ends within the first `bytes`.
    pub fn resume(path: PathBuf, bytes: u64) -> Result<Self, JournalError> {
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            let found = file.metadata()?.len();
            let kept = whole_lines(&mut file, found.min(bytes))?;
            if kept < found {
                file.set_len(kept)?;
            }
            Ok((file, kept))
        };
        match open() {
            Ok((file, bytes)) => Ok(Self { path, file, bytes }),
            Err(error) => Err(JournalError { path, error }),
        }
    }

    /// Adds a line.
    pub fn write(&mut self, record: &impl Serialize) -> Result<(), JournalError> {
        let mut write = || {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            self.bytes += line.len() as u64;
            Ok(())
        };
        write().map_err(|error| JournalError { path: self.path.clone(), error })
    }

    /// Waits until everything is on the disk.
    pub fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_all().map_err(|error| JournalError { path: self.path.clone(), error })
    }

    /// The file's length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Bytes of the whole lines among the first `bytes` of a file.
fn whole_lines(file: &mut File, bytes: u64) -> io::Result<u64> {
    const PIECE: u64 = 4096;
    let mut end = bytes;
    while end > 0 {
        let begin = end.saturating_sub(PIECE);
        let mut piece = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        file.take(end - begin).read_to_end(&mut piece)?;
        if let Some(newline) = piece.iter().rposition(|&byte| byte == b'\n') {
            return Ok(begin + newline as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
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
    pub fn create(folder: &Path) -> Result<Self, JournalError> {
        Ok(Self {
            metrics: JsonLines::create(folder.join(Self::METRICS))?,
            timings: JsonLines::create(folder.join(Self::TIMINGS))?,
        })
    }

    /// How many of the first `bytes` of the figures are missing.
    pub fn missing(folder: &Path, bytes: u64) -> u64 {
        bytes.saturating_sub(folder.join(Self::METRICS).metadata().map_or(0, |metadata| metadata.len()))
    }

    /// Goes on with both files: with `metrics` bytes of the one and all of the other. Returned with them: how many of
    /// those bytes are missing.
    pub fn resume(folder: &Path, metrics: u64) -> Result<(Self, u64), JournalError> {
        let figures = JsonLines::resume(folder.join(Self::METRICS), metrics)?;
        let missing = metrics - figures.bytes();
        let timings = JsonLines::resume(folder.join(Self::TIMINGS), u64::MAX)?;
        Ok((Self { metrics: figures, timings }, missing))
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
        metrics
            .write(&Record::Epoch(Epoch {
                epoch: 1,
                steps: 2,
                train: scores,
                validation: None,
                validation_augmented: None,
                test: None,
            }))
            .unwrap();
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
        assert_eq!(Journal::create(folder.path()).unwrap_err().error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn going_on_keeps_whole_lines_and_no_more_than_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Journal::METRICS);
        for (text, bytes, kept) in [
            ("1\n22\n333\n", 5, "1\n22\n"),
            ("1\n22\n333\n", 6, "1\n22\n"),
            ("1\n22\n333\n", 99, "1\n22\n333\n"),
            ("1\n22\n33", 99, "1\n22\n"),
            ("1", 1, ""),
            ("", 5, ""),
        ] {
            std::fs::write(&path, text).unwrap();
            let (mut journal, missing) = Journal::resume(folder.path(), bytes).unwrap();
            assert_eq!(missing, bytes - kept.len() as u64, "{text:?}");
            journal.metrics.write(&7).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{kept}7\n"));
            assert_eq!(journal.metrics.bytes(), kept.len() as u64 + 2);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Journal::resume(folder.path(), 3).unwrap().1, 3);
    }
}
