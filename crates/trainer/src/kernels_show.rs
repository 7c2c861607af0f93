//! `trainer kernels show`: everything there is to know about a kernel row before it runs, and where a launch lies under
//! the roofline.

use crate::bench::layers;
use crate::cli::{DeviceArgs, KernelsShowArgs};
use crate::kernel_filter::work;
use crate::network::thousands;
use crate::shader_files::{self, COMPILED_IN, Changed};
use crate::{console, kernel_filter};
use kernels::check::{Data, Problem};
use kernels::kernel::Launch;
use kernels::measure::{Settings, measure};
use kernels::probe::Roofline;
use kernels::{BindingKind, ClockKind, Gpu, Options, Prefer, Row, Shader};
use reference::cases::Case;
use serde_json::{Value, json};
use std::time::Instant;

/// Prints what is known of a row: its shader by reflection, its launch of a case, its time under the roofline.
pub async fn show(device: &DeviceArgs, args: &KernelsShowArgs) -> anyhow::Result<()> {
    let row = kernel_filter::one(&args.row)?;
    let layer = args.layer.as_deref().map(|layer| layers::for_row(row, Some(layer))).transpose()?.flatten();
    let case = match layer {
        Some(layer) => layer,
        None => kernel_filter::case_of(row, args.case.as_deref())?,
    };
    let shader = Shader::of(row)?;
    let launch = row.launch(&*case.op)?;
    let placed = match args.static_only {
        true => None,
        false => Some(Placed::measure(device, row, &case).await?),
    };
    let (changed, names) = (shader_files::changed(&[row]), Names::of(row)?);
    let shown = Shown { row, case: &case, shader: &shader, launch: &launch, placed, names, changed };
    Ok(console::print(&if args.json { format!("{:#}\n", shown.json()) } else { shown.text() })?)
}

/// Where a launch lies under the roofline of a device.
struct Placed {
    adapter: String,
    roofline: Roofline,
    /// The median of a launch, and the clock it comes from.
    nanoseconds: f64,
    clock: ClockKind,
}

impl Placed {
    async fn measure(device: &DeviceArgs, row: &'static dyn Row, case: &Case) -> anyhow::Result<Self> {
        let gpu = Gpu::open(&Options { wish: device.wish(), ..Options::default() }).await?;
        gpu.supports(row)?;
        console::message(&format!("measuring on {}", gpu.info().name));
        let begin = Instant::now();
        let clock = || begin.elapsed();
        let roofline = Roofline::measure(&gpu, &clock).await?;
        let problem = Problem::new(&*case.op, Data::Reals, 1)?;
        let measured = measure(&gpu, row, &*case.op, &problem, &Settings::default(), &clock).await?;
        let (time, clock) = measured.time();
        Ok(Self { adapter: gpu.info().name.clone(), roofline, nanoseconds: time.p50, clock })
    }
}

/// All that is printed.
struct Shown<'a> {
    row: &'static dyn Row,
    case: &'a Case,
    shader: &'a Shader,
    launch: &'a Launch,
    placed: Option<Placed>,
    names: Names,
    /// Files that are not what is shown.
    changed: Vec<Changed>,
}

/// What else it could be shown for.
struct Names {
    /// For `--case`.
    cases: Vec<String>,
    /// For `--layer`.
    layers: Vec<String>,
}

impl Names {
    fn of(row: &'static dyn Row) -> anyhow::Result<Self> {
        Ok(Self { cases: kernel_filter::case_names(row), layers: layers::names(row, &layers::all()?) })
    }
}

impl Shown<'_> {
    /// What an entry point binds, with the type that the shader gives it.
    fn bindings(&self, entry: &str) -> Vec<(u32, String, &'static str, String)> {
        let bindings = self.shader.bindings(entry).into_iter().map(|binding| {
            let kind = match binding.kind {
                BindingKind::Uniform => "uniform",
                BindingKind::Read => "read",
                BindingKind::ReadWrite => "read_write",
            };
            let declared = self.shader.text.lines().find_map(|line| {
                let rest = line.split_once(&format!("> {}: ", binding.name))?.1;
                line.starts_with("@group").then(|| rest.trim_end_matches(';').to_owned())
            });
            (binding.binding, binding.name, kind, declared.unwrap_or_default())
        });
        bindings.collect()
    }

    /// The fields of the uniform block with their values for the case.
    fn params(&self) -> Vec<(&'static str, Value)> {
        let words = self.launch.params.as_chunks::<4>().0;
        let value = |kind: &str, word: [u8; 4]| match kind {
            "f32" => json!(f32::from_le_bytes(word)),
            "i32" => json!(i32::from_le_bytes(word)),
            _ => json!(u32::from_le_bytes(word)),
        };
        // Of rows of four, which come last, those that hold something.
        let rows = |rest: &[[u8; 4]]| {
            let rows = rest.chunks(4).map(|row| row.iter().map(|&word| u32::from_le_bytes(word)).collect::<Vec<_>>());
            json!(rows.filter(|row| row.iter().any(|&word| word > 0)).collect::<Vec<_>>())
        };
        let fields = self.row.fields().iter().enumerate().filter_map(|(at, &(name, kind))| {
            let value = match kind.starts_with("array<") {
                true => rows(words.get(at.next_multiple_of(4)..)?),
                false => value(kind, *words.get(at)?),
            };
            Some((name, value))
        });
        fields.collect()
    }

    fn text(&self) -> String {
        let Self { row, case, shader, launch, placed, names, changed } = self;
        let shared: Vec<&str> = row.shared().iter().map(|source| source.path).collect();
        let behind = if shared.is_empty() { String::new() } else { format!(", behind {}", shared.join(", ")) };
        let mut text = format!("{}: shaders/{}{behind}\n", row.id(), row.source().path);
        text += &format!("preferred: {}", prefer(*row));
        text += &match row.needs().subgroup_lanes {
            0 => "\n".to_owned(),
            lanes => format!("; needs subgroups of at least {lanes} lanes\n"),
        };
        let overrides: Vec<String> = row.overrides().iter().map(|(name, value)| format!("{name} {value}")).collect();
        text +=
            &format!("overrides: {}\n", if overrides.is_empty() { "none".to_owned() } else { overrides.join(", ") });
        text += &format!("\ncase {}: {:?}\n", case.name, case.op);
        let params: Vec<String> = self.params().iter().map(|(name, value)| format!("{name} {value}")).collect();
        text += &format!("params: {}\n", params.join(", "));
        for scratch in &launch.scratch {
            text += &format!("scratch: {}, {} bytes\n", scratch.name, thousands(4 * scratch.words));
        }
        for (entry, grid) in row.entries().into_iter().zip(&launch.grids) {
            let [x, y, z] = grid.groups;
            text += &format!("\nstage {entry}: {x} x {y} x {z} workgroups");
            if let Some(resources) = shader.resources(entry, row.overrides()) {
                let [a, b, c] = resources.workgroup;
                let invocations = u64::from(a) * u64::from(b) * u64::from(c);
                text += &format!(
                    " of {a} x {b} x {c}: {} invocations, {} bytes of workgroup memory",
                    thousands((invocations * x * y * z) as usize),
                    thousands(resources.workgroup_bytes as usize)
                );
            }
            text.push('\n');
            for (binding, name, kind, declared) in self.bindings(entry) {
                text += &format!("  {binding:>2}  {name:<14} {kind:<11} {declared}\n");
            }
        }
        let (flops, bytes) = work(*row, &*case.op);
        text += &format!(
            "\nwork: {} FLOPs, {} bytes to move, {:.3} FLOPs per byte\n",
            thousands(flops as usize),
            thousands(bytes as usize),
            flops as f64 / bytes as f64
        );
        if let Some(placed) = placed {
            let Placed { adapter, roofline, nanoseconds, clock } = placed;
            let bandwidth = roofline.bandwidth(bytes);
            let least = roofline.least(flops, bytes, true);
            text += &format!(
                "roofline of {adapter}, measured: {:.1} GFLOP/s, {bandwidth:.1} GB/s for so many bytes; {} \
                 bound, {:.1} us at least\n",
                roofline.peak,
                bound(roofline, flops, bytes),
                least / 1e3
            );
            text += &format!(
                "time: {:.1} us by the {clock} clock, {:.2} GFLOP/s, {:.2} GB/s, {:.1} % of the roofline{}\n",
                nanoseconds / 1e3,
                flops as f64 / nanoseconds,
                bytes as f64 / nanoseconds,
                100.0 * least / nanoseconds,
                if least > *nanoseconds { " (above 100 %: something was counted or measured wrong)" } else { "" }
            );
        }
        text += &format!("\n{}{}", listed("cases", &names.cases), listed("layers", &names.layers));
        text += &changed.iter().map(|changed| format!("\nNOT SHOWN: {}\n", changed.advice())).collect::<String>();
        text += &format!("\nThe shader as it is {COMPILED_IN}, behind its shared modules:\n\n");
        text += &numbered(&shader.text);
        text
    }

    fn json(&self) -> Value {
        let Self { row, case, shader, launch, placed, names, changed } = self;
        let stages = row.entries().into_iter().zip(&launch.grids).map(|(entry, grid)| {
            let resources = shader.resources(entry, row.overrides());
            let bindings = self.bindings(entry).into_iter().map(
                |(binding, name, kind, declared)| json!({ "binding": binding, "name": name, "access": kind, "type": declared }),
            );
            json!({
                "entry": entry,
                "workgroups": grid.groups,
                "workgroup_size": resources.as_ref().map(|resources| resources.workgroup),
                "workgroup_bytes": resources.as_ref().map(|resources| resources.workgroup_bytes),
                "bindings": bindings.collect::<Vec<_>>(),
            })
        });
        let named = |pairs: Vec<(&'static str, Value)>| {
            pairs.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>()
        };
        let (flops, bytes) = work(*row, &*case.op);
        let placed = placed.as_ref().map(|placed| {
            json!({
                "adapter": placed.adapter,
                "peak_gflops": placed.roofline.peak,
                "bandwidth_gigabytes": placed.roofline.bandwidth(bytes),
                "bound": bound(&placed.roofline, flops, bytes),
                "least_nanoseconds": placed.roofline.least(flops, bytes, true),
                "nanoseconds": placed.nanoseconds,
                "clock": placed.clock.to_string(),
                "share_of_roofline": placed.roofline.share(flops, bytes, placed.nanoseconds, true),
            })
        });
        json!({
            "row": row.id(),
            "shader": row.source().path,
            "shared": row.shared().iter().map(|source| source.path).collect::<Vec<_>>(),
            "preferred": prefer(*row),
            "subgroup_lanes": row.needs().subgroup_lanes,
            "overrides": named(row.overrides().iter().map(|&(name, value)| (name, json!(value))).collect()),
            "case": case.name,
            "operation": format!("{:?}", case.op),
            "params": named(self.params()),
            "scratch": launch.scratch.iter().map(|s| json!({ "name": s.name, "bytes": 4 * s.words })).collect::<Vec<_>>(),
            "stages": stages.collect::<Vec<_>>(),
            "flops": flops,
            "bytes": bytes,
            "intensity": flops as f64 / bytes as f64,
            "roofline": placed,
            "cases": names.cases,
            "layers": names.layers,
            "shaders": COMPILED_IN,
            "changed_files": changed.iter().map(|c| json!({ "file": c.file, "advice": c.advice() })).collect::<Vec<_>>(),
            "source": shader.text,
        })
    }
}

/// What limits a kernel at best.
fn bound(roofline: &Roofline, flops: u64, bytes: u64) -> &'static str {
    let compute = flops as f64 / roofline.peak;
    if compute > bytes as f64 / roofline.bandwidth(bytes) { "compute" } else { "memory" }
}

fn prefer(row: &dyn Row) -> &'static str {
    match row.prefer() {
        Prefer::Anywhere => "anywhere",
        Prefer::Hardware => "on hardware",
        Prefer::Software => "on software adapters",
    }
}

/// Names, wrapped.
fn listed(what: &str, names: &[String]) -> String {
    let mut text = format!("{what}:");
    let mut column = text.len();
    for name in names {
        if column + name.len() > 118 {
            text += "\n   ";
            column = 3;
        }
        text += &format!(" {name}");
        column += 1 + name.len();
    }
    if names.is_empty() { format!("{what}: none\n") } else { text + "\n" }
}

/// Lines with their numbers, as they stand in messages about the composed text.
fn numbered(text: &str) -> String {
    (1..).zip(text.lines()).map(|(number, line)| format!("{number:>4}  {line}").trim_end().to_owned() + "\n").collect()
}
