//! What this machine has to run on: adapters, their limits, the data.

use crate::cli::{Cli, DoctorArgs};
use crate::summary::SELVEDGE_VERSION;
use crate::{console, device};
use fashion_mnist::{Finder, Source};
use kernels::check::{Data, check};
use kernels::wgpu;
use kernels::{Gpu, Options, Row};
use reference::cases::Case;
use reference::ops::Dense;
use serde_json::{Value, json};

/// The version of wgpu in use, out of the lock file.
pub fn wgpu_version() -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let entry = lock.split("\n[[package]]\n").find_map(|entry| entry.strip_prefix("name = \"wgpu\"\nversion = \""));
    entry.and_then(|entry| entry.split('"').next()).unwrap_or("unknown")
}

/// Reports on the machine; with `--probe`, only whether there is an adapter.
pub async fn doctor(cli: &Cli, args: &DoctorArgs) -> anyhow::Result<()> {
    if args.probe {
        Gpu::open(&Options { wish: cli.device.wish(), ..Options::default() }).await?;
        return Ok(());
    }
    let adapters = kernels::adapters(&cli.device.wish()).await;
    let chosen = Gpu::open(&Options { wish: cli.device.wish(), ..Options::default() }).await;
    let data = data(cli);
    let report = json!({
        "selvedge": SELVEDGE_VERSION,
        "wgpu": wgpu_version(),
        "adapters": adapters.iter().map(|adapter| adapter_report(&adapter.get_info(), &adapter.limits())).collect::<Vec<_>>(),
        "device": match &chosen {
            Ok(gpu) => device_report(gpu).await,
            Err(error) => json!({ "error": error.to_string() }),
        },
        "data": data,
    });
    let text = if args.json { format!("{}\n", serde_json::to_string_pretty(&report)?) } else { lines(&report, 0) };
    console::print(&text)?;
    // The report is complete, but there is nothing to run on.
    chosen.map(drop).map_err(Into::into)
}

fn adapter_report(info: &wgpu::AdapterInfo, limits: &wgpu::Limits) -> Value {
    let adapter = device::describe_adapter(info);
    json!({
        "name": adapter.name,
        "type": adapter.device_type,
        "backend": adapter.backend,
        "driver": adapter.driver,
        "subgroup lanes": format!("{} to {}", info.subgroup_min_size, info.subgroup_max_size),
        "storage buffers": limits.max_storage_buffers_per_shader_stage,
        "largest binding": format!("{} MiB", limits.max_storage_buffer_binding_size >> 20),
        "workgroup memory": format!("{} KiB", limits.max_compute_workgroup_storage_size >> 10),
        "workgroup invocations": limits.max_compute_invocations_per_workgroup,
    })
}

async fn device_report(gpu: &Gpu) -> Value {
    let rows = kernels::ops::all();
    let unsupported: Vec<String> =
        rows.iter().filter_map(|row| gpu.supports(&**row).err().map(|error| error.to_string())).collect();
    json!({
        "adapter": gpu.info().name,
        "features": gpu.features().iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
        "kernels": format!("{} of {} run here", rows.len() - unsupported.len(), rows.len()),
        "kernels that do not": unsupported,
        "self-test": self_test(gpu).await,
    })
}

/// Every dense kernel that runs here, checked against the reference on one small product.
async fn self_test(gpu: &Gpu) -> String {
    let Ok(op) = Dense::new(7, 19, 13) else { return "not run".into() };
    let case = Case::new("self-test", op);
    let mut passed = 0;
    for row in kernels::ops::all() {
        let row: &'static dyn Row = &**row;
        if row.op() != case.op.name() || gpu.supports(row).and_then(|()| row.accepts(&*case.op)).is_err() {
            continue;
        }
        match check(gpu, row, &case, Data::Integers, 1).await {
            Ok(_) => passed += 1,
            Err(failure) => return format!("FAILED: {failure}"),
        }
    }
    format!("{passed} dense kernels agree with the reference")
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
