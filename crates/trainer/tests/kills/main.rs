//! Processes that are killed while they train and save. Resumed, they must end where one ends that was left alone: the
//! same weights and the same metrics, bit for bit.
//!
//! A few kills each; `cargo xtask faults` kills hundreds of times.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod desk;

use desk::{Desk, Device, Recipe, Whole};
use faults::{Random, campaign, record};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};
use trainer::checkpoint::{Store, decode};

/// Deals `times` among a few workers, if there is much to do, and adds up what they count.
fn shared<const N: usize>(times: u64, work: impl Fn(u64, u64) -> [u64; N] + Sync) -> [u64; N] {
    let workers = if times > 20 { 4 } else { 1 };
    let share = |worker| times / workers + u64::from(worker < times % workers);
    thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker, share(worker)))).collect();
        let mut sums = [0; N];
        for handle in handles {
            let counts = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        sums
    })
}

/// Waits a random while, then stops the process, and resumes the run, again and again, until it comes to its end, which
/// must be that of the run that was left alone. Moments lie within `reach`, which follows the pace of the machine. `stop`
/// is told the process and reaps it. Returned: how often anything was stopped by then.
fn stop_again_and_again(
    (desk, whole): (&Desk, &Whole),
    run: &str,
    (random, reach): (&mut Random, &mut Duration),
    (mut stopped, times): (u64, u64),
    mut stop: impl FnMut(Child),
) -> u64 {
    loop {
        let resumed = desk.path(run).join("config.toml").exists();
        let mut child = if resumed { desk.resume(run) } else { desk.train(run) };
        let moment = Instant::now() + reach.mul_f64(random.below(1000) as f64 / 1000.0);
        while Instant::now() < moment && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        if stopped == times || child.try_wait().unwrap().is_some() {
            // The machine may be faster now than it was.
            *reach = reach.mul_f64(0.8);
            desk.ends_well(child, run);
            desk.is_whole(run, whole);
            fs::remove_dir_all(desk.path(run)).unwrap();
            return stopped;
        }
        *reach = reach.mul_f64(1.1);
        stop(child);
        stopped += 1;
    }
}

/// Kills at any moment from the start of a process to its end.
fn kill_anywhere(id: &str, (recipe, device): (Recipe, Device)) {
    let desk = Desk::new(recipe, device);
    let whole = desk.whole();
    let times = campaign(id).times();
    let [before, after, runs] = shared(times, |worker, times| {
        let (mut random, mut reach) = (Random::new(worker), whole.took);
        let mut counts = [0; 3];
        let mut killed = 0;
        while killed < times {
            let run = format!("run-{worker}-{killed}");
            killed =
                stop_again_and_again((&desk, &whole), &run, (&mut random, &mut reach), (killed, times), |mut child| {
                    child.kill().unwrap();
                    desk.reap(child, &run);
                    let folder = desk.path(&run);
                    counts[0] += u64::from(!folder.join("config.toml").exists());
                    counts[1] += u64::from(folder.join("model.safetensors").exists());
                });
            counts[2] += 1;
        }
        counts
    });
    let trained = times - before - after;
    record(
        id,
        times,
        &format!(
            "{before} before the run was set up, {trained} in training and saving, {after} in the end; {runs} runs, resumed \
             after every kill, ended with identical weights and metrics, bit for bit"
        ),
    );
}

#[test]
fn a_run_killed_at_any_moment_is_completed_bit_for_bit() {
    kill_anywhere("kill-anywhere", (Recipe::Steps, Device::Reference));
}

#[test]
fn a_run_of_several_epochs_killed_at_any_moment_is_completed_bit_for_bit() {
    kill_anywhere("kill-epochs", (Recipe::Epochs, Device::Reference));
}

#[test]
fn a_run_killed_on_a_gpu_is_completed_bit_for_bit() {
    kill_anywhere("kill-gpu", (Recipe::Epochs, Device::Gpu));
}

/// What a kill left in the folder of checkpoints: a file without its name, `previous` renamed and no `last` yet, or
/// neither; and a `best` that is ahead of `last`.
fn left(folder: &Path) -> [u64; 4] {
    let part = !parts(folder).is_empty();
    let has = |name: &str| folder.join(name).exists();
    let between = !has("last.safetensors") && has("previous.safetensors");
    let steps = |name: &str| {
        let bytes = fs::read(folder.join(name)).ok()?;
        Some(decode(&bytes).unwrap().snapshot.state.steps)
    };
    let ahead = steps("best.safetensors").is_some_and(|best| steps("last.safetensors").is_some_and(|last| best > last));
    [part, between, !part && !between, ahead].map(u64::from)
}

/// Files without their names yet.
fn parts(folder: &Path) -> Vec<OsString> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".part")).collect()
}

/// Waits until a save begins: a file without its name appears that was not there before.
fn save_begins(folder: &Path, seen: &mut Vec<OsString>) -> bool {
    let deadline = Instant::now() + Duration::from_millis(500);
    while Instant::now() < deadline {
        if let Some(new) = parts(folder).into_iter().find(|name| !seen.contains(name)) {
            seen.push(new);
            return true;
        }
        thread::sleep(Duration::from_micros(20));
    }
    false
}

#[test]
fn a_run_killed_while_it_saves_can_be_read() {
    let id = "kill-save";
    let ([part, between, tidy, _, runs], times) = kill_while_saving(id, Recipe::Steps);
    record(
        id,
        times,
        &format!(
            "no run was unreadable; {part} kills left a file half written, {between} came between the two names, {tidy} \
             left all in order; {runs} runs, resumed after every kill, ended identical bit for bit"
        ),
    );
}

#[test]
fn a_run_killed_while_it_saves_its_best_epoch_ends_with_it() {
    let id = "kill-best";
    let ([part, between, tidy, ahead, runs], times) = kill_while_saving(id, Recipe::Best);
    record(
        id,
        times,
        &format!(
            "no run was unreadable; {part} kills left a file half written, {between} came between the two names, {tidy} \
             neither; {ahead} left the best checkpoint ahead of the last; {runs} runs, resumed after every kill, ended \
             identical bit for bit"
        ),
    );
}

/// Kills while checkpoints are written. Returned: what that left, in how many runs, and how often it was done.
fn kill_while_saving(id: &str, recipe: Recipe) -> ([u64; 5], u64) {
    let desk = Desk::new(recipe, Device::Reference);
    let whole = desk.whole();
    let times = campaign(id).times();
    let counts = shared(times, |worker, times| {
        let mut random = Random::new(worker);
        let mut counts = [0; 5];
        let mut killed = 0;
        while killed < times {
            let run = format!("run-{worker}-{killed}");
            killed = kill_while_it_saves(&desk, &run, &mut random, (killed, times), &mut counts);
            desk.is_whole(&run, &whole);
            fs::remove_dir_all(desk.path(&run)).unwrap();
            counts[4] += 1;
        }
        counts
    });
    (counts, times)
}

/// The same run, killed again and again until it comes to its end. Returned: how often anything was killed by then.
fn kill_while_it_saves(
    desk: &Desk,
    run: &str,
    random: &mut Random,
    (mut killed, times): (u64, u64),
    counts: &mut [u64; 5],
) -> u64 {
    let folder = desk.path(run).join(Store::FOLDER);
    loop {
        let mut seen = parts(&folder);
        let mut child = if desk.path(run).join("config.toml").exists() { desk.resume(run) } else { desk.train(run) };
        let skipped = random.below(3);
        let mut saves = 0;
        while saves <= skipped && child.try_wait().unwrap().is_none() {
            saves += usize::from(save_begins(&folder, &mut seen));
        }
        thread::sleep(Duration::from_micros(random.below(4000) as u64));
        if killed == times || child.try_wait().unwrap().is_some() {
            desk.ends_well(child, run);
            return killed;
        }
        child.kill().unwrap();
        desk.reap(child, run);
        killed += 1;
        counts.iter_mut().zip(left(&folder)).for_each(|(sum, count)| *sum += count);
        if desk.path(run).join("config.toml").exists() {
            let read = Store::load(&desk.path(run), 1 << 22, |_| Ok(()));
            assert!(read.is_ok(), "kill {killed}: the run cannot be read: {}", read.unwrap_err());
        }
    }
}

/// SIGINT and SIGTERM end with a checkpoint and the exit code that says which it was.
#[test]
fn an_interrupted_run_is_completed_bit_for_bit() {
    let id = "interrupt";
    let desk = Desk::new(Recipe::Steps, Device::Reference);
    let whole = desk.whole();
    let times = campaign(id).times();
    let [orderly, early, late, runs] = shared(times, |worker, times| {
        let (mut random, mut reach) = (Random::new(worker), whole.took);
        let mut counts = [0; 4];
        let mut sent = 0;
        while sent < times {
            let (name, number) = random.one_of(&[("INT", 2), ("TERM", 15)]);
            let run = format!("run-{worker}-{sent}");
            sent = stop_again_and_again((&desk, &whole), &run, (&mut random, &mut reach), (sent, times), |child| {
                let signal = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
                assert!(signal.success());
                match desk.reap(child, &run) {
                    (Some(code), _) if code == 128 + number => counts[0] += 1,
                    // Before there was anything to keep, the system ends the process.
                    (None, _) => counts[1] += 1,
                    // It was through already.
                    (Some(0), _) => counts[2] += 1,
                    (code, said) => panic!("SIG{name}: {code:?}: {said}"),
                }
            });
            counts[3] += 1;
        }
        counts
    });
    record(
        id,
        times,
        &format!(
            "{orderly} ended with 130 or 143, {early} at once because nothing had begun, {late} had just ended; {runs} runs, \
             resumed after every signal, ended identical bit for bit"
        ),
    );
}
