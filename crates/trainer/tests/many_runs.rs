//! Sweeps and reproductions, and what recipes can ask for besides: on the reference, with a network of one layer.
#![allow(clippy::unwrap_used)]

mod common;

use common::Desk;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;

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

/// Whoever stops a sweep stops the run under way, too, and neither twice nor half.
#[cfg(unix)]
#[test]
fn a_signal_reaches_the_run_under_way() {
    let desk = desk();
    fs::write(desk.path("tiny.toml"), TINY.replace("epochs = 2", "epochs = 1000000")).unwrap();
    let mut sweep = desk.start(&format!("sweep grid.toml {WHERE}"));
    let runs = desk.path("runs/sweep-rates");
    let begun = || {
        let mut folders = fs::read_dir(&runs).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.find(|folder| folder.join("metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0))
    };
    let run = loop {
        match begun() {
            Some(run) => break run,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let id = sweep.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -TERM $0", &id]).status().unwrap().success());
    assert_eq!(sweep.wait().unwrap().code(), Some(143));
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
    desk.trainer(&line).ends(0).says("is finished");
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
