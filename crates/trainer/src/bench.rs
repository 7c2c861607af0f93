//! `trainer kernels bench`, `roofline`, `tune`, `report` and `course`: how fast kernels are.

pub mod args;
mod course;
pub mod layers;
mod picture;
mod report;
pub mod rows;
pub mod steps;
pub mod table;
mod tune;

pub use course::course;
pub use report::report;
pub use tune::tune;

use crate::bench::args::{KernelsBenchArgs, KernelsRooflineArgs};
use crate::bench::layers::Problem;
use crate::bench::rows::{Bench, Timed, notes, roofline_json, roofline_lines, table};
use crate::cli::DeviceArgs;
use crate::files::{Existing, write_atomically};
use crate::{console, kernel_filter, shader_files};
use anyhow::Context;
use kernels::Row;
use serde_json::{Value, json};

/// Times the chosen rows on the chosen problems and prints a table.
pub async fn bench(device: &DeviceArgs, args: &KernelsBenchArgs) -> anyhow::Result<()> {
    let rows = kernel_filter::rows(&args.filters)?;
    let problems = problems(args)?;
    warn(&rows);
    let mut bench = Bench::open(device, &args.timing).await?;
    let mut timed = Vec::new();
    for problem in &problems {
        timed.extend(bench.time(problem, &rows).await?);
    }
    anyhow::ensure!(!timed.is_empty(), "none of the chosen kernels runs any of the chosen problems here");
    bench.conclude(&mut timed).await?;
    print(&bench, &timed, args.json)
}

/// The layers, or the case, to time on.
fn problems(args: &KernelsBenchArgs) -> anyhow::Result<Vec<Problem>> {
    let Some(case) = &args.case else {
        let layers = if args.layer.is_empty() { vec!["depth2".to_owned()] } else { args.layer.clone() };
        return layers::chosen(&layers);
    };
    let rows = kernel_filter::rows(&args.filters)?;
    let chosen = kernel_filter::with_cases(&rows, Some(case))?;
    let cases = chosen.into_iter().flat_map(|chosen| chosen.cases);
    Ok(cases.map(|case| Problem { name: case.name, aliases: Vec::new(), op: case.op, fused: false }).collect())
}

/// Times the chosen rows on the layers of the networks, and shows them under the roofline.
pub async fn roofline(device: &DeviceArgs, args: &KernelsRooflineArgs) -> anyhow::Result<()> {
    let rows = kernel_filter::rows(&args.filters)?;
    let problems = layers::chosen(&args.layer)?;
    warn(&rows);
    let mut bench = Bench::open(device, &args.timing).await?;
    let mut timed = Vec::new();
    for problem in problems.iter().filter(|problem| !args.layer.is_empty() || bench.affords(problem)) {
        timed.extend(bench.time(problem, &rows).await?);
    }
    anyhow::ensure!(!timed.is_empty(), "none of the chosen kernels runs any of the chosen layers here");
    bench.conclude(&mut timed).await?;
    let environment = bench.environment();
    if let Some(path) = &args.html {
        let page = picture::page(&environment.lines(), &bench.roofline, &timed)?;
        write_atomically(path, page.as_bytes(), Existing::Replace)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(&bench, &timed, args.json)
}

/// Says whose files are not what is timed.
fn warn(rows: &[&'static dyn Row]) {
    for changed in shader_files::changed(rows) {
        console::message(&format!("NOT TIMED: {}", changed.advice()));
    }
}

/// Prints what was timed.
fn print(bench: &Bench, timed: &[Timed], as_json: bool) -> anyhow::Result<()> {
    let environment = bench.environment();
    if as_json {
        let report = json!({
            "environment": environment.json(),
            "roofline": roofline_json(&bench.roofline),
            "rows": timed.iter().map(Timed::json).collect::<Vec<Value>>(),
        });
        return Ok(console::print(&format!("{report:#}\n"))?);
    }
    let head = [environment.lines(), roofline_lines(&bench.roofline)].concat().join("\n");
    let text = format!("{head}\n\n{}\n{}\n", table(timed).text(), notes(timed).join("\n"));
    Ok(console::print(&text)?)
}
