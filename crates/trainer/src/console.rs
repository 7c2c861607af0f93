//! What a person sees: results on stdout, messages on stderr, above a progress bar if one is drawn there.

use indicatif::{ProgressBar, WeakProgressBar};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bar that is drawn at the moment.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Prints results. That nobody reads them (any more) is no error: `trainer list | head -1` is fine.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints one line for a person. There is nowhere to report that stderr is closed.
pub fn message(line: &str) {
    let print = || {
        let _ = writeln!(io::stderr().lock(), "{line}");
    };
    let bar = bar().as_ref().and_then(WeakProgressBar::upgrade);
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Has messages appear above this bar, as long as it exists.
pub fn show_above(progress: &ProgressBar) {
    *bar() = Some(progress.downgrade());
}

fn bar() -> MutexGuard<'static, Option<WeakProgressBar>> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}
