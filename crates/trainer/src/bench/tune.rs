//! `trainer kernels tune`: the fastest row for every layer on this device.

use super::args::KernelsTuneArgs;
use super::layers;
use super::rows::Bench;
use super::table::{Table, short};
use crate::cli::DeviceArgs;
use crate::files::{Existing, write_atomically};
use crate::{console, kernel_filter};
use anyhow::Context;
use kernels::check::{self, Data};
use kernels::tuned::{Among, Choice, Tuned, problem};
use kernels::{Measured, Row, Storage};
use reference::{Direction, Operation};
use serde_json::json;
use std::path::PathBuf;

/// Times the rows that may stand in for one another, prints what was chosen, writes the table.
pub async fn tune(device: &DeviceArgs, args: &KernelsTuneArgs) -> anyhow::Result<()> {
    let rows = kernel_filter::rows(&args.filters)?;
    let mut problems = layers::chosen(&args.layer)?;
    // A plan takes the fused kernel of the algorithm that it replaces, so there is nothing to choose.
    problems.retain(|problem| !problem.fused);
    let bench = Bench::open(device, &args.timing).await?;
    let among = if args.any_order { Among::AnyOrder } else { Among::SameOrder };
    let mut choices = Vec::new();
    let mut listed = Vec::new();
    let mut table = Table::new(&["problem", "row", "instead of", ">ms", ">was", ">gain"]);
    for layer in &problems {
        let op = &*layer.op;
        let mut values = None;
        for &direction in op.directions() {
            let usual = bench.gpu.preferred(op, direction)?;
            let candidates = candidates(&bench, &rows, op, usual, among, bench.affords(layer));
            if candidates.is_empty() {
                continue;
            }
            let values = match &values {
                Some(values) => values,
                None => values.insert(check::Problem::new(op, Data::Reals, 1)?),
            };
            let usual_time = bench.measure(usual, layer, values).await?;
            let mut best: Option<(&'static dyn Row, Measured)> = None;
            for row in candidates {
                let time = bench.measure(row, layer, values).await?;
                let fastest = best.as_ref().map_or(&usual_time, |(_, time)| time);
                if surely_faster(&time, &usual_time) && time.time().0.p50 < fastest.time().0.p50 {
                    best = Some((row, time));
                }
            }
            if let Some((row, time)) = best {
                let [was, is] = [&usual_time, &time].map(|time| time.time().0.p50);
                // Few digits: a table that is made again should change where something changed.
                let gain = (100.0 * was / is).round() / 100.0;
                choices.push(Choice { problem: problem(op), row: row.id().to_owned(), gain });
                listed.push(json!({
                    "problem": layer.name,
                    "operation": problem(op),
                    "row": row.id(),
                    "instead_of": usual.id(),
                    "nanoseconds": is,
                    "instead_of_nanoseconds": was,
                    "gain": gain,
                }));
                let [was, is] = [was, is].map(|nanoseconds| short(nanoseconds / 1e6));
                table.row([layer.name.clone(), row.id().to_owned(), usual.id().to_owned(), is, was, short(gain)]);
            }
        }
    }
    let environment = bench.environment();
    let adapter = format!("{}; {}", environment.adapter.name, environment.adapter.driver);
    let tuned = Tuned::new(environment.class, adapter, among, choices)?;
    let in_folder = |path: &PathBuf| match path.is_dir() {
        true => path.join(format!("{}.toml", environment.class)),
        false => path.clone(),
    };
    let written = args.out.as_ref().map(in_folder);
    if let Some(path) = &written {
        write_atomically(path, tuned.to_toml()?.as_bytes(), Existing::Replace)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        let report = json!({
            "environment": environment.json(),
            "among": tuned.among,
            "choices": listed,
            "written": written,
        });
        return Ok(console::print(&format!("{report:#}\n"))?);
    }
    let text = match table.is_empty() {
        true => "what is launched without a table is the fastest everywhere, or as fast as can be told\n".to_owned(),
        false => table.text(),
    };
    Ok(console::print(&format!("{}\n\n{text}", environment.lines().join("\n")))?)
}

/// The rows that may take the usual one's place.
fn candidates(
    bench: &Bench,
    rows: &[&'static dyn Row],
    op: &dyn Operation,
    usual: &'static dyn Row,
    among: Among,
    naive_too: bool,
) -> Vec<&'static dyn Row> {
    let fits = |row: &&'static dyn Row| {
        let same_order = among == Among::AnyOrder || row.order().agrees(usual.order());
        row.id() != usual.id()
            && same_order
            && of_direction(*row, op, usual.direction())
            && (naive_too || !row.id().ends_with(".naive"))
            && bench.gpu.supports(*row).and_then(|()| row.accepts(op)).is_ok()
    };
    rows.iter().copied().filter(fits).collect()
}

fn of_direction(row: &dyn Row, op: &dyn Operation, direction: Direction) -> bool {
    // A device takes the same row where it stores f16.
    row.op() == op.name() && row.direction() == direction && row.storage() == Storage::F32
}

/// Whether even a slow launch of the one takes less than a fast one of the other, by the same clock: less is noise, and a
/// table full of noise serves nobody.
fn surely_faster(this: &Measured, other: &Measured) -> bool {
    let ((this, clock), (other, other_clock)) = (this.time(), other.time());
    clock == other_clock && this.p80 < other.p20
}
