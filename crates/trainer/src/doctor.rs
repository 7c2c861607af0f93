//! What this machine has to run on: adapters, their limits, one kernel of every kind put to the test, the data.

use crate::cli::{Cli, DoctorArgs};
use crate::kernel_filter::work;
use crate::kernels_check::ChecksFailed;
use crate::kernels_list::reason;
use crate::summary::SELVEDGE_VERSION;
use crate::{console, device};
use fashion_mnist::{Finder, Source};
use kernels::check::{Data, Problem, check};
use kernels::measure::{Settings, Timestamps, measure};
use kernels::{Gpu, Options, Row, Storage, Wish, wgpu};
use reference::Direction;
use reference::cases::Case;
use serde_json::{Map, Value, json};
use std::env;
use std::time::{Duration, Instant};

/// The version of wgpu in use, out of the lock file.
pub fn wgpu_version() -> &'static str {
    version("wgpu")
}

/// The version of a dependency, out of the lock file.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let head = format!("name = \"{name}\"\nversion = \"");
    let entry = lock.split("\n[[package]]\n").find_map(|entry| entry.strip_prefix(&head));
    entry.and_then(|entry| entry.split('"').next()).unwrap_or("unknown")
}

/// Reports on the machine; with `--probe`, only whether there is an adapter.
pub async fn doctor(cli: &Cli, args: &DoctorArgs) -> anyhow::Result<()> {
    let options = Options { wish: cli.device.wish(), ..Options::default() };
    if args.probe {
        Gpu::open(&options).await?;
        return Ok(());
    }
    // All there are, whatever was asked for: "is my card seen?" is what a reader wants to know.
    let adapters = kernels::adapters(&Wish { name: Some(String::new()), ..cli.device.wish() }).await;
    let chosen = Gpu::open(&options).await;
    let tests = match &chosen {
        Ok(_) => self_test(&options).await,
        Err(_) => Vec::new(),
    };
    let mut adapter_reports = Vec::new();
    for adapter in &adapters {
        adapter_reports.push(adapter_report(&adapter.get_info(), &adapter.limits(), adapter.features()));
    }
    let report = json!({
        "selvedge": SELVEDGE_VERSION,
        "wgpu": wgpu_version(),
        "naga": version("naga"),
        "system": format!("{} {}", env::consts::OS, env::consts::ARCH),
        "environment": environment(),
        "adapters": adapter_reports,
        "device": match &chosen {
            Ok(gpu) => device_report(gpu, &tests).await,
            Err(error) => json!({ "error": error.to_string() }),
        },
        "data": data(cli),
    });
    let text = if args.json { format!("{}\n", serde_json::to_string_pretty(&report)?) } else { lines(&report, 0) };
    console::print(&text)?;
    // The report is complete, but there is nothing to run on, or what there is computes something else.
    chosen?;
    let failed = tests.iter().filter(|test| test.outcome.is_err()).count();
    if failed > 0 {
        return Err(ChecksFailed::Rows { failed, rows: tests.len() }.into());
    }
    Ok(())
}

/// Variables that choose or change drivers, as far as they are set.
fn environment() -> Vec<String> {
    let tells =
        |name: &str| ["WGPU_", "VK_", "MESA_", "LP_", "GALLIUM_", "SELVEDGE_"].iter().any(|p| name.starts_with(p));
    let mut set: Vec<String> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| tells(name))
        .map(|(name, value)| format!("{name}={}", value.display()))
        .collect();
    set.sort();
    set
}

fn adapter_report(info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> Value {
    let adapter = device::describe_adapter(info);
    let [timestamps, f16] = [wgpu::Features::TIMESTAMP_QUERY, wgpu::Features::SHADER_F16].map(|f| features.contains(f));
    json!({
        "name": adapter.name,
        "type": adapter.device_type,
        "backend": adapter.backend,
        "driver": adapter.driver,
        "vendor and device": format!("{:#06x} {:#06x}", info.vendor, info.device),
        "subgroup lanes": format!("{} to {}", info.subgroup_min_size, info.subgroup_max_size),
        "timestamps": timestamps,
        "16-bit floats": f16,
        "storage buffers": limits.max_storage_buffers_per_shader_stage,
        "largest binding": format!("{} MiB", limits.max_storage_buffer_binding_size >> 20),
        "largest buffer": format!("{} MiB", limits.max_buffer_size >> 20),
        "workgroup memory": format!("{} KiB", limits.max_compute_workgroup_storage_size >> 10),
        "workgroup invocations": limits.max_compute_invocations_per_workgroup,
        "workgroups along a dimension": limits.max_compute_workgroups_per_dimension,
    })
}

async fn device_report(gpu: &Gpu, tests: &[SelfTest]) -> Value {
    let rows = kernels::ops::all();
    let unsupported: Vec<String> =
        rows.iter().filter_map(|row| gpu.supports(&**row).err().map(|error| error.to_string())).collect();
    let self_test: Map<String, Value> =
        tests.iter().map(|test| (test.family.to_owned(), test.report().into())).collect();
    json!({
        "adapter": gpu.info().name,
        "features": gpu.features().iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
        "kernels": format!("{} of {} run here", rows.len() - unsupported.len(), rows.len()),
        "kernels that do not": unsupported,
        "clock": clock(gpu).await,
        "self-test": self_test,
    })
}

/// Whether the device's clock can be used, tried on one kernel.
async fn clock(gpu: &Gpu) -> String {
    let begin = Instant::now();
    let timed = async {
        let row = kernels::ops::all().iter().map(|row| &**row).find(|row| row.id() == "dense.fwd.naive")?;
        let op = reference::ops::Dense::new(64, 256, 256).ok()?;
        let problem = Problem::new(&op, Data::Reals, 1).ok()?;
        let settings = Settings { budget: Duration::from_millis(200), ..Settings::default() };
        Some(measure(gpu, row, &op, &problem, &settings, &|| begin.elapsed()).await)
    };
    match timed.await {
        Some(Ok(measured)) => {
            let wall = measured.wall.p50 / 1e3;
            match measured.device {
                Timestamps::Usable { time, rejected } => format!(
                    "usable: a launch takes {:.1} us by the device's clock, {wall:.1} us by the wall clock; {rejected} of {} \
                     samples rejected",
                    time.p50 / 1e3,
                    measured.samples
                ),
                Timestamps::Unusable(reason) => format!("unusable: {reason}; times come from the wall clock"),
            }
        }
        Some(Err(error)) => format!("not tried: {error}"),
        None => "not tried".to_owned(),
    }
}

/// One kernel of a family, put to the test.
struct SelfTest {
    /// The last part of kernel ids: `naive`, `tiled`, …
    family: &'static str,
    row: &'static str,
    /// The case it agreed on, `None` if the device does not run the family; or what went wrong.
    outcome: Result<Result<String, String>, String>,
}

impl SelfTest {
    fn report(&self) -> String {
        let Self { row, outcome, .. } = self;
        match outcome {
            Ok(Ok(case)) => format!("ok ({row} on {case})"),
            Ok(Err(reason)) => format!("does not run here: {reason}"),
            Err(failure) => format!("FAILED: {failure}"),
        }
    }
}

/// Floating-point operations of a case that still takes no time.
const SHORT: u64 = 4_000_000;

/// One kernel of every algorithm, a product of matrices where there is one, against the reference. The case is the heaviest
/// that is short: one that fits into a single lane would not notice broken barriers or subgroups.
async fn self_test(options: &Options) -> Vec<SelfTest> {
    let rows = || kernels::ops::all().iter().map(|row| &**row);
    let family = |row: &'static dyn Row| match row.storage() {
        Storage::F32 => row.id().rsplit('.').next().unwrap_or_default(),
        // The same shaders once more: whether the device stores f16 as it should is what is left to try.
        stored => stored.suffix().trim_start_matches('_'),
    };
    let mut tests: Vec<SelfTest> = Vec::new();
    for row in rows() {
        let family_of = family(row);
        if tests.iter().any(|test| test.family == family_of) {
            continue;
        }
        let product = |row: &&'static dyn Row| {
            let sums = row.direction() == Direction::BwdBias;
            !sums && ["conv2d", "dense"].contains(&row.op()) && family(*row) == family_of
        };
        let row = rows().find(product).unwrap_or(row);
        tests.push(SelfTest { family: family_of, row: row.id(), outcome: try_row(options, row).await });
    }
    tests
}

async fn try_row(options: &Options, row: &'static dyn Row) -> Result<Result<String, String>, String> {
    // A device of its own for each: one that failed fails for ever.
    let gpu = Gpu::open(options).await.map_err(|error| error.to_string())?;
    if let Err(error) = gpu.supports(row) {
        return Ok(Err(reason(&error)));
    }
    let cases = reference::ops::ALL.iter().find(|entry| entry.name == row.op()).map(|entry| (entry.cases)());
    let accepted = cases.into_iter().flatten().filter(|case| row.accepts(&*case.op).is_ok());
    let short = |case: &Case| work(row, &*case.op).0 <= SHORT;
    let Some(case) = accepted.filter(short).max_by_key(|case: &Case| work(row, &*case.op)) else {
        return Err("it accepts no short case".to_owned());
    };
    match check(&gpu, row, &case, Data::Reals, 1).await {
        Ok(agreed) if agreed.elements > 0 => Ok(Ok(case.name)),
        Ok(_) => Err("nothing was compared".to_owned()),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Whether the data is found without downloading it.
fn data(cli: &Cli) -> Value {
    let source = cli.data.data_dir.clone().map_or(Source::Auto, Source::Directory);
    let finder = Finder { offline: true, allow_stand_in: false, ..Finder::new(source) };
    match finder.find(&mut |_| {}) {
        Ok(dataset) => format!("{} ({})", dataset.name, dataset.origin).into(),
        Err(error) => format!("not found without downloading: {error}").into(),
    }
}

/// The report as indented lines.
fn lines(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let mut text = String::new();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(_) => text += &format!("{indent}{name}\n{}", lines(value, depth + 1)),
                    Value::Array(items) if items.iter().all(Value::is_string) => {
                        let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                        let items = if items.is_empty() { "none".to_owned() } else { items.join(", ") };
                        text += &format!("{indent}{name}: {items}\n");
                    }
                    Value::Array(items) => {
                        for (number, item) in items.iter().enumerate() {
                            text += &format!("{indent}{name} {}\n{}", number + 1, lines(item, depth + 1));
                        }
                        if items.is_empty() {
                            text += &format!("{indent}{name}: none\n");
                        }
                    }
                    Value::String(item) => text += &format!("{indent}{name}: {item}\n"),
                    other => text += &format!("{indent}{name}: {other}\n"),
                }
            }
        }
        other => text += &format!("{indent}{other}\n"),
    }
    text
}
