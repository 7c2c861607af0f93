//! A folder to train in, and the run that was left alone.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Small, and with everything whose state must survive: dropout, BatchNorm, an optimiser with moments, an order of its
/// own in every epoch.
const LAYERS: &str = r#"
layers = [
    { kind = "avg_pool", kernel = 4 },
    { kind = "flatten" },
    { kind = "dropout", rate = 0.2 },
    { kind = "dense", out = 12 },
    { kind = "batch_norm" },
    { kind = "relu" },
    { kind = "dense", out = 10 },
]
"#;

/// What to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Two epochs of six steps.
    Epochs,
    /// Many small steps.
    Steps,
    /// Many epochs of one step, the best of which is not the last.
    Best,
}

impl Recipe {
    fn file(self) -> &'static str {
        match self {
            Self::Epochs => "epochs.toml",
            Self::Steps => "steps.toml",
            Self::Best => "best.toml",
        }
    }

    fn text(self) -> String {
        let (name, lr, data, train, stopping) = match self {
            Self::Epochs => ("epochs", 0.01, "", "epochs = 2, batch_size = 10000", ""),
            Self::Steps => ("steps", 0.01, "", "epochs = 1, batch_size = 100, max_steps = 40", ""),
            Self::Best => (
                "best",
                // So large that it ends by chance.
                0.3,
                ", training_images = 50",
                "epochs = 24, batch_size = 50",
                "early_stopping = { monitor = \"accuracy\", patience = 24, restore_best = true }\n",
            ),
        };
        let data = format!("data = {{ normalise = \"unit\"{data} }}\n");
        let optimizer = format!("optimizer = {{ kind = \"adam\", lr = {lr} }}\n");
        format!("name = \"{name}\"\n{LAYERS}{optimizer}{data}train = {{ {train} }}\n{stopping}")
    }
}

/// Where to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Reference,
    Gpu,
}

impl Device {
    fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Gpu => "gpu",
        }
    }
}

/// What a run leaves behind that must not depend on interruptions.
pub struct Whole {
    pub weights: Vec<u8>,
    pub metrics: String,
    /// From the start of the process to its end.
    pub took: Duration,
}

pub struct Desk {
    folder: TempDir,
    recipe: Recipe,
    device: Device,
}

impl Desk {
    pub fn new(recipe: Recipe, device: Device) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), recipe, device };
        fs::write(desk.path(recipe.file()), recipe.text()).unwrap();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a run.
    pub fn train(&self, run: &str) -> Child {
        self.trainer(run, &[self.recipe.file(), "--log-every", "3", "--out", run])
    }

    /// Goes on with it.
    pub fn resume(&self, run: &str) -> Child {
        self.trainer(run, &["--resume", run])
    }

    fn trainer(&self, run: &str, arguments: &[&str]) -> Child {
        let log = fs::File::create(self.path(&format!("{run}.log"))).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        // Reading files is faster than drawing images.
        if std::env::var_os("FASHION_MNIST_DIR").is_none() {
            command.arg("--synthetic");
        }
        command
            .args(["train", "--quiet", "--no-report", "--checkpoint-every", "1", "--device", self.device.name()])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NODEVICE_SELECT", "1")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Waits for a process. What it said is no panic.
    #[track_caller]
    pub fn reap(&self, mut child: Child, run: &str) -> (Option<i32>, String) {
        let status = child.wait().unwrap();
        let said = fs::read_to_string(self.path(&format!("{run}.log"))).unwrap();
        assert!(!said.contains("panicked"), "{run}: {said}");
        (status.code(), said)
    }

    /// Waits for a process that must succeed.
    #[track_caller]
    pub fn ends_well(&self, child: Child, run: &str) {
        let (code, said) = self.reap(child, run);
        assert_eq!(code, Some(0), "{run}: {said}");
    }

    /// The run that is left alone.
    pub fn whole(&self) -> Whole {
        let begin = Instant::now();
        self.ends_well(self.train("whole"), "whole");
        let took = begin.elapsed();
        let (weights, metrics) = self.left("whole");
        // Lines of steps and of epochs.
        let expected = match self.recipe {
            Recipe::Epochs => 4 + 2,
            Recipe::Steps => 13 + 1,
            Recipe::Best => 8 + 24,
        };
        assert_eq!(metrics.lines().count(), expected, "{metrics}");
        if self.recipe == Recipe::Best {
            let summary = fs::read_to_string(self.path("whole/summary.json")).unwrap();
            let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
            assert_ne!(summary["best"]["epoch"], 24, "nothing is restored in the end");
        }
        Whole { weights, metrics, took }
    }

    fn left(&self, run: &str) -> (Vec<u8>, String) {
        let folder = self.path(run);
        let weights = fs::read(folder.join("model.safetensors")).unwrap();
        (weights, fs::read_to_string(folder.join("metrics.jsonl")).unwrap())
    }

    /// The run has ended like the one that was left alone.
    #[track_caller]
    pub fn is_whole(&self, run: &str, whole: &Whole) {
        let (weights, metrics) = self.left(run);
        assert_eq!(metrics, whole.metrics, "{run}: other metrics");
        assert!(weights == whole.weights, "{run}: other weights");
    }
}
