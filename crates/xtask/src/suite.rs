//! `cargo xtask test` and `cargo xtask validate`.
//!
//! Everything is built in the release profile: the tests run the plain-loop reference, and one build of the dependencies then serves
//! the trainer, the lints and the tests.

use std::env;
use std::process::Command;

use crate::driver::{self, Adapter};
use crate::failure::Failure;
use crate::step::{self, say};

/// The Rust version the workspace is written for.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");

/// Formatting, lints and the whole test suite. A machine without an adapter fails before the first test.
pub fn run(docs: bool) -> Result<(), Failure> {
    let strict = lints_are_ours(&rustc_version(), RUST_VERSION);
    if component("fmt", "rustfmt") {
        lint("Formatting", strict, &mut step::cargo(["fmt", "--all", "--check"]))?;
    }
    if let Adapter::Absent { advice } = driver::ensure()? {
        return Err(Failure::NoAdapter { advice });
    }
    if component("clippy", "clippy") {
        let mut clippy = step::cargo(["clippy", "--workspace", "--all-targets", "--release"]);
        if strict {
            clippy.args(["--", "-D", "warnings"]);
        }
        lint("Lints", strict, &mut clippy)?;
    }
    if docs {
        let mut doc = step::cargo(["doc", "--workspace", "--no-deps", "--release"]);
        step::run("Documentation", doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    step::run("Building the tests", &mut step::cargo(["test", "--workspace", "--release", "--no-run"]))?;
    step::run_last("Tests", &mut step::cargo(["test", "--workspace", "--release", "--no-fail-fast"]))
}

/// Parses and validates every shader with naga.
pub fn validate() -> Result<(), Failure> {
    let mut command = step::cargo(["test", "--release", "--package", "kernels", "--test", "shaders"]);
    step::run_last("Shaders", &mut command)
}

/// Runs a formatting or lint step. Another Rust formats and lints differently, so there its verdict is only shown.
fn lint(title: &str, strict: bool, command: &mut Command) -> Result<(), Failure> {
    match step::run(title, command) {
        Err(Failure::Step { code: 1, .. }) if !strict => {
            say(&format!("    not counted: the workspace is formatted and linted with Rust {RUST_VERSION}"));
            Ok(())
        }
        outcome => outcome,
    }
}

/// True if the toolchain has this cargo subcommand; says so if not.
fn component(subcommand: &str, name: &str) -> bool {
    let present = step::succeeds(&mut step::cargo([subcommand, "--version"]));
    if !present {
        say(&format!("\n==> Skipping cargo {subcommand}: not installed (rustup component add {name})"));
    }
    present
}

/// What `rustc --version` prints; empty if it cannot be run.
fn rustc_version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// True if `rustc --version` names the stable release, patch level aside, that the manifest names.
fn lints_are_ours(rustc_version: &str, rust_version: &str) -> bool {
    let minor = |version: &str| {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    let release = rustc_version.split_whitespace().nth(1).unwrap_or_default();
    let stable = !release.contains('-');
    stable && minor(release).is_some_and(|release| Some(release) == minor(rust_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_count_only_under_the_rust_they_were_written_for() {
        assert!(lints_are_ours("rustc 1.95.0 (59807616e 2026-04-14)", "1.95"));
        assert!(lints_are_ours("rustc 1.95.1 (0123456789 2026-05-20)", "1.95.0"));
        for other in ["rustc 1.96.0 (a 2026-06-01)", "rustc 1.95.0-nightly (a 2026-01-01)", "rustc 1.9.5", "rustc", ""]
        {
            assert!(!lints_are_ours(other, "1.95"), "{other:?}");
        }
    }

    #[test]
    fn the_manifest_names_a_rust_version() {
        assert!(lints_are_ours(&format!("rustc {RUST_VERSION}.0 (a 2026-01-01)"), RUST_VERSION));
    }
}
