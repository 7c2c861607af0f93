//! `trainer reproduce`: every system of the reports, ours beside theirs.

mod figures;
mod markdown;

use crate::batch::{self, BatchError, Planned};
use crate::cli::{self, Cli, ReproduceArgs, UsageError};
use crate::console;
use crate::device::{describe, open};
use crate::files::{Existing, write_atomically};
use crate::network::thousands;
use crate::recipe::{BUILT_IN, BuiltIn, Recipe, TRAINING_IMAGES};
use crate::similar::most_similar;
use crate::summary::Adapter;
use figures::Row;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tape::Device;

/// The share of the epochs that a software adapter trains unless told otherwise.
const SOFTWARE_SCALE: f64 = 0.01;

/// The table, as its JSON file holds it. Rows that a command does not train stay as they are.
#[derive(Debug, Serialize, Deserialize)]
struct Results {
    adapter: Adapter,
    rows: BTreeMap<String, Row>,
}

/// Trains what is not trained yet and writes the table, anew after every row.
pub fn reproduce(cli: &Cli, args: &ReproduceArgs) -> anyhow::Result<()> {
    let rows = rows(&args.rows)?;
    let (adapter, software) = pollster::block_on(adapter(cli))?;
    let scale = args.epochs_scale.unwrap_or(if software { SOFTWARE_SCALE } else { 1.0 });
    let seeds = args.seeds.map_or(if software { 1 } else { 3 }, u64::from);
    if !args.quiet && software && args.epochs_scale.is_none() {
        console::message(&format!(
            "{} is a software adapter: {scale} of the epochs are trained, and the table says so; --epochs-scale 1 trains all",
            adapter.name
        ));
    }
    let out = args.out.clone().unwrap_or_else(|| {
        let docs = Path::new("docs/results");
        if docs.is_dir() { docs.to_owned() } else { PathBuf::from("results") }
    });
    let name = file_name(&adapter.name) + if cli.data.synthetic { "-synthetic" } else { "" };
    let (file, page) = (out.join(format!("{name}.json")), out.join(format!("{name}.md")));
    fs::create_dir_all(&out).map_err(|error| BatchError::Io { path: out.clone(), error })?;
    let mut results = load(&file)?.unwrap_or(Results { adapter: adapter.clone(), rows: BTreeMap::new() });
    results.adapter = adapter;
    let mut outcomes = Vec::new();
    for built_in in rows {
        let recipe = Recipe::built_in(built_in)?;
        let scaled = scaled(&recipe, scale);
        let runs: Vec<Planned> = (0..seeds)
            .map(|seed| {
                let mut recipe = scaled.clone();
                recipe.train.seed = seed;
                Planned::new(&args.runs.join(&name), recipe, String::new(), &cli.data)
            })
            .collect();
        let made = batch::make_all(&runs, cli, args.quiet)?;
        let summaries: Vec<_> = made.iter().filter_map(batch::Outcome::summary).collect();
        if summaries.is_empty() {
            console::message(&format!("{}: no run was finished; its row stays as it was", recipe.name));
        } else {
            let step = step_seconds(cli, &runs[0]);
            results.rows.insert(recipe.name.clone(), Row::new(built_in.report, &recipe, scale, &summaries, step));
            let text = serde_json::to_string_pretty(&results)? + "\n";
            for (path, text) in [(&file, &text), (&page, &markdown::page(&results))] {
                write_atomically(path, text.as_bytes(), Existing::Replace)
                    .map_err(|error| BatchError::Io { path: path.clone(), error })?;
            }
        }
        outcomes.extend(made);
    }
    console::print(&match args.json {
        true => format!("{:#}\n", json!({ "written": [file, page], "results": results })),
        false => format!("{}\nwritten to {}\n", markdown::table(&results), page.display()),
    })?;
    Ok(batch::all_finished(&outcomes)?)
}

/// The rows of these names or reports, in the order of the list.
fn rows(names: &[String]) -> Result<Vec<&'static BuiltIn>, UsageError> {
    let is = |built_in: &BuiltIn, name: &str| built_in.name == name || built_in.report.eq_ignore_ascii_case(name);
    for name in names {
        if !BUILT_IN.iter().any(|built_in| is(built_in, name)) {
            let suggestion = most_similar(name, BUILT_IN.iter().map(|built_in| built_in.name)).map(str::to_owned);
            return Err(UsageError::UnknownRow { row: name.clone(), suggestion });
        }
    }
    let wanted = |built_in: &&BuiltIn| names.is_empty() || names.iter().any(|name| is(built_in, name));
    Ok(BUILT_IN.iter().filter(wanted).collect())
}

/// Where runs will take place, and whether a processor does the work.
async fn adapter(cli: &Cli) -> anyhow::Result<(Adapter, bool)> {
    let device = open(&cli.device, true).await?;
    let adapter = describe(&device);
    let software = matches!(device, Device::Reference) || adapter.device_type == "cpu";
    Ok((adapter, software))
}

/// A recipe that takes this share of its steps, one at least.
fn scaled(recipe: &Recipe, scale: f64) -> Recipe {
    let mut recipe = recipe.clone();
    if scale == 1.0 {
        return recipe;
    }
    let per_epoch = recipe.data.train_len(TRAINING_IMAGES).div_ceil(recipe.train.batch_size).max(1) as u64;
    let all = (recipe.train.epochs.saturating_mul(per_epoch)).min(recipe.train.max_steps.unwrap_or(u64::MAX));
    let steps = ((all as f64 * scale).round() as u64).max(1);
    recipe.train.epochs = steps.div_ceil(per_epoch);
    recipe.train.max_steps = (!steps.is_multiple_of(per_epoch)).then_some(steps);
    recipe
}

/// Device time of one training step, from a profile of its dispatches. Only GPUs have one.
fn step_seconds(cli: &Cli, run: &Planned) -> Option<f64> {
    if cli.device.device == cli::Device::Reference {
        return None;
    }
    let output = std::process::Command::new(std::env::current_exe().ok()?)
        .args(run.profile_arguments(cli))
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let profile: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let dispatches = profile["dispatches"].as_array()?;
    let times: Option<Vec<f64>> = dispatches.iter().map(|dispatch| dispatch["nanoseconds"].as_f64()).collect();
    Some(times?.iter().sum::<f64>() / 1e9)
}

fn load(path: &Path) -> anyhow::Result<Option<Results>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BatchError::Io { path: path.to_owned(), error }.into()),
        Ok(text) => {
            let wrong = |error: serde_json::Error| BatchError::Io { path: path.to_owned(), error: error.into() };
            Ok(Some(serde_json::from_str(&text).map_err(wrong)?))
        }
    }
}

/// An adapter's name as part of a file's name: `llvmpipe (LLVM 15, 256 bits)` becomes `llvmpipe-llvm-15-256-bits`.
fn file_name(adapter: &str) -> String {
    let words = adapter.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_lowercase();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// `1,234.5 s`, or minutes and hours.
fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else if seconds < 7200.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{} h {:02} min", thousands((seconds / 3600.0) as usize), (seconds / 60.0) as u64 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_by_recipe_or_report() {
        let names = |wanted: &[&str]| -> Vec<&str> {
            let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
            rows(&wanted).unwrap().iter().map(|built_in| built_in.name).collect()
        };
        assert_eq!(names(&[]).len(), BUILT_IN.len());
        assert_eq!(names(&["lenet5", "r2"]), ["depth2", "depth3", "lenet5"]);
        assert_eq!(names(&["R1"]).len(), 12);
        let error = rows(&["lenet".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "there is no row `lenet`, did you mean `lenet5`?; `trainer list` shows them all");
    }

    #[test]
    fn scaled_runs_take_their_share_of_the_steps() {
        let of = |name: &str, scale: f64| {
            let train = scaled(&Recipe::find(name).unwrap(), scale).train;
            (train.epochs, train.max_steps)
        };
        // 844 steps an epoch, 20 epochs.
        assert_eq!(of("depth2", 1.0), (20, None));
        assert_eq!(of("depth2", 0.05), (1, None));
        assert_eq!(of("depth2", 0.01), (1, Some(169)));
        assert_eq!(of("depth2", 0.06), (2, Some(1013)));
        assert_eq!(of("depth2", 1e-9), (1, Some(1)));
        // 40 steps an epoch, 100 epochs.
        assert_eq!(of("shallow1", 0.05), (5, None));
        for built_in in BUILT_IN {
            scaled(&Recipe::built_in(built_in).unwrap(), 0.03).check().unwrap();
        }
    }

    #[test]
    fn adapters_name_files() {
        assert_eq!(file_name("llvmpipe (LLVM 15.0.6, 256 bits)"), "llvmpipe-llvm-15-0-6-256-bits");
        assert_eq!(file_name("../../x"), "x");
        assert_eq!(file_name("***"), "unnamed");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!([3.2, 119.96, 600.0, 7260.0].map(duration), ["3.2 s", "120.0 s", "10.0 min", "2 h 01 min"]);
    }
}
