//! A folder to run the program in, and what it said.
#![allow(dead_code)]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use trainer::network::Network;
use trainer::recipe::Recipe;
use trainer::weights;

/// What a command left behind.
pub struct Ran {
    pub line: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Ended with this exit code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "trainer {}\n{}{}", self.line, self.stdout, self.stderr);
        self
    }

    /// Said this on stderr.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "trainer {}\nexpected: {text}\n{}", self.line, self.stderr);
        self
    }

    /// Was refused with one line, that says this.
    #[track_caller]
    pub fn refuses(self, code: i32, text: &str) {
        let ran = self.ends(code).says(text);
        let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!((ran.stdout.as_str(), errors), ("", 1), "trainer {}\n{}", ran.line, ran.stderr);
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// A folder to run in.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program in this folder, words split at blanks. It finds no data but what is put here.
    #[track_caller]
    pub fn trainer(&self, line: &str) -> Ran {
        self.trainer_with(line, &[])
    }

    #[track_caller]
    pub fn trainer_with(&self, line: &str, environment: &[(&str, &str)]) -> Ran {
        let output = self.command(line).envs(environment.iter().copied()).output().unwrap();
        let ran = Ran {
            line: line.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ran.stderr.contains("panicked"), "trainer {line}\n{}", ran.stderr);
        ran
    }

    /// The program with these words, in this folder.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env("NODEVICE_SELECT", "1")
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env_remove("FASHION_MNIST_DIR");
        command
    }

    /// Starts the program, and does not wait for it.
    pub fn start(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A file with fresh weights of a recipe.
    pub fn weights(&self, name: &str, recipe: &str) {
        let recipe = Recipe::find(recipe).unwrap();
        let network = Network::new(&recipe.layers, recipe.train.batch_size).unwrap();
        let values: Vec<Vec<f32>> = network.initialise(7).into_iter().map(|(_, values)| values).collect();
        let parameters = network.parameters().iter().zip(values.iter().map(Vec::as_slice));
        weights::save(&self.path(name), parameters, &[]).unwrap();
    }
}
