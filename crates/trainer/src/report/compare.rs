//! Several runs side by side.

use super::ReportError;
use super::chart::Chart;
use super::plot::{Curve, Plot};
use super::run::Run;
use super::text;
use super::view::{self, Table};
use crate::evaluation::percent;
use crate::network::thousands;
use crate::recipe::LayerSpec;
use fashion_mnist::{CLASSES, DatasetName};
use std::collections::BTreeMap;

/// The comparison in front of the runs' own sections.
pub struct Comparison {
    pub count: String,
    pub rows: Vec<Row>,
    pub charts: Vec<Chart>,
    pub classes: Option<Classes>,
    pub differences: Table,
    /// The runs whose data was drawn by code.
    pub synthetic: Vec<String>,
}

/// A run in the table of runs.
pub struct Row {
    /// Of its section.
    pub link: String,
    pub name: String,
    pub cells: Vec<String>,
    pub best: bool,
}

/// Accuracy by class and run.
pub struct Classes {
    pub head: Vec<String>,
    pub rows: Vec<(&'static str, Vec<Share>)>,
}

/// A bar and its number.
pub struct Share {
    pub percent: String,
    pub width: String,
    pub style: String,
    pub best: bool,
}

impl Comparison {
    /// Compares at least two runs.
    pub fn new(runs: &[Run]) -> Result<Self, ReportError> {
        let names = view::labels(runs);
        let accuracy = |run: &Run| run.summary.as_ref().map(|summary| summary.test.accuracy);
        let best = runs
            .iter()
            .filter_map(accuracy)
            .fold(None, |best: Option<f64>, accuracy| Some(best.map_or(accuracy, |best| best.max(accuracy))));
        let rows = runs.iter().zip(&names).enumerate().map(|(index, (run, name))| Row {
            link: format!("run{}-run", index + 1),
            name: name.clone(),
            cells: cells(run),
            best: best.is_some() && accuracy(run) == best,
        });
        let synthetic =
            runs.iter().zip(&names).filter(|(run, _)| run.dataset() == Some(DatasetName::Synthetic.as_str()));
        Ok(Self {
            count: text::count(runs.len(), "run", "runs"),
            rows: rows.collect(),
            charts: charts(runs, &names)?,
            classes: classes(runs, &names),
            differences: differences(runs, &names),
            synthetic: synthetic.map(|(_, name)| name.clone()).collect(),
        })
    }
}

/// The columns of the table of runs, after the name.
fn cells(run: &Run) -> Vec<String> {
    let summary = run.summary.as_ref();
    let best = run.history.best("validation");
    vec![
        run.recipe.name.clone(),
        run.recipe.train.seed.to_string(),
        text::share(summary.map(|summary| summary.test.accuracy)),
        text::loss(summary.map(|summary| summary.test.loss)),
        best.map_or_else(|| "–".into(), |(epoch, accuracy)| format!("{} (epoch {epoch})", percent(accuracy))),
        thousands(run.network.parameter_count()),
        summary.map_or_else(|| "unfinished".into(), |summary| summary.epochs.to_string()),
        summary.map_or_else(|| "–".into(), |summary| text::duration(summary.seconds.train)),
        summary.map_or_else(|| "–".into(), |summary| summary.adapter.name.clone()),
    ]
}

/// Loss and accuracy of all runs, a pair of figures for each set that any of them scored.
fn charts(runs: &[Run], names: &[String]) -> Result<Vec<Chart>, ReportError> {
    let mut sets: Vec<String> = Vec::new();
    for set in runs.iter().flat_map(|run| run.history.sets()) {
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets.sort_by_key(|set| (view::style(set, &[]), set.clone()));
    let mut charts = Vec::new();
    for set in &sets {
        let plot = |shares: bool| {
            let curve = |(index, (run, name)): (usize, (&Run, &String))| {
                let point = |line: &super::EpochLine| {
                    let marks = line.sets.get(set)?;
                    Some((line.epoch as f64, if shares { marks.accuracy } else { marks.loss }?))
                };
                Curve::new(name, index, run.history.epochs.iter().filter_map(point))
            };
            Plot { x_label: "epoch", percent: shares, curves: runs.iter().zip(names).enumerate().map(curve).collect() }
        };
        let name = set.replace('_', " ");
        charts.extend(Chart::new(&format!("Loss, {name}"), &plot(false))?);
        charts.extend(Chart::new(&format!("Accuracy, {name}"), &plot(true))?);
    }
    Ok(charts)
}

fn classes(runs: &[Run], names: &[String]) -> Option<Classes> {
    let finished: Vec<_> = runs
        .iter()
        .zip(names)
        .enumerate()
        .filter_map(|(i, (run, name))| Some((i, run.summary.as_ref()?, name)))
        .collect();
    if finished.is_empty() {
        return None;
    }
    let row = |class: usize| {
        let accuracies = finished.iter().map(|(_, summary, _)| summary.test.per_class_accuracy[class]);
        let best = accuracies.clone().flatten().fold(f64::NEG_INFINITY, f64::max);
        let share = |((style, _, _), accuracy): (&(usize, _, _), Option<f64>)| Share {
            percent: text::share(accuracy),
            width: format!("{:.1}", 100.0 * accuracy.unwrap_or(0.0)),
            style: super::plot::class(*style),
            best: finished.len() > 1 && accuracy == Some(best),
        };
        (CLASSES[class], finished.iter().zip(accuracies).map(share).collect())
    };
    Some(Classes {
        head: finished.iter().map(|(_, _, name)| (*name).clone()).collect(),
        rows: (0..CLASSES.len()).map(row).collect(),
    })
}

/// What tells the runs' recipes apart, setting by setting.
fn differences(runs: &[Run], names: &[String]) -> Table {
    let settings: Vec<BTreeMap<String, String>> = runs.iter().map(settings).collect();
    let mut keys: Vec<&String> = settings.iter().flat_map(BTreeMap::keys).collect();
    keys.sort();
    keys.dedup();
    let differ = |key: &&String| settings.iter().any(|run| run.get(*key) != settings[0].get(*key));
    let row = |key: &String| {
        let values = settings.iter().map(|run| run.get(key).cloned().unwrap_or_else(|| "–".to_owned()));
        std::iter::once(key.clone()).chain(values).collect()
    };
    let head = std::iter::once("setting".to_owned()).chain(names.iter().cloned()).collect();
    Table::new("Settings that are not the same in all runs", head, keys.into_iter().filter(differ).map(row).collect())
}

/// Every setting of a recipe by its path; the layers are one setting.
fn settings(run: &Run) -> BTreeMap<String, String> {
    let layer = |layer: &LayerSpec| {
        let settings = view::settings(layer);
        if settings.is_empty() { layer.kind().to_owned() } else { format!("{} ({settings})", layer.kind()) }
    };
    let layers = run.recipe.layers.iter().map(layer).collect::<Vec<_>>().join(" → ");
    let mut settings = view::recipe_settings(run);
    settings.extend([("name".to_owned(), run.recipe.name.clone()), ("layers".to_owned(), layers)]);
    settings
}
