//! `trainer completions`.

use crate::cli::Cli;
use clap_complete::Shell;

/// The script that completes command lines in a shell.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command_line(), "trainer", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
