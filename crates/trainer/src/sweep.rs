//! `trainer sweep`: a grid of runs, and one table of what came of them.

mod emit;

use crate::batch::{self, BatchError, Outcome, Planned, mean_and_deviation, spread};
use crate::cli::{Cli, DataArgs, SweepArgs};
use crate::console;
use crate::files::{Existing, write_atomically};
use crate::plain::plain;
use crate::recipe::{Place, Recipe, RecipeError, bounded, position};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// R1's grid.
const R1: &str = include_str!("../sweeps/r1.toml");

/// More runs than this are a slip of the keyboard.
const MAX_RUNS: usize = 10_000;

/// A grid: every recipe with every combination of the axes' values, with every seed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Part of the folder's name.
    name: String,
    /// Built-in recipes or paths, which are relative to the working folder.
    recipes: Vec<String>,
    /// Of weights, order, split and dropout.
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    /// A field of the recipe with the values it takes in turn. A table instead of a value sets several fields at once,
    /// and then the axis may have any name.
    #[serde(default)]
    axes: Table,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// One point of the grid: the runs that differ in the seed alone.
#[derive(Debug, Serialize)]
struct Point {
    recipe: String,
    settings: String,
    runs: Vec<Made>,
    /// Means over the seeds.
    validation: Option<f64>,
    test: Option<f64>,
    #[serde(skip)]
    validations: Vec<f64>,
    #[serde(skip)]
    tests: Vec<f64>,
}

/// A run as the table's file has it.
#[derive(Debug, Serialize)]
struct Made {
    seed: u64,
    folder: PathBuf,
    finished: bool,
    exit_code: Option<i32>,
    validation: Option<f64>,
    test: Option<f64>,
    best_epoch: Option<u64>,
    seconds: Option<f64>,
}

/// Makes the runs that are not finished, or writes them down for others to make.
pub fn sweep(cli: &Cli, args: &SweepArgs) -> anyhow::Result<()> {
    let (sweep, place) = Sweep::find(&args.sweep)?;
    let folder = args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("sweep-{}", sweep.name)));
    let runs = sweep.plan(&folder, args, &cli.data, &place)?;
    if let Some(form) = args.emit {
        for run in &runs {
            run.write_recipe()?;
        }
        return Ok(console::print(&emit::emit(form, &sweep.name, &runs, cli)?)?);
    }
    let outcomes = batch::make_all(&runs, cli, args.quiet)?;
    let points = points(&runs, &outcomes);
    let table = table(&points);
    for (name, text) in [
        ("sweep.json", format!("{:#}\n", json(&sweep.name, &points))),
        ("sweep.md", format!("# Sweep {}\n\n{}", sweep.name, markdown(&points))),
    ] {
        let path = folder.join(name);
        write_atomically(&path, text.as_bytes(), Existing::Replace).map_err(|error| BatchError::Io { path, error })?;
    }
    console::print(&if args.json { format!("{:#}\n", json(&sweep.name, &points)) } else { table })?;
    Ok(batch::all_finished(&outcomes)?)
}

impl Sweep {
    /// Reads and checks a file, but not whether its recipes and axes are good.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        Self::parse(&Recipe::read_text(path)?, &path.display().to_string())
    }

    /// The built-in one of this name, or the file.
    fn find(name: &str) -> Result<(Self, String), RecipeError> {
        if name == "r1" {
            let file = "r1.toml (built in)";
            return Ok((Self::parse(R1, file)?, file.to_owned()));
        }
        let path = Path::new(name);
        let is_path = path.extension().is_some() || path.components().count() > 1;
        if !is_path && !path.exists() {
            return Err(RecipeError::UnknownSweep { name: plain(name) });
        }
        Ok((Self::read(path)?, plain(name)))
    }

    /// Reads and checks a text. `file` is for messages.
    pub fn parse(text: &str, file: &str) -> Result<Self, RecipeError> {
        let wrong = |offset, message: &str| RecipeError::Syntax {
            place: Place { file: plain(file), position: Some(position(text, offset)) },
            message: plain(message),
        };
        bounded(text, file)?;
        let sweep: Self = toml::from_str(text)
            .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message().trim_end()))?;
        let at = |key: &str| {
            text.split_inclusive('\n')
                .scan(0, |offset, line| {
                    let here = *offset;
                    *offset += line.len();
                    Some((here, line))
                })
                .find(|(_, line)| line.trim_start().trim_start_matches('"').starts_with(key))
                .map_or(0, |(offset, _)| offset)
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if sweep.name.is_empty() || !sweep.name.chars().all(fits) || sweep.name.starts_with(['.', '-']) {
            return Err(wrong(
                at("name"),
                "name must be letters, digits, '-', '_' or '.', the first a letter or digit",
            ));
        }
        for (key, empty) in [("recipes", sweep.recipes.is_empty()), ("seeds", sweep.seeds.is_empty())] {
            if empty {
                return Err(wrong(at(key), &format!("{key} must have an entry at least")));
            }
        }
        for (axis, values) in &sweep.axes {
            match values {
                Value::Array(values) if !values.is_empty() => {}
                _ => return Err(wrong(at(axis), &format!("axis `{axis}` must be a list of values"))),
            }
        }
        // They come back in messages about recipes and settings.
        if sweep.recipes.iter().any(|name| name.contains(char::is_control)) {
            return Err(wrong(at("recipes"), "the name of a recipe must be without control characters"));
        }
        if let Some(axis) = sweep.axes.iter().find_map(|(axis, values)| has_control(axis, values).then_some(axis)) {
            return Err(wrong(at(axis), &format!("axis `{axis}` must be without control characters")));
        }
        Ok(sweep)
    }

    /// All runs, those of a point one after the other. Everything that can be refused is refused here.
    fn plan(&self, folder: &Path, args: &SweepArgs, data: &DataArgs, file: &str) -> anyhow::Result<Vec<Planned>> {
        // Before anything is made: a short file can ask for more than fits into memory.
        let values = self.axes.values().map(|values| values.as_array().map_or(0, Vec::len) as u64);
        let seeds = args.seeds.map_or(self.seeds.len() as u64, |seeds| seeds.get());
        anyhow::ensure!(
            values.fold(seeds.saturating_mul(self.recipes.len() as u64), u64::saturating_mul) <= MAX_RUNS as u64,
            BatchError::TooMany { file: file.to_owned(), most: MAX_RUNS }
        );
        let seeds: Vec<u64> = match args.seeds {
            Some(seeds) => (0..seeds.get()).collect(),
            None => self.seeds.clone(),
        };
        let mut combinations: Vec<Vec<String>> = vec![vec![]];
        for (axis, values) in &self.axes {
            let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
            let assignments: Vec<Vec<String>> = values.iter().map(|value| assignments(axis, value)).collect();
            combinations = combinations
                .iter()
                .flat_map(|before| assignments.iter().map(|own| [before.as_slice(), own].concat()))
                .collect();
        }
        let mut runs = Vec::new();
        for name in &self.recipes {
            let found = Recipe::find(name)?;
            for settings in &combinations {
                for &seed in &seeds {
                    let mut recipe = found.clone();
                    recipe.assign(settings)?;
                    recipe.train.seed = seed;
                    args.overrides.apply(&mut recipe)?;
                    recipe.check()?;
                    runs.push(Planned::new(folder, recipe, settings.join(" "), data));
                }
            }
        }
        Ok(runs)
    }
}

/// Whether a key or its value, at any depth, has control characters.
fn has_control(key: &str, value: &Value) -> bool {
    key.contains(char::is_control)
        || match value {
            Value::String(text) => text.contains(char::is_control),
            Value::Array(values) => values.iter().any(|value| has_control("", value)),
            Value::Table(fields) => fields.iter().any(|(key, value)| has_control(key, value)),
            _ => false,
        }
}

/// What an axis's value sets.
fn assignments(axis: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Table(fields) => fields.iter().map(|(path, value)| format!("{path}={value}")).collect(),
        value => vec![format!("{axis}={value}")],
    }
}

fn points(runs: &[Planned], outcomes: &[Outcome]) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for (run, outcome) in runs.iter().zip(outcomes) {
        let summary = outcome.summary();
        let validation = summary.and_then(|summary| summary.validation.as_ref()).map(|figures| figures.accuracy);
        let made = Made {
            seed: run.recipe.train.seed,
            folder: run.folder.clone(),
            finished: summary.is_some(),
            exit_code: if let Outcome::Failed(code) = outcome { *code } else { None },
            validation,
            test: summary.map(|summary| summary.test.accuracy),
            best_epoch: summary.and_then(|summary| summary.best).map(|best| best.epoch),
            seconds: summary.map(|summary| summary.seconds.total),
        };
        let same = |point: &&mut Point| point.recipe == run.recipe.name && point.settings == run.label;
        if let Some(point) = points.last_mut().filter(|point| same(point)) {
            point.runs.push(made);
        } else {
            points.push(Point {
                recipe: run.recipe.name.clone(),
                settings: run.label.clone(),
                runs: vec![made],
                validation: None,
                test: None,
                validations: vec![],
                tests: vec![],
            });
        }
    }
    for point in &mut points {
        point.validations = point.runs.iter().filter_map(|run| run.validation).collect();
        point.tests = point.runs.iter().filter_map(|run| run.test).collect();
        point.validation = mean_and_deviation(&point.validations).map(|(mean, _)| mean);
        point.test = mean_and_deviation(&point.tests).map(|(mean, _)| mean);
    }
    points
}

/// The point with the largest figure, the first of equals.
fn best(points: &[Point], figure: impl Fn(&Point) -> Option<f64>) -> Option<&Point> {
    let mut best: Option<(f64, &Point)> = None;
    for point in points {
        if let Some(value) = figure(point)
            && best.is_none_or(|(most, _)| value > most)
        {
            best = Some((value, point));
        }
    }
    best.map(|(_, point)| point)
}

impl Point {
    fn name(&self) -> String {
        [self.recipe.as_str(), &self.settings].join(" ").trim_end().to_owned()
    }

    /// Recipe and settings, validation, test, best epochs, how many runs are finished.
    fn cells(&self) -> [String; 5] {
        let epochs: Vec<String> =
            self.runs.iter().filter_map(|run| run.best_epoch).map(|epoch| epoch.to_string()).collect();
        let finished = self.runs.iter().filter(|run| run.finished).count();
        [
            self.name(),
            spread(&self.validations),
            spread(&self.tests),
            if epochs.is_empty() { "-".to_owned() } else { epochs.join(", ") },
            format!("{finished} of {}", self.runs.len()),
        ]
    }
}

const HEADS: [&str; 5] = ["run", "validation %", "test %", "best epoch", "finished"];

fn table(points: &[Point]) -> String {
    let rows: Vec<[String; 5]> =
        std::iter::once(HEADS.map(str::to_owned)).chain(points.iter().map(Point::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let line: Vec<String> = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(
                |(column, (cell, width))| {
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text.push('\n');
    for line in choices(points) {
        text += &line;
        text.push('\n');
    }
    text
}

fn markdown(points: &[Point]) -> String {
    let mut text = format!("| {} |\n|---|--:|--:|--:|--:|\n", HEADS.join(" | "));
    for point in points {
        text += &format!("| {} |\n", point.cells().join(" | "));
    }
    text.push('\n');
    for line in choices(points) {
        text += &format!("- {line}\n");
    }
    text
}

/// What either way of choosing comes to.
fn choices(points: &[Point]) -> Vec<String> {
    let figure =
        |figures: &[f64]| if figures.is_empty() { "not known".to_owned() } else { format!("{} %", spread(figures)) };
    let line = |by: &str, point: Option<&Point>| match point {
        None => format!("chosen by {by}: nothing, there are no such figures"),
        Some(point) => {
            format!("chosen by {by}: {}, test {}", point.name(), figure(&point.tests))
        }
    };
    vec![
        line("validation", best(points, |point| point.validation)),
        line("test, which overstates what to expect", best(points, |point| point.test)),
    ]
}

fn json(name: &str, points: &[Point]) -> serde_json::Value {
    let index = |point: &Point| points.iter().position(|other| std::ptr::eq(other, point));
    serde_json::json!({
        "sweep": name,
        "points": points,
        "chosen_by_validation": best(points, |point| point.validation).and_then(index),
        "chosen_by_test": best(points, |point| point.test).and_then(index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use std::ffi::OsString;

    fn args(line: &str) -> SweepArgs {
        let line = format!("trainer sweep {line}");
        match Cli::read(line.split_whitespace().map(OsString::from)).unwrap().command() {
            Command::Sweep(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    const GRID: &str = r#"name = "rates"
recipes = ["lenet5", "depth2"]
seeds = [3, 5]

[axes]
"optimizer.lr" = [1e-3, 1e-4]
size = [{ "train.batch_size" = 32, "train.epochs" = 2 }, { "train.batch_size" = 64, "train.epochs" = 4 }]
"#;

    #[test]
    fn a_grid_is_every_combination() {
        let sweep = Sweep::parse(GRID, "grid.toml").unwrap();
        let runs = sweep.plan(Path::new("x"), &args("r1"), &DataArgs::default(), "grid.toml").unwrap();
        assert_eq!(runs.len(), 2 * 2 * 2 * 2);
        let mut folders: Vec<&PathBuf> = runs.iter().map(|run| &run.folder).collect();
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 16);
        let last = &runs[15].recipe;
        assert_eq!((last.name.as_str(), last.train.seed, last.train.batch_size), ("depth2", 5, 64));
        assert_eq!((last.train.epochs, last.optimizer.lr()), (4, 1e-4));
        let fewer =
            sweep.plan(Path::new("x"), &args("r1 --seeds 1 --max-steps 2"), &DataArgs::default(), "grid.toml").unwrap();
        assert_eq!(fewer.len(), 8);
        assert!(fewer.iter().all(|run| (run.recipe.train.seed, run.recipe.train.max_steps) == (0, Some(2))));
    }

    #[test]
    fn the_first_report_has_twelve_points() {
        assert!(matches!(Sweep::find("r9"), Err(RecipeError::UnknownSweep { .. })));
        assert!(matches!(Sweep::find("r9.toml"), Err(RecipeError::Unreadable { .. })));
        let (sweep, file) = Sweep::find("r1").unwrap();
        let runs = sweep.plan(Path::new("x"), &args("r1"), &DataArgs::default(), &file).unwrap();
        assert_eq!(runs.len(), 12);
        assert!(runs.iter().all(|run| run.recipe.name.starts_with("r1-") && run.recipe.data.validation > 0));
    }

    #[test]
    fn a_short_file_that_asks_for_much_is_refused_unmade() {
        let many = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        let axes: String = (0..6).map(|axis| format!("a{axis} = {}\n", many(500))).collect();
        let seeds = format!("name = \"x\"\nrecipes = [\"lenet5\"]\nseeds = {}\n", many(200));
        let plain = args("r1");
        let refused = |text: &str, args: &SweepArgs| {
            let message = Sweep::parse(text, "x")
                .unwrap()
                .plan(Path::new("x"), args, &DataArgs::default(), "x")
                .unwrap_err()
                .to_string();
            assert_eq!(message, "x: the grid has more than 10000 runs; make it smaller");
        };
        refused(&format!("{seeds}[axes]\n{axes}"), &plain);
        refused(&seeds.replace("\"lenet5\"", &"\"lenet5\",".repeat(51)), &plain);
        refused(&seeds, &args("r1 --seeds 18446744073709551615"));
        let message = Sweep::parse(&format!("{seeds}# {}", "=".repeat(4096)), "x").unwrap_err().to_string();
        assert!(message.starts_with("x:4:") && message.contains("more than 4096 lines"), "{message}");
    }

    #[test]
    fn errors_name_the_line() {
        for (from, to, expected) in [
            ("seeds = [3, 5]", "seed = [3]", "grid.toml:3:1: unknown field `seed`"),
            ("seeds = [3, 5]", "seeds = []", "grid.toml:3:1: seeds must have an entry"),
            ("seeds = [3, 5]", "seeds = 3", "grid.toml:3:9: invalid type: integer `3`"),
            ("name = \"rates\"", "name = \"../x\"", "grid.toml:1:1: name must be "),
            ("[1e-3, 1e-4]", "1e-3", "grid.toml:6:1: axis `optimizer.lr` must be a list"),
            ("\n\n[axes]\n", "\r\n\r\n[axes]\r\nsize2 = 3\r\n", "grid.toml:6:1: axis `size2` must be a list"),
            ("lenet5", "\\u001b[31m", "grid.toml:2:1: the name of a recipe must be without control characters"),
            ("\"train.epochs\" = 2", "\"\\u009b\" = 2", "grid.toml:7:1: axis `size` must be without control"),
        ] {
            let message = Sweep::parse(&GRID.replace(from, to), "grid.toml").unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        for (from, to, expected) in [
            ("optimizer.lr", "optimizer.rate", "--set optimizer.rate=0.001"),
            ("\"lenet5\"", "\"lenet6\"", "there is no recipe `lenet6`"),
            ("1e-3, 1e-4", "-1.0", "optimizer.lr is -1"),
        ] {
            let sweep = Sweep::parse(&GRID.replace(from, to), "grid.toml").unwrap();
            let message =
                sweep.plan(Path::new("x"), &args("r1"), &DataArgs::default(), "grid.toml").unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    fn point(recipe: &str, validation: Option<f64>, tests: &[f64]) -> Point {
        let made = |&test: &f64| Made {
            seed: 0,
            folder: "x".into(),
            finished: true,
            exit_code: None,
            validation,
            test: Some(test),
            best_epoch: Some(7),
            seconds: Some(1.0),
        };
        Point {
            recipe: recipe.to_owned(),
            settings: "lr=1".to_owned(),
            runs: tests.iter().map(made).collect(),
            validation,
            test: mean_and_deviation(tests).map(|(mean, _)| mean),
            validations: validation.into_iter().collect(),
            tests: tests.to_vec(),
        }
    }

    #[test]
    fn both_choices_are_shown() {
        let points = [point("a", Some(0.9), &[0.90, 0.92]), point("b", Some(0.8), &[0.95]), point("c", None, &[])];
        let text = table(&points);
        assert!(text.contains("\na lr=1         90.00  91.00 ± 1.41        7, 7    2 of 2\n"), "{text}");
        assert!(text.contains("\nc lr=1             -             -           -    0 of 0\n"), "{text}");
        assert!(text.contains("\nchosen by validation: a lr=1, test 91.00 ± 1.41 %\n"), "{text}");
        assert!(text.contains("\nchosen by test, which overstates what to expect: b lr=1, test 95.00 %\n"), "{text}");
        let json = json("x", &points);
        assert_eq!((&json["chosen_by_validation"], &json["chosen_by_test"]), (&0.into(), &1.into()));
        assert!(markdown(&points).contains("| a lr=1 | 90.00 | 91.00 ± 1.41 | 7, 7 | 2 of 2 |"));
    }
}
