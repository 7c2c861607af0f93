//! Every example of README and of the help: run, with what makes it cheap, or in the list of those that take too long. Most of it
//! needs a GPU adapter, and fails without one.
#![allow(clippy::unwrap_used)]

mod common;

use common::Desk;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use trainer::cli::Cli;

/// The examples about training, in the order in which they are run: some go on with what others leave behind. Behind each
/// stands what it is run with: nothing, words to add after `+`, or the line that is run instead, which must have the same
/// command and flags.
const TRAINING: &[[&str; 2]] = &[
    ["trainer list", ""],
    ["trainer list --json", ""],
    ["trainer completions bash", ""],
    ["trainer completions fish", ""],
    ["trainer doctor --probe", ""],
    ["trainer", "+ --synthetic --device reference"],
    ["trainer train", "+ lenet5 --synthetic --device reference --max-steps 1 --out runs/a"],
    ["trainer train my.toml --out runs/mine", "+ --synthetic --device reference"],
    ["trainer train depth2", "+ --synthetic --device reference --max-steps 1 --validation 8 --out runs/b"],
    [
        "trainer train depth2 --epochs 5 --lr 5e-4",
        "+ --synthetic --device reference --max-steps 1 --validation 8 --out runs/c",
    ],
    [
        "trainer train depth2 --optimizer sgd --lr 0.05 --momentum 0.9",
        "+ --synthetic --device reference --max-steps 1 --validation 8 --out runs/d",
    ],
    [
        "trainer train depth3 --seed 1 --device gpu --backend vulkan",
        "+ --synthetic --max-steps 1 --validation 8 --batch-size 4 --no-report --out runs/e",
    ],
    ["trainer train --resume runs/lenet5-20260101T120000Z", "+ --max-steps 3 --synthetic --device reference"],
    [
        "trainer train lenet5 --init start.safetensors --order sequential --log-every 1 --max-steps 50",
        "+ --batch-size 1 --synthetic --device reference --out runs/f",
    ],
    ["trainer eval runs/mine", "+ --synthetic --device reference"],
    ["trainer eval runs/lenet5-20260101T120000Z", "+ --synthetic --device reference"],
    ["trainer eval --recipe depth2 --weights depth2.safetensors", "+ --synthetic --device reference"],
    ["trainer report runs/mine", "+ --device reference"],
    ["trainer report runs/mine --images 0,12,345", "trainer report runs/mine --images 0,12,34 --device reference"],
    ["trainer report runs/one runs/two --out comparison.html", "+ --device reference"],
    ["trainer report RUN RUN", "trainer report runs/one runs/two --device reference"],
    [
        "trainer reproduce lenet5 svm-linear --seeds 3 --epochs-scale 1",
        "trainer reproduce lenet5 --seeds 2 --epochs-scale 1e-9 --synthetic --device reference",
    ],
    [
        "trainer reproduce --epochs-scale 0.05 --out results",
        "trainer reproduce lenet5 --seeds 2 --epochs-scale 1e-9 --out results --synthetic --device reference",
    ],
    ["trainer sweep grid.toml --epochs 5 --seeds 3", "+ --synthetic --device reference"],
    ["trainer sweep r1 --emit slurm", ""],
    [
        "trainer dump lenet5 --weights model.safetensors --split test --range 0..32 --out batch.safetensors",
        "+ --synthetic --device reference",
    ],
];

/// The examples about kernels, likewise.
const KERNELS: &[[&str; 2]] = &[
    ["trainer kernels list", ""],
    ["trainer kernels list conv2d --json", ""],
    ["trainer kernels show conv2d.fwd.tiled", "+ --static-only"],
    ["trainer kernels show conv2d.bwd_weight.tiled_split_k --layer depth2-conv2", "+ --static-only"],
    ["trainer kernels show relu.fwd.vec4 --case plain-260 --static-only --json", ""],
    ["trainer kernels watch conv2d.fwd.tiled", "+ --once --no-roofline --case 1x1"],
    ["trainer kernels watch conv2d.fwd.tiled --layer lenet5-conv2", "+ --once --no-roofline"],
    ["trainer kernels watch relu.fwd.vec4 --case plain-260 --once", "+ --no-roofline"],
    ["trainer kernels check relu --data integers --seed 7 --no-checks", ""],
    ["trainer kernels bench relu.fwd.vec4 --case image-3x64x14x14 --cold", ""],
    [
        "trainer kernels roofline conv2d dense --html roofline.html",
        "trainer kernels roofline relu.fwd --layer lenet5-relu4 --html roofline.html",
    ],
    ["trainer kernels course docs/course --results docs/results/course.json --keep", ""],
];

/// Those that are understood, but not run here, and why.
const TOO_LONG: &[[&str; 2]] = &[
    ["trainer reproduce", "trains every system of five reports"],
    ["trainer sweep", "trains twelve networks"],
    ["trainer doctor", "tries a kernel of every family; tests/lab.rs runs it"],
    ["trainer kernels check", "checks every kernel, as tests/tests/kernel_rows.rs does"],
    ["trainer kernels check conv2d.fwd dense", "checks dozens of kernels"],
    ["trainer kernels check conv2d", "checks dozens of kernels"],
    ["trainer kernels profile lenet5 --batch-size 256 --trace step.json", "tests/cli.rs runs it, at a batch of 4"],
    ["trainer kernels profile depth2", "the same, of a larger network"],
    ["trainer kernels bench conv2d", "times dozens of kernels"],
    ["trainer kernels bench conv2d.fwd", "times a dozen kernels"],
    ["trainer kernels bench dense --layer lenet5-fc1,depth3-fc1 --json", "times dozens of kernels"],
    ["trainer kernels roofline --layer depth2", "times every kernel of a network"],
    ["trainer kernels tune --out tuned.toml", "times everything; tests/lab.rs runs it for one layer"],
    [
        "trainer kernels report --layer lenet5 --recipe lenet5 --out -",
        "times every kernel of a network; tests/lab.rs runs it for one layer",
    ],
    ["trainer kernels tune conv2d --layer depth2 --any-order", "times dozens of kernels"],
    ["trainer kernels report --out bench.md", "times everything"],
    ["trainer kernels course docs/course --results docs/results/course.json", "times everything in the course"],
    ["cargo run --release -p tape --example train", "crates/tape/tests/examples.rs runs it"],
    ["cargo test --workspace --release", "is what runs this"],
    ["cargo bench", "times everything"],
];

const RECIPE: &str = r#"
name = "mine"
layers = [{ kind = "flatten" }, { kind = "dense", out = 10 }]

[data]
normalise = "unit"

[train]
epochs = 2
batch_size = 20

[optimizer]
kind = "sgd"
lr = 0.1
"#;

const GRID: &str = "name = \"rates\"\nrecipes = [\"my.toml\"]\n\n[axes]\n\"optimizer.lr\" = [0.1, 0.2]\n";

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A command line without what is said about it: `trainer doctor    which GPUs are there`, `… # …`, `… && …`, `… > file`.
fn bare(line: &str) -> &str {
    [" #", "   ", " && ", " > "]
        .iter()
        .fold(line.trim(), |line, end| line.split(end).next().unwrap_or_default())
        .trim_end()
}

/// Whether a command line can be read, or what is wrong with it. Asking for help is right, too.
fn understood(line: &str) -> Result<(), String> {
    match Cli::read(line.split_whitespace().map(OsString::from)) {
        Err(error) if error.exit_code() != 0 => Err(format!("`{line}`: {error}")),
        _ => Ok(()),
    }
}

/// Every example of a command's help and of those below it.
fn of_help(command: &clap::Command, path: &str, examples: &mut BTreeSet<String>) {
    let help = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    let own: Vec<&str> = help.lines().filter(|line| line.starts_with("  ")).map(bare).collect();
    assert!(help.starts_with("Examples:\n") && !own.is_empty(), "the help of `{path}` opens with no examples");
    for example in own {
        assert!(example.starts_with(path), "`{example}` is no example of `{path}`");
        examples.insert(example.to_owned());
    }
    for below in command.get_subcommands() {
        of_help(below, &format!("{path} {}", below.get_name()), examples);
    }
}

/// Every command of a page, in code blocks and in sentences. `xtask` looks after its own.
fn of_page(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let spoken =
        text.split('`').skip(1).step_by(2).filter(|words| words.starts_with("cargo ") && !words.contains('\n'));
    let written = text.lines().filter(|line| line.starts_with("cargo "));
    let lines = written.chain(spoken).map(bare).filter(|line| !line.starts_with("cargo xtask"));
    let lines = lines.map(|line| line.replace("cargo run --release -p trainer --", "trainer"));
    lines.filter(|line| line.contains(' ')).collect()
}

/// Commands of the trainer that stand in a page's sentences, with everything optional taken.
fn spoken(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let spans = text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("trainer ") && !span.contains('\n'));
    spans.map(|span| span.replace("[FILTER]...", "relu").replace(['[', ']'], "")).collect()
}

/// Of help and README.
fn all() -> BTreeSet<String> {
    let mut examples = of_page(&checkout().join("README.md"));
    of_help(&Cli::command_line(), "trainer", &mut examples);
    examples.retain(|line| !line.ends_with("--help"));
    examples
}

/// What an example is run as.
fn run_as([example, with]: [&str; 2]) -> String {
    match with.strip_prefix('+') {
        Some(words) => format!("{example}{words}"),
        None if with.is_empty() => example.to_owned(),
        None => with.to_owned(),
    }
}

#[test]
fn every_example_is_run_or_takes_too_long() {
    let examples = all();
    let listed: Vec<&str> = TRAINING.iter().chain(KERNELS).chain(TOO_LONG).map(|[example, _]| *example).collect();
    for example in &examples {
        let times = listed.iter().filter(|listed| *listed == example).count();
        assert_eq!(times, 1, "`{example}` belongs in one of TRAINING, KERNELS and TOO_LONG of this file, once");
    }
    for listed in listed {
        assert!(examples.contains(listed), "`{listed}` is no example any more");
    }
    // The short list is the other one.
    assert!(TRAINING.len() + KERNELS.len() > TOO_LONG.len());
    for [example, reason] in TOO_LONG {
        assert!(!reason.is_empty() && (example.starts_with("cargo ") || understood(example).is_ok()), "{example}");
    }
    // What is run instead is the same command, with the same flags.
    for &[example, with] in TRAINING.iter().chain(KERNELS) {
        let run = run_as([example, with]);
        let flags = |line: &str| -> BTreeSet<String> {
            line.split_whitespace().filter(|word| word.starts_with("--")).map(str::to_owned).collect()
        };
        assert!(flags(example).is_subset(&flags(&run)), "`{run}` instead of `{example}`");
        let command = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with('-')).collect();
            words[..words.len().min(if words.get(1) == Some(&"kernels") { 3 } else { 2 })].join(" ")
        };
        assert!(command(&run).starts_with(&command(example)), "`{run}` instead of `{example}`");
    }
    assert!(understood("trainer trian").is_err() && understood(bare("trainer doctor --prob    x")).is_err());
}

/// A folder with all that the examples name.
fn desk() -> Desk {
    let desk = Desk::new();
    fs::write(desk.path("my.toml"), RECIPE).unwrap();
    fs::write(desk.path("grid.toml"), GRID).unwrap();
    for (file, recipe) in [("start", "lenet5"), ("model", "lenet5"), ("depth2", "depth2")] {
        desk.weights(&format!("{file}.safetensors"), recipe);
    }
    for folder in ["shaders/conv2d", "shaders/relu", "shaders/shared", "docs/course", "docs/results"] {
        fs::create_dir_all(desk.path(folder)).unwrap();
        for file in fs::read_dir(checkout().join(folder)).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), desk.path(folder).join(file.file_name())).unwrap();
        }
    }
    desk
}

/// Runs these, one after the other. All of them end well, and say something.
fn run(desk: &Desk, examples: &[[&str; 2]]) {
    for &example in examples {
        let line = run_as(example);
        let ran = desk.trainer_with(line.strip_prefix("trainer").unwrap(), SMALL).ends(0);
        let writes_only = line.ends_with("--keep");
        assert!(!ran.stdout.is_empty() || line.contains("--probe") || writes_only, "{line} prints nothing");
    }
}

/// The stand-in, small.
const SMALL: &[(&str, &str)] = &[("SELVEDGE_STAND_IN", "60,40")];

#[test]
fn the_examples_about_training_run() {
    let desk = desk();
    for run in ["one", "two", "lenet5-20260101T120000Z"] {
        let line = format!("train my.toml --max-steps 1 --out runs/{run} --synthetic --device reference --quiet");
        desk.trainer_with(&line, SMALL).ends(0);
    }
    run(&desk, TRAINING);
    for left in [
        "runs/mine/report.html",
        "comparison.html",
        "batch.safetensors",
        "results/reference-synthetic.md",
        "runs/sweep-rates/sweep.md",
    ] {
        assert!(desk.path(left).is_file(), "{left}");
    }
}

#[test]
fn the_examples_about_kernels_run() {
    let desk = desk();
    run(&desk, KERNELS);
    assert!(desk.path("roofline.html").is_file());
}

#[test]
fn every_example_of_the_other_pages_is_understood_and_cheap_ones_run() {
    let mut lines = BTreeSet::new();
    let mut sentences = spoken(&checkout().join("README.md"));
    for folder in ["docs", "docs/course"] {
        for page in fs::read_dir(checkout().join(folder)).unwrap().map(|page| page.unwrap().path()) {
            if page.extension().is_some_and(|extension| extension == "md") {
                lines.extend(of_page(&page));
                sentences.extend(spoken(&page));
            }
        }
    }
    assert!(sentences.len() > 10, "{sentences:?}");
    for line in &sentences {
        understood(line).unwrap_or_else(|error| panic!("{error}"));
    }
    let desk = Desk::new();
    let mut ran = 0;
    let lines: Vec<String> = lines.into_iter().filter(|line| line.starts_with("trainer ")).collect();
    for line in &lines {
        // Rows that exist after a command of the same page.
        let line =
            line.replace("dense.fwd.unrolled", "dense.fwd.naive").replace("dense.fwd.wide_blocks", "dense.fwd.tiled");
        let line = line.replace("conv2d.fwd.my_idea", "conv2d.fwd.naive").replace("[FILTER]...", "relu");
        understood(&line).unwrap_or_else(|error| panic!("{error}"));
        if line.contains(" list") || line.contains("--static-only") {
            desk.trainer(line.strip_prefix("trainer").unwrap()).ends(0);
            ran += 1;
        }
    }
    assert!(lines.len() > 10 && ran > 3, "{} examples were found, {ran} ran", lines.len());
    let helps: Vec<String> = fs::read_to_string(checkout().join("README.md"))
        .unwrap()
        .lines()
        .filter_map(|line| Some(bare(line.strip_prefix("cargo run --release -p trainer -- ")?).to_owned()))
        .filter(|line| line.ends_with("--help"))
        .collect();
    assert!(helps.len() > 3, "{helps:?}");
    for line in helps {
        assert!(desk.trainer(&line).ends(0).stdout.starts_with("Examples:\n"), "{line}");
    }
}
