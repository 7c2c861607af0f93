//! `trainer kernels list`.

use crate::bench::layers::{self, Problem};
use crate::cli::{DeviceArgs, KernelsListArgs};
use crate::{console, kernel_filter};
use kernels::{Error, Gpu, Options, Prefer, Row};
use serde_json::{Value, json};

/// Prints the chosen rows: what they compute, whether they run on this device, where they are the ones to choose.
pub async fn list(device: &DeviceArgs, args: &KernelsListArgs) -> anyhow::Result<()> {
    let rows = kernel_filter::rows(&args.filters)?;
    let gpu = Gpu::open(&Options { wish: device.wish(), ..Options::default() }).await?;
    let here = |row: &dyn Row| gpu.supports(row).map_err(|error| reason(&error));
    let text = if args.json {
        let layers = layers::all()?;
        let rows: Vec<Value> = rows.iter().map(|row| entry(*row, here(*row), &layers)).collect();
        format!("{:#}\n", json!({ "adapter": gpu.info().name, "rows": rows }))
    } else {
        let width = rows.iter().map(|row| row.id().len()).max().unwrap_or_default();
        let mut table = format!("{:<width$}  {:<10}  {:<9}  on {}\n", "row", "direction", "preferred", gpu.info().name);
        for row in rows {
            let here = here(row).err().unwrap_or_else(|| "runs".to_owned());
            table += &format!("{:<width$}  {:<10}  {:<9}  {here}\n", row.id(), row.direction().name(), prefer(row));
        }
        table
    };
    Ok(console::print(&text)?)
}

fn entry(row: &'static dyn Row, here: Result<(), String>, layers: &[Problem]) -> Value {
    json!({
        "row": row.id(),
        "operation": row.op(),
        "direction": row.direction().name(),
        "preferred": prefer(row),
        "supported": here.is_ok(),
        "reason": here.err(),
        "shader": row.source().path,
        "cases": kernel_filter::case_names(row),
        "layers": layers::names(row, layers),
    })
}

fn prefer(row: &dyn Row) -> &'static str {
    match row.prefer() {
        Prefer::Anywhere => "anywhere",
        Prefer::Hardware => "hardware",
        Prefer::Software => "software",
    }
}

/// Why a row does not run, without its id in front.
pub fn reason(error: &Error) -> String {
    match error {
        Error::NotSupported { reason, .. } | Error::NotAccepted { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}
