//! What can go wrong while a run trains: numbers, devices, memory, disks. Each ends with its own exit code and leaves
//! checkpoints that can be used.
#![allow(clippy::unwrap_used)]

mod common;

use common::Desk;
use fashion_mnist::synthetic;
use kernels::{Gpu, Options};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tape::Device;
use trainer::checkpoint::{self, Store};
use trainer::cli::{Cli, Command};
use trainer::exit::Failure;
use trainer::progress::Display;
use trainer::run::Run;
use trainer::weights::{Tensor, Values, write};

/// One layer. The images in the order of the file, one to a step.
const LINEAR: &str = r#"
name = "linear"
data = { normalise = "unit" }
train = { epochs = 1, batch_size = 1, order = "sequential" }
optimizer = { kind = "sgd", lr = 1e-3 }
layers = [{ kind = "flatten" }, { kind = "dense", out = 10 }]
"#;

/// Weights that make `inf` of bright images only.
fn overflow(desk: &Desk, bright: f32) {
    fs::write(desk.path("linear.toml"), LINEAR).unwrap();
    let weight = vec![f32::MAX / bright; 7840];
    let tensors = [
        Tensor { name: "fc1.weight", dims: &[10, 784], values: Values::F32(&weight) },
        Tensor { name: "fc1.bias", dims: &[10], values: Values::F32(&[0.0; 10]) },
    ];
    write(&desk.path("huge.safetensors"), &tensors, &[]).unwrap();
}

/// The sum of the pixels of each of the first images.
fn brightness(count: usize) -> Vec<f32> {
    let finder = fashion_mnist::Finder::new(fashion_mnist::Source::Synthetic);
    let images = finder.find(&mut |_| ()).unwrap().train;
    images.images().chunks(784).take(count).map(|image| image.iter().map(|&p| f32::from(p) / 255.0).sum()).collect()
}

#[test]
fn a_batch_that_makes_training_diverge_is_named_or_skipped() {
    let desk = Desk::new();
    let sums = brightness(60);
    let mut sorted = sums.clone();
    sorted.sort_by(f32::total_cmp);
    // Two of twelve images are too bright, and none so nearly that the order of summation counts.
    let bright = (sorted[49] + sorted[50]) / 2.0;
    let bad: Vec<usize> = (0..60).filter(|&i| sums[i] > bright).collect();
    overflow(&desk, bright);
    let steps = 60 - bad.len();
    let line = format!("train linear.toml --synthetic --device reference --init huge.safetensors --max-steps {steps}");

    let message = format!("training diverged in step {} (epoch 1): the output of layer fc1 is not finite", bad[0] + 1);
    desk.trainer(&format!("{line} --log-every 7 --checkpoint-every 1 --out stop")).refuses(5, &message);
    let (_, found) = Store::load(&desk.path("stop"), 1 << 20, |_| Ok(())).unwrap();
    assert_eq!(found.checkpoint.snapshot.state.steps, bad[0] as u64, "the last good one is kept");

    let skipped = |run: &str| -> Vec<usize> {
        let text = String::from_utf8(desk.read(&format!("{run}/metrics.jsonl"))).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let skipped = lines.filter(|line| line["kind"] == "skipped");
        skipped.map(|line| line["first"].as_u64().unwrap() as usize).collect()
    };
    let line = format!("{line} --on-nan skip --log-every 7");
    let all = desk.trainer(&format!("{line} --out all"));
    // The test images are as bright: they end the run, but training has gone to its end.
    all.refuses(5, "the loss on the test images is not finite, the first to give no number is layer fc1");
    assert_eq!(skipped("all"), bad);
    // Whenever it is noticed, the same batches are passed over.
    desk.trainer(&format!("{line} --checkpoint-every 4 --out often")).ends(5);
    assert_eq!(desk.read("all/metrics.jsonl"), desk.read("often/metrics.jsonl"));

    // Every image is too bright.
    overflow(&desk, 1.0);
    let again = desk.trainer(&format!("{line} --out never").replace("--init huge", "--quiet --init huge")).ends(5);
    again.says("training diverged in step 1 (epoch 1)").says("the 10 batches before it were skipped in vain").ends(5);
    assert_eq!(skipped("never").len(), 10);
}

/// Trains in this process, on this device.
fn train(line: &str, device: &Device) -> anyhow::Result<()> {
    let line = std::iter::once("trainer").chain(line.split_whitespace());
    let Command::Train(args) = Cli::read(line.map(Into::into)).unwrap().command() else { panic!("not train") };
    let Some(run) = Run::prepare(&args)? else { return Ok(()) };
    let dataset = synthetic(200, 20, 0);
    pollster::block_on(run.carry_out(&args, (device, ""), &dataset, (Display::Quiet, Instant::now()))).map(drop)
}

fn gpu(options: Options) -> Gpu {
    pollster::block_on(Gpu::open(&options)).expect("a GPU adapter; on Debian and Ubuntu install mesa-vulkan-drivers")
}

#[test]
fn a_lost_device_leaves_a_run_that_goes_on() {
    let desk = Desk::new();
    fs::write(desk.path("linear.toml"), LINEAR).unwrap();
    let path = |name: &str| desk.path(name).display().to_string();
    let begin = |run: &str| {
        format!(
            "train {} --batch-size 8 --epochs 4 --log-every 5 --checkpoint-every 2 --out {}",
            path("linear.toml"),
            path(run)
        )
    };
    let whole = gpu(Options::default());
    train(&begin("whole"), &Device::Gpu(whole.clone())).unwrap();

    let mut line = begin("lost");
    let mut losses = 0;
    // Later each time, so that it ends however slow the machine.
    for round in 1.. {
        let device = gpu(Options::default());
        let doomed = device.clone();
        let config = desk.path("lost/config.toml");
        let reaper = thread::spawn(move || {
            let begin = SystemTime::now();
            while !config.exists() && begin.elapsed().unwrap_or_default() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(7 * round * round));
            doomed.destroy();
        });
        let ended = train(&line, &Device::Gpu(device));
        reaper.join().unwrap();
        match ended {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(Failure::of(&error), Failure::Device, "{error:#}");
                losses += 1;
            }
        }
        line = format!("train --checkpoint-every 2 --resume {}", path("lost"));
    }
    assert!(losses > 0, "the device was never lost in time");
    for file in ["model.safetensors", "metrics.jsonl"] {
        assert!(
            desk.read(&format!("whole/{file}")) == desk.read(&format!("lost/{file}")),
            "{file} after {losses} losses"
        );
    }
}

#[test]
fn too_little_memory_is_told_before_the_first_step() {
    let desk = Desk::new();
    let line = format!("train lenet5 --batch-size 64 --max-steps 1 --out {}", desk.path("run").display());
    let small = gpu(Options { memory: Some(4 << 20), ..Options::default() });
    let error = train(&line, &Device::Gpu(small)).unwrap_err();
    assert_eq!(Failure::of(&error), Failure::Device, "{error:#}");
    let text = error.to_string();
    assert!(
        text.starts_with("out of device memory: ") && text.contains("y (conv2d") && text.contains("parameters "),
        "{text}"
    );
    assert!(!desk.path("run").exists(), "something was written");

    let ran = desk.trainer("train lenet5 --synthetic --device gpu --batch-size 60000 --max-steps 1 --out run").ends(7);
    ran.says("takes a buffer of").says("use a smaller batch");
    assert!(!desk.path("run").exists(), "something was written");
}

#[test]
fn a_device_that_does_not_answer_is_given_up() {
    let impatient = gpu(Options { timeout: Some(Duration::ZERO), ..Options::default() });
    let desk = Desk::new();
    let line = format!("train lenet5 --batch-size 64 --max-steps 20 --out {}", desk.path("run").display());
    let begin = Instant::now();
    let error = train(&line, &Device::Gpu(impatient.clone())).unwrap_err();
    assert_eq!(Failure::of(&error), Failure::Device, "{error:#}");
    assert!(error.to_string().starts_with("the device did not finish within"), "{error:#}");
    // Nothing waits for it any more.
    assert!(matches!(impatient.finish(), Err(kernels::Error::Timeout(_))));
    drop(impatient);
    assert!(begin.elapsed() < Duration::from_secs(60));
}

/// A disk of its own, if this process may mount one.
#[cfg(target_os = "linux")]
struct Disk(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Disk {
    fn mount(desk: &Desk, options: &str) -> Option<Self> {
        let path = desk.path("disk");
        fs::create_dir(&path).unwrap();
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_cannot_take_the_run_is_told_before_training() {
    for (options, code, message) in [
        ("size=4096k", 1, "bytes are free, but the run takes about"),
        ("ro", 2, "disk/run: no run folder can be made there: Read-only file system"),
    ] {
        let desk = Desk::new();
        let Some(_disk) = Disk::mount(&desk, options) else {
            eprintln!("not run: no permission to mount a small disk");
            return;
        };
        let line = "train lenet5 --synthetic --device reference --max-steps 1 --batch-size 1 --out disk/run";
        desk.trainer(line).refuses(code, message);
        assert_eq!(fs::read_dir(desk.path("disk")).unwrap().count(), 0, "something was left behind");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_has_become_too_full_is_told_before_training_goes_on() {
    let desk = Desk::new();
    let Some(_disk) = Disk::mount(&desk, "size=8m") else {
        eprintln!("not run: no permission to mount a small disk");
        return;
    };
    fs::write(desk.path("linear.toml"), LINEAR).unwrap();
    let line = "train linear.toml --synthetic --device reference";
    desk.trainer(&format!("{line} --max-steps 1 --out disk/run")).ends(0);
    let filled = fs::write(desk.path("disk/else"), vec![0; 8 << 20]);
    assert!(filled.is_err(), "the disk is larger than it should be");
    let before = desk.read("disk/run/checkpoints/last.safetensors");
    let resume = "train --resume disk/run --synthetic --device reference --max-steps 2";
    desk.trainer(resume).refuses(1, "disk/run: 0 bytes are free, but the run takes about ");
    assert_eq!(desk.read("disk/run/checkpoints/last.safetensors"), before);
    fs::remove_file(desk.path("disk/else")).unwrap();
    desk.trainer(resume).ends(0);
}

/// The limit on file sizes makes a write fail in the middle, as a full disk does.
#[cfg(unix)]
#[test]
fn a_save_that_fails_leaves_the_older_checkpoints() {
    let desk = Desk::new();
    fs::write(desk.path("linear.toml"), LINEAR).unwrap();
    let line = "train linear.toml --synthetic --device reference --checkpoint-every 1";
    desk.trainer(&format!("{line} --max-steps 3 --out run")).ends(0);
    let before = desk.read("run/checkpoints/last.safetensors");
    let program = env!("CARGO_BIN_EXE_trainer");
    // SIGXFSZ is ignored, so that the write returns an error. 16 blocks are 8 KiB or 16 KiB, a checkpoint is larger.
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {program} train --resume run --synthetic --device reference \
         --checkpoint-every 1 --max-steps 6"
    );
    let ran = std::process::Command::new("sh").args(["-c", &script]).current_dir(desk.path("")).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("error: cannot write checkpoint run/checkpoints/last.safetensors: "), "{said}");
    assert!(said.contains("older checkpoints are untouched") && !said.contains(".part"), "{said}");
    assert_eq!(desk.read("run/checkpoints/last.safetensors"), before);
    assert_eq!(fs::read_dir(desk.path("run/checkpoints")).unwrap().count(), 3, "something was left behind");
    desk.trainer("train --resume run --synthetic --device reference --max-steps 6").ends(0);
}

#[test]
fn a_folder_in_the_way_is_told_before_training() {
    let desk = Desk::new();
    fs::write(desk.path("file"), "").unwrap();
    fs::create_dir(desk.path("busy")).unwrap();
    let line = "train lenet5 --synthetic --device reference --max-steps 1 --batch-size 1";
    desk.trainer(&format!("{line} --out file")).refuses(2, "file is not a folder");
    desk.trainer(&format!("{line} --out file/run/x")).refuses(2, "file is not a folder");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", desk.path("link")).unwrap();
        desk.trainer(&format!("{line} --out link")).refuses(2, "link is not a folder");
        desk.trainer(&format!("{line} --out link/run")).refuses(2, "link is not a folder");
    }
    #[cfg(target_os = "linux")]
    {
        // Told before there are data and a device.
        let line = "train lenet5 --data-dir nothing --no-synthetic --adapter none";
        desk.trainer(&format!("{line} --out /proc/x/y")).refuses(2, "/proc/x/y: no run folder can be made there: ");
    }
    let lock = fs::File::create(desk.path("busy/.lock")).unwrap();
    lock.lock().unwrap();
    desk.trainer(&format!("{line} --out busy")).refuses(2, "busy is in use: another process trains there");
    drop(lock);
}

#[test]
fn a_checkpoint_opens_as_any_safetensors_file() {
    let desk = Desk::new();
    fs::write(desk.path("linear.toml"), LINEAR).unwrap();
    let line = "train linear.toml --synthetic --device reference --optimizer adam --max-steps 2 --out run";
    desk.trainer(line).ends(0);
    let bytes = desk.read("run/checkpoints/last.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    assert!(names.contains(&"fc1.weight") && names.contains(&"totals/epoch"), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("fc1.weight/")).count(), 2, "{names:?}");
    let weights = desk.read("run/model.safetensors");
    let weights = SafeTensors::deserialize(&weights).unwrap();
    assert_eq!(file.tensor("fc1.weight").unwrap().data(), weights.tensor("fc1.weight").unwrap().data());
    let checkpoint = checkpoint::decode(&bytes).unwrap();
    assert_eq!((checkpoint.snapshot.state.steps, checkpoint.snapshot.state.position), (2, 2));
    assert!(checkpoint.snapshot.state.best.is_none());
}
