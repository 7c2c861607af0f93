//! Developer commands, run as `cargo xtask <command>`.
//!
//! A bare machine builds this crate before anything else, so it depends on little more than clap and leaves every question about GPUs to
//! `trainer doctor --probe`.

mod campaigns;
mod demo;
mod driver;
mod failure;
mod onnx;
mod step;
mod suite;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about,
    after_help = "Exit codes: 0 done, 1 a step failed, 2 usage, 3 no GPU adapter, 4 no data; `demo` passes the trainer's own codes through."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make sure there is a Vulkan driver, then train lenet5 for two epochs
    Demo {
        /// Further arguments for `trainer train lenet5`
        #[arg(last = true, value_name = "TRAINER ARGS")]
        arguments: Vec<String>,
    },
    /// Make sure there is a Vulkan driver, then run lints and the whole test suite
    Test {
        /// Also build the documentation and fail on its warnings
        #[arg(long)]
        docs: bool,
    },
    /// Check every shader with naga; needs no GPU
    Validate,
    /// Inject faults by the thousand and write the table of docs/RELIABILITY.md; takes about an hour
    Faults {
        /// Only the samples that `test` runs, too; the table is printed, not written
        #[arg(long)]
        quick: bool,
    },
    /// Fetch the ONNX node tests (needs Python with pip, and the network once) and run them
    Onnx,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo { arguments } => demo::run(&arguments),
        Command::Test { docs } => suite::run(docs),
        Command::Validate => suite::validate(),
        Command::Faults { quick } => campaigns::run(quick),
        Command::Onnx => onnx::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A child that has already said why is not repeated: its own closing lines stay the last ones.
            if !matches!(failure, Failure::Told { .. }) {
                step::say(&format!("error: {failure}"));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn demo_takes_trainer_arguments_after_two_dashes_only() {
        let cli = Cli::try_parse_from(["xtask", "demo", "--", "--seed", "3"]).expect("parses");
        assert!(matches!(cli.command, Command::Demo { arguments } if arguments == ["--seed", "3"]));
        let error = Cli::try_parse_from(["xtask", "demo", "--seed", "3"]).err();
        assert_eq!(error.expect("rejected").exit_code(), 2);
    }
}
