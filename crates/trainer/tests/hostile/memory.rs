//! How much memory reading a file takes.

use peak_alloc::PeakAlloc;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts. A buffer that grows counts as old and new together, as it does in the worst case.
#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

/// Whoever measures does so alone: tests run side by side, and the count is of the whole process.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a function returns, and how many bytes it held at most beyond those that were held before.
pub fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = COUNTED.current_usage();
    COUNTED.reset_peak_usage();
    let result = run();
    (result, COUNTED.peak_usage().saturating_sub(before))
}

#[test]
fn memory_is_counted() {
    let _alone = alone();
    let (len, peak) = peak(|| vec![1_u8; 1 << 20].len());
    assert_eq!(len, 1 << 20);
    // The threads of the test harness hold and drop a little of their own meanwhile.
    let harness = 1 << 16;
    assert!(((1 << 20) - harness..(1 << 20) + harness).contains(&peak), "{peak}");
}
