//! Progress on stderr: an animated bar on a terminal, plain lines elsewhere, nothing if it is to be quiet.

use crate::console;
use crate::evaluation::percent;
use crate::metrics::{Epoch, Scores, Timing};
use crate::network::thousands;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::io::{self, IsTerminal};
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
    bar: ProgressBar,
}

impl TrainingProgress {
    /// A bar over all `images` of all `epochs`.
    pub fn new(display: Display, epochs: u64, images: u64) -> Self {
        Self { display, epochs, bar: display.bar(images, TRAINING) }
    }

    /// An epoch begins, counted from 1.
    pub fn begin(&self, epoch: u64) {
        self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
    }

    /// So many more images were trained on. `scores` are the latest known, if any.
    pub fn advance(&self, images: u64, scores: Option<Scores>) {
        self.bar.inc(images);
        if let Some(Scores { loss, accuracy }) = scores {
            self.bar.set_message(format!(" · loss {loss:.4} · accuracy {}", percent(accuracy)));
        }
    }

    /// An epoch has ended: a line that stays.
    pub fn end(&self, epoch: &Epoch, timing: &Timing) {
        if self.display != Display::Quiet {
            console::message(&line(epoch, timing, self.epochs));
        }
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn line(epoch: &Epoch, timing: &Timing, epochs: u64) -> String {
    let Epoch { epoch, train, validation, .. } = epoch;
    let Timing { seconds, samples_per_second, .. } = timing;
    let mut line = format!("epoch {epoch}/{epochs}: loss {:.4}, accuracy {}", train.loss, percent(train.accuracy));
    if let Some(Scores { loss, accuracy }) = validation {
        line += &format!("; validation loss {loss:.4}, accuracy {}", percent(*accuracy));
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
        Epoch { epoch: 1, steps: 10, train, validation }
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
