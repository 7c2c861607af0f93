//! Signals that ask the program to stop: the first is noted, and training stops at a good moment; a second one has its
//! usual effect at once.

use crate::cli::OnNan;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A signal that asks to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// `kill`, or the machine is shutting down.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Takes note of signals.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    /// The number of the first that came; 0 before.
    first: Arc<AtomicUsize>,
}

/// Registered once for the whole program.
static INSTALLED: Mutex<Option<Interrupt>> = Mutex::new(None);

impl Interrupt {
    /// Notes SIGINT and SIGTERM from now on. However often it is called, the program's signals are noted once.
    pub fn install() -> io::Result<Self> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(interrupt) = &*installed {
            return Ok(interrupt.clone());
        }
        let interrupt = Self::default();
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Actions run in this order: the usual effect only if a signal came before.
            flag::register_conditional_default(signal, Arc::clone(&came))?;
            flag::register_usize(signal, Arc::clone(&interrupt.first), usize::try_from(signal).unwrap_or_default())?;
            flag::register(signal, Arc::clone(&came))?;
        }
        *installed = Some(interrupt.clone());
        Ok(interrupt)
    }

    /// The signal that came, if one did.
    pub fn pending(&self) -> Option<Signal> {
        match i32::try_from(self.first.load(Ordering::SeqCst)) {
            Ok(SIGINT) => Some(Signal::Interrupt),
            Ok(SIGTERM) => Some(Signal::Terminate),
            _ => None,
        }
    }
}

/// Training stopped because a signal asked for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by {signal} after step {steps}{}", resume(run, *on_nan))]
pub struct Interrupted {
    /// Which.
    pub signal: Signal,
    /// Steps that the checkpoint holds.
    pub steps: u64,
    /// The run's folder.
    pub run: Option<PathBuf>,
    /// What it was to do about NaN, which whoever goes on must say again.
    pub on_nan: OnNan,
}

fn resume(run: &Option<PathBuf>, on_nan: OnNan) -> String {
    let Some(run) = run else { return String::new() };
    let skip = if on_nan == OnNan::Skip { " --on-nan skip" } else { "" };
    format!("; go on with: trainer train --resume {}{skip}", run.display())
}
