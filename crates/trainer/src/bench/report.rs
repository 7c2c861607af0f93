//! `trainer kernels report`: everything that can be timed here, as a page of Markdown.

use super::args::KernelsReportArgs;
use super::layers::{self, Problem};
use super::rows::{Bench, Timed, notes, roofline_json, table};
use super::steps::{self, StepTimes};
use super::table::{Table, short};
use crate::cli::DeviceArgs;
use crate::console;
use crate::files::{Existing, write_atomically};
use crate::recipe::{BUILT_IN, Recipe};
use anyhow::Context;
use kernels::{Row, Storage};
use serde_json::json;

/// Times everything and writes the page.
pub async fn report(device: &DeviceArgs, args: &KernelsReportArgs) -> anyhow::Result<()> {
    let recipes = match args.recipe.as_slice() {
        [] => BUILT_IN.iter().map(Recipe::built_in).collect::<Result<Vec<_>, _>>()?,
        names => names.iter().map(|name| Recipe::find(name)).collect::<Result<_, _>>()?,
    };
    let problems = layers::chosen(&args.layer)?;
    let mut bench = Bench::open(device, &args.timing).await?;
    // Layers that were asked for by name are not left out.
    let affords = |problem: &Problem| !args.layer.is_empty() || bench.affords(problem);
    let (problems, left_out): (Vec<_>, Vec<_>) = problems.into_iter().partition(affords);

    let mut times = Vec::with_capacity(recipes.len());
    for recipe in &recipes {
        console::message(&format!("timing a training step of {}", recipe.name));
        times.push(steps::time(&bench.fresh().await?, recipe, &bench.settings).await?);
    }
    // Rows that store f16 would make it twice as long; `kernels bench f16` times them.
    let rows = kernels::ops::all().iter().map(|row| &**row);
    let rows: Vec<&'static dyn Row> = rows.filter(|row| row.storage() == Storage::F32).collect();
    let mut timed = Vec::new();
    for problem in &problems {
        timed.extend(bench.time(problem, &rows).await?);
    }
    bench.conclude(&mut timed).await?;
    let page = page(&bench, &times, &timed, &problems, &left_out);
    let path = match args.out.is_dir() {
        true => args.out.join(format!("bench-{}.md", slug(&bench.gpu.info().name))),
        false => args.out.clone(),
    };
    let written = (path.as_os_str() != "-").then_some(path);
    if let Some(path) = &written {
        write_atomically(path, page.as_bytes(), Existing::Replace)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        let report = json!({
            "environment": bench.environment().json(),
            "roofline": roofline_json(&bench.roofline),
            "steps": times.iter().map(StepTimes::json).collect::<Vec<_>>(),
            "rows": timed.iter().map(Timed::json).collect::<Vec<_>>(),
            "left_out": left_out.iter().map(|problem| problem.name.as_str()).collect::<Vec<_>>(),
            "written": written,
        });
        return Ok(console::print(&format!("{report:#}\n"))?);
    }
    Ok(console::print(&written.map_or(page, |path| format!("{}\n", path.display())))?)
}

fn page(bench: &Bench, steps: &[StepTimes], timed: &[Timed], problems: &[Problem], left_out: &[Problem]) -> String {
    let environment = bench.environment();
    let name = &environment.adapter.name;
    let mut page = format!(
        "# Benchmarks on {name}\n\nWritten by `cargo xtask bench-report`; do not edit. What the figures mean: [BENCHMARKING](../BENCHMARKING.md).\n\n"
    );
    for line in environment.lines() {
        page += &format!("- {line}\n");
    }
    page += "\n## What the device can do at best\n\n";
    page += &best(bench).markdown();
    page += &format!(
        "\nThe peak is {} GFLOP/s. A kernel's roofline is the peak rate or the bandwidth over as many bytes as it works on, \
         whichever makes it take longer.\n",
        short(bench.roofline.peak)
    );
    if !steps.is_empty() {
        page += "\n## Training steps\n\n";
        page += &steps::table(steps).markdown();
        page += "\nA step is recorded once and replayed (plan), or runs through the tape each time (eager). Encode: what the \
                 host takes until the step is submitted. Device: all dispatches between two timestamps. Wall: until the \
                 device is done, encoding included.\n";
    }
    page += "\n## Kernels\n";
    for note in notes(timed) {
        page += &format!("\n- {note}");
    }
    page += "\n- GB/s counts what has to be moved: every argument once.\n";
    let mut directions: Vec<(&str, &str)> = Vec::new();
    for timed in timed {
        let direction = (timed.row.op(), timed.row.direction().name());
        if !directions.contains(&direction) {
            directions.push(direction);
        }
    }
    directions.sort_unstable();
    for (op, direction) in directions {
        let of = |timed: &&Timed| (timed.row.op(), timed.row.direction().name()) == (op, direction);
        page += &format!("\n### {op}.{direction}\n\n{}", table(timed.iter().filter(of)).markdown());
    }
    page += "\n## Layers\n\nLayers of equal sizes are timed once, under the first name.\n\n";
    let mut names = Table::new(&["problem", "sizes", "also"]);
    for problem in problems {
        names.row([problem.name.clone(), format!("`{:?}`", problem.op), problem.aliases.join(", ")]);
    }
    page += &names.markdown();
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|problem| problem.name.as_str()).collect();
        page += &format!(
            "\nLeft out, since naive takes seconds for a launch here: {}. `--layer NAME` times them.\n",
            names.join(", ")
        );
    }
    page
}

/// What every probe reached.
fn best(bench: &Bench) -> Table {
    let mut table = Table::new(&["probe", ">MiB", ">ms", ">GFLOP/s", ">GB/s", "clock"]);
    for probe in &bench.roofline.probes {
        table.row([
            probe.id.to_owned(),
            short(probe.bytes as f64 / f64::from(1 << 20)),
            short(probe.nanoseconds / 1e6),
            short(probe.flops as f64 / probe.nanoseconds),
            short(probe.bytes as f64 / probe.nanoseconds),
            probe.clock.to_string(),
        ]);
    }
    table
}

/// A name as part of a file's name: `llvmpipe (LLVM 15.0.6)` as `llvmpipe-llvm-15-0-6`.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-").to_lowercase();
    if slug.is_empty() { "adapter".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_give_file_names() {
        assert_eq!(slug("llvmpipe (LLVM 15.0.6, 256 bits)"), "llvmpipe-llvm-15-0-6-256-bits");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug("显卡"), "adapter");
    }
}
