//! Running other programs: headings and times on stderr, cargo in a clean environment.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io};

use crate::failure::{Failure, code_of, step_code};

/// Prints one line on stderr. A closed stderr is no reason to stop.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints the heading of a step.
pub fn heading(title: &str) {
    say(&format!("\n==> {title}"));
}

/// Runs a step to its end under a heading and prints the time it took.
pub fn run(title: &str, command: &mut Command) -> Result<(), Failure> {
    heading(title);
    let start = Instant::now();
    match status(command)? {
        0 => {
            say(&format!("    took {}", human(start.elapsed())));
            Ok(())
        }
        code => Err(Failure::Step { title: title.to_owned(), code: step_code(code) }),
    }
}

/// Runs the last step of a command. Nothing is printed after it, so its own closing lines end the output.
pub fn run_last(title: &str, command: &mut Command) -> Result<(), Failure> {
    heading(title);
    match status(command)? {
        0 => Ok(()),
        code => Err(Failure::Told { code: step_code(code) }),
    }
}

/// Runs a program to its end and returns its exit code.
pub fn status(command: &mut Command) -> Result<u8, Failure> {
    command.status().map(code_of).map_err(|source| cannot_start(command, source))
}

/// True if the program starts and reports success. Its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Puts the program in this one's place, so that its exit code and every signal are its own business.
#[cfg(unix)]
pub fn hand_over(command: &mut Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;
    let source = command.exec();
    Err(cannot_start(command, source))
}

/// Runs the program to its end and takes over its exit code.
#[cfg(not(unix))]
pub fn hand_over(command: &mut Command) -> Result<(), Failure> {
    match status(command)? {
        0 => Ok(()),
        code => Err(Failure::Told { code }),
    }
}

/// A cargo command in the environment the user started us with.
///
/// `cargo run` tells a program which package it belongs to. Build scripts that watch those variables would run again every time a
/// plain `cargo` and a `cargo xtask` take turns, so they are not handed down.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_set_by_cargo_run) {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

fn is_set_by_cargo_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

fn cannot_start(command: &Command, source: io::Error) -> Failure {
    Failure::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}

/// A duration for people: `9.5 s` or `4 min 12 s`.
fn human(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        let seconds = (duration.as_millis() + 500) / 1000;
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_naturally() {
        assert_eq!(human(Duration::from_millis(40)), "0.0 s");
        assert_eq!(human(Duration::from_millis(9_460)), "9.5 s");
        assert_eq!(human(Duration::from_millis(59_949)), "59.9 s");
        assert_eq!(human(Duration::from_millis(59_950)), "1 min 0 s");
        assert_eq!(human(Duration::from_secs(252)), "4 min 12 s");
    }

    #[test]
    fn only_the_variables_about_this_package_are_dropped() {
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_PRE", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
            assert!(is_set_by_cargo_run(name), "{name}");
        }
        for name in ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "RUSTFLAGS", "WGPU_BACKEND"] {
            assert!(!is_set_by_cargo_run(name), "{name}");
        }
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error_and_not_a_panic() {
        let error = status(&mut Command::new("no-such-program-anywhere")).expect_err("cannot start");
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("no-such-program-anywhere"));
        assert!(!succeeds(&mut Command::new("no-such-program-anywhere")));
    }
}
