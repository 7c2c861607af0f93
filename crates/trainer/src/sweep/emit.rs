//! A sweep as a list of commands, for GNU parallel or for a Slurm array. Whoever runs them may stop and start again:
//! every command makes its run, goes on with it, or finds it finished.

use crate::batch::{BatchError, Planned, quoted};
use crate::cli::{Cli, Emit};
use std::path::PathBuf;

/// The commands in this form.
pub fn emit(form: Emit, name: &str, runs: &[Planned], cli: &Cli) -> Result<String, BatchError> {
    let program = std::env::current_exe().map_err(|error| BatchError::Io { path: PathBuf::from("trainer"), error })?;
    let program = program.to_string_lossy().into_owned();
    let commands: Vec<String> = runs
        .iter()
        .map(|run| {
            let words = std::iter::once(program.clone()).chain(run.arguments(cli)).chain(["--quiet".to_owned()]);
            words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
        })
        .collect();
    Ok(match form {
        Emit::List => commands.iter().map(|command| format!("{command}\n")).collect(),
        Emit::Parallel => parallel(name, &commands),
        Emit::Slurm => slurm(name, &commands),
    })
}

/// A script that hands the list to GNU parallel.
fn parallel(name: &str, commands: &[String]) -> String {
    let list = commands.join("\n");
    format!(
        "#!/bin/bash\n\
         # Sweep {name}: {} runs. JOBS of them at a time, 1 unless set; `trainer sweep` then makes the table.\n\
         exec parallel --jobs \"${{JOBS:-1}}\" <<'RUNS'\n{list}\nRUNS\n",
        commands.len()
    )
}

/// A job script with one array task to a run.
fn slurm(name: &str, commands: &[String]) -> String {
    let last = commands.len().saturating_sub(1);
    let cases: String =
        commands.iter().enumerate().map(|(index, command)| format!("{index}) exec {command} ;;\n")).collect();
    format!(
        "#!/bin/bash\n\
         #SBATCH --job-name={name}\n\
         #SBATCH --array=0-{last}\n\
         #SBATCH --gpus=1\n\
         #SBATCH --requeue\n\
         # Sweep {name}: {} runs; `trainer sweep` then makes the table. Paths are relative to where it is submitted.\n\
         case \"$SLURM_ARRAY_TASK_ID\" in\n{cases}\
         *) echo \"there is no run '$SLURM_ARRAY_TASK_ID'; submit this with sbatch\" >&2; exit 2 ;;\n\
         esac\n",
        commands.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;
    use std::ffi::OsString;
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Stdio};

    fn text(form: Emit) -> String {
        let cli = Cli::read(["trainer", "list", "--data-dir", "it's here"].map(OsString::from)).unwrap();
        let runs = ["lenet5", "depth2"]
            .map(|name| Planned::new(Path::new("my runs"), Recipe::find(name).unwrap(), String::new(), &cli.data));
        emit(form, "mine", &runs, &cli).unwrap()
    }

    #[test]
    fn a_line_is_a_run() {
        let list = text(Emit::List);
        assert_eq!(list.lines().count(), 2);
        assert!(list.contains(r"--data-dir 'it'\''s here' --no-synthetic --quiet"), "{list}");
        assert!(list.contains("--out 'my runs/depth2-s0-"), "{list}");
        assert!(text(Emit::Slurm).contains("\n#SBATCH --array=0-1\n"));
        assert!(text(Emit::Parallel).contains("<<'RUNS'\n"));
    }

    #[cfg(unix)]
    #[test]
    fn scripts_are_scripts() {
        for form in [Emit::List, Emit::Parallel, Emit::Slurm] {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            bash.stdin.take().unwrap().write_all(text(form).as_bytes()).unwrap();
            assert!(bash.wait().unwrap().success(), "{}", text(form));
        }
    }
}
