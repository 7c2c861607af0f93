//! How a command ends when it does not end well.

use crate::scaffold::ScaffoldError;
use std::process::ExitStatus;
use std::{error, fmt, io};

/// The exit code for a run-time failure.
const RUNTIME: u8 = 1;
/// The exit code for a command that asks for the impossible.
const USAGE: u8 = 2;
/// The exit code for a machine without a GPU adapter.
const NO_ADAPTER: u8 = 3;
/// The exit code for data that is missing or corrupt.
const NO_DATA: u8 = 4;

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// A program could not be started.
    Start {
        /// What was to be run.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A step ran and failed.
    Step {
        /// The heading it ran under.
        title: String,
        /// The exit code it leads to.
        code: u8,
    },
    /// A program failed and has said why: nothing is left to print.
    Told {
        /// The exit code it leads to.
        code: u8,
    },
    /// The machine has no GPU adapter, hardware or software.
    NoAdapter {
        /// What to do about it.
        advice: String,
    },
    /// Nothing could be added to the checkout.
    Scaffold(ScaffoldError),
    /// No archive could be made.
    Bundle {
        /// Why not.
        what: String,
    },
    /// Data that is needed is not there, or could not be fetched.
    NoData {
        /// Why, and what to do about it.
        advice: String,
    },
}

impl From<ScaffoldError> for Failure {
    fn from(error: ScaffoldError) -> Self {
        Self::Scaffold(error)
    }
}

impl Failure {
    /// The process exit code of this failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start { .. } | Self::Bundle { .. } => RUNTIME,
            Self::Scaffold(error) => {
                if error.is_usage() {
                    USAGE
                } else {
                    RUNTIME
                }
            }
            Self::Step { code, .. } | Self::Told { code } => *code,
            Self::NoAdapter { .. } => NO_ADAPTER,
            Self::NoData { .. } => NO_DATA,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { program, source } => write!(f, "cannot run `{program}`: {source}"),
            Self::Step { title, code } => write!(f, "failed: {title} (exit code {code})"),
            Self::Told { code } => write!(f, "exit code {code}"),
            Self::NoAdapter { advice } => write!(f, "no GPU adapter: {advice}"),
            Self::Scaffold(error) => error.fmt(f),
            Self::Bundle { what } => write!(f, "no bundle: {what}"),
            Self::NoData { advice } => f.write_str(advice),
        }
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Start { source, .. } => Some(source),
            Self::Scaffold(error) => Some(error),
            _ => None,
        }
    }
}

/// The exit code of a finished process; one ended by a signal counts as 128 plus the signal, as in a shell.
pub fn code_of(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return u8::try_from(128 + signal).unwrap_or(RUNTIME);
        }
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(RUNTIME)
}

/// What the failure of a build, lint or test run means for us: an interruption stays one, everything else (cargo's own 101
/// included) is a run-time failure.
pub fn step_code(code: u8) -> u8 {
    match code {
        130 | 143 => code,
        _ => RUNTIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_failures_become_run_time_failures() {
        assert_eq!(step_code(101), 1);
        assert_eq!(step_code(3), 1);
        assert_eq!(step_code(130), 130);
        assert_eq!(step_code(143), 143);
    }

    #[test]
    fn no_adapter_is_exit_code_three() {
        let failure = Failure::NoAdapter { advice: "install one".to_owned() };
        assert_eq!(failure.exit_code(), 3);
        assert_eq!(failure.to_string(), "no GPU adapter: install one");
    }

    #[test]
    fn missing_data_is_exit_code_four() {
        let failure = Failure::NoData { advice: "fetch it".to_owned() };
        assert_eq!((failure.exit_code(), failure.to_string()), (4, "fetch it".to_owned()));
    }

    #[test]
    fn a_name_that_cannot_be_is_a_usage_error() {
        let exists = || ScaffoldError::Exists { what: "shaders/relu".to_owned() };
        assert_eq!(Failure::from(exists()).exit_code(), 2);
        assert_eq!(Failure::from(exists()).to_string(), "shaders/relu exists already; choose another name");
        let shape = ScaffoldError::Shape { path: "a.rs".into(), missing: "row".to_owned() };
        assert_eq!(Failure::from(shape).exit_code(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_signal_counts_as_in_a_shell() {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(code_of(ExitStatus::from_raw(2)), 130);
        assert_eq!(code_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
    }
}
