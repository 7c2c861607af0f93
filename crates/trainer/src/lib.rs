//! Trains the networks of published Fashion-MNIST reports on hand-written WGSL kernels.
//!
//! A [`recipe`] describes a run; a [`network`] is what its layers amount to. A run leaves a [`run_folder`] with its
//! configuration, [`metrics`], [`checkpoint`]s, [`weights`], [`summary`] and [`report`].

mod assign;
mod batch;
pub mod bench;
pub mod checkpoint;
pub mod cli;
pub mod commands;
mod completions;
pub mod console;
pub mod device;
mod doctor;
mod dump;
pub mod evaluate;
pub mod evaluation;
pub mod exit;
pub mod extend;
pub mod files;
pub mod images;
mod initialise;
pub mod interrupt;
mod kernel_filter;
mod kernels_check;
mod kernels_list;
mod kernels_profile;
mod kernels_show;
mod kernels_watch;
mod list;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod network;
mod optimize;
mod overrides;
mod plain;
pub mod progress;
pub mod recipe;
pub mod report;
mod reproduce;
pub mod run;
pub mod run_folder;
mod shader_files;
mod similar;
pub mod step;
pub mod summary;
pub mod sweep;
pub mod train;
pub mod weights;

use std::process::ExitCode;

/// The program: reads the command line, does what it says, reports on stderr what went wrong.
pub fn main() -> ExitCode {
    logging::init();
    let cli = match cli::Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too. There is nowhere to report that they cannot be printed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::Failure::Usage.code()));
        }
    };
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::message(&format!("error: {error:#}"));
            ExitCode::from(exit::Failure::of(&error).code())
        }
    }
}
