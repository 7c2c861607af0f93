//! `cargo xtask bench-report`, `tune` and `course`: the trainer does the work, here is where its results go.

use crate::driver::{self, Adapter};
use crate::failure::Failure;
use crate::step;
use std::ffi::OsStr;
use std::path::Path;

/// Where reports go.
const RESULTS: &str = "docs/results";

/// The course, and the figures in it.
const COURSE: &str = "docs/course";
const COURSE_RESULTS: &str = "docs/results/course.json";

/// Where the tables of kernel choices are.
const TUNED: &str = "crates/kernels/tuned";

/// Times everything on this machine's adapter and writes `docs/results/bench-<adapter>.md`.
pub fn report(extra: &[String]) -> Result<(), Failure> {
    let folder = workspace().join(RESULTS);
    std::fs::create_dir_all(&folder)
        .map_err(|source| Failure::Start { program: folder.display().to_string(), source })?;
    kernels("report", &[OsStr::new("--out"), folder.as_os_str()], extra)
}

/// Finds the fastest kernels on this machine's adapter and writes the table for its class.
pub fn tune(extra: &[String]) -> Result<(), Failure> {
    kernels("tune", &[OsStr::new("--out"), workspace().join(TUNED).as_os_str()], extra)
}

/// Measures the figures of `docs/course` on this machine's adapter and fills them in.
pub fn course(extra: &[String]) -> Result<(), Failure> {
    let [pages, results] = [COURSE, COURSE_RESULTS].map(|path| workspace().join(path));
    kernels("course", &[pages.as_os_str(), OsStr::new("--results"), results.as_os_str()], extra)
}

fn kernels(what: &str, own: &[&OsStr], extra: &[String]) -> Result<(), Failure> {
    if let Adapter::Absent { advice } = driver::ensure()? {
        return Err(Failure::NoAdapter { advice });
    }
    step::heading(&format!("trainer kernels {what}"));
    let mut command = step::cargo(["run", "--quiet", "--release", "--package", "trainer", "--", "kernels", what]);
    step::hand_over(command.args(own).args(extra))
}

/// The folder of the workspace, wherever the command was called.
fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_go_where_they_are_looked_for() {
        assert!(workspace().join("Cargo.lock").is_file());
        assert!(workspace().join(TUNED).join("software.toml").is_file());
        assert!(workspace().join(COURSE).is_dir() && workspace().join(COURSE_RESULTS).is_file());
    }
}
