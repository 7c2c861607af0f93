//! `trainer kernels profile`: where a training step spends its device time.

use crate::bench::rows::{roofline_json, roofline_lines};
use crate::bench::steps::with_step;
use crate::cli::{DeviceArgs, KernelsProfileArgs};
use crate::files::{Existing, write_atomically};
use crate::recipe::Recipe;
use crate::{console, device as devices};
use anyhow::Context;
use kernels::probe::Roofline;
use kernels::{Gpu, Options, Timing};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;
use tape::Device;

/// Repetitions of which the median is reported.
const REPETITIONS: usize = 5;

/// Steps to a repetition of the wall clock, so that submitting weighs little.
const STEPS: usize = 10;

/// Times a step and prints the table.
pub async fn profile(device: &DeviceArgs, args: &KernelsProfileArgs) -> anyhow::Result<()> {
    let mut recipe = Recipe::find(&args.recipe)?;
    recipe.train.batch_size = args.batch_size.unwrap_or(recipe.train.batch_size);
    recipe.train.precision = args.precision.unwrap_or(recipe.train.precision);
    recipe.check()?;
    let gpu = Gpu::open(&Options {
        wish: device.wish(),
        checks: args.checked,
        tuning: device.tuning()?,
        ..Options::default()
    })
    .await?;
    devices::require(&Device::Gpu(gpu.clone()), recipe.train.precision)?;
    let profile = Profile::measure(&gpu, &recipe).await?;
    if let Some(path) = &args.trace {
        write_atomically(path, profile.trace().to_string().as_bytes(), Existing::Replace)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let head = Head {
        recipe: &recipe.name,
        batch: recipe.train.batch_size,
        adapter: &gpu.info().name,
        driver: &gpu.info().driver_info,
        checks: args.checked,
    };
    Ok(console::print(&if args.json { profile.json(&head) } else { profile.table(&head) })?)
}

/// What was measured, and on what.
struct Head<'a> {
    recipe: &'a str,
    batch: usize,
    adapter: &'a str,
    driver: &'a str,
    checks: bool,
}

/// What a training step takes.
struct Profile {
    /// Every dispatch in order, with its median time.
    dispatches: Vec<Timing>,
    /// Wall time of one step in seconds: least, median and most.
    step: [f64; 3],
    /// Bytes of device memory of the plan.
    bytes: u64,
    /// What the device can do at best.
    roofline: Roofline,
}

/// The dispatches of one kernel row together.
#[derive(Default)]
struct Sum {
    dispatches: usize,
    nanoseconds: f64,
    flops: u64,
    bytes: u64,
    /// The least time that operations and bytes allow, in nanoseconds.
    least: f64,
}

impl Profile {
    /// Records a training step and times it. The images are drawn by code: what they show costs nothing.
    async fn measure(gpu: &Gpu, recipe: &Recipe) -> anyhow::Result<Self> {
        let begin = Instant::now();
        let roofline = Roofline::measure(gpu, &|| begin.elapsed()).await?;
        let plan = with_step(gpu, recipe, async |step| {
            let recorder = gpu.recorder();
            step.run(&Device::Gpu(recorder.clone()), recipe.train.batch_size)?;
            Ok(recorder.plan(kernels::Fusion::On)?)
        })
        .await?;

        // What is compiled late is compiled now.
        gpu.replay(&plan)?;
        gpu.finish()?;
        let mut replays = Vec::with_capacity(REPETITIONS);
        let mut steps = Vec::with_capacity(REPETITIONS);
        for _ in 0..REPETITIONS {
            replays.push(gpu.profile(&plan).await?);
            let begin = Instant::now();
            for _ in 0..STEPS {
                gpu.replay(&plan)?;
            }
            gpu.finish()?;
            steps.push(begin.elapsed().as_secs_f64() / STEPS as f64);
        }
        steps.sort_by(f64::total_cmp);
        let median = |index: usize| {
            let mut times: Vec<f64> = replays.iter().filter_map(|replay| replay[index].nanoseconds).collect();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied()
        };
        let first = replays.first().cloned().unwrap_or_default();
        let with_median = |(index, timing)| Timing { nanoseconds: median(index), ..timing };
        let dispatches = first.into_iter().enumerate().map(with_median).collect();
        let step = [steps[0], steps[REPETITIONS / 2], steps[REPETITIONS - 1]];
        Ok(Self { dispatches, step, bytes: plan.allocated_bytes(), roofline })
    }

    /// By kernel row, the most expensive first.
    fn sums(&self) -> Vec<(&'static str, Sum)> {
        let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
        for timing in &self.dispatches {
            let sum = sums.entry(timing.row).or_default();
            sum.dispatches += 1;
            sum.nanoseconds += timing.nanoseconds.unwrap_or_default();
            sum.flops += timing.flops;
            sum.bytes += timing.bytes;
            sum.least += self.roofline.least(timing.flops, timing.bytes, true);
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|a, b| b.1.nanoseconds.total_cmp(&a.1.nanoseconds));
        sums
    }

    fn table(&self, head: &Head<'_>) -> String {
        let sums = self.sums();
        let total: f64 = sums.iter().map(|(_, sum)| sum.nanoseconds).sum();
        let checks = if head.checks { "on" } else { "off" };
        let mut text = format!(
            "{}, batch {}, on {} ({}), run-time checks {checks}\n{}\n\n",
            head.recipe,
            head.batch,
            head.adapter,
            head.driver,
            roofline_lines(&self.roofline).join("\n")
        );
        text += &format!(
            "{:<40} {:>5} {:>12} {:>8} {:>9} {:>8} {:>10}\n",
            "kernel", "times", "us", "share", "GFLOP/s", "GB/s", "% roofline"
        );
        for (row, Sum { dispatches, nanoseconds, flops, bytes, least }) in sums {
            let (microseconds, share) = (nanoseconds / 1e3, 100.0 * nanoseconds / total);
            let (flops, bytes) = (flops as f64 / nanoseconds, bytes as f64 / nanoseconds);
            let of_roofline = 100.0 * least / nanoseconds;
            text += &format!(
                "{row:<40} {dispatches:>5} {microseconds:>12.1} {share:>6.1} % {flops:>9.2} {bytes:>8.2} {of_roofline:>10.1}\n"
            );
        }
        let unusable = self.dispatches.iter().filter(|timing| timing.nanoseconds.is_none()).count();
        text += &format!("{:<40} {:>5} {:>12.1}\n\n", "sum, each dispatch alone", self.dispatches.len(), total / 1e3);
        if unusable > 0 {
            text += &format!("{unusable} dispatches had unusable timestamps and are missing from the sums\n");
        }
        let [least, median, most] = self.step.map(|seconds| 1e3 * seconds);
        text += &format!(
            "wall time of a step: {median:.3} ms ({least:.3} to {most:.3}, {REPETITIONS} x {STEPS} steps)\n\
             memory of the plan: {:.1} MiB\n",
            self.bytes as f64 / f64::from(1 << 20)
        );
        text
    }

    fn json(&self, head: &Head<'_>) -> String {
        let dispatches: Vec<_> = self.dispatches.iter().map(|timing| self.entry(timing)).collect();
        let [least, median, most] = self.step;
        let profile = json!({
            "recipe": head.recipe,
            "batch_size": head.batch,
            "adapter": head.adapter,
            "driver": head.driver,
            "checks": head.checks,
            "dispatches": dispatches,
            "step_seconds": { "least": least, "median": median, "most": most },
            "plan_bytes": self.bytes,
            "roofline": roofline_json(&self.roofline),
        });
        format!("{profile:#}\n")
    }

    /// The dispatches one after the other, in the trace event format.
    fn trace(&self) -> serde_json::Value {
        let mut at = 0.0;
        let events = self.dispatches.iter().map(|timing| {
            let duration = timing.nanoseconds.unwrap_or_default() / 1e3;
            let begin = at;
            at += duration;
            json!({ "name": timing.row, "ph": "X", "pid": 0, "tid": 0, "ts": begin, "dur": duration, "args": self.entry(timing) })
        });
        json!({ "displayTimeUnit": "ns", "traceEvents": events.collect::<Vec<_>>() })
    }

    fn entry(&self, timing: &Timing) -> serde_json::Value {
        let Timing { row, stage, groups, flops, bytes, nanoseconds } = timing;
        json!({
            "kernel": row,
            "stage": stage,
            "workgroups": groups,
            "flops": flops,
            "bytes": bytes,
            "nanoseconds": nanoseconds,
            "least_nanoseconds": self.roofline.least(*flops, *bytes, true),
        })
    }
}
