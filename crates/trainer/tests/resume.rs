//! Runs that stop and go on: whatever stopped them, they end as if nothing had happened.
#![allow(clippy::unwrap_used)]

mod common;

use common::Desk;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};
use trainer::checkpoint::Store;

/// Everything that carries something from step to step: batch normalisation, dropout, momentum.
const TINY: &str = r#"
name = "tiny"

[data]
normalise = "unit"

[train]
epochs = 2
batch_size = 5

[optimizer]
kind = "adam"

[[layers]]
kind = "conv"
out = 3
kernel = 4
stride = 4

[[layers]]
kind = "batch_norm"

[[layers]]
kind = "relu"

[[layers]]
kind = "flatten"

[[layers]]
kind = "dropout"
rate = 0.25

[[layers]]
kind = "dense"
out = 10
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    fs::write(desk.path("tiny.toml"), TINY).unwrap();
    desk
}

/// Both runs ended with the same weights and the same figures.
#[track_caller]
fn same(desk: &Desk, a: &str, b: &str) {
    for file in ["model.safetensors", "metrics.jsonl"] {
        assert!(desk.read(&format!("{a}/{file}")) == desk.read(&format!("{b}/{file}")), "{file} of {b} is another");
    }
}

/// Begins a run by `line` and kills it each time that it has written this many more checkpoints, until it ends by
/// itself. Returned: how often.
fn kill_again_and_again(desk: &Desk, line: &str, run: &str, device: &str, writes: usize) -> usize {
    let last = desk.path(run).join("checkpoints/last.safetensors");
    let stamp = || fs::metadata(&last).and_then(|metadata| metadata.modified()).ok();
    let mut kills = 0;
    let mut line = format!("{line} --device {device} --out {run}");
    loop {
        let mut child = desk.start(&line);
        let (mut seen, mut changes) = (stamp(), 0);
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            let now = stamp();
            changes += usize::from(now != seen);
            seen = now;
            if changes >= writes && desk.path(run).join("config.toml").exists() {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            sleep(Duration::from_micros(300));
        };
        if let Some(status) = ended {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(status.success(), "{line}\n{said}");
            return kills;
        }
        kills += 1;
        assert!(kills < 100, "it never ends");
        line = format!("train --resume {run} --synthetic --checkpoint-every 2 --device {device}");
    }
}

#[test]
fn killed_runs_end_like_others() {
    let desk = desk();
    let line = "train tiny.toml --synthetic --max-steps 12 --log-every 3 --checkpoint-every 2";
    desk.trainer(&format!("{line} --device reference --out whole")).ends(0);
    let kills = kill_again_and_again(&desk, line, "killed", "reference", 2);
    assert!(kills > 0, "it was never killed");
    same(&desk, "whole", "killed");
    let steps = String::from_utf8(desk.read("killed/metrics.jsonl")).unwrap();
    assert_eq!(steps.lines().count(), 5, "{steps}");
}

#[test]
fn killed_runs_on_the_gpu_end_like_others() {
    let desk = desk();
    let line = "train tiny.toml --synthetic --max-steps 9 --log-every 3 --checkpoint-every 2";
    desk.trainer(&format!("{line} --device gpu --out whole")).ends(0);
    let kills = kill_again_and_again(&desk, line, "killed", "gpu", 3);
    assert!(kills > 0, "it was never killed");
    same(&desk, "whole", "killed");
}

#[test]
fn runs_in_f16_go_on_alike_and_in_f16_only() {
    let desk = desk();
    // So large a scale is halved on the way: the checkpoint holds what it has become.
    let line = "train tiny.toml --synthetic --precision f16-storage --set train.loss_scale=1073741824 --log-every 3";
    desk.trainer(&format!("{line} --max-steps 12 --out whole")).ends(0);
    desk.trainer(&format!("{line} --max-steps 5 --out cut")).ends(0);
    desk.trainer("train --resume cut --synthetic --precision f32").ends(2).says("precision");
    desk.trainer("train --resume cut --synthetic --max-steps 12").ends(0);
    same(&desk, "whole", "cut");
    let summary: Value = serde_json::from_slice(&desk.read("cut/summary.json")).unwrap();
    assert_eq!(summary["precision"], "f16-storage");
    assert!(summary["loss_scale"]["halved"].as_u64().unwrap() > 0, "{summary}");
    desk.trainer("train tiny.toml --synthetic --set train.loss_scale=4").ends(2).says("train.loss_scale");
    desk.trainer("train tiny.toml --synthetic --precision f16-storage --set train.loss_scale=3")
        .ends(2)
        .says("power of 2");
}

#[test]
fn epochs_end_and_begin_alike() {
    let desk = desk();
    // Six steps, three to an epoch, the last of each on a smaller batch; the best epoch is kept.
    let line = "train tiny.toml --synthetic --device reference --validation 59000 --batch-size 400 --log-every 2";
    desk.trainer(&format!("{line} --out whole")).ends(0);
    assert!(desk.path("whole/checkpoints/best.safetensors").is_file());
    // One epoch, then another; three and a bit of the next, then the rest.
    desk.trainer(&format!("{line} --epochs 1 --out grown")).ends(0);
    desk.trainer("train --resume grown --synthetic --device reference --epochs 2").ends(0).says("going on from");
    same(&desk, "whole", "grown");
    let config = fs::read_to_string(desk.path("grown/config.toml")).unwrap();
    assert!(config.contains("epochs = 2"), "{config}");
    desk.trainer(&format!("{line} --max-steps 4 --out longer")).ends(0);
    let summary: Value = serde_json::from_slice(&desk.read("longer/summary.json")).unwrap();
    assert_eq!((&summary["steps"], &summary["epochs"]), (&4.into(), &2.into()));
    desk.trainer("train --resume longer --synthetic --device reference --max-steps 6").ends(0);
    same(&desk, "whole", "longer");

    // Nothing is left to do, which is no error.
    let before = desk.read("whole/model.safetensors");
    let ran = desk.trainer("train --resume whole --synthetic --device reference").ends(0).says("whole is finished");
    let ran = ran.says("; --epochs above 2 extends it");
    assert_eq!(ran.stdout, "");
    assert_eq!(desk.read("whole/model.safetensors"), before);
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let desk = desk();
    let line = "train tiny.toml --synthetic --device reference --max-steps 6 --checkpoint-every 2";
    desk.trainer(&format!("{line} --out whole")).ends(0);
    desk.trainer(&format!("{line} --out run")).ends(0);
    fs::remove_file(desk.path("run/summary.json")).unwrap();
    let last = desk.path("run/checkpoints/last.safetensors");
    let mut bytes = fs::read(&last).unwrap();
    let middle = bytes.len() - 9;
    bytes[middle] ^= 4;
    fs::write(&last, bytes).unwrap();
    let resume = "train --resume run --synthetic --device reference";
    desk.trainer(resume)
        .ends(0)
        .says("checkpoint refused: run/checkpoints/last.safetensors: tensor ")
        .says("going on from run/checkpoints/previous.safetensors: 4 steps");
    same(&desk, "whole", "run");

    fs::remove_file(desk.path("run/summary.json")).unwrap();
    for name in ["last", "previous", "best"] {
        fs::write(desk.path(&format!("run/checkpoints/{name}.safetensors")), "").unwrap();
    }
    desk.trainer(resume).refuses(6, "no checkpoint can be used: run/checkpoints/last.safetensors: not a valid");
    fs::remove_dir_all(desk.path("run/checkpoints")).unwrap();
    desk.trainer(resume).refuses(2, "run holds no checkpoint");
    desk.trainer("train --resume nothing --synthetic").refuses(2, "there is no run folder nothing");
    desk.trainer("train --resume tiny.toml --synthetic").refuses(2, "tiny.toml is not a folder");
}

#[test]
fn what_was_changed_since_is_named() {
    let desk = desk();
    let line = "train tiny.toml --synthetic --device reference --max-steps 2 --log-every 1 --out run";
    desk.trainer(line).ends(0);
    fs::remove_file(desk.path("run/summary.json")).unwrap();
    desk.trainer(line).refuses(2, "run holds an unfinished run; go on with it: trainer train --resume run;");
    let resume = "train --resume run --synthetic --device reference";
    for (flags, message) in [
        ("--lr 0.5", "optimizer.lr was 0.001, now 0.5"),
        ("--batch-size 6 --seed 3", "train.batch_size was 5, now 6; train.seed was 0, now 3"),
        ("--dropout 0.5", "layers.5.rate was 0.25, now 0.5"),
        ("--log-every 2", "--log-every was 1, now 2"),
        ("--out other", "cannot be used with"),
    ] {
        let ran = desk.trainer(&format!("{resume} {flags}")).ends(2).says(message);
        assert_eq!(ran.stdout, "");
    }
    let before = desk.read("run/metrics.jsonl");
    desk.trainer(resume).ends(0);
    assert_eq!(desk.read("run/metrics.jsonl"), before);
}

/// Kernels sum in orders of their own, so a table that chooses others is told like another adapter.
#[test]
fn another_table_of_choices_is_told() {
    let desk = desk();
    let table = "format = 1\nclass = \"software\"\nadapter = \"any\"\namong = \"any-order\"\n";
    for name in ["table.toml", "same.toml"] {
        fs::write(desk.path(name), table).unwrap();
    }
    let line = "train tiny.toml --synthetic --device gpu --max-steps 2 --tuned table.toml --out run";
    desk.trainer(line).ends(0);
    fs::remove_file(desk.path("run/summary.json")).unwrap();
    let resume = "train --resume run --synthetic --device gpu";
    let same = desk.trainer(&format!("{resume} --tuned same.toml")).ends(0);
    assert!(!same.stderr.contains("figures may differ"), "{}", same.stderr);
    fs::remove_file(desk.path("run/summary.json")).unwrap();
    desk.trainer(resume).ends(0).says("with kernels by a table of choices (sha256 ").says("figures may differ");
}

/// Sends a signal as soon as the run can go on.
#[cfg(unix)]
fn interrupt(desk: &Desk, line: &str, run: &str, signals: &[&str]) -> (std::process::ExitStatus, String) {
    let mut child = desk.start(line);
    let begin = Instant::now();
    while !desk.path(run).join("timings.jsonl").exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "it never begins");
        assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
        sleep(Duration::from_millis(1));
    }
    for signal in signals {
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, id.as_str()]).status().unwrap().success());
    }
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status, said)
}

#[cfg(unix)]
#[test]
fn signals_end_a_run_after_a_checkpoint() {
    let desk = desk();
    let line = "train tiny.toml --synthetic --device reference --max-steps 600 --log-every 100";
    desk.trainer(&format!("{line} --out whole")).ends(0);
    for (signal, name, code) in [("-INT", "SIGINT", 130), ("-TERM", "SIGTERM", 143)] {
        let run = &name.to_lowercase();
        let (status, said) = interrupt(&desk, &format!("{line} --out {run}"), run, &[signal]);
        assert_eq!(status.code(), Some(code), "{said}");
        let message = format!("error: interrupted by {name} after step ");
        assert!(said.contains(&message) && said.contains(&format!("trainer train --resume {run}")), "{said}");
        assert!(!desk.path(run).join("summary.json").exists());
        desk.trainer(&format!("train --resume {run} --synthetic --device reference")).ends(0);
        same(&desk, "whole", run);
    }
}

/// Where the time goes into evaluation, a signal takes effect there, too.
#[cfg(unix)]
#[test]
fn signals_end_an_evaluation_before_its_end() {
    let desk = desk();
    // One step, then two hundred times as many images to validate on, then a hundred times as many to test on.
    let slow = TINY.replace("out = 3\nkernel = 4\nstride = 4", "out = 4\nkernel = 5\npad = 2");
    let images = "[data]\ntraining_images = 100\nvalidation = 20000";
    fs::write(desk.path("slow.toml"), slow.replace("[data]", images)).unwrap();
    let line = "train slow.toml --synthetic --device reference --epochs 1 --batch-size 100 --log-every 1";
    let resume = "train --resume run --synthetic --device reference";
    desk.trainer(&format!("{line} --out whole")).ends(0);

    let log = || fs::read_to_string(desk.path("run/metrics.jsonl")).unwrap_or_default();
    let stop = |line: &str, written: &str, signal: &str| {
        let mut child = desk.start(line);
        while !log().contains(written) {
            assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
            sleep(Duration::from_millis(1));
        }
        assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        child.wait().unwrap().code()
    };
    assert_eq!(stop(&format!("{line} --out run"), "\"step\"", "-TERM"), Some(143));
    assert!(!log().contains("\"epoch\""), "the evaluation went on to its end");
    let (_, found) = Store::load(&desk.path("run"), 1 << 20, |_| Ok(())).unwrap();
    let state = found.checkpoint.snapshot.state;
    assert_eq!((state.steps, state.position, state.epoch), (1, 100, 1), "not the end of the epoch's training");
    assert_eq!(stop(resume, "\"epoch\"", "-INT"), Some(130));
    assert!(!desk.path("run/model.safetensors").exists(), "the test went on to its end");
    desk.trainer(resume).ends(0);
    same(&desk, "whole", "run");
}

#[test]
fn a_longer_run_is_the_same_as_one_begun_so_or_has_to_be_accepted() {
    let desk = desk();
    let line = "train tiny.toml --synthetic --device reference --batch-size 100 --set data.training_images=300";
    let resume = "train --synthetic --device reference --resume";
    desk.trainer(&format!("{line} --set schedule.kind=cosine --out run")).ends(0);
    let before = desk.read("run/checkpoints/last.safetensors");
    let refused = desk.trainer(&format!("{resume} run --epochs 3"));
    refused.refuses(
        2,
        "run was begun with 2 epochs; with 3 epochs it would not end like a run begun so, because its cosine",
    );
    desk.trainer(&format!("{resume} run --epochs 1 --extend"))
        .refuses(2, "run was to have 2 epochs, and 1 epoch would be");
    desk.trainer(&format!("{resume} run --max-steps 5")).refuses(2, "a run can be extended, not cut short");
    assert_eq!(desk.read("run/checkpoints/last.safetensors"), before);
    let extended = desk.trainer(&format!("{resume} run --epochs 3 --extend")).ends(0);
    extended.says("extended from 2 epochs to 3 epochs: it ends otherwise than a run that was as long from the start");
    let summary: Value = serde_json::from_slice(&desk.read("run/summary.json")).unwrap();
    let expected = serde_json::json!([{
        "steps": 6, "was": { "epochs": 2, "max_steps": null }, "now": { "epochs": 3, "max_steps": null }
    }]);
    assert_eq!((&summary["extended"], &summary["steps"]), (&expected, &9.into()));
    // It was accepted once.
    desk.trainer(&format!("{resume} run")).ends(0).says("; --epochs above 3 extends it");

    // Stopped early, it has come to its end.
    let stopping = "--set early_stopping.patience=1 --set early_stopping.min_delta=9";
    desk.trainer(&format!("{line} {stopping} --epochs 9 --out early")).ends(0);
    let ran = desk.trainer(&format!("{resume} early --epochs 20")).ends(0);
    ran.says("2 epochs, 6 steps").says("early stopping ended it, so it cannot be extended");
}

#[test]
fn what_a_finished_run_lacks_is_written_anew() {
    let desk = desk();
    let line =
        "train tiny.toml --synthetic --device reference --batch-size 100 --set data.training_images=300 --lr 0.3";
    let stopping =
        "--set early_stopping.patience=8 --set early_stopping.monitor=accuracy --set early_stopping.restore_best=true";
    let stopping = format!("{stopping} --epochs 6");
    let resume = "train --synthetic --device reference --resume";
    desk.trainer(&format!("{line} {stopping} --out whole")).ends(0);
    let summary: Value = serde_json::from_slice(&desk.read("whole/summary.json")).unwrap();
    assert_ne!(summary["best"]["epoch"], 6, "nothing is restored in the end");
    desk.trainer(&format!("{line} {stopping} --out run")).ends(0);
    for (file, bytes) in [("model.safetensors", None), ("model.safetensors", Some("?")), ("summary.json", Some("{"))] {
        let path = desk.path("run").join(file);
        match bytes {
            None => fs::remove_file(path).unwrap(),
            Some(bytes) => fs::write(path, bytes).unwrap(),
        }
        let ran = desk.trainer(&format!("{resume} run")).ends(0);
        if file == "model.safetensors" {
            ran.says("run was finished, but ").says("it is written anew");
        }
        same(&desk, "whole", "run");
        assert!(desk.path("run/summary.json").exists());
    }
    fs::remove_file(desk.path("run/model.safetensors")).unwrap();
    desk.trainer("eval run").refuses(2, "model.safetensors is missing; trainer train --resume run trains to the end");
    fs::remove_file(desk.path("run/checkpoints/best.safetensors")).unwrap();
    let error = "the weights of the best epoch, with which the run is to end, cannot be had: run/checkpoints/best";
    desk.trainer(&format!("{resume} run")).refuses(6, error);

    // What was measured cannot be measured again.
    fs::write(desk.path("whole/metrics.jsonl"), "").unwrap();
    desk.trainer(&format!("{resume} whole"))
        .ends(0)
        .says("whole is finished: ")
        .says(" bytes of metrics.jsonl are gone");
    fs::remove_file(desk.path("whole/summary.json")).unwrap();
    desk.trainer(&format!("{resume} whole")).ends(0).says(" bytes of metrics.jsonl are gone");
}
