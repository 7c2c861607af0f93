//! Rows timed on problems, against naive and against the roofline.

use super::args::TimingArgs;
use super::layers::Problem;
use super::table::{Table, short};
use crate::cli::DeviceArgs;
use crate::doctor::wgpu_version;
use crate::summary::{Adapter, SELVEDGE_VERSION};
use crate::{console, device};
use kernels::check::{self, Data};
use kernels::measure::{MeasureError, Settings, Timestamps, measure, measure_in_turn};
use kernels::probe::Roofline;
use kernels::{Class, Gpu, Measured, Options, Row};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Floating-point operations of a launch that a naive kernel on a software adapter does in about a second.
const AFFORDABLE: u64 = 1_100_000_000;

/// A device, and how it is timed.
pub struct Bench {
    /// The device.
    pub gpu: Gpu,
    /// What it can do at best.
    pub roofline: Roofline,
    /// How to time.
    pub settings: Settings,
    options: Options,
    begin: Instant,
}

/// What one row took on one problem.
pub struct Timed {
    /// The row.
    pub row: &'static dyn Row,
    /// Whether it is the one that training launches for the problem.
    pub selected: bool,
    /// The problem's name.
    pub problem: String,
    /// What it took.
    pub measured: Measured,
    /// How many times as long naive took; NaN where that does not run.
    pub over_naive: f64,
    /// The least time that its operations and bytes allow, as a share of what it took.
    pub of_roofline: f64,
}

impl Bench {
    /// Opens the device and measures what it can do at best.
    pub async fn open(device: &DeviceArgs, timing: &TimingArgs) -> anyhow::Result<Self> {
        let tuning = device.tuning()?;
        let options = Options { wish: device.wish(), checks: timing.checked, tuning, ..Options::default() };
        let begin = Instant::now();
        let roofline = probe(&options, begin).await?;
        let gpu = Gpu::open(&options).await?;
        let largest = roofline.memory.last().map_or(0, |memory| memory.size);
        let settings = Settings {
            samples: timing.samples.get(),
            rotate: if timing.cold { largest } else { 0 },
            ..Settings::default()
        };
        Ok(Self { gpu, roofline, settings, options, begin })
    }

    /// The same device without a history, for what counts its memory.
    pub async fn fresh(&self) -> Result<Gpu, kernels::Error> {
        Gpu::open(&self.options).await
    }

    /// Whether naive kernels do a problem in good time here.
    pub fn affords(&self, problem: &Problem) -> bool {
        self.gpu.class() == Class::Hardware || problem.flops() <= AFFORDABLE
    }

    /// The time since this began: a clock for what times by itself.
    pub fn clock(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Times those rows that run the problem here, direction by direction, and `naive`, if it does, with them.
    pub async fn time(&self, problem: &Problem, rows: &[&'static dyn Row]) -> anyhow::Result<Vec<Timed>> {
        let op = &*problem.op;
        let chosen = |row: &dyn Row| rows.iter().any(|chosen| chosen.id() == row.id());
        let runs = |row: &dyn Row| self.gpu.supports(row).and_then(|()| row.accepts(op)).is_ok();
        let mut all = Vec::new();
        let mut values = None;
        for &direction in op.directions() {
            let table: Vec<&'static dyn Row> = kernels::ops::all()
                .iter()
                .map(|row| &**row)
                .filter(|row| row.op() == op.name() && row.direction() == direction)
                .collect();
            if !table.iter().any(|row| chosen(*row) && runs(*row)) {
                continue;
            }
            let naive = table.first().copied().filter(|row| runs(*row));
            // The reference computes every direction at once, and no more than that.
            let values = match &values {
                Some(values) => values,
                None => values.insert(check::Problem::new(op, Data::Reals, 1)?),
            };
            let selected = |row: &dyn Row| {
                self.gpu.select_stored(op, direction, row.storage()).is_ok_and(|selected| selected.id() == row.id())
            };
            let mut baseline = None;
            let is_naive = |row: &dyn Row| naive.is_some_and(|naive| naive.id() == row.id());
            let table: Vec<_> =
                table.into_iter().filter(|row| is_naive(*row) || (chosen(*row) && runs(*row))).collect();
            for (&row, measured) in table.iter().zip(self.measure_all(&table, problem, values).await?) {
                // The first of the table, so it comes first.
                if is_naive(row) {
                    baseline = Some(measured.clone());
                }
                let of_roofline = self.share(&measured);
                let over_naive = baseline.as_ref().map_or(f64::NAN, |baseline| over(baseline, &measured));
                let problem = problem.name.clone();
                all.push(Timed { row, selected: selected(row), problem, measured, over_naive, of_roofline });
            }
        }
        Ok(all)
    }

    fn share(&self, measured: &Measured) -> f64 {
        let warm = measured.copies == 1;
        self.roofline.share(measured.flops, measured.bytes, measured.time().0.p50, warm)
    }

    /// Measures once more what the device can do at best, and judges what was timed by the better.
    pub async fn conclude(&mut self, timed: &mut [Timed]) -> anyhow::Result<()> {
        let again = probe(&self.options, self.begin).await?;
        self.roofline = self.roofline.clone().or_better(again);
        for timed in timed {
            timed.of_roofline = self.share(&timed.measured);
        }
        Ok(())
    }

    /// Times rows of one direction, in turn unless that takes too much memory.
    async fn measure_all(
        &self,
        rows: &[&'static dyn Row],
        problem: &Problem,
        values: &check::Problem,
    ) -> Result<Vec<Measured>, MeasureError> {
        // A row's copies of its arguments fill the caches as they should; those of all rows would fill the memory.
        if self.settings.rotate > 0 {
            let mut measured = Vec::with_capacity(rows.len());
            for row in rows {
                measured.push(self.measure(*row, problem, values).await?);
            }
            return Ok(measured);
        }
        let ids: Vec<&str> = rows.iter().map(|row| row.id()).collect();
        console::message(&format!("timing {} on {}", ids.join(", "), problem.name));
        measure_in_turn(&self.gpu, rows, &*problem.op, values, &self.settings, &|| self.clock()).await
    }

    /// Times one row, whose arguments and what comes of them are `values`.
    pub async fn measure(
        &self,
        row: &'static dyn Row,
        problem: &Problem,
        values: &check::Problem,
    ) -> Result<Measured, MeasureError> {
        console::message(&format!("timing {} on {}", row.id(), problem.name));
        measure(&self.gpu, row, &*problem.op, values, &self.settings, &|| self.clock()).await
    }

    /// On what, and how, everything here was measured.
    pub fn environment(&self) -> Environment {
        Environment {
            adapter: device::describe_adapter(self.gpu.info()),
            class: self.gpu.class(),
            checks: self.gpu.checks(),
            cold: self.settings.rotate > 0,
        }
    }
}

/// What the device can do at best. It is opened for that alone: the probes take memory.
async fn probe(options: &Options, begin: Instant) -> anyhow::Result<Roofline> {
    let gpu = Gpu::open(options).await?;
    console::message(&format!("measuring what {} can do at best", gpu.info().name));
    Ok(Roofline::measure(&gpu, &|| begin.elapsed()).await?)
}

/// How many times as long the first took as the second, by one clock.
fn over(first: &Measured, second: &Measured) -> f64 {
    match (&first.device, &second.device) {
        (Timestamps::Usable { time: first, .. }, Timestamps::Usable { time: second, .. }) => first.p50 / second.p50,
        _ => first.wall.p50 / second.wall.p50,
    }
}

/// On what, and how, something was measured.
pub struct Environment {
    /// The adapter.
    pub adapter: Adapter,
    /// Its class.
    pub class: Class,
    /// Whether shaders were compiled with run-time checks.
    pub checks: bool,
    /// Whether caches were kept from holding the arguments.
    pub cold: bool,
}

/// What a reader of figures from a software adapter has to know.
pub const SOFTWARE: &str =
    "This is a software adapter: it runs shaders on the CPU. Its figures tell nothing about any GPU.";

impl Environment {
    /// As lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let Adapter { name, device_type, backend, driver } = &self.adapter;
        let checks = if self.checks { "on" } else { "off" };
        let caches = if self.cold { "cold: arguments change from launch to launch" } else { "warm" };
        let mut lines = vec![
            format!("{name} ({device_type}, {backend}; driver {driver})"),
            format!("selvedge {SELVEDGE_VERSION}, wgpu {}; run-time checks {checks}; caches {caches}", wgpu_version()),
        ];
        lines.extend((self.class == Class::Software).then(|| SOFTWARE.to_owned()));
        lines
    }

    /// For a program.
    pub fn json(&self) -> Value {
        json!({
            "adapter": self.adapter,
            "class": self.class.name(),
            "selvedge": SELVEDGE_VERSION,
            "wgpu": wgpu_version(),
            "checks": self.checks,
            "cold": self.cold,
        })
    }
}

/// What the device can do at best, as lines for a person.
pub fn roofline_lines(roofline: &Roofline) -> Vec<String> {
    let mut lines = vec![format!("peak {} GFLOP/s ({})", short(roofline.peak), roofline.peak_by)];
    for memory in &roofline.memory {
        let mebibytes = memory.size as f64 / f64::from(1 << 20);
        lines.push(format!("{} GB/s over {mebibytes} MiB ({})", short(memory.rate), memory.by));
    }
    lines
}

/// The same for a program.
pub fn roofline_json(roofline: &Roofline) -> Value {
    let memory = |memory: &kernels::probe::Bandwidth| json!({ "bytes": memory.size, "gigabytes_per_second": memory.rate, "probe": memory.by });
    json!({
        "gflops": roofline.peak,
        "probe": roofline.peak_by,
        "memory": roofline.memory.iter().map(memory).collect::<Vec<_>>(),
    })
}

impl Timed {
    /// For a program.
    pub fn json(&self) -> Value {
        let Measured { device, wall, samples, launches, copies, flops, bytes } = &self.measured;
        let percentiles = |time: &kernels::Percentiles| json!({ "p20": time.p20, "p50": time.p50, "p80": time.p80 });
        let (device, rejected, unusable) = match device {
            Timestamps::Usable { time, rejected } => (Some(percentiles(time)), *rejected, None),
            Timestamps::Unusable(reason) => (None, *samples, Some(*reason)),
        };
        json!({
            "row": self.row.id(),
            "problem": self.problem,
            "selected": self.selected,
            "clock": self.measured.time().1.to_string(),
            "device_nanoseconds": device,
            "timestamps_rejected": rejected,
            "timestamps_unusable": unusable,
            "wall_nanoseconds": percentiles(wall),
            "samples": samples,
            "launches_per_sample": launches,
            "copies_of_arguments": copies,
            "flops": flops,
            "bytes": bytes,
            "gflops": self.measured.gflops(),
            "gigabytes_per_second": self.measured.gigabytes(),
            "of_roofline": self.of_roofline,
            "above_roofline": self.of_roofline > 1.0,
            "over_naive": self.over_naive,
        })
    }

    /// Its share of the roofline in percent, marked if it cannot be.
    pub fn percent(&self) -> String {
        let mark = if self.of_roofline > 1.0 { "!" } else { "" };
        format!("{}{mark}", short(100.0 * self.of_roofline))
    }

    /// Times in milliseconds: the median between its percentiles, and the wall clock's.
    fn milliseconds(&self) -> [String; 4] {
        let (time, _) = self.measured.time();
        [time.p20, time.p50, time.p80, self.measured.wall.p50].map(|nanoseconds| short(nanoseconds / 1e6))
    }

    fn cells(&self) -> Vec<String> {
        let [p20, p50, p80, wall] = self.milliseconds();
        let (gflops, gigabytes) = (short(self.measured.gflops()), short(self.measured.gigabytes()));
        let over_naive = short(self.over_naive);
        let row = format!("{}{}", self.row.id(), if self.selected { " *" } else { "" });
        let times = [p50, p20, p80, wall];
        [self.problem.clone(), row]
            .into_iter()
            .chain(times)
            .chain([gflops, gigabytes, self.percent(), over_naive])
            .collect()
    }
}

/// All that was timed as a table.
pub fn table<'a>(timed: impl IntoIterator<Item = &'a Timed>) -> Table {
    let heads = ["problem", "row", ">ms", ">p20", ">p80", ">wall ms", ">GFLOP/s", ">GB/s", ">% roofline", ">x naive"];
    let mut table = Table::new(&heads);
    for timed in timed {
        table.row(timed.cells());
    }
    table
}

/// What has to be said about the table.
pub fn notes(timed: &[Timed]) -> Vec<String> {
    let mut notes = vec![
        "* is what training launches. ms: median of a launch by the device's clock, between its 20th and 80th percentile."
            .to_owned(),
        "Every row was compared with the reference before it was timed and afterwards.".to_owned(),
    ];
    if timed.iter().all(|timed| timed.measured.copies == 1) {
        notes.push("The rows of one direction took turns while they were timed.".to_owned());
    }
    let above = timed.iter().filter(|timed| timed.of_roofline > 1.0).count();
    if above > 0 {
        notes.push(format!(
            "! {above} above the roofline: operations or bytes are counted wrong, or something else kept the device busy \
             while its best was measured."
        ));
    }
    let unusable = timed.iter().filter_map(|timed| match &timed.measured.device {
        Timestamps::Unusable(reason) => Some(*reason),
        Timestamps::Usable { .. } => None,
    });
    let reasons: std::collections::BTreeSet<&str> = unusable.collect();
    if !reasons.is_empty() {
        let reasons: Vec<&str> = reasons.into_iter().collect();
        notes.push(format!("Some times are the wall clock's, in all columns: {}.", reasons.join("; ")));
    }
    notes
}
