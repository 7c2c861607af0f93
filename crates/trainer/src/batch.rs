//! Many runs: each in a folder of its own that names it, each by a process of its own, so that one that fails harms no
//! other and one that was interrupted goes on.

use crate::cli::{Backend, Cli, DataArgs, Device};
use crate::console;
use crate::files::{Existing, write_atomically};
use crate::interrupt::{Interrupt, Signal};
use crate::recipe::Recipe;
use crate::summary::Summary;
use clap::ValueEnum;
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A run that is to be there in the end.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What to train.
    pub recipe: Recipe,
    /// What tells it from others of the same recipe and seed, for people.
    pub label: String,
    /// Its run folder.
    pub folder: PathBuf,
    /// Where its recipe is written for whoever trains it.
    config: PathBuf,
}

/// How a run stands.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is finished.
    Finished(Box<Summary>),
    /// It ended with this exit code; `None` if something ended it.
    Failed(Option<i32>),
    /// It is still to be made.
    Missing,
}

impl Outcome {
    /// What came of it.
    pub fn summary(&self) -> Option<&Summary> {
        match self {
            Self::Finished(summary) => Some(summary),
            _ => None,
        }
    }
}

/// Why many runs could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A file could not be written, or this program not be started again.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// Some runs failed.
    #[error("{failed} of {runs} runs failed; the same command tries them again")]
    Failed {
        /// How many.
        failed: usize,
        /// Of how many.
        runs: usize,
    },
    /// A grid is larger than anybody means.
    #[error("{file}: the grid has more than {most} runs; make it smaller")]
    TooMany {
        /// Of the sweep.
        file: String,
        /// How many may be.
        most: usize,
    },
    /// A signal ended a run, and with it the rest.
    #[error("interrupted; the same command goes on")]
    Interrupted {
        /// Which.
        signal: Signal,
    },
}

impl Planned {
    /// A run of `recipe` below `folder`, in a folder named after recipe, seed and a hash of all that matters. What is
    /// trained on the stand-in is set apart, so that nobody takes it for the other.
    pub fn new(folder: &Path, recipe: Recipe, label: String, data: &DataArgs) -> Self {
        let stand_in = if data.synthetic { "-synthetic" } else { "" };
        let name = format!("{}-s{}-{}{stand_in}", recipe.name, recipe.train.seed, &hash(&recipe)[..8]);
        let config = folder.join("recipes").join(format!("{name}.toml"));
        Self { folder: folder.join(name), recipe, label, config }
    }

    /// How it stands, going by its folder.
    pub fn outcome(&self) -> Outcome {
        let summary = fs::read_to_string(self.folder.join("summary.json")).ok();
        match summary.and_then(|text| serde_json::from_str(&text).ok()) {
            Some(summary) => Outcome::Finished(Box::new(summary)),
            None => Outcome::Missing,
        }
    }

    /// Writes its recipe, where [`Planned::arguments`] say it is.
    pub fn write_recipe(&self) -> Result<(), BatchError> {
        let failed = |error| BatchError::Io { path: self.config.clone(), error };
        let text = self.recipe.to_toml().map_err(|error| failed(io::Error::other(error)))?;
        if let Some(folder) = self.config.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        write_atomically(&self.config, text.as_bytes(), Existing::Replace).map_err(failed)
    }

    /// The command line that makes it, or goes on with it, or finds that it is finished.
    pub fn arguments(&self, cli: &Cli) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut arguments =
            vec!["train".to_owned(), path(&self.config), "--out".to_owned(), path(&self.folder), "--once".to_owned()];
        arguments.extend(surroundings(cli));
        arguments
    }

    /// The command line that profiles one of its steps.
    pub fn profile_arguments(&self, cli: &Cli) -> Vec<String> {
        let config = self.config.to_string_lossy().into_owned();
        let mut arguments = vec!["kernels".to_owned(), "profile".to_owned(), config, "--json".to_owned()];
        arguments.extend(surroundings(cli));
        arguments
    }

    /// Makes it, unless it is finished already.
    pub fn make(&self, cli: &Cli, quiet: bool) -> Result<Outcome, BatchError> {
        if let finished @ Outcome::Finished(_) = self.outcome() {
            return Ok(finished);
        }
        self.write_recipe()?;
        let program = std::env::current_exe().map_err(|error| BatchError::Io { path: "trainer".into(), error })?;
        let mut command = Command::new(&program);
        command.args(self.arguments(cli)).stdout(Stdio::null());
        if quiet {
            command.arg("--quiet");
        }
        let failed = |error| BatchError::Io { path: program.clone(), error };
        let interrupt = Interrupt::install().map_err(failed)?;
        apart(&mut command);
        let mut child = command.spawn().map_err(failed)?;
        let status = wait(&mut child, &interrupt).map_err(failed)?;
        match (status.code(), self.outcome()) {
            (Some(0), finished @ Outcome::Finished(_)) => Ok(finished),
            (Some(130), _) => Err(BatchError::Interrupted { signal: Signal::Interrupt }),
            (Some(143), _) => Err(BatchError::Interrupted { signal: Signal::Terminate }),
            (code, _) => match interrupt.pending() {
                Some(signal) => Err(BatchError::Interrupted { signal }),
                None => Ok(Outcome::Failed(code)),
            },
        }
    }
}

/// How often a run is asked whether it has ended.
const PACE: Duration = Duration::from_millis(50);

/// Waits for a run. The first signal that asks this process to stop is handed on to it, and its end waited for.
fn wait(child: &mut Child, interrupt: &Interrupt) -> io::Result<ExitStatus> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Some(signal) = interrupt.pending().filter(|_| !told) {
            told = true;
            hand_on(child, signal);
        }
        sleep(PACE);
    }
}

/// Keeps a terminal's signals from the run, which would get them twice.
#[cfg(unix)]
fn apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(unix)]
fn hand_on(child: &Child, signal: Signal) {
    use rustix::process::{Pid, Signal as Number, kill_process};
    let number = match signal {
        Signal::Interrupt => Number::INT,
        Signal::Terminate => Number::TERM,
    };
    // A run that has just ended cannot be told.
    let _ = kill_process(Pid::from_child(child), number);
}

/// A console tells every process in it.
#[cfg(not(unix))]
fn apart(_: &mut Command) {}

#[cfg(not(unix))]
fn hand_on(_: &Child, _: Signal) {}

/// Makes all of them in turn. A failed one does not stop the others. Returned in their order.
pub fn make_all(runs: &[Planned], cli: &Cli, quiet: bool) -> Result<Vec<Outcome>, BatchError> {
    let mut outcomes = Vec::with_capacity(runs.len());
    for (index, run) in runs.iter().enumerate() {
        let head = format!("run {} of {}: {}", index + 1, runs.len(), run.folder.display());
        let finished = matches!(run.outcome(), Outcome::Finished(_));
        if !quiet {
            console::message(&if finished { format!("{head} is finished") } else { head.clone() });
        }
        let outcome = run.make(cli, quiet)?;
        if let Some(signal) = Interrupt::install().ok().and_then(|interrupt| interrupt.pending()) {
            return Err(BatchError::Interrupted { signal });
        }
        if let Outcome::Failed(code) = outcome {
            let code = code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
            console::message(&format!("{head} failed with {code}"));
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// An error if a run failed.
pub fn all_finished(outcomes: &[Outcome]) -> Result<(), BatchError> {
    let failed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Failed(_))).count();
    if failed == 0 { Ok(()) } else { Err(BatchError::Failed { failed, runs: outcomes.len() }) }
}

/// sha256 of everything in a recipe that changes a run.
pub fn hash(recipe: &Recipe) -> String {
    let bare = Recipe {
        description: String::new(),
        source: String::new(),
        assumptions: vec![],
        findings: vec![],
        reported: Default::default(),
        ..recipe.clone()
    };
    let text = bare.to_toml().unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The flags that say where to run and on what.
fn surroundings(cli: &Cli) -> Vec<String> {
    let name = |value: clap::builder::PossibleValue| value.get_name().to_owned();
    let mut flags = Vec::new();
    let mut flag = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            flags.extend([flag.to_owned(), value]);
        }
    };
    let device = Some(cli.device.device).filter(|device| *device != Device::Auto);
    flag("--device", device.and_then(|device| device.to_possible_value()).map(name));
    flag("--adapter", cli.device.adapter.clone());
    flag("--backend", cli.device.backend.as_ref().and_then(Backend::to_possible_value).map(name));
    flag("--tuned", cli.device.tuned.clone());
    flag("--data-dir", cli.data.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned()));
    for (given, flag) in [
        (cli.data.offline, "--offline"),
        (cli.data.synthetic, "--synthetic"),
        // The stand-in is used where it is asked for, and not because the data happened to be missing.
        (!cli.data.synthetic, "--no-synthetic"),
    ] {
        if given {
            flags.push(flag.to_owned());
        }
    }
    flags
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Mean and, from two values on, standard deviation.
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, Option<f64>)> {
    if values.is_empty() {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt())))
}

/// `92.11 ± 0.20` of shares, in percent.
pub fn spread(shares: &[f64]) -> String {
    match mean_and_deviation(shares) {
        None => "-".to_owned(),
        Some((mean, None)) => format!("{:.2}", 100.0 * mean),
        Some((mean, Some(deviation))) => format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * deviation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;
    use std::ffi::OsString;

    #[test]
    fn folders_are_named_by_what_matters() {
        let recipe = Recipe::find("depth2").unwrap();
        let folder =
            |recipe: &Recipe| Planned::new(Path::new("x"), recipe.clone(), String::new(), &DataArgs::default()).folder;
        let mut other = recipe.clone();
        other.description = "other words".to_owned();
        other.reported = Default::default();
        assert_eq!(folder(&recipe), folder(&other));
        assert!(folder(&recipe).to_str().unwrap().starts_with("x/depth2-s0-"));
        other.layers.pop();
        assert_ne!(folder(&recipe), folder(&other));
        other = Recipe { train: crate::recipe::Train { epochs: 3, ..recipe.train.clone() }, ..recipe.clone() };
        assert_ne!(folder(&recipe), folder(&other));
    }

    #[test]
    fn commands_carry_where_to_run() {
        let words =
            ["trainer", "--no-synthetic", "list", "--device", "gpu", "--backend", "vulkan", "--data-dir", "a b"];
        let cli = Cli::read(words.map(OsString::from)).unwrap();
        let run = Planned::new(Path::new("x"), Recipe::find("lenet5").unwrap(), String::new(), &cli.data);
        let arguments = run.arguments(&cli);
        assert_eq!(arguments[0], "train");
        assert_eq!(
            arguments[4..],
            ["--once", "--device", "gpu", "--backend", "vulkan", "--data-dir", "a b", "--no-synthetic"]
        );
        let read =
            Cli::read(std::iter::once("trainer".into()).chain(arguments.into_iter().map(OsString::from))).unwrap();
        assert_eq!((read.device, read.data), (cli.device, cli.data));
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(
            ["runs/a-b.toml", "a b", "", "it's", "$x"].map(quoted),
            ["runs/a-b.toml", "'a b'", "''", r"'it'\''s'", "'$x'"]
        );
    }

    #[test]
    fn spread_is_that_of_a_sample() {
        assert_eq!(spread(&[]), "-");
        assert_eq!(spread(&[0.5]), "50.00");
        assert_eq!(spread(&[0.90, 0.92, 0.94]), "92.00 ± 2.00");
    }
}
