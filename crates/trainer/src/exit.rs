//! Exit codes.

use crate::batch::BatchError;
use crate::checkpoint::CheckpointError;
use crate::cli::UsageError;
use crate::device::{NoF16, TuningError};
use crate::extend::LengthError;
use crate::interrupt::{Interrupted, Signal};
use crate::kernels_check::ChecksFailed;
use crate::network::NetworkError;
use crate::recipe::RecipeError;
use crate::report::ReportError;
use crate::run_folder::RunFolderError;
use crate::step::Origin;
use crate::weights::WeightsError;
use std::error::Error;
use std::path::PathBuf;

/// Why the program ends without success. The discriminant is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Failure {
    /// None of the others.
    Runtime = 1,
    /// The command line or the recipe asks for something that does not exist or cannot be.
    Usage = 2,
    /// No GPU adapter, or none with what is needed.
    NoAdapter = 3,
    /// The data is missing or corrupt.
    Data = 4,
    /// NaN or infinity turned up.
    Diverged = 5,
    /// Weights or checkpoints cannot be read, or do not fit the network.
    Weights = 6,
    /// The device was lost, hangs, or has no memory left.
    Device = 7,
    /// SIGINT asked to stop.
    Interrupted = 130,
    /// SIGTERM asked to stop.
    Terminated = 143,
}

/// Training left the numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Diverged {
    /// A step left something behind that is not finite.
    #[error("training diverged in step {step} (epoch {epoch}): {}{}", first(origin), advice(*.skipped, run))]
    InStep {
        /// Counted from 1.
        step: u64,
        /// From 1.
        epoch: u64,
        /// What was not finite first; `None` if that could not be repeated.
        origin: Option<Origin>,
        /// Batches in a row that were passed over before this one.
        skipped: u64,
        /// The folder with the checkpoints from before.
        run: Option<PathBuf>,
    },
    /// All weights are finite, but what they give is not.
    #[error("training diverged: after step {steps} the loss on the {images} images is not finite{}; a lower learning rate may help",
        .layer.as_ref().map(|layer| format!(", the first to give no number is layer {layer}")).unwrap_or_default())]
    InUse {
        /// Taken.
        steps: u64,
        /// Which.
        images: &'static str,
        /// The first layer whose output is not finite.
        layer: Option<String>,
    },
}

fn first(origin: &Option<Origin>) -> String {
    match origin {
        Some(origin) => origin.to_string(),
        None => "a number was not finite, and was when the step was repeated; the device may be faulty".to_owned(),
    }
}

fn advice(skipped: u64, run: &Option<PathBuf>) -> String {
    let mut advice = "; a lower learning rate may help".to_owned();
    if skipped > 0 {
        advice += &format!(", the {skipped} batches before it were skipped in vain");
    } else if let Some(run) = run {
        let run = run.display();
        advice += &format!(
            "; or go on from the last checkpoint and past this batch: trainer train --resume {run} --on-nan skip"
        );
    }
    advice
}

impl Failure {
    /// What an error, or one it was caused by, amounts to.
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_one).unwrap_or(Self::Runtime)
    }

    /// The exit code.
    pub fn code(self) -> u8 {
        self as u8
    }

    fn of_one(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<tape::Error>() {
            return Some(Self::of_tape(error));
        }
        if let Some(error) = error.downcast_ref::<kernels::Error>() {
            return Some(Self::of_kernels(error));
        }
        if let Some(error) = error.downcast_ref::<WeightsError>() {
            let unwritable = matches!(error, WeightsError::Unwritable { .. });
            return Some(if unwritable { Self::Runtime } else { Self::Weights });
        }
        if let Some(error) = error.downcast_ref::<RunFolderError>() {
            let refused = matches!(error, RunFolderError::Io { .. } | RunFolderError::NoRoom { .. });
            return Some(if refused { Self::Runtime } else { Self::Usage });
        }
        if let Some(error) = error.downcast_ref::<CheckpointError>() {
            return Some(match error {
                CheckpointError::Unwritable { .. } => Self::Runtime,
                CheckpointError::Differs { .. } | CheckpointError::None { .. } => Self::Usage,
                CheckpointError::Invalid { .. } | CheckpointError::NoBest { .. } => Self::Weights,
            });
        }
        if let Some(error) = error.downcast_ref::<BatchError>() {
            return Some(match error {
                BatchError::Interrupted { signal: Signal::Interrupt } => Self::Interrupted,
                BatchError::Interrupted { signal: Signal::Terminate } => Self::Terminated,
                BatchError::TooMany { .. } => Self::Usage,
                _ => Self::Runtime,
            });
        }
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            return Some(match interrupted.signal {
                Signal::Interrupt => Self::Interrupted,
                Signal::Terminate => Self::Terminated,
            });
        }
        if let Some(error) = error.downcast_ref::<ReportError>() {
            return match error {
                ReportError::Folder(error) => Self::of_one(error),
                ReportError::Recipe(_) | ReportError::Network(_) => Some(Self::Usage),
                ReportError::Device(error) => Some(Self::of_tape(error)),
                _ => Some(Self::Runtime),
            };
        }
        let usage = error.is::<UsageError>()
            || error.is::<RecipeError>()
            || error.is::<NetworkError>()
            || error.is::<TuningError>()
            || error.is::<LengthError>()
            || error.is::<reference::Error>()
            || error.is::<fashion_mnist::SplitError>();
        let known = [
            (usage, Self::Usage),
            (error.is::<NoF16>(), Self::NoAdapter),
            (error.is::<fashion_mnist::Error>(), Self::Data),
            (error.is::<Diverged>(), Self::Diverged),
            (error.is::<ChecksFailed>(), Self::Runtime),
        ];
        known.into_iter().find_map(|(is, failure)| is.then_some(failure))
    }

    fn of_tape(error: &tape::Error) -> Self {
        match error {
            tape::Error::Operation(_) => Self::Usage,
            tape::Error::Device(error) => Self::of_kernels(error),
            _ => Self::Runtime,
        }
    }

    fn of_kernels(error: &kernels::Error) -> Self {
        use kernels::Error;
        match error {
            // An adapter that lacks what a kernel needs is no adapter for it.
            Error::NoAdapter { .. } | Error::NoDevice { .. } | Error::NotSupported { .. } | Error::NoKernel { .. } => {
                Self::NoAdapter
            }
            Error::OutOfMemory { .. } | Error::BufferTooLarge { .. } | Error::DeviceLost(_) | Error::Timeout(_) => {
                Self::Device
            }
            Error::Operation(_) => Self::Usage,
            _ => Self::Runtime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;
    use anyhow::Context;
    use std::path::Path;

    #[test]
    fn every_kind_of_error_has_its_code() {
        let impossible = || reference::Error::ZeroSize { op: "conv2d", what: "n" };
        let lost = || kernels::Error::DeviceLost("reset".to_owned());
        let memory = kernels::Error::OutOfMemory { name: String::new(), bytes: 1, live: 0, largest: String::new() };
        let none = kernels::Error::NoAdapter { reason: String::new(), advice: "" };
        let cases: Vec<(anyhow::Error, u8)> = vec![
            (anyhow::anyhow!("anything"), 1),
            (std::io::Error::other("disk full").into(), 1),
            (kernels::Error::Validation(String::new()).into(), 1),
            (tape::Error::NotAScalar(String::new()).into(), 1),
            (Recipe::find("nonsense").unwrap_err().into(), 2),
            (UsageError::NoDropout { recipe: String::new() }.into(), 2),
            (NetworkError::Empty.into(), 2),
            (TuningError::Unreadable { path: "x".into(), error: std::io::Error::other("") }.into(), 2),
            (impossible().into(), 2),
            (tape::Error::Operation(impossible()).into(), 2),
            (kernels::Error::Operation(impossible()).into(), 2),
            (fashion_mnist::SplitError::TooMany { n_total: 1 }.into(), 2),
            (RunFolderError::NotAFolder { path: "x".into() }.into(), 2),
            (RunFolderError::Missing { path: "x".into() }.into(), 2),
            (RunFolderError::Uncreatable { path: "x".into(), error: std::io::Error::other("") }.into(), 2),
            (RunFolderError::Io { path: "x".into(), error: std::io::Error::other("") }.into(), 1),
            (ReportError::Folder(RunFolderError::Missing { path: "x".into() }).into(), 2),
            (ReportError::Device(tape::Error::Device(lost())).into(), 7),
            (ReportError::Draw(String::new()).into(), 1),
            (none.into(), 3),
            (fashion_mnist::Error::NoCacheFolder.into(), 4),
            (Diverged::InStep { step: 1, epoch: 1, origin: None, skipped: 0, run: None }.into(), 5),
            (Diverged::InUse { steps: 1, images: "test", layer: None }.into(), 5),
            (kernels::Error::NotSupported { id: "", reason: String::new() }.into(), 3),
            (NoF16 { adapter: String::new() }.into(), 3),
            (CheckpointError::Unwritable { path: "x".into(), error: std::io::Error::other("") }.into(), 1),
            (CheckpointError::None { folder: "x".into() }.into(), 2),
            (CheckpointError::Invalid { refused: vec![] }.into(), 6),
            (
                Interrupted { signal: Signal::Interrupt, steps: 1, run: None, on_nan: crate::cli::OnNan::Stop }.into(),
                130,
            ),
            (BatchError::Interrupted { signal: Signal::Terminate }.into(), 143),
            (BatchError::Failed { failed: 1, runs: 2 }.into(), 1),
            (BatchError::TooMany { file: String::new(), most: 1 }.into(), 2),
            (
                Interrupted { signal: Signal::Terminate, steps: 1, run: None, on_nan: crate::cli::OnNan::Stop }.into(),
                143,
            ),
            (ChecksFailed::Rows { failed: 1, rows: 2 }.into(), 1),
            (ChecksFailed::Nothing { rows: 2 }.into(), 1),
            (crate::weights::load(Path::new("no/such/file"), &[]).unwrap_err().into(), 6),
            (crate::weights::write(Path::new("no/such/file"), &[], &[]).unwrap_err().into(), 1),
            (lost().into(), 7),
            (memory.into(), 7),
            (tape::Error::Device(lost()).into(), 7),
        ];
        for (error, code) in cases {
            assert_eq!(Failure::of(&error).code(), code, "{error}");
            assert_eq!(Failure::of(&Err::<(), _>(error).context("while training").unwrap_err()).code(), code);
        }
    }
}
