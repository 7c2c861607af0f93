//! `cargo xtask demo`: the one-command start on a bare machine.

use crate::driver::{self, Adapter};
use crate::failure::Failure;
use crate::step::{self, say};

/// Trains `lenet5` for two epochs, on the GPU if the machine has or can be given one and on the CPU reference if not.
pub fn run(extra: &[String]) -> Result<(), Failure> {
    let adapter = match driver::ensure()? {
        Adapter::Present => true,
        Adapter::Absent { advice } => {
            say(&format!("No GPU adapter: {advice}."));
            if !names_option(extra, "device") {
                say("Going on with the CPU reference.");
            }
            false
        }
    };
    let arguments = train_arguments(extra, adapter);
    step::heading(&format!("trainer {}", arguments.join(" ")));
    let mut command = step::cargo(["run", "--quiet", "--release", "--package", "trainer", "--"]);
    step::hand_over(command.args(arguments))
}

/// The trainer's command line. What the user has set is not set a second time.
fn train_arguments(extra: &[String], adapter: bool) -> Vec<String> {
    let mut arguments = vec!["train", "lenet5"];
    if !names_option(extra, "epochs") {
        arguments.extend(["--epochs", "2"]);
    }
    if !adapter && !names_option(extra, "device") {
        arguments.extend(["--device", "reference"]);
    }
    arguments.into_iter().map(str::to_owned).chain(extra.iter().cloned()).collect()
}

/// True if `--name` or `--name=value` is among the arguments.
fn names_option(arguments: &[String], name: &str) -> bool {
    arguments.iter().any(|argument| {
        argument
            .strip_prefix("--")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(extra: &[&str], adapter: bool) -> String {
        let extra: Vec<_> = extra.iter().map(|&argument| argument.to_owned()).collect();
        train_arguments(&extra, adapter).join(" ")
    }

    #[test]
    fn the_device_follows_the_adapter() {
        assert_eq!(line(&[], true), "train lenet5 --epochs 2");
        assert_eq!(line(&[], false), "train lenet5 --epochs 2 --device reference");
    }

    #[test]
    fn the_user_has_the_last_word() {
        assert_eq!(line(&["--epochs", "1"], true), "train lenet5 --epochs 1");
        assert_eq!(line(&["--epochs=1", "--seed", "7"], true), "train lenet5 --epochs=1 --seed 7");
        assert_eq!(line(&["--device=gpu"], false), "train lenet5 --epochs 2 --device=gpu");
        assert_eq!(line(&["--epochs-long"], true), "train lenet5 --epochs 2 --epochs-long");
    }
}
