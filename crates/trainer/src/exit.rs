//! Exit codes.

use crate::cli::UsageError;
use crate::kernels_check::ChecksFailed;
use crate::network::NetworkError;
use crate::recipe::RecipeError;
use crate::run_folder::RunFolderError;
use crate::weights::WeightsError;
use std::error::Error;

/// Why the program ends without success. The discriminant is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Failure {
    /// None of the others.
    Runtime = 1,
    /// The command line or the recipe asks for something that does not exist or cannot be.
    Usage = 2,
    /// No GPU adapter.
    NoAdapter = 3,
    /// The data is missing or corrupt.
    Data = 4,
    /// The loss is no longer finite.
    Diverged = 5,
    /// Weights cannot be read, or do not fit the network.
    Weights = 6,
    /// The device was lost, hangs, or has no memory left.
    Device = 7,
}

/// The loss is no longer a number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("training diverged: the loss is {loss} after step {step}; a lower learning rate may help")]
pub struct Diverged {
    /// Counted from 1.
    pub step: u64,
    /// Infinite or NaN.
    pub loss: f64,
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
            let refused = matches!(error, RunFolderError::Io { .. });
            return Some(if refused { Self::Runtime } else { Self::Usage });
        }
        let usage = error.is::<UsageError>()
            || error.is::<RecipeError>()
            || error.is::<NetworkError>()
            || error.is::<reference::Error>()
            || error.is::<fashion_mnist::SplitError>();
        let known = [
            (usage, Self::Usage),
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
            Error::NoAdapter { .. } | Error::NoDevice { .. } => Self::NoAdapter,
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
        let memory = kernels::Error::OutOfMemory { bytes: 1, live: 0 };
        let none = kernels::Error::NoAdapter { reason: String::new(), advice: "" };
        let cases: Vec<(anyhow::Error, u8)> = vec![
            (anyhow::anyhow!("anything"), 1),
            (std::io::Error::other("disk full").into(), 1),
            (kernels::Error::Validation(String::new()).into(), 1),
            (tape::Error::NotAScalar(String::new()).into(), 1),
            (Recipe::find("nonsense").unwrap_err().into(), 2),
            (UsageError::NoDropout { recipe: String::new() }.into(), 2),
            (NetworkError::Empty.into(), 2),
            (impossible().into(), 2),
            (tape::Error::Operation(impossible()).into(), 2),
            (kernels::Error::Operation(impossible()).into(), 2),
            (fashion_mnist::SplitError::TooMany { n_total: 1 }.into(), 2),
            (RunFolderError::NotAFolder { path: "x".into() }.into(), 2),
            (RunFolderError::Missing { path: "x".into() }.into(), 2),
            (RunFolderError::Io { path: "x".into(), error: std::io::Error::other("") }.into(), 1),
            (none.into(), 3),
            (fashion_mnist::Error::NoCacheFolder.into(), 4),
            (Diverged { step: 1, loss: f64::NAN }.into(), 5),
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
