//! How long to wait for a device.

use std::time::Duration;

/// How long a device may go on without finishing what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// In all.
    pub(super) longest: Duration,
    /// While this process does nothing else either, which a driver that computes on the CPU never lets happen.
    pub(super) idle: Duration,
}

/// How long to wait between two looks at what the process does.
const SLICE: Duration = Duration::from_millis(250);

impl Patience {
    /// Waits by `poll`, a piece at a time, until it says that what was waited for is there. `idle` is asked in between
    /// whether everything else in this process sleeps. The error is the time that was too long.
    ///
    /// Pieces are counted, not seconds: a machine that was suspended, or too busy to run this process, is no hang.
    pub(super) fn wait(
        self,
        mut poll: impl FnMut(Duration) -> bool,
        mut idle: impl FnMut() -> bool,
    ) -> Result<(), Duration> {
        let mut waited = Duration::ZERO;
        let mut idled = Duration::ZERO;
        loop {
            let slice = SLICE.min(self.longest.saturating_sub(waited));
            if poll(slice) {
                return Ok(());
            }
            waited += slice;
            idled = if idle() { idled + slice } else { Duration::ZERO };
            for (spent, most) in [(waited, self.longest), (idled, self.idle)] {
                if spent >= most {
                    return Err(most);
                }
            }
        }
    }
}

/// Whether every other thread of this process sleeps. Where that cannot be known, it is not assumed.
#[cfg(target_os = "linux")]
pub(super) fn others_sleep() -> bool {
    use std::fs;
    use std::path::Path;
    let Ok(own) = fs::read_link("/proc/thread-self") else { return false };
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return false };
    let sleeps = |task: &Path| {
        // The state follows the name, which is in parentheses and may hold anything. A thread that has just ended has none.
        let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes().first().copied());
        !matches!(state, Some(Some(b'R' | b'D')))
    };
    tasks
        .flatten()
        .filter(|task| Some(task.file_name().as_os_str()) != own.file_name())
        .all(|task| sleeps(&task.path()))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn others_sleep() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { longest: Duration::from_secs(180), idle: Duration::from_secs(8) };

    /// The outcome, and how often the device was asked.
    fn wait(patience: Patience, done_at: usize, sleeps: impl Fn(usize) -> bool) -> (Result<(), Duration>, usize) {
        let asked = std::cell::Cell::new(0);
        let poll = |_| {
            asked.set(asked.get() + 1);
            asked.get() >= done_at
        };
        let outcome = patience.wait(poll, || sleeps(asked.get()));
        (outcome, asked.get())
    }

    #[test]
    fn a_device_that_sleeps_is_given_up_soon_and_one_that_computes_late() {
        let never = usize::MAX;
        let (slices, all) = (8 * 4, 180 * 4);
        assert_eq!(wait(PATIENCE, never, |_| true), (Err(PATIENCE.idle), slices));
        assert_eq!(wait(PATIENCE, never, |_| false), (Err(PATIENCE.longest), all));
        // It sleeps now and then, or for ever after a while.
        assert_eq!(wait(PATIENCE, never, |n| n % slices > 0), (Err(PATIENCE.longest), all));
        assert_eq!(wait(PATIENCE, never, |n| n > 100), (Err(PATIENCE.idle), 100 + slices));
        for n in [1, slices - 1, all] {
            assert_eq!(wait(PATIENCE, n, |n| n % slices > 0), (Ok(()), n));
        }
        let impatient = Patience { longest: Duration::ZERO, ..PATIENCE };
        assert_eq!(wait(impatient, never, |_| false), (Err(Duration::ZERO), 1));
        let short = Patience { longest: Duration::from_millis(600), ..PATIENCE };
        assert_eq!(wait(short, never, |_| false), (Err(short.longest), 3));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_computes_is_seen() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let seen = (0..50).any(|_| !others_sleep());
            over.store(true, Ordering::Relaxed);
            assert!(seen);
        });
    }
}
