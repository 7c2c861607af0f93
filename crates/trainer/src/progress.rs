//! Progress on stderr: an animated bar on a terminal, plain lines elsewhere, nothing if it is to be quiet.

use crate::console;
use crate::evaluation::percent;
use crate::metrics::{Epoch, Scores, Timing};
use crate::network::thousands;
use crate::summary::Summary;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const TRAINING: &str = "{prefix} [{bar:25}] {percent:>3}%{msg} · {speed} · {eta} left";
const CHECKING: &str = "checking {prefix} [{bar:25}] {percent:>3}% · {eta} left";
const DOWNLOAD: &str = "{prefix} [{bar:25}] {bytes}/{total_bytes} · {bytes_per_sec} · {eta} left";

/// How much a person wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// A bar that moves, and a line per epoch.
    Bar,
    /// A line per epoch.
    Lines,
    /// Nothing.
    Quiet,
    /// Events as JSON lines on stdout, for programs.
    Events,
}

impl Display {
    /// What suits stderr.
    pub fn detect(quiet: bool) -> Self {
        match (quiet, io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }

    /// The same, unless events are to be printed instead.
    pub fn detect_or_events(quiet: bool, events: bool) -> Self {
        if events { Self::Events } else { Self::detect(quiet) }
    }

    /// Whether a person is to read along.
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Bar | Self::Lines)
    }

    fn bar(self, len: u64, template: &str) -> ProgressBar {
        if self != Self::Bar {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            let speed = |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                let _ = write!(line, "{} images/s", thousands(state.per_sec() as usize));
            };
            bar.set_style(style.with_key("speed", speed).progress_chars("=> "));
        }
        // Time goes on while nothing is reported.
        bar.enable_steady_tick(Duration::from_millis(500));
        console::show_above(&bar);
        bar
    }
}

/// Progress of training.
#[derive(Debug)]
pub struct TrainingProgress {
    display: Display,
    epochs: u64,
    images: u64,
    seen: AtomicU64,
    bar: ProgressBar,
}

/// What `train --json` prints, a line each.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// Training is about to begin, or to go on.
    Start {
        /// The recipe's name.
        recipe: &'a str,
        /// Values in the network, running statistics included.
        parameters: usize,
        /// Where it runs.
        adapter: &'a str,
        /// `fashion-mnist` or `synthetic`.
        dataset: &'a str,
        /// Passes over the training images.
        epochs: u64,
    },
    /// Now and then within an epoch.
    Progress {
        /// Images trained on so far, over all epochs.
        images: u64,
        /// How many there are to be.
        of: u64,
        /// Over the epoch so far.
        #[serde(flatten)]
        scores: Scores,
    },
    /// After an epoch.
    Epoch {
        /// The line of `metrics.jsonl`.
        #[serde(flatten)]
        figures: &'a Epoch,
        /// Training time of this epoch.
        seconds: f64,
        /// Training speed.
        samples_per_second: f64,
    },
    /// Everything is written.
    End {
        /// The run folder.
        folder: &'a Path,
        /// What `summary.json` holds.
        summary: &'a Summary,
    },
}

impl Event<'_> {
    /// Prints it. Whoever reads no more loses the rest.
    pub fn print(&self) {
        if let Ok(line) = serde_json::to_string(self) {
            let _ = console::print(&(line + "\n"));
        }
    }
}

impl TrainingProgress {
    /// A bar over all `images` of all `epochs`.
    pub fn new(display: Display, epochs: u64, images: u64) -> Self {
        Self { display, epochs, images, seen: AtomicU64::new(0), bar: display.bar(images, TRAINING) }
    }

    /// An epoch begins, counted from 1.
    pub fn begin(&self, epoch: u64) {
        self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
    }

    /// So many more images were trained on. `scores` are the latest known, if any.
    pub fn advance(&self, images: u64, scores: Option<Scores>) {
        self.bar.inc(images);
        let seen = self.seen.fetch_add(images, Ordering::Relaxed) + images;
        if let Some(scores) = scores.filter(|_| self.display == Display::Events) {
            Event::Progress { images: seen, of: self.images, scores }.print();
        }
        if let Some(Scores { loss, accuracy }) = scores {
            self.bar.set_message(format!(" · loss {loss:.4} · accuracy {}", percent(accuracy)));
        }
    }

    /// An epoch has ended: a line that stays.
    pub fn end(&self, epoch: &Epoch, timing: &Timing) {
        let Timing { seconds, samples_per_second, .. } = *timing;
        match self.display {
            Display::Bar | Display::Lines => console::message(&line(epoch, timing, self.epochs)),
            Display::Events => Event::Epoch { figures: epoch, seconds, samples_per_second }.print(),
            Display::Quiet => {}
        }
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn line(epoch: &Epoch, timing: &Timing, epochs: u64) -> String {
    let Epoch { epoch, train, validation, validation_augmented, test, .. } = epoch;
    let Timing { seconds, samples_per_second, .. } = timing;
    let mut line = format!("epoch {epoch}/{epochs}: loss {:.4}, accuracy {}", train.loss, percent(train.accuracy));
    if let Some(Scores { loss, accuracy }) = validation {
        line += &format!("; validation loss {loss:.4}, accuracy {}", percent(*accuracy));
    }
    for (what, scores) in [("augmented", validation_augmented), ("test", test)] {
        if let Some(scores) = scores {
            line += &format!("; {what} {}", percent(scores.accuracy));
        }
    }
    line + &format!("; {seconds:.1} s, {} images/s", thousands(*samples_per_second as usize))
}

/// Progress of checking kernels, case by case.
#[derive(Debug)]
pub struct CheckProgress {
    display: Display,
    bar: ProgressBar,
}

impl CheckProgress {
    /// A bar over all steps of all operations.
    pub fn new(display: Display, steps: u64) -> Self {
        Self { display, bar: display.bar(steps, CHECKING) }
    }

    /// An operation begins.
    pub fn begin(&self, op: &str, rows: usize, cases: usize) {
        self.bar.set_prefix(op.to_owned());
        if self.display == Display::Lines {
            console::message(&format!("checking {op}: {rows} kernels, {cases} cases"));
        }
    }

    /// A case was run with one kind of data.
    pub fn advance(&self) {
        self.bar.inc(1);
    }
}

impl Drop for CheckProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Progress of a download, file by file.
#[derive(Debug)]
pub struct DownloadProgress {
    display: Display,
    file: String,
    bar: ProgressBar,
}

impl DownloadProgress {
    /// Shows nothing before the first report.
    pub fn new(display: Display) -> Self {
        Self { display, file: String::new(), bar: ProgressBar::hidden() }
    }

    /// So many bytes of a file have come from a mirror.
    pub fn report(&mut self, progress: fashion_mnist::Progress<'_>) {
        let fashion_mnist::Progress { file, mirror, received, total } = progress;
        if self.file != file {
            self.bar.finish_and_clear();
            self.file = file.to_owned();
            if self.display == Display::Lines {
                console::message(&format!("downloading {file} ({total} bytes) from {mirror}"));
            }
            self.bar = self.display.bar(total, DOWNLOAD);
            self.bar.set_prefix(file.to_owned());
        }
        self.bar.set_position(received);
    }
}

impl Drop for DownloadProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(validation: Option<Scores>) -> Epoch {
        let train = Scores { loss: 0.512_34, accuracy: 0.8125 };
        Epoch { epoch: 1, steps: 10, train, validation, validation_augmented: None, test: None }
    }

    const TIMING: Timing = Timing { epoch: 1, steps: 10, seconds: 12.34, samples_per_second: 4862.9 };

    #[test]
    fn an_epoch_is_one_line() {
        assert_eq!(line(&epoch(None), &TIMING, 2), "epoch 1/2: loss 0.5123, accuracy 81.25 %; 12.3 s, 4,862 images/s");
        assert_eq!(
            line(&epoch(Some(Scores { loss: f64::NAN, accuracy: 0.1 })), &TIMING, 2),
            "epoch 1/2: loss 0.5123, accuracy 81.25 %; validation loss NaN, accuracy 10.00 %; 12.3 s, 4,862 images/s"
        );
    }

    #[test]
    fn events_are_one_line_of_json_each() {
        let epoch = epoch(None);
        let event = Event::Epoch { figures: &epoch, seconds: 2.5, samples_per_second: 4.0 };
        let value = serde_json::to_value(event).unwrap();
        assert_eq!((&value["event"], &value["epoch"], &value["seconds"]), (&"epoch".into(), &1.into(), &2.5.into()));
        assert_eq!(value["train"]["accuracy"], 0.8125);
        let scores = Scores { loss: 1.0, accuracy: 0.5 };
        let text = serde_json::to_string(&Event::Progress { images: 3, of: 9, scores }).unwrap();
        assert_eq!(text, r#"{"event":"progress","images":3,"of":9,"loss":1.0,"accuracy":0.5}"#);
    }

    #[test]
    fn templates_are_accepted() {
        for template in [TRAINING, CHECKING, DOWNLOAD] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn bars_can_be_driven_past_their_end() {
        for display in [Display::Bar, Display::Quiet] {
            let progress = TrainingProgress::new(display, 1, 10);
            progress.begin(1);
            progress.advance(20, Some(Scores { loss: f64::INFINITY, accuracy: 0.0 }));
            let mut download = DownloadProgress::new(display);
            for (file, received) in [("a", 1), ("a", 9), ("b", 0)] {
                download.report(fashion_mnist::Progress { file, mirror: "m", received, total: 5 });
            }
        }
    }
}
