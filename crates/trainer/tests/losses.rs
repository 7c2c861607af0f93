//! A GPU that is lost while it trains, or stops answering: the run ends with exit code 7, its checkpoints are whole, and on
//! another device it ends where one ends that was left alone. Needs an adapter.
//!
//! `Gpu::destroy` stands for a crash of the driver, a reset, a pulled cable: to a program they look the same. `Gpu::hang`
//! stands for a driver that sleeps and never wakes.
#![allow(clippy::unwrap_used)]

use clap::Parser;
use fashion_mnist::{Dataset, Finder, Source};
use faults::{Random, campaign, record};
use kernels::{Gpu, Options};
use pollster::block_on;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tape::Device;
use trainer::checkpoint::Store;
use trainer::cli::{Cli, Command};
use trainer::exit::Failure;
use trainer::progress::Display;
use trainer::run::Run;

/// Few kernels, because each new device compiles its own; BatchNorm and momentum, because they carry state.
const RECIPE: &str = r#"
name = "tiny"
layers = [{ kind = "avg_pool", kernel = 4 }, { kind = "flatten" }, { kind = "batch_norm" }, { kind = "dense", out = 10 }]
data = { normalise = "unit" }
train = { epochs = 1, batch_size = 16, max_steps = 60 }
optimizer = { kind = "sgd", lr = 0.05, momentum = 0.9 }
"#;

const STEPS: usize = 60;

/// Trains, or goes on, on a device of its own. `lose` is told the device and the folder.
fn train(
    folder: &Path,
    dataset: &Dataset,
    resume: bool,
    lose: impl FnOnce(&Gpu, &AtomicBool) + Send,
) -> anyhow::Result<()> {
    let run = folder.to_str().unwrap();
    let recipe = folder.with_extension("toml");
    fs::write(&recipe, RECIPE).unwrap();
    let recipe = recipe.to_str().unwrap();
    let line = match resume {
        true => vec!["trainer", "train", "--quiet", "--checkpoint-every", "3", "--resume", run],
        false => {
            vec!["trainer", "train", recipe, "--quiet", "--checkpoint-every", "3", "--log-every", "1", "--out", run]
        }
    };
    let Command::Train(args) = Cli::try_parse_from(line).unwrap().command() else { panic!("not `train`") };
    let gpu = block_on(Gpu::open(&Options::default())).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (thief, over) = (gpu.clone(), &over);
        scope.spawn(move || lose(&thief, over));
        let outcome = (|| {
            let prepared = Run::prepare(&args)?.ok_or_else(|| anyhow::anyhow!("the run is finished"))?;
            block_on(prepared.carry_out(&args, (&Device::Gpu(gpu), ""), dataset, (Display::Quiet, Instant::now())))
        })();
        over.store(true, Ordering::Relaxed);
        outcome.map(drop)
    })
}

fn lines(folder: &Path) -> usize {
    fs::read_to_string(folder.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn a_run_that_loses_its_device_is_completed_on_another_bit_for_bit() {
    let [lost, runs, longest] = again_and_again("device-loss", Gpu::destroy);
    record(
        "device-loss",
        lost as u64,
        &format!(
            "exit code 7, at the latest {longest:.1} s after the loss; checkpoints whole; {runs} runs, resumed on another \
             device after every loss, ended identical bit for bit"
        ),
    );
}

#[test]
fn a_run_whose_device_stops_answering_is_completed_on_another_bit_for_bit() {
    let [hung, runs, longest] = again_and_again("device-hang", Gpu::hang);
    record(
        "device-hang",
        hung as u64,
        &format!(
            "exit code 7, at the latest {longest:.1} s later; checkpoints whole; {runs} runs, resumed on another device, \
             ended identical bit for bit"
        ),
    );
}

/// Has a fault befall the devices of runs at random moments, and goes on with each run on another device until it is
/// complete. Returned: how often, in how many runs, and the longest time in seconds until it was noticed.
fn again_and_again(id: &str, fault: fn(&Gpu)) -> [f64; 3] {
    // A device that computes for another test is no device that hangs.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let desk = tempfile::tempdir().unwrap();
    let mut finder = Finder::new(Source::Synthetic);
    finder.manifest.test_count = 100;
    let dataset = finder.find(&mut |_| ()).unwrap();
    let whole = desk.path().join("whole");
    train(&whole, &dataset, false, |_, _| ()).unwrap();
    let left = |folder: &Path| ["model.safetensors", "metrics.jsonl"].map(|name| fs::read(folder.join(name)).unwrap());

    let times = campaign(id).times();
    let mut random = Random::new(times);
    let (mut lost, mut runs, mut longest) = (0, 0, Duration::ZERO);
    while lost < times {
        let folder = desk.path().join(format!("run-{runs}"));
        let mut resume = false;
        loop {
            // After a few more steps than the run has, and a moment.
            let step = lines(&folder) + random.below(STEPS / 3);
            let moment = Duration::from_micros(random.below(20_000) as u64);
            let wanted = lost < times;
            let mut gone = None;
            let outcome = train(&folder, &dataset, resume, |gpu, over| {
                while lines(&folder) < step && !over.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_micros(100));
                }
                thread::sleep(moment);
                if wanted && !over.load(Ordering::Relaxed) {
                    gone = Some(Instant::now());
                    fault(gpu);
                }
            });
            // Gone with the last step done, it may not have been missed.
            let Err(error) = outcome else { break };
            assert_eq!(Failure::of(&error), Failure::Device, "{error:#}");
            assert!(wanted, "nobody took the device away: {error:#}");
            lost += 1;
            longest = longest.max(gone.unwrap().elapsed());
            resume = folder.join("config.toml").exists();
            if resume {
                let read = Store::load(&folder, 1 << 20, |_| Ok(()));
                assert!(read.is_ok(), "loss {lost}: {}", read.unwrap_err());
            }
        }
        assert!(left(&folder) == left(&whole), "after {lost} losses: another run than the one left alone");
        runs += 1;
    }
    // Not asserted: a busy machine is no hang.
    [lost as f64, f64::from(runs), longest.as_secs_f64()]
}
