//! The program as it is run: exit codes, messages, and what a run leaves behind. Most of it needs a GPU adapter, and
//! fails without one.
#![allow(clippy::unwrap_used)]

mod common;

use common::Desk;
use fashion_mnist::{Finder, Source};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::Path;
use trainer::recipe::Recipe;

/// An environment in which no driver is found.
const NO_ADAPTER: &[(&str, &str)] =
    &[("VK_DRIVER_FILES", "/nonexistent"), ("VK_ICD_FILENAMES", "/nonexistent"), ("WGPU_BACKEND", "vulkan")];

const SHORT: &str = "--synthetic --quiet --max-steps 2 --batch-size 4";

#[test]
fn damaged_data_files_are_refused() {
    let desk = Desk::new();
    let folder = desk.path("data");
    let file = folder.join("train-labels-idx1-ubyte.gz");
    let refused = |problem: &str| {
        let line = "train --device reference --data-dir data --out run";
        desk.trainer(line).refuses(4, &format!("data/train-labels-idx1-ubyte.gz: {problem}"));
        assert!(!desk.path("run").exists(), "{problem}");
    };
    refused("no such file");
    fs::create_dir(&folder).unwrap();
    refused("no such file");
    for (bytes, problem) in [
        (vec![], "has 0 bytes, the official file has 29515"),
        (vec![0x1f; 29_514], "has 29514 bytes, the official file has 29515"),
        (vec![0x1f; 29_516], "has 29516 bytes, the official file has 29515"),
        // The right size, and neither gzip nor the right contents.
        (vec![0x1f; 29_515], "has sha256 "),
    ] {
        fs::write(&file, bytes).unwrap();
        refused(problem);
    }
    let huge = fs::File::create(&file).unwrap();
    huge.set_len(1 << 40).unwrap();
    refused("has 1099511627776 bytes, the official file has 29515");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused("not a regular file");

    // Whoever reads the data, and whoever names the folder.
    desk.weights("w.safetensors", "lenet5");
    let data = [("FASHION_MNIST_DIR", "data")];
    let eval = "eval --device reference --recipe lenet5 --weights w.safetensors";
    desk.trainer_with(eval, &data).refuses(4, "FASHION_MNIST_DIR names this folder");
    let dump = "dump lenet5 --device reference --weights w.safetensors --range 0..1 --out d --data-dir data";
    desk.trainer(dump).refuses(4, "--data-dir names this folder");
}

#[test]
fn impossible_wishes_are_usage_errors() {
    let desk = Desk::new();
    fs::create_dir(desk.path("taken")).unwrap();
    fs::write(desk.path("taken/summary.json"), "{}").unwrap();
    fs::write(desk.path("file"), "").unwrap();
    desk.weights("w.safetensors", "lenet5");

    for (line, message) in [
        ("train lenet", "there is no recipe `lenet`, did you mean `lenet5`?"),
        ("train resnet50", "`trainer list` shows the built-in ones"),
        ("train none.toml", "recipe none.toml: "),
        ("train depth2 --momentum 0.9", "--momentum does not go with the optimiser adam"),
        ("train --dropout 0.5", "has no dropout layer"),
        ("train --lr nan", "optimizer.lr is NaN"),
        ("train --batch-size 0", "train.batch_size is 0"),
        ("train --validation 60000", "data.validation is 60000"),
        ("train --out taken", "taken already holds a run (summary.json)"),
        ("train --out file", "file is not a folder"),
        ("train --device reference --backend vulkan", "--device reference uses none"),
        ("train --synthetic --data-dir x", "--synthetic reads none"),
        ("train --epochs many", "invalid value 'many'"),
        ("eval", "required arguments were not provided"),
        ("eval nowhere", "there is no run folder nowhere"),
        ("eval file", "file is not a folder"),
        ("eval taken", "taken holds no run: config.toml is missing"),
        ("eval taken --weights w.safetensors --recipe lenet5", "cannot be used with"),
        ("train lenet5 --extend", "cannot be used with"),
        (
            "dump lenet5 --synthetic --device reference --weights w.safetensors --range 9999..10001 --out d",
            "--range 9999..10001: the test split has 10000 images",
        ),
        ("kernels check conv3d", "no kernel matches `conv3d`, did you mean `conv2d`?"),
        ("kernels check relu nonsense", "no kernel matches `nonsense`; `trainer kernels list` shows them all"),
        ("kernels check relu --case nonsense", "--case `nonsense`: the chosen kernels have no such case"),
        ("kernels check relu --data floats", "possible values: integers"),
        ("kernels list nonsense", "no kernel matches `nonsense`"),
        ("kernels check --device reference", "--device reference uses none"),
    ] {
        // Nothing of this needs an adapter, so none of it may look for one first.
        desk.trainer_with(line, NO_ADAPTER).refuses(2, message);
    }
    let left: Vec<_> = fs::read_dir(desk.path("taken")).unwrap().collect();
    assert_eq!(left.len(), 1, "a run was written over");
    assert!(!desk.path("runs").exists() && !desk.path("d").exists());
}

#[test]
fn impossible_recipes_are_refused_with_their_line() {
    let desk = Desk::new();
    let text = include_str!("../recipes/lenet5.toml");
    for (right, wrong, message) in [
        (
            "out = 6, kernel = 5, pad = 4",
            "out = 6, kernel = [40, 5]",
            "layer 1 (conv): conv2d: along h the kernel spans 40 elements but the padded input has 28",
        ),
        ("out = 16, kernel = 5, pad = 2", "out = 16, kernel = 5, stride = 0", "stride_h is 0"),
        ("kind = \"flatten\"", "kind = \"dense\", out = 10", "needs features"),
        ("out = 10 }", "out = 11 }", "the network ends in [11] here"),
        ("out = 120 }", "out = 99999999999 }", "weight has more than 2147483647 elements"),
        ("kind = \"flatten\"", "kind = \"unroll\"", "unknown kind \"unroll\""),
        ("epochs = 20", "epochs = ", "expected literal string"),
        ("epochs = 20", "epochs = -1", "integer `-1`"),
        ("batch_size = 32", "batchsize = 32", "batchsize"),
        ("lr = 0.01", "lr = inf", "optimizer.lr is inf"),
    ] {
        assert_eq!(text.matches(right).count(), 1, "{right}");
        let line = text.lines().position(|line| line.contains(right)).unwrap() + 1;
        fs::write(desk.path("mine.toml"), text.replacen(right, wrong, 1)).unwrap();
        let ran = desk.trainer_with("train mine.toml", NO_ADAPTER);
        ran.says(&format!("error: mine.toml:{line}:")).refuses(2, message);
    }
}

#[test]
fn wrong_weights_are_refused() {
    let desk = Desk::new();
    desk.weights("good.safetensors", "lenet5");
    desk.weights("other.safetensors", "depth2");
    let good = fs::read(desk.path("good.safetensors")).unwrap();
    fs::write(desk.path("cut.safetensors"), &good[..good.len() - 1]).unwrap();
    fs::write(desk.path("long.safetensors"), [good.as_slice(), &[0; 4]].concat()).unwrap();
    let nan = [&good[..good.len() - 4], &f32::NAN.to_le_bytes()].concat();
    fs::write(desk.path("nan.safetensors"), nan).unwrap();
    fs::write(desk.path("text.safetensors"), "these are no weights").unwrap();
    fs::write(desk.path("empty.safetensors"), "").unwrap();
    fs::create_dir(desk.path("folder.safetensors")).unwrap();

    for (name, message) in [
        ("none", "weights none.safetensors: "),
        ("folder", "not a regular file"),
        ("empty", "not a valid safetensors file"),
        ("text", "not a valid safetensors file"),
        ("cut", "not a valid safetensors file"),
        ("long", "not a valid safetensors file"),
        ("other", "weights other.safetensors: "),
        ("nan", "values that are not finite"),
    ] {
        let init = format!("train --synthetic --device reference --init {name}.safetensors --out run");
        desk.trainer(&init).refuses(6, message);
        let eval = format!("eval --synthetic --device reference --recipe lenet5 --weights {name}.safetensors");
        desk.trainer(&eval).refuses(6, message);
    }
    for name in ["none", "cut", "other", "nan"] {
        let dump = "dump lenet5 --synthetic --device reference --range 0..1 --out d";
        desk.trainer(&format!("{dump} --weights {name}.safetensors"))
            .refuses(6, &format!("weights {name}.safetensors"));
    }
    assert!(!desk.path("run").exists() && !desk.path("d").exists());

    // A run whose weights were damaged later.
    fs::create_dir(desk.path("damaged")).unwrap();
    fs::write(desk.path("damaged/config.toml"), Recipe::find("lenet5").unwrap().to_toml().unwrap()).unwrap();
    fs::copy(desk.path("cut.safetensors"), desk.path("damaged/model.safetensors")).unwrap();
    desk.trainer("eval damaged --synthetic --device reference").refuses(6, "damaged/model.safetensors");
}

#[test]
fn without_an_adapter_gpu_ends_and_auto_goes_on() {
    let desk = Desk::new();
    // What is to be installed depends on the system; what the backend said is always there.
    let advice = if cfg!(target_os = "linux") { "mesa-vulkan-drivers" } else { "driver" };
    for line in [
        &format!("train {SHORT} --device gpu --out run"),
        "train --adapter nvidia --out run",
        "train --backend vulkan --out run",
        "kernels check relu",
        "kernels list",
        "doctor --probe",
    ] {
        let ran = desk.trainer_with(line, NO_ADAPTER).ends(3).says("no GPU adapter found").says("vulkan").says(advice);
        assert_eq!(ran.stdout, "", "{line}");
    }
    assert!(!desk.path("run").exists());

    let ran = desk.trainer_with(&format!("train {SHORT} --out run"), NO_ADAPTER).ends(0);
    let said: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("no GPU adapter found")).collect();
    assert_eq!(said.len(), 1, "{}", ran.stderr);
    assert!(said[0].contains("CPU reference") && said[0].contains(advice), "{}", said[0]);
    let summary: Value = serde_json::from_slice(&fs::read(desk.path("run/summary.json")).unwrap()).unwrap();
    assert_eq!(summary["adapter"]["name"], "reference");
    assert_eq!(summary["test"]["images"], 10_000);
}

#[test]
fn a_run_from_beginning_to_end() {
    let desk = Desk::new();
    let line = "train --synthetic --device gpu --max-steps 3 --batch-size 4 --log-every 1 --seed 5 --out run";
    let ran = desk.trainer(line).ends(0).says("synthetic stand-in, not Fashion-MNIST").says("dataset synthetic");
    assert!(ran.stdout.starts_with("test accuracy ") && ran.stdout.contains("dataset synthetic"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("run folder run\n"), "{}", ran.stdout);

    let config = Recipe::read(&desk.path("run/config.toml")).unwrap();
    assert_eq!((config.name.as_str(), config.train.seed, config.train.batch_size), ("lenet5", 5, 4));
    assert_eq!(config.train.max_steps, Some(3));

    let metrics = fs::read_to_string(desk.path("run/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{metrics}");
    for (index, line) in lines[..3].iter().enumerate() {
        assert_eq!((&line["kind"], &line["step"]), (&"step".into(), &(index + 1).into()), "{metrics}");
        // Of ten classes, at first: near ln 10.
        assert!((1.0..5.0).contains(&line["loss"].as_f64().unwrap()), "{metrics}");
    }
    assert_eq!((&lines[3]["kind"], &lines[3]["steps"]), (&"epoch".into(), &3.into()));
    let mean = lines[..3].iter().map(|line| line["loss"].as_f64().unwrap()).sum::<f64>() / 3.0;
    assert!((lines[3]["train"]["loss"].as_f64().unwrap() - mean).abs() < 1e-4, "{metrics}");

    let summary: Value = serde_json::from_slice(&fs::read(desk.path("run/summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["dataset"], &summary["seed"]), (&"synthetic".into(), &5.into()));
    assert_eq!((&summary["parameters"], &summary["steps"]), (&136_586.into(), &3.into()));
    assert!(!summary["adapter"]["name"].as_str().unwrap().is_empty() && summary["adapter"]["name"] != "reference");
    assert!(summary["adapter"]["device_type"].is_string());
    assert_eq!(summary["checks"], false);
    assert!((0.0..=1.0).contains(&summary["test"]["accuracy"].as_f64().unwrap()));
    assert!(summary["test"]["loss"].as_f64().unwrap() > 0.0 && summary["seconds"]["train"].as_f64().unwrap() > 0.0);
    let confusion: u64 = (0..100).map(|i| summary["test"]["confusion"][i / 10][i % 10].as_u64().unwrap()).sum();
    assert_eq!(confusion, 10_000);

    // The saved weights are those that were tested.
    let eval = desk.trainer("eval run --synthetic --device gpu --json").ends(0).json();
    assert_eq!(eval["dataset"], "synthetic");
    for field in ["accuracy", "loss", "confusion", "images"] {
        assert_eq!(eval[field], summary["test"][field], "{field}");
    }

    desk.trainer(line).refuses(2, "run already holds a run (config.toml)");

    // The same seed gives the same weights, bit for bit; another gives others.
    let weights = |run: &str| fs::read(desk.path(run).join("model.safetensors")).unwrap();
    desk.trainer(&line.replace("--out run", "--out again --quiet")).ends(0);
    assert_eq!(weights("run"), weights("again"), "the same seed gave other weights");
    desk.trainer(&line.replace("--out run", "--out checked --checked --quiet")).ends(0);
    assert_eq!(weights("run"), weights("checked"), "run-time checks gave other weights");
    let checked: Value = serde_json::from_slice(&fs::read(desk.path("checked/summary.json")).unwrap()).unwrap();
    assert_eq!(checked["checks"], true);
    desk.trainer(&line.replace("--seed 5 --out run", "--seed 6 --out other --quiet")).ends(0);
    assert_ne!(weights("run"), weights("other"));
}

#[test]
fn a_diverging_run_ends_with_its_own_code() {
    let desk = Desk::new();
    for device in ["gpu", "reference"] {
        let line = format!("train {SHORT} --max-steps 4 --optimizer sgd --lr 1e30 --device {device} --out {device}");
        let line = line.replacen("--max-steps 2 ", "", 1);
        desk.trainer(&line).refuses(5, "training diverged in step 2 (epoch 1): the output of layer conv");
        let run = desk.path(device);
        assert!(!run.join("summary.json").exists() && !run.join("model.safetensors").exists(), "{device}");
    }
    // The only update spoils the weights: no training loss shows it any more, the test does.
    let line =
        format!("train {SHORT} --optimizer sgd --lr 1e38 --out once").replacen("--max-steps 2", "--max-steps 1", 1);
    desk.trainer(&line).refuses(5, "training diverged");
    assert!(!desk.path("once").join("summary.json").exists());
}

#[test]
fn dump_says_the_same_on_gpu_and_reference() {
    let desk = Desk::new();
    desk.weights("w.safetensors", "lenet5");
    let dump = |device: &str| {
        let line = "dump lenet5 --synthetic --weights w.safetensors --split train --range 3..8";
        desk.trainer(&format!("{line} --device {device} --out {device}.safetensors")).ends(0);
        fs::read(desk.path(&format!("{device}.safetensors"))).unwrap()
    };
    let (gpu, reference) = (dump("gpu"), dump("reference"));
    let onto_itself = "dump lenet5 --synthetic --weights w.safetensors --range 0..2 --out w.safetensors";
    desk.trainer(onto_itself).refuses(2, "--out w.safetensors is the file of --weights");
    let (gpu, reference) = (SafeTensors::deserialize(&gpu).unwrap(), SafeTensors::deserialize(&reference).unwrap());
    let shape = |name: &str| gpu.tensor(name).unwrap().shape().to_vec();
    assert_eq!(shape("input"), [5, 1, 28, 28]);
    assert_eq!((shape("logits"), shape("labels"), shape("loss")), (vec![5, 10], vec![5], vec![]));
    assert_eq!(shape("grad/conv2.weight"), [16, 6, 5, 5]);
    assert_eq!(gpu.tensor("labels").unwrap(), reference.tensor("labels").unwrap());
    // Input, labels, logits, loss, and a gradient for each of ten parameters.
    assert_eq!((gpu.len(), reference.len()), (14, 14));
    let dataset = Finder::new(Source::Synthetic).find(&mut |_| ()).unwrap();
    let labels: Vec<u8> = gpu.tensor("labels").unwrap().data().iter().step_by(8).copied().collect();
    assert_eq!(labels, dataset.train.labels()[3..8], "other images");
    let pixels = dataset.train.images()[3 * 784..8 * 784].iter().map(|&pixel| f32::from(pixel) / 255.0);
    for (got, expected) in floats(reference.tensor("input").unwrap().data()).into_iter().zip(pixels) {
        assert!((got - expected).abs() < 1e-6, "a pixel is {got}, expected {expected}");
    }
    for (name, tensor) in gpu.tensors().into_iter().filter(|(name, _)| name != "labels") {
        let (got, expected) = (floats(tensor.data()), floats(reference.tensor(&name).unwrap().data()));
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        assert!(largest > 0.0, "{name} is zero");
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() <= 1e-5 * largest, "{name}: {got} on the GPU, {expected} on the reference");
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

#[test]
fn kernels_are_checked_and_listed() {
    let desk = Desk::new();
    let ran = desk.trainer("kernels check relu.fwd dense.bwd_bias --seed 3").ends(0).says("checking relu: ");
    let rows = |table: &str| -> Vec<String> {
        table
            .lines()
            .skip(1)
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_whitespace().next().unwrap_or_default().to_owned())
            .collect()
    };
    let names = ["dense.bwd_bias.naive", "dense.bwd_bias.vec4", "relu.fwd.naive", "relu.fwd.vec4"];
    let of_op = |op: &str| names.into_iter().filter(|name| name.starts_with(op)).collect::<Vec<_>>();
    let both = |op: &str| {
        let f32 = of_op(op).into_iter().map(str::to_owned);
        f32.chain(of_op(op).into_iter().map(|name| format!("{name}_f16"))).collect::<Vec<_>>()
    };
    let expected = [both("dense"), both("relu")].concat();
    assert_eq!(rows(&ran.stdout), expected, "{}", ran.stdout);
    let vec4 = ran.stdout.lines().find(|line| line.starts_with("relu.fwd.vec4")).unwrap();
    assert!(vec4.contains(" ok ") && vec4.contains(": the number of elements is no multiple of 4"), "{vec4}");

    let report = desk.trainer("kernels check relu.fwd --data integers,reals --no-checks --json").ends(0).json();
    assert_eq!((&report["data"], &report["checks"]), (&serde_json::json!(["integers", "reals"]), &false.into()));
    for row in report["rows"].as_array().unwrap() {
        assert_eq!((&row["verdict"], &row["worst"]), (&"ok".into(), &0.0.into()), "{row}");
        assert!(row["cases"].as_u64().unwrap() > 0 && row["elements"].as_u64().unwrap() > 0, "{row}");
    }
    assert_eq!(report["failures"], serde_json::json!([]));

    let listed = desk.trainer("kernels list relu").ends(0);
    assert_eq!(rows(&listed.stdout).len(), 8, "{}", listed.stdout);
    let all = desk.trainer("kernels list --json").ends(0).json();
    assert_eq!(all["rows"].as_array().unwrap().len(), kernels::ops::all().len());
}

#[test]
fn what_needs_nothing_runs_everywhere() {
    let desk = Desk::new();
    for line in ["--help", "--version", "list", "list --json", "train --help", "kernels check --help"] {
        let ran = desk.trainer_with(line, NO_ADAPTER).ends(0);
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{line}\n{}", ran.stderr);
    }
    assert!(!Path::new(&desk.path("runs")).exists());
}

#[test]
fn a_training_step_is_timed_dispatch_by_dispatch() {
    let desk = Desk::new();
    let ran = desk.trainer("kernels profile lenet5 --batch-size 4 --json --trace step.json").ends(0);
    let profile = ran.json();
    let dispatches = profile["dispatches"].as_array().unwrap();
    assert!(dispatches.iter().any(|dispatch| dispatch["kernel"].as_str().unwrap().contains(".bwd_weight.")));
    assert!(dispatches.iter().all(|dispatch| dispatch["nanoseconds"].as_f64().is_none_or(|time| time > 0.0)));
    assert!(profile["step_seconds"]["median"].as_f64().unwrap() > 0.0);
    let trace: Value = serde_json::from_str(&fs::read_to_string(desk.path("step.json")).unwrap()).unwrap();
    assert_eq!(trace["traceEvents"].as_array().unwrap().len(), dispatches.len());
    desk.trainer("kernels profile nonsense").refuses(2, "there is no recipe `nonsense`");
    desk.trainer("kernels profile --batch-size 0").refuses(2, "train.batch_size is 0");
}

#[test]
fn tables_of_choices_that_are_none_are_refused() {
    let desk = Desk::new();
    let line = "train --synthetic --out run --tuned table.toml";
    desk.trainer(line).refuses(2, "--tuned table.toml: ");
    for (text, problem) in [
        ("", "missing field `format`"),
        ("format = 1\nclass = 3", "line 2: "),
        ("format = 9\nclass = \"software\"\nadapter = \"x\"\namong = \"same-order\"", "format 9"),
    ] {
        fs::write(desk.path("table.toml"), text).unwrap();
        desk.trainer(line).refuses(2, problem);
    }
    fs::write(desk.path("table.toml"), [0xff, 0xfe]).unwrap();
    desk.trainer(line).refuses(2, "--tuned table.toml: ");
    fs::remove_file(desk.path("table.toml")).unwrap();
    fs::create_dir(desk.path("table.toml")).unwrap();
    desk.trainer(line).refuses(2, "not a regular file");
    assert!(!desk.path("run").exists());
    desk.trainer("kernels bench --layer depth2-konv2").refuses(2, "no layer");
}
