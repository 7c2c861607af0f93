//! Sweeps and reproductions, and what recipes can ask for besides: on the reference, with a network of one layer.
#![allow(clippy::unwrap_used)]

mod common;

use common::Desk;
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const TINY: &str = r#"
name = "tiny"
layers = [{ kind = "flatten" }, { kind = "dense", out = 10 }]

[data]
normalise = "unit"
validation = 50
training_images = 40

[train]
epochs = 2
batch_size = 20

[optimizer]
kind = "sgd"
lr = 0.1
"#;

const GRID: &str = r#"
name = "rates"
recipes = ["tiny.toml"]

[axes]
"optimizer.lr" = [0.1, 0.2]
"#;

const WHERE: &str = "--device reference --synthetic";

fn desk() -> Desk {
    let desk = Desk::new();
    fs::write(desk.path("tiny.toml"), TINY).unwrap();
    fs::write(desk.path("grid.toml"), GRID).unwrap();
    desk
}

fn json(desk: &Desk, name: &str) -> Value {
    serde_json::from_slice(&desk.read(name)).unwrap()
}

fn metrics(desk: &Desk, run: &str) -> Vec<Value> {
    let text = String::from_utf8(desk.read(&format!("{run}/metrics.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_sweep_is_made_once_and_a_failed_run_stops_nothing() {
    let desk = desk();
    // A rate at which numbers leave their range.
    fs::write(desk.path("grid.toml"), GRID.replace("0.2", "1e38")).unwrap();
    let line = format!("sweep grid.toml --seeds 2 {WHERE}");
    let ran = desk.trainer(&line).ends(1).says("2 of 4 runs failed").says("failed with exit code 5");
    assert!(ran.stdout.contains("tiny optimizer.lr=0.1"), "{}", ran.stdout);
    assert!(ran.stdout.contains("2 of 2") && ran.stdout.contains("0 of 2"), "{}", ran.stdout);
    let table = json(&desk, "runs/sweep-rates/sweep.json");
    assert_eq!((&table["chosen_by_validation"], &table["chosen_by_test"]), (&0.into(), &0.into()));
    assert_eq!(table["points"][1]["runs"][0]["exit_code"], 5);
    let folder = table["points"][0]["runs"][1]["folder"].as_str().unwrap().to_owned();
    let weights = format!("{folder}/model.safetensors");
    let before = desk.path(&weights).metadata().unwrap().modified().unwrap();
    let again = desk.trainer(&line).ends(1);
    assert_eq!(again.stderr.matches(" is finished\n").count(), 2, "{}", again.stderr);
    assert_eq!(desk.path(&weights).metadata().unwrap().modified().unwrap(), before);
    assert!(String::from_utf8(desk.read("runs/sweep-rates/sweep.md")).unwrap().contains("chosen by validation: tiny "));
}

/// A program that is killed if the test ends before it, and with it the run it has started.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // A run is in a process group of its own.
            let script = "pkill -KILL -P $0; kill -KILL $0";
            let _ = Command::new("sh").args(["-c", script, &self.0.id().to_string()]).status();
            let _ = self.0.wait();
        }
    }
}

/// What `look` finds, asked again and again for so long and no longer.
#[track_caller]
fn within_a_minute<T>(otherwise: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        if let Some(found) = look() {
            return found;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("{otherwise} within a minute")
}

/// Whoever stops a sweep stops the run under way, too, and neither twice nor half.
#[cfg(unix)]
#[test]
fn a_signal_reaches_the_run_under_way() {
    let desk = desk();
    fs::write(desk.path("tiny.toml"), TINY.replace("epochs = 2", "epochs = 1000000")).unwrap();
    // Nobody reads what it says, and a full pipe would stop it.
    let mut sweep = desk.command(&format!("sweep grid.toml --quiet {WHERE}"));
    let mut sweep = Stopped(sweep.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let runs = desk.path("runs/sweep-rates");
    let begun = || {
        let mut folders = fs::read_dir(&runs).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.find(|folder| folder.join("metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0))
    };
    let run = within_a_minute("no run has begun", begun);
    let id = sweep.0.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -TERM $0", &id]).status().unwrap().success());
    let status = within_a_minute("the sweep goes on after SIGTERM", || sweep.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(143));
    let lock = fs::File::open(run.join(".lock")).unwrap();
    assert!(lock.try_lock().is_ok(), "the run goes on by itself");
    assert!(run.join("checkpoints/last.safetensors").is_file());
    assert_eq!(fs::read_dir(&runs).unwrap().flatten().filter(|entry| entry.path().join(".lock").exists()).count(), 1);
}

#[cfg(unix)]
#[test]
fn what_is_written_down_can_be_run_by_others() {
    let desk = desk();
    let sh = |script: &str| {
        let mut command = Command::new("bash");
        command.arg("-c").arg(script).current_dir(desk.path("")).env("XDG_CACHE_HOME", desk.path("cache"));
        assert!(command.env_remove("FASHION_MNIST_DIR").output().unwrap().status.success(), "{script}");
    };
    let list = desk.trainer(&format!("sweep grid.toml --emit list {WHERE}")).ends(0).stdout;
    assert_eq!(list.lines().count(), 2);
    sh(list.lines().next().unwrap());
    // A second time there is nothing to do.
    sh(list.lines().next().unwrap());
    let slurm = desk.trainer(&format!("sweep grid.toml --emit slurm {WHERE}")).ends(0).stdout;
    fs::write(desk.path("array"), slurm).unwrap();
    sh("SLURM_ARRAY_TASK_ID=1 bash array");
    let ran = desk.trainer(&format!("sweep grid.toml {WHERE}")).ends(0);
    assert_eq!(ran.stderr.matches(" is finished\n").count(), 2, "{}", ran.stderr);
}

#[test]
fn a_row_is_reproduced_and_others_are_kept() {
    let desk = desk();
    let line = format!("reproduce svm-linear --epochs-scale 1e-4 --seeds 2 --out tables {WHERE}");
    let ran = desk.trainer(&line).ends(0);
    assert!(ran.stdout.contains("| `svm-linear` (synthetic data) | test | 86.00 | "), "{}", ran.stdout);
    let results = json(&desk, "tables/reference-synthetic.json");
    let row = &results["rows"]["svm-linear"];
    assert_eq!((&row["steps"], row["seeds"].as_array().unwrap().len()), (&2.into(), 2));
    let counted: u64 = row["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(counted, 20_000);
    // A row that this command does not train.
    let mut others = results.clone();
    others["rows"]["one-conv"] = row.clone();
    fs::write(desk.path("tables/reference-synthetic.json"), others.to_string()).unwrap();
    let printed = desk.trainer(&format!("{line} --json")).ends(0).says("is finished").json();
    assert_eq!(printed["results"], others);
    assert_eq!(
        printed["written"],
        serde_json::json!(["tables/reference-synthetic.json", "tables/reference-synthetic.md"])
    );
    assert_eq!(json(&desk, "tables/reference-synthetic.json"), others);
    let page = String::from_utf8(desk.read("tables/reference-synthetic.md")).unwrap();
    assert!(page.contains("### one-conv\n") && page.contains("### svm-linear\n"), "{page}");
    // What is compared with reported figures is never the stand-in by chance.
    let line = "reproduce svm-linear --offline --epochs-scale 1e-9 --seeds 1 --out other --device reference";
    desk.trainer(line).ends(1).says("failed with exit code 4");
    desk.trainer("reproduce lenet").refuses(2, "there is no row `lenet`, did you mean `lenet5`?");
}

#[test]
fn once_means_once_and_never_another_recipe() {
    let desk = desk();
    let line = format!("train tiny.toml --out run --once {WHERE}");
    desk.trainer(&line).ends(0);
    let weights = desk.read("run/model.safetensors");
    desk.trainer(&line).ends(0).says("run is finished: 2 epochs");
    assert_eq!(desk.read("run/model.safetensors"), weights);
    desk.trainer(&format!("{line} --seed 1")).refuses(2, "train.seed was 0, now 1");
    desk.trainer(&format!("{line} --set train.speed=1")).refuses(2, "--set train.speed=1: unknown field `speed`");
}

#[test]
fn events_are_lines_of_json() {
    let desk = desk();
    let ran = desk.trainer(&format!("train tiny.toml --json {WHERE}")).ends(0);
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> =
        events.iter().filter_map(|event| event["event"].as_str()).filter(|kind| *kind != "progress").collect();
    assert_eq!(kinds, ["start", "epoch", "epoch", "end"]);
    let end = events.last().unwrap();
    assert_eq!(end["summary"]["steps"], 4);
    assert!(!ran.stderr.contains("epoch"), "{}", ran.stderr);
}

#[test]
fn what_was_written_is_printed_as_json() {
    let desk = desk();
    let small = [("SELVEDGE_STAND_IN", "120,40")];
    desk.trainer_with(&format!("train tiny.toml --out run --no-report {WHERE}"), &small).ends(0);
    let report = desk.trainer_with("report run --json --device reference", &small).ends(0).json();
    assert_eq!((&report["report"], &report["runs"][0]["recipe"]), (&"run/report.html".into(), &"tiny".into()));
    assert_eq!(report["runs"][0]["summary"], json(&desk, "run/summary.json"));
    assert_eq!(
        (&report["runs"][0]["summary"]["test"]["images"], &report["remarks"]),
        (&40.into(), &serde_json::json!([]))
    );
    assert!(desk.path("run/report.html").is_file());

    let line = format!("dump tiny.toml --weights run/model.safetensors --range 3..8 --out d {WHERE}");
    let dump = desk.trainer_with(&format!("{line} --json"), &small).ends(0).json();
    assert_eq!((&dump["file"], &dump["split"], &dump["dataset"]), (&"d".into(), &"test".into(), &"synthetic".into()));
    assert_eq!(dump["images"], serde_json::json!([3, 8]));
    let written = desk.read("d");
    let written = safetensors::SafeTensors::deserialize(&written).unwrap();
    let listed = dump["tensors"].as_array().unwrap();
    assert_eq!(listed.len(), written.len());
    for tensor in listed {
        let there = written.tensor(tensor["name"].as_str().unwrap()).unwrap();
        assert_eq!(tensor["dims"], serde_json::json!(there.shape()), "{tensor}");
        assert_eq!(tensor["dtype"], format!("{:?}", there.dtype()), "{tensor}");
    }
    let said = desk.trainer_with(&line, &small).ends(0).stdout;
    assert_eq!(said, "d: 6 tensors, images 3..8 of the test split, dataset synthetic\n");
}

#[test]
fn validation_on_test_images_is_given_augmented_and_clean() {
    let desk = desk();
    let recipe = TINY.replace("validation = 50", "validate_on_test = true")
        + "\n[augment]\nrotation = 20\nshift = 0.2\n\n[erasing]\n\n[schedule]\nkind = \"one_cycle\"\n";
    fs::write(desk.path("moved.toml"), recipe).unwrap();
    desk.trainer(&format!("train moved.toml --out run --set train.clip_grad_norm=0.5 {WHERE}")).ends(0);
    let epochs = metrics(&desk, "run");
    let [clean, moved] = ["validation", "validation_augmented"].map(|key| epochs[1][key]["loss"].as_f64().unwrap());
    assert!(clean != moved);
    let summary = json(&desk, "run/summary.json");
    assert_eq!(summary["validation"], summary["test"]);
    assert_ne!(summary["validation_augmented"], summary["test"]);
    // The test images are only evaluated on their own where they are not those to validate on.
    assert!(epochs[1]["test"].is_null());
    desk.trainer(&format!("train tiny.toml --out both --set data.test_every_epoch=true {WHERE}")).ends(0);
    assert_eq!(metrics(&desk, "both")[1]["test"]["accuracy"], json(&desk, "both/summary.json")["test"]["accuracy"]);
}

#[test]
fn training_stops_early_and_ends_with_the_best_weights() {
    let desk = desk();
    // With a rate this high the loss rises from one epoch to the next.
    let line = format!(
        "train tiny.toml --epochs 50 --lr 30 --out run --set early_stopping.patience=2 \
         --set early_stopping.restore_best=true {WHERE}"
    );
    desk.trainer(&line).ends(0);
    let epochs = metrics(&desk, "run");
    assert!(epochs.len() < 50, "{}", epochs.len());
    let losses: Vec<f64> = epochs.iter().map(|epoch| epoch["validation"]["loss"].as_f64().unwrap()).collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let since = losses.len() - 1 - losses.iter().position(|loss| *loss == lowest).unwrap();
    assert_eq!(since, 2, "{losses:?}");
    let best = json(&desk, "run/summary.json")["best"]["epoch"].as_u64().unwrap();
    // A run that ends with the best epoch has the same weights.
    desk.trainer(&format!("train tiny.toml --epochs {best} --lr 30 --out short {WHERE}")).ends(0);
    assert!(best < epochs.len() as u64);
    assert_eq!(desk.read("run/model.safetensors"), desk.read("short/model.safetensors"));
}
