//! `trainer kernels watch`: a kernel checked and timed at every save of its shader.

use crate::bench::layers;
use crate::cli::{DeviceArgs, KernelsWatchArgs, UsageError};
use crate::console;
use crate::kernel_filter::{self, work};
use crate::kernels_check::ChecksFailed;
use crate::shader_files::{self, COMPILED_IN};
use anyhow::Context;
use kernels::check::{Agreement, Data, Failure, Fault, Problem, check_problem};
use kernels::measure::{MeasureError, Measured, Settings, measure_in_turn};
use kernels::probe::Roofline;
use kernels::{Class, ClockKind, Error, Gpu, Options, Percentiles, Row, edited};
use reference::cases::Case;
use reference::{Direction, Operation};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// What the kernel is fed at every save: `kernels check` feeds it all there is.
const DATA: [Data; 2] = [Data::Integers, Data::Reals];

/// Enough for a median that is quickly there.
const SETTINGS: Settings =
    Settings { samples: 7, submission: Duration::from_millis(3), budget: Duration::from_millis(60), rotate: 0 };

/// Floating-point operations of a launch that a naive kernel on a software adapter does in about 15 ms.
const WORK: u64 = 16_000_000;

/// Rows of a matrix product that a layer keeps: fewer would leave the tiles of some kernels half empty.
const ROWS: usize = 64;

/// Checks and times a row, again at every save of its files.
pub async fn watch(device: &DeviceArgs, args: &KernelsWatchArgs) -> anyhow::Result<()> {
    let row = kernel_filter::one(&args.row)?;
    // A wrong name is told before a file or a device is looked for.
    kernel_filter::cases_of(row, args.case.as_deref())?;
    args.layer.as_deref().map(|layer| layers::for_row(row, Some(layer))).transpose()?;
    let files = Files::find(row, args.file.as_deref())?;
    let mut texts = files.read()?;
    let mut stamps = files.stamps();
    let mut desk = Desk::open(device, args, row).await?;
    if !args.once {
        console::message(&format!("watching {}; Ctrl-C ends it", files.names().join(", ")));
    }
    for save in 1_u64.. {
        let begin = Instant::now();
        let before = desk.right.as_ref().map(|right| right.numbers.clone());
        let judged = desk.judge(&texts).await?;
        // The verdict does not wait for the times.
        if let (Ok((_, agreement)), false) = (&judged, args.json) {
            let verdict = verdict(agreement, desk.cases.len(), before.as_ref());
            console::print(&format!(
                "{}{verdict}  ({:.2} s)\n",
                head(row, save, &files),
                begin.elapsed().as_secs_f64()
            ))?;
        }
        let said = judged.is_ok();
        let outcome = match judged {
            Ok((row, agreement)) => desk.timed(row, save - 1, agreement).await?,
            Err(outcome) => outcome,
        };
        let took = begin.elapsed();
        let round = Round { save, took, row, files: &files, case: desk.timed_case(), outcome: &outcome, before };
        console::print(&match args.json {
            true => format!("{}\n", round.json()),
            false => round.text(said),
        })?;
        match outcome {
            Outcome::Right(right) => desk.right = Some(*right),
            _ if args.once => return Err(ChecksFailed::Rows { failed: 1, rows: 1 }.into()),
            _ => {}
        }
        if args.once {
            break;
        }
        texts = files.next(&texts, &mut stamps);
    }
    Ok(())
}

/// The files of a row, by their paths below `shaders/`.
struct Files(Vec<(&'static str, PathBuf)>);

/// When a file was written and how long it is. `None` while an editor replaces it.
type Stamp = Option<(SystemTime, u64)>;

impl Files {
    /// Looks for the checkout from the current folder upwards. `own` stands in for the row's own file.
    fn find(row: &dyn Row, own: Option<&Path>) -> anyhow::Result<Self> {
        let path = row.source().path;
        let folder = shader_files::folder(row);
        let Some(own) = own.map(Path::to_owned).or_else(|| Some(folder.as_ref()?.join(path))) else {
            return Err(UsageError::NoShader { path }.into());
        };
        let mut files = vec![(path, own)];
        // Without a checkout the shared modules are those compiled in.
        if let Some(folder) = folder {
            files.extend(row.shared().iter().map(|source| (source.path, folder.join(source.path))));
        }
        Ok(Self(files))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(_, path)| shader_files::from_here(path)).collect()
    }

    /// The row's own file.
    fn own(&self) -> String {
        self.names().into_iter().next().unwrap_or_default()
    }

    /// Where each shared module of the row comes from.
    fn shared(&self, row: &dyn Row) -> Value {
        let files: Vec<_> = self.0.iter().map(|(module, _)| *module).zip(self.names()).collect();
        let from = |path: &str| files.iter().find(|(module, _)| *module == path).map(|(_, file)| file.clone());
        let shared = row.shared().iter().map(|module| module.path);
        let named = |path: &str| json!({ "module": path, "file": from(path).as_deref().unwrap_or(COMPILED_IN) });
        shared.map(named).collect()
    }

    fn read(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let read = |(name, path): &(&'static str, PathBuf)| {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok((*name, text))
        };
        self.0.iter().map(read).collect()
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.0.iter().map(|(_, path)| stamp(path)).collect()
    }

    /// Waits until the files hold something else.
    fn next(&self, texts: &[(&'static str, String)], stamps: &mut Vec<Stamp>) -> Vec<(&'static str, String)> {
        loop {
            thread::sleep(INTERVAL);
            let now = self.stamps();
            if now == *stamps {
                continue;
            }
            *stamps = now;
            // Some editors empty a file before they write it.
            thread::sleep(INTERVAL);
            if self.stamps() != *stamps {
                stamps.clear();
                continue;
            }
            match self.read() {
                Ok(read) if read != texts => return read,
                // Saved without a change, or being replaced at this moment.
                _ => {}
            }
        }
    }
}

/// A row that is right, in numbers.
#[derive(Clone, Debug)]
struct Numbers {
    cases: usize,
    agreement: Agreement,
    time: Percentiles,
    clock: ClockKind,
    gflops: f64,
    gigabytes: f64,
    /// Whether it was compiled with run-time checks.
    checks: bool,
    /// The save that was right before, timed again with this one.
    previous: Option<(u64, Percentiles)>,
    /// Medians of `naive` and of the row that would run, each as built in and timed with this one, in nanoseconds.
    naive: Option<f64>,
    best: Option<(&'static str, f64)>,
    /// Of the roofline: its rates for this launch, and the share reached.
    roofline: Option<[f64; 3]>,
}

/// What came of a save.
enum Outcome {
    /// It does not compile, or does not fit its row.
    Refused(String),
    /// It disagrees with the reference.
    Wrong(String),
    /// It agrees.
    Right(Box<Right>),
}

/// A save that agrees with the reference. Its pipeline stays, to be timed beside the next one.
#[derive(Clone, Debug)]
struct Right {
    row: &'static dyn Row,
    save: u64,
    numbers: Numbers,
}

/// Everything that is made once and used at every save.
struct Desk {
    options: Options,
    gpu: Gpu,
    row: &'static dyn Row,
    seed: u64,
    /// With what the kernel is fed and what the reference makes of it; last the one that is timed.
    cases: Vec<(Case, Vec<(Data, Problem)>)>,
    roofline: Option<Roofline>,
    begin: Instant,
    /// What would run if nothing were edited.
    best: &'static dyn Row,
    /// The baseline, if it runs.
    naive: Option<&'static dyn Row>,
    /// The last save that was right.
    right: Option<Right>,
}

impl Desk {
    async fn open(device: &DeviceArgs, args: &KernelsWatchArgs, row: &'static dyn Row) -> anyhow::Result<Self> {
        let mut cases = kernel_filter::cases_of(row, args.case.as_deref())?;
        cases.sort_by_key(|case| work(row, &*case.op));
        let layer = match args.case {
            None => layers::for_row(row, args.layer.as_deref())?,
            Some(_) => None,
        };
        // Scratch memory is covered by no sentinel.
        let options = Options { wish: device.wish(), checks: !args.no_checks, poison: true, ..Options::default() };
        let gpu = Gpu::open(&options).await?;
        gpu.supports(row)?;
        console::message(&format!("on {}: running the reference, cases: {}", gpu.info().name, cases.len()));
        let with_problems = |case: Case| {
            let problem = |data| Ok((data, Problem::new(&*case.op, data, args.seed)?));
            let problems = DATA.into_iter().map(problem).collect::<Result<Vec<_>, reference::Error>>()?;
            Ok((case, problems))
        };
        let mut cases = cases.into_iter().map(with_problems).collect::<Result<Vec<_>, reference::Error>>()?;
        let begin = Instant::now();
        let timed = layer.as_ref().or_else(|| cases.last().map(|(case, _)| case));
        let timed = timed.with_context(|| format!("{} has no case", row.id()))?;
        // By the layer as it is: the choice is no other for fewer images.
        let best = gpu.select_stored(&*timed.op, row.direction(), row.storage())?;
        // Cases are small, to be quick. What a kernel is worth shows at the size of a network's layer.
        if let Some(layer) = layer {
            let layer = affordable(&gpu, row, layer, args.layer.is_some())?;
            let problem = Problem::new(&*layer.op, Data::Reals, args.seed)?;
            cases.push((layer, vec![(Data::Reals, problem)]));
        }
        let roofline = match args.no_roofline {
            true => None,
            false => {
                console::message("measuring what the device can do at best, which takes a few seconds");
                Some(Roofline::measure(&gpu, &|| begin.elapsed()).await?)
            }
        };
        let naive = format!("{}.{}.naive", row.op(), row.direction());
        let naive = kernels::ops::all().iter().map(|row| &**row).find(|row| row.id() == naive);
        let naive = naive.filter(|naive| cases.last().is_some_and(|(case, _)| naive.accepts(&*case.op).is_ok()));
        Ok(Self { options, gpu, row, seed: args.seed, cases, roofline, begin, best, naive, right: None })
    }

    /// The case that is timed.
    fn timed_case(&self) -> &Case {
        &self.cases[self.cases.len() - 1].0
    }

    /// Compiles these texts and checks what comes of them.
    async fn judge(
        &mut self,
        texts: &[(&'static str, String)],
    ) -> Result<Result<(&'static dyn Row, Agreement), Outcome>, Error> {
        let texts: Vec<(&str, String)> = texts.iter().map(|(path, text)| (*path, text.clone())).collect();
        let row = match edited(self.row, &texts) {
            Ok(row) => row,
            Err(error) => return Ok(Err(Outcome::Refused(error.to_string()))),
        };
        let (agreement, stopped) = self.check(row).await;
        if let Some((case, data, outcome)) = stopped {
            let fault = match outcome {
                Ok(fault) => fault,
                Err(error @ Error::Shader { .. }) => return Ok(Err(Outcome::Refused(error.to_string()))),
                Err(error) => {
                    self.recover(&error).await?;
                    Fault::Launch(error.to_string())
                }
            };
            let (op, case) = (format!("{:?}", case.op), case.name);
            let failure = Failure { row: row.id(), op, case, data, seed: self.seed, fault };
            return Ok(Err(Outcome::Wrong(failure.to_string())));
        }
        if agreement.elements == 0 {
            return Ok(Err(Outcome::Wrong(format!("{} was compared with nothing", row.id()))));
        }
        Ok(Ok((row, agreement)))
    }

    /// Times a row that was found right, and in turn with it the one that was right before, `naive` and the one that would run.
    async fn timed(&mut self, row: &'static dyn Row, save: u64, agreement: Agreement) -> Result<Outcome, Error> {
        let previous = self.right.as_ref().map(|right| (right.save, right.row));
        let others = [self.naive, Some(self.best), previous.map(|(_, row)| row)];
        let rows: Vec<&'static dyn Row> = std::iter::once(row).chain(others.into_iter().flatten()).collect();
        let mut measured = self.time(&rows).await;
        if let Err(MeasureError::Wrong { .. }) = measured {
            // One of the others is wrong at this size, or this one is, which then shows again.
            measured = self.time(&[row]).await;
        }
        let measured = match measured {
            Ok(measured) => measured,
            Err(MeasureError::Device(error)) => {
                self.recover(&error).await?;
                return Ok(Outcome::Wrong(format!("{} ran and then failed: {error}", row.id())));
            }
            Err(error) => return Ok(Outcome::Wrong(error.to_string())),
        };
        let mut times = measured.iter().skip(1).map(|measured| measured.time().0);
        let [naive, best, before] = others.map(|other| other.and_then(|_| times.next()));
        let Some(measured) = measured.first() else {
            return Ok(Outcome::Wrong(format!("{} has no time", row.id())));
        };
        let (time, clock) = measured.time();
        let (flops, bytes) = (measured.flops, measured.bytes);
        let roofline = self
            .roofline
            .as_ref()
            .map(|roofline| [roofline.peak, roofline.bandwidth(bytes), roofline.share(flops, bytes, time.p50, true)]);
        let numbers = Numbers {
            cases: self.cases.len(),
            agreement,
            time,
            clock,
            gflops: measured.gflops(),
            gigabytes: measured.gigabytes(),
            checks: self.gpu.checks(),
            previous: previous.map(|(save, _)| save).zip(before),
            naive: naive.map(|time| time.p50),
            best: best.map(|time| (self.best.id(), time.p50)),
            roofline,
        };
        Ok(Outcome::Right(Box::new(Right { row, save, numbers })))
    }

    /// Checks a row on every case, up to the first that it fails.
    async fn check(&self, row: &'static dyn Row) -> (Agreement, Option<(Case, Data, Result<Fault, Error>)>) {
        let mut agreement = Agreement::default();
        for (case, problems) in &self.cases {
            for (data, problem) in problems {
                let failed = match check_problem(&self.gpu, row, &*case.op, *data, problem).await {
                    Ok(Ok(agreed)) => {
                        agreement = agreement.and(agreed);
                        continue;
                    }
                    Ok(Err(fault)) => Ok(fault),
                    Err(error) => Err(error),
                };
                return (agreement, Some((case.clone(), *data, failed)));
            }
        }
        (agreement, None)
    }

    async fn time(&self, rows: &[&'static dyn Row]) -> Result<Vec<Measured>, MeasureError> {
        let (case, problems) = &self.cases[self.cases.len() - 1];
        let problem = problems.iter().find(|(data, _)| *data == Data::Reals).map(|(_, problem)| problem);
        let problem = match problem {
            Some(problem) => problem,
            None => &Problem::new(&*case.op, Data::Reals, self.seed).map_err(Error::from)?,
        };
        measure_in_turn(&self.gpu, rows, &*case.op, problem, &SETTINGS, &|| self.begin.elapsed()).await
    }

    /// A device repeats such an error for ever, and the next save may have mended what caused it.
    async fn recover(&mut self, error: &Error) -> Result<(), Error> {
        if matches!(error, Error::DeviceLost(_) | Error::Timeout(_) | Error::Validation(_)) {
            self.gpu = Gpu::open(&self.options).await?;
        }
        Ok(())
    }
}

/// What is printed of a save.
struct Round<'a> {
    save: u64,
    took: Duration,
    row: &'static dyn Row,
    files: &'a Files,
    case: &'a Case,
    outcome: &'a Outcome,
    before: Option<Numbers>,
}

impl Round<'_> {
    /// What there is to say, after the verdict if that was `said` before.
    fn text(&self, said: bool) -> String {
        let Self { save, row, files, case, outcome, before, .. } = self;
        let mut text = if said { String::new() } else { head(*row, *save, files) };
        let (what, message) = match outcome {
            Outcome::Right(now) => return text + &now.numbers.text(&case.name),
            Outcome::Refused(error) => ("does not compile:", error),
            Outcome::Wrong(fault) => ("WRONG:", fault),
        };
        text += &format!("  {what}\n");
        text += &message.lines().map(|line| format!("    {line}\n")).collect::<String>();
        if let Some(before) = before {
            text += &format!("  the last one that was right stays: it takes {}\n", duration(before.time.p50));
        }
        text
    }

    fn json(&self) -> Value {
        let Self { save, took, row, files, case, outcome, before } = self;
        let (verdict, message, numbers) = match outcome {
            Outcome::Refused(error) => ("refused", Some(error), None),
            Outcome::Wrong(fault) => ("wrong", Some(fault), None),
            Outcome::Right(right) => ("right", None, Some(&right.numbers)),
        };
        json!({
            "row": row.id(),
            "shader": files.own(),
            "shared": files.shared(*row),
            "save": save - 1,
            "seconds": took.as_secs_f64(),
            "verdict": verdict,
            "message": message,
            "timed_case": case.name,
            "numbers": numbers.map(Numbers::json),
            "last_right": before.as_ref().map(Numbers::json),
        })
    }
}

impl Numbers {
    fn text(&self, case: &str) -> String {
        let Self { time, clock, checks, gflops, gigabytes, previous, naive, best, roofline, .. } = self;
        let checks = if *checks { "on" } else { "off" };
        let mut text = format!(
            "  time     {} ({} to {}, {clock} clock, run-time checks {checks}) on {case}{}\n",
            duration(time.p50),
            duration(time.p20),
            duration(time.p80),
            previous.map(|(save, before)| format!("; {}", change(save, &before, time))).unwrap_or_default()
        );
        let against = |what: &str, other: f64| {
            format!("  against  {what}: {}, this takes {:.2} of that\n", duration(other), time.p50 / other)
        };
        text += &naive.map(|other| against("naive as compiled in", other)).unwrap_or_default();
        text += &best
            .map(|(id, other)| against(&format!("{id} as compiled in, which is chosen here"), other))
            .unwrap_or_default();
        text += &format!("  rate     {} GFLOP/s, {} GB/s", rate(*gflops), rate(*gigabytes));
        if let Some([peak, bandwidth, share]) = roofline {
            let wrong = if *share > 1.0 { "; above 100 %, so something is counted or measured wrong" } else { "" };
            text += &format!(
                ", {:.1} % of the roofline (measured: {peak:.1} GFLOP/s, {bandwidth:.1} GB/s){wrong}",
                100.0 * share
            );
        }
        text + "\n"
    }

    fn json(&self) -> Value {
        let Self { cases, agreement, time, clock, checks, gflops, gigabytes, previous, naive, best, roofline } = self;
        json!({
            "cases": cases,
            "worst": agreement.worst,
            "ulps": agreement.ulps,
            "of_bound": agreement.of_bound,
            "nanoseconds": { "p20": time.p20, "p50": time.p50, "p80": time.p80 },
            "clock": clock.to_string(),
            "checks": checks,
            "gflops": gflops,
            "gigabytes": gigabytes,
            "previous": previous.map(|(save, time)| json!({ "save": save, "nanoseconds": time.p50 })),
            "naive_nanoseconds": naive,
            "chosen": best.map(|(id, _)| id),
            "chosen_nanoseconds": best.map(|(_, time)| time),
            "share_of_roofline": roofline.map(|[_, _, share]| share),
        })
    }
}

/// A layer with as many images as a software adapter gets through while somebody waits; if that are too few to fill tiles, and the
/// layer was not `named`, another one. By the work alone, so that every session is timed on the same.
fn affordable(gpu: &Gpu, row: &dyn Row, layer: Case, named: bool) -> anyhow::Result<Case> {
    let direction = row.direction();
    if gpu.class() == Class::Hardware || layer.op.flops(direction) <= WORK {
        return Ok(layer);
    }
    let two = layers::with_batch(&layer.name, 2)?.0;
    let most = (2 * WORK / two.flops(direction).max(1)).max(2) as usize;
    // Powers of two, which are easier to compare.
    let images = (1 << most.ilog2()).max((2 * ROWS).div_ceil(rows(&*two)));
    let (op, batch) = layers::with_batch(&layer.name, images)?;
    if images < batch && row.accepts(&*op).is_ok() {
        return Ok(Case { name: format!("{} with {images} of its {batch} images", layer.name), op });
    }
    let quick = |other: &layers::Problem| {
        let op = &*other.op;
        op.name() == row.op() && row.accepts(op).is_ok() && rows(op) >= ROWS && op.flops(direction) <= WORK
    };
    let others = if named { Vec::new() } else { layers::all()? };
    let heaviest = others.into_iter().filter(quick).max_by_key(|other| other.op.flops(direction));
    Ok(heaviest.map_or(layer, |other| Case { name: other.name, op: other.op }))
}

/// The rows of an operation's matrix product, or what corresponds to them: images, or their pixels. The least of its images.
fn rows(op: &dyn Operation) -> usize {
    let specs = op.signature(Direction::Fwd).into_iter().filter(|arg| arg.name == "x" || arg.name == "y");
    let rows = specs.map(|arg| match *arg.spec.dims {
        [n, _, h, w] => n * h * w,
        [n, ..] => n,
        [] => 1,
    });
    rows.min().unwrap_or(1).max(1)
}

/// What became of a time, if that can be told from noise.
fn change(save: u64, before: &Percentiles, now: &Percentiles) -> String {
    let which = if save == 0 { "at the start".to_owned() } else { format!("at save {save}") };
    let was = format!("{which}, timed again now, {}", duration(before.p50));
    if before.p20 <= now.p80 && now.p20 <= before.p80 {
        return format!("{was}: no difference beyond the noise");
    }
    let change = 100.0 * (now.p50 - before.p50).abs() / before.p50;
    format!("{was}: {change:.1} % {}", if now.p50 < before.p50 { "less" } else { "MORE" })
}

/// A time in the unit that suits it.
fn duration(nanoseconds: f64) -> String {
    if nanoseconds < 1e6 { format!("{:.1} us", nanoseconds / 1e3) } else { format!("{:.2} ms", nanoseconds / 1e6) }
}

/// A rate that may be large or small.
fn rate(rate: f64) -> String {
    if rate < 0.1 { format!("{rate:.1e}") } else { format!("{rate:.2}") }
}

fn head(row: &dyn Row, save: u64, files: &Files) -> String {
    let what = if save == 1 { "as it is".to_owned() } else { format!("save {}", save - 1) };
    format!("\n{}, {what} in {}\n", row.id(), files.own())
}

fn verdict(agreement: &Agreement, cases: usize, before: Option<&Numbers>) -> String {
    let Agreement { worst, ulps, of_bound, .. } = agreement;
    let before = before.map(|before| format!("; before {:.1e}", before.agreement.worst)).unwrap_or_default();
    let cases = if cases == 1 { "1 case".to_owned() } else { format!("{cases} cases") };
    format!("  right    on {cases}: worst {worst:.1e} ({ulps:.1} ulps, {of_bound:.2} of its bound){before}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(p20: f64, p50: f64, p80: f64) -> Percentiles {
        Percentiles { least: p20, p20, p50, p80 }
    }

    #[test]
    fn a_change_is_told_from_noise() {
        let before = times(90e3, 100e3, 110e3);
        let said = |now| change(3, &before, &now);
        assert_eq!(said(times(40e3, 50e3, 60e3)), "at save 3, timed again now, 100.0 us: 50.0 % less");
        assert_eq!(said(times(140e3, 150e3, 160e3)), "at save 3, timed again now, 100.0 us: 50.0 % MORE");
        assert_eq!(
            said(times(60e3, 80e3, 95e3)),
            "at save 3, timed again now, 100.0 us: no difference beyond the noise"
        );
    }

    #[test]
    fn rows_are_images_or_pixels() {
        let rows = |name: &str, images| rows(&*layers::with_batch(name, images).unwrap().0);
        assert_eq!((rows("depth2-fc1", 64), rows("depth2-conv2", 2), rows("depth2-flatten1", 3)), (64, 392, 3));
    }

    #[test]
    fn the_shader_is_found_from_anywhere_in_a_checkout() {
        let row = kernel_filter::one("dense.fwd.tiled").unwrap();
        // Tests run in their package's folder.
        let files = Files::find(row, None).unwrap();
        let paths: Vec<&str> = files.0.iter().map(|(path, _)| *path).collect();
        assert_eq!(paths, ["dense/fwd_tiled.wgsl", "shared/grid.wgsl", "shared/gemm_tile.wgsl"]);
        let texts = files.read().unwrap();
        assert_eq!(texts[0].1, row.source().text);
        let own = Files::find(row, Some(Path::new("other.wgsl"))).unwrap();
        assert_eq!((own.0.len(), own.0[0].1.as_path()), (3, Path::new("other.wgsl")));
    }
}
