//! Developer commands, run as `cargo xtask <command>`.
//!
//! A bare machine builds this crate before anything else, so it depends on little more than clap and leaves every question about GPUs to
//! `trainer doctor --probe`.

mod bench;
mod bundle;
mod campaigns;
mod demo;
mod driver;
mod failure;
mod new_kernel;
mod new_op;
mod onnx;
mod scaffold;
mod step;
mod suite;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                         train a small network on this machine
  cargo xtask test                         run lints and the whole test suite
  cargo xtask new-kernel conv2d.fwd.my_idea";

const NEW_KERNEL_EXAMPLES: &str = "\
Examples:
  cargo xtask new-kernel conv2d.fwd.my_idea
  cargo xtask new-kernel conv2d.fwd.wide_tiles --from tiled";

const NEW_OP_EXAMPLES: &str = "\
Examples:
  cargo xtask new-op leaky_relu";

#[derive(Parser)]
#[command(
    before_help = EXAMPLES,
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
    #[command(before_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo -- --epochs 1")]
    Demo {
        /// Further arguments for `trainer train lenet5`
        #[arg(last = true, value_name = "TRAINER ARGS")]
        arguments: Vec<String>,
    },
    /// Make sure there is a Vulkan driver, then run lints and the whole test suite
    #[command(before_help = "Examples:\n  cargo xtask test\n  cargo xtask test --docs")]
    Test {
        /// Also build the documentation and fail on its warnings
        #[arg(long)]
        docs: bool,
    },
    /// Check every shader with naga; needs no GPU
    #[command(before_help = "Examples:\n  cargo xtask validate")]
    Validate,
    /// Inject faults by the thousand and write the table of docs/RELIABILITY.md; takes a quarter of an hour
    #[command(before_help = "Examples:\n  cargo xtask faults --quick\n  cargo xtask faults")]
    Faults {
        /// Only the samples that `test` runs, too; the table is printed, not written
        #[arg(long)]
        quick: bool,
    },
    /// Add a kernel variant, as a copy of another: its shader and its row
    #[command(before_help = NEW_KERNEL_EXAMPLES)]
    NewKernel {
        /// <operation>.<direction>.<algorithm>, such as conv2d.fwd.my_idea
        id: String,
        /// The algorithm to copy
        #[arg(long, value_name = "ALGORITHM", default_value = "naive")]
        from: String,
    },
    /// Add an operation, as a copy of relu: descriptor, shaders, table, and its name in the lists
    #[command(before_help = NEW_OP_EXAMPLES)]
    NewOp {
        /// Lower case letters, digits and underscores, such as leaky_relu
        name: String,
    },
    /// Time every kernel and every training step; writes docs/results/bench-<ADAPTER>.md
    #[command(before_help = "Examples:\n  cargo xtask bench-report")]
    BenchReport {
        /// Further arguments for `trainer kernels report`
        #[arg(last = true, value_name = "TRAINER ARGS")]
        arguments: Vec<String>,
    },
    /// Measure the figures of docs/course on this machine's adapter and fill them in
    #[command(before_help = "Examples:\n  cargo xtask course\n  cargo xtask course -- --keep")]
    Course {
        /// Further arguments for `trainer kernels course`; --keep fills in what docs/results/course.json holds
        #[arg(last = true, value_name = "TRAINER ARGS")]
        arguments: Vec<String>,
    },
    /// Find the fastest kernels for this adapter; writes the table of its class in crates/kernels/tuned
    #[command(before_help = "Examples:\n  cargo xtask tune")]
    Tune {
        /// Further arguments for `trainer kernels tune`
        #[arg(last = true, value_name = "TRAINER ARGS")]
        arguments: Vec<String>,
    },
    /// Pack programs, licences and a run script for a machine without Rust
    #[command(before_help = "Examples:\n  cargo xtask bundle\n  cargo xtask bundle --data --out selvedge.tar.gz")]
    Bundle {
        /// Pack the data set, too: from this folder, or from FASHION_MNIST_DIR or the trainer's cache
        #[arg(long, value_name = "FOLDER", require_equals = true)]
        data: Option<Option<PathBuf>>,
        /// The archive [default: target/selvedge-<VERSION>-<MACHINE>.tar.gz]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Fetch the ONNX node tests (needs Python with pip, and the network once) and run them
    #[command(before_help = "Examples:\n  cargo xtask onnx")]
    Onnx,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo { arguments } => demo::run(&arguments),
        Command::Test { docs } => suite::run(docs),
        Command::Validate => suite::validate(),
        Command::Faults { quick } => campaigns::run(quick),
        Command::NewKernel { id, from } => new_kernel(&id, &from),
        Command::NewOp { name } => new_op(&name),
        Command::BenchReport { arguments } => bench::report(&arguments),
        Command::Course { arguments } => bench::course(&arguments),
        Command::Tune { arguments } => bench::tune(&arguments),
        Command::Bundle { data, out } => bundle::run(&root(), data.as_ref().map(Option::as_deref), out),
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

/// The checkout: cargo says where this package is.
fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    package.and_then(|package| Some(package.parent()?.parent()?.to_owned())).unwrap_or_else(|| PathBuf::from("."))
}

fn new_kernel(id: &str, from: &str) -> Result<(), Failure> {
    let new_kernel::Created { shader, table, from } = new_kernel::create(&root(), id, from)?;
    step::say(&format!(
        "created  {}\nchanged  {}: a row behind {from}; rows behind it are preferred to it\n\n\
         It is {from} under another name. Next:\n  \
         cargo run --release -p trainer -- kernels watch {id}    # edit the shader, save, see what it does\n  \
         cargo run --release -p trainer -- kernels check {id}    # every case\n  \
         cargo xtask validate    # says what is still to be filled in",
        shader.display(),
        table.display()
    ));
    Ok(())
}

fn new_op(name: &str) -> Result<(), Failure> {
    for path in new_op::create(&root(), name)? {
        step::say(&format!("written  {}", path.display()));
    }
    step::say(&format!(
        "\nIt is relu under another name. Next:\n  \
         cargo run --release -p trainer -- kernels check {name}    # it builds, and agrees with the reference\n  \
         cargo xtask validate    # says what is still to be filled in\n  \
         cargo test --release -p parity    # says what else an operation needs (docs/ADDING_A_KERNEL.md)"
    ));
    Ok(())
}

#[cfg(test)]
mod walkthrough;

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_opens_with_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_before_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:") && help.lines().count() > 1, "{}", command.get_name());
        }
    }

    #[test]
    fn demo_takes_trainer_arguments_after_two_dashes_only() {
        let cli = Cli::try_parse_from(["xtask", "demo", "--", "--seed", "3"]).expect("parses");
        assert!(matches!(cli.command, Command::Demo { arguments } if arguments == ["--seed", "3"]));
        let error = Cli::try_parse_from(["xtask", "demo", "--seed", "3"]).err();
        assert_eq!(error.expect("rejected").exit_code(), 2);
    }
}
