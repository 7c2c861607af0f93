//! One run as the template shows it: everything is a word, a number as text, or an image.

use super::ReportError;
use super::chart::Chart;
use super::history::History;
use super::image::{self, Png, Scale};
use super::pictures::{FeatureMap, Prediction};
use super::plot::{Curve, Plot};
use super::run::Run;
use super::text;
use crate::evaluation::{Evaluation, percent};
use crate::network::{Layer, thousands};
use crate::recipe::LayerSpec;
use fashion_mnist::{CLASSES, DatasetName, PIXELS, SIDE};
use serde_json::Value;
use std::collections::BTreeMap;

/// Filters shown of the first layer.
const FILTERS: usize = 64;

/// Points that a curve of step losses is thinned out to.
const STEP_POINTS: usize = 300;

/// Classes that a row of "mostly taken for" names.
const TAKEN_FOR: usize = 2;

/// A figure that stands out.
pub struct Tile {
    pub label: String,
    pub value: String,
    pub detail: String,
}

/// A table of text.
pub struct Table {
    pub caption: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// By column: whether it holds numbers.
    pub numbers: Vec<bool>,
}

impl Table {
    /// Columns are as many as the head has.
    pub fn new(caption: &str, head: Vec<String>, rows: Vec<Vec<String>>) -> Self {
        let number = |cell: &String| cell.chars().all(|c| c.is_ascii_digit() || ",.:%-–− smin/h".contains(c));
        let numbers = |column| rows.iter().filter_map(|row: &Vec<String>| row.get(column)).all(number);
        let numbers = (0..head.len()).map(|column| column > 0 && numbers(column)).collect();
        Self { caption: caption.to_owned(), head, rows, numbers }
    }
}

/// A bar of a class.
pub struct Bar {
    pub class: &'static str,
    pub percent: String,
    /// For the style sheet.
    pub width: String,
    pub counts: String,
}

/// A cell of the confusion matrix.
pub struct Cell {
    pub count: String,
    pub percent: String,
    /// 0 to 10.
    pub level: usize,
    pub title: String,
}

/// A row of the confusion matrix.
pub struct ConfusionRow {
    pub class: &'static str,
    pub cells: Vec<Cell>,
}

/// How the test images were classified.
pub struct Outcome {
    pub images: String,
    pub bars: Vec<Bar>,
    pub confusion: Vec<ConfusionRow>,
    pub wrong: Table,
}

/// An image with its texts.
pub struct Picture {
    pub png: Png,
    pub alternative: String,
    pub caption: String,
    pub detail: String,
}

/// The filters of the first layer.
pub struct Filters {
    pub picture: Picture,
    pub table: Table,
}

/// An image and what layers make of it.
pub struct Maps {
    pub input: Picture,
    pub layers: Vec<Picture>,
}

/// What a network makes of images.
pub struct Seen {
    pub mistakes_text: String,
    pub mistakes: Vec<Picture>,
    pub maps: Vec<Maps>,
    pub maps_table: Table,
}

/// A run.
pub struct RunView {
    /// In front of every id of this run, so that several fit on a page.
    pub prefix: String,
    pub name: String,
    pub recipe: String,
    pub description: String,
    pub source: String,
    pub synthetic: bool,
    pub notes: Vec<String>,
    pub tiles: Vec<Tile>,
    pub charts: Vec<Chart>,
    pub epochs: Table,
    pub outcome: Option<Outcome>,
    pub seen: Result<Seen, String>,
    pub filters: Result<Filters, String>,
    pub layers: Table,
    pub assumptions: Vec<String>,
    pub findings: Vec<String>,
    pub settings: BTreeMap<String, String>,
    pub config: String,
    pub environment: Vec<(String, String)>,
}

/// A name for each run: its folder's, numbered where several have the same.
pub fn labels(runs: &[Run]) -> Vec<String> {
    let same = |name: &str, upto: usize| runs[..upto].iter().filter(|run| run.name == name).count();
    let label = |(index, run): (usize, &Run)| match same(&run.name, runs.len()) {
        1 => run.name.clone(),
        _ => format!("{} ({})", run.name, same(&run.name, index) + 1),
    };
    runs.iter().enumerate().map(label).collect()
}

impl RunView {
    /// `number` among several.
    pub fn new(run: &Run, name: &str, number: Option<usize>) -> Result<Self, ReportError> {
        let summary = run.summary.as_ref();
        Ok(Self {
            prefix: number.map(|number| format!("run{number}-")).unwrap_or_default(),
            name: name.to_owned(),
            recipe: run.recipe.name.clone(),
            description: run.recipe.description.clone(),
            source: run.recipe.source.clone(),
            synthetic: run.dataset() == Some(DatasetName::Synthetic.as_str()),
            notes: run.notes.clone(),
            tiles: tiles(run),
            charts: charts(run)?,
            epochs: epochs(&run.history),
            outcome: summary.map(|summary| outcome(&summary.test)),
            seen: match &run.pictures {
                Ok(pictures) => Ok(seen(pictures)?),
                Err(reason) => Err(reason.clone()),
            },
            filters: match &run.weights {
                Ok(values) => filters(run, values)?,
                Err(reason) => Err(reason.clone()),
            },
            layers: layers(run),
            assumptions: run.recipe.assumptions.clone(),
            findings: run.recipe.findings.clone(),
            settings: recipe_settings(run),
            config: run.config.clone(),
            environment: environment(run),
        })
    }
}

fn tiles(run: &Run) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut add = |label: &str, value: String, detail: String| {
        tiles.push(Tile { label: label.to_owned(), value, detail });
    };
    if let Some(summary) = &run.summary {
        let test = &summary.test;
        let interval = text::interval(test.accuracy, test.images).map_or_else(String::new, |(low, high)| {
            format!("95 % interval {:.1} to {:.1} %", 100.0 * low, 100.0 * high)
        });
        add("test accuracy", percent(test.accuracy), interval);
        add("test loss", text::loss(Some(test.loss)), format!("{} images", thousands(test.images as usize)));
    }
    if let Some((epoch, accuracy)) = run.history.best("validation") {
        add("best validation accuracy", percent(accuracy), format!("epoch {epoch}"));
    }
    if let Some((set, marks)) = run.history.epochs.last().and_then(|line| Some(("train", line.sets.get("train")?))) {
        add(&format!("last {set} accuracy"), text::share(marks.accuracy), format!("loss {}", text::loss(marks.loss)));
    }
    let (all, trained) = (run.network.parameter_count(), run.network.trainable_count());
    let detail = if all == trained { String::new() } else { format!("{} trained", thousands(trained)) };
    add("parameters", thousands(all), detail);
    if let Some(summary) = &run.summary {
        add(
            "training time",
            text::duration(summary.seconds.train),
            format!(
                "{}, {}",
                text::count(summary.epochs as usize, "epoch", "epochs"),
                text::count(summary.steps as usize, "step", "steps")
            ),
        );
    }
    tiles
}

/// Loss and accuracy, all sets of a run in one figure.
fn charts(run: &Run) -> Result<Vec<Chart>, ReportError> {
    let history = &run.history;
    let mut sets = history.sets();
    let last = history.epochs.last();
    // Without a test after each epoch there is the one after the last.
    let test = run.summary.as_ref().filter(|_| !sets.iter().any(|set| set == "test")).zip(last);
    let (mut loss, mut accuracy) = (Vec::new(), Vec::new());
    if !history.steps.is_empty() {
        let points = thin(&history.steps).into_iter().map(|(step, loss)| (history.at_epoch(step), loss));
        loss.push(Curve::new("train, logged steps", 0, points).faint());
    }
    if test.is_some() {
        sets.push("test".to_owned());
    }
    for set in &sets {
        let points = |value: fn(&super::Marks) -> Option<f64>| -> Vec<(f64, f64)> {
            let lines = history.epochs.iter();
            lines.filter_map(|line| Some((line.epoch as f64, line.sets.get(set).and_then(value)?))).collect()
        };
        let (mut losses, mut shares) = (points(|marks| marks.loss), points(|marks| marks.accuracy));
        if let Some((summary, last)) = test.filter(|_| set == "test") {
            losses.push((last.epoch as f64, summary.test.loss));
            shares.push((last.epoch as f64, summary.test.accuracy));
        }
        let style = style(set, &sets);
        let label = set.replace('_', " ");
        loss.push(Curve::new(&label, style, losses));
        accuracy.push(Curve::new(&label, style, shares));
    }
    let plot = |percent, curves| Plot { x_label: "epoch", percent, curves };
    let charts = [Chart::new("Loss", &plot(false, loss))?, Chart::new("Accuracy", &plot(true, accuracy))?];
    Ok(charts.into_iter().flatten().collect())
}

/// The same set has the same style everywhere.
pub fn style(set: &str, sets: &[String]) -> usize {
    match set {
        "train" => 0,
        "validation" => 1,
        "test" => 2,
        _ => {
            3 + sets
                .iter()
                .filter(|set| !["train", "validation", "test"].contains(&set.as_str()))
                .position(|other| other == set)
                .unwrap_or(0)
        }
    }
}

/// At most [`STEP_POINTS`] points: means of neighbours.
fn thin(steps: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let size = steps.len().div_ceil(STEP_POINTS).max(1);
    let mean = |points: &[(u64, f64)]| {
        let sum: f64 = points.iter().map(|point| point.1).sum();
        (points.last().map_or(0, |point| point.0), sum / points.len() as f64)
    };
    steps.chunks(size).map(mean).collect()
}

fn epochs(history: &History) -> Table {
    let sets = history.sets();
    let mut head = vec!["epoch".to_owned(), "steps".to_owned()];
    for set in &sets {
        let set = set.replace('_', " ");
        head.extend([format!("{set} loss"), format!("{set} accuracy")]);
    }
    let timed = history.epochs.iter().any(|line| history.timings.contains_key(&line.epoch));
    if timed {
        head.extend(["time".to_owned(), "images/s".to_owned()]);
    }
    let row = |line: &super::EpochLine| {
        let mut row = vec![line.epoch.to_string(), thousands(line.steps as usize)];
        for set in &sets {
            let marks = line.sets.get(set);
            row.push(text::loss(marks.and_then(|marks| marks.loss)));
            row.push(text::share(marks.and_then(|marks| marks.accuracy)));
        }
        if timed {
            let timing = history.timings.get(&line.epoch);
            row.push(timing.map_or_else(|| "–".to_owned(), |(seconds, _)| text::duration(*seconds)));
            row.push(timing.map_or_else(|| "–".to_owned(), |(_, speed)| thousands(*speed as usize)));
        }
        row
    };
    let rows = history.epochs.iter().map(row).collect();
    Table::new("Loss and accuracy after each epoch", head, rows)
}

fn outcome(evaluation: &Evaluation) -> Outcome {
    let bars = CLASSES.iter().zip(evaluation.per_class_accuracy).enumerate().map(|(index, (class, accuracy))| {
        let row = &evaluation.confusion[index];
        Bar {
            class,
            percent: text::share(accuracy),
            width: format!("{:.1}", 100.0 * accuracy.unwrap_or(0.0)),
            counts: format!("{} of {}", thousands(row[index] as usize), thousands(sum(row))),
        }
    });
    let confusion = CLASSES.iter().zip(&evaluation.confusion).map(|(class, row)| ConfusionRow {
        class,
        cells: row.iter().zip(CLASSES).map(|(&count, predicted)| cell(class, predicted, count, sum(row))).collect(),
    });
    Outcome {
        images: thousands(evaluation.images as usize),
        bars: bars.collect(),
        confusion: confusion.collect(),
        wrong: wrong(evaluation),
    }
}

fn sum(row: &[u64]) -> usize {
    row.iter().fold(0, |sum, count| u64::saturating_add(sum, *count)) as usize
}

fn cell(class: &str, predicted: &str, count: u64, all: usize) -> Cell {
    let share = if all == 0 { 0.0 } else { 100.0 * count as f64 / all as f64 };
    // Steps that grow: mistakes are rare and must still be seen.
    let level = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 90.0].iter().filter(|least| share > **least).count();
    let digits = usize::from(count > 0 && share < 9.95);
    Cell {
        count: thousands(count as usize),
        percent: if count == 0 { String::new() } else { format!("{share:.digits$} %") },
        level,
        title: format!("{class} taken for {predicted}: {count} of {all}"),
    }
}

/// Where the wrong ones of each class went.
fn wrong(evaluation: &Evaluation) -> Table {
    let row = |class: usize| {
        let mut others: Vec<(usize, u64)> =
            evaluation.confusion[class].iter().copied().enumerate().filter(|(other, _)| *other != class).collect();
        others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let all = others.iter().fold(0, |sum, (_, count)| u64::saturating_add(sum, *count));
        let taken = others.iter().take(TAKEN_FOR).filter(|(_, count)| *count > 0);
        let taken =
            taken.map(|(other, count)| format!("{} {:.0}\u{a0}%", CLASSES[*other], 100.0 * *count as f64 / all as f64));
        let taken: Vec<String> = taken.collect();
        (all, vec![CLASSES[class].to_owned(), thousands(all as usize), taken.join(", ")])
    };
    let mut rows: Vec<(u64, Vec<String>)> = (0..CLASSES.len()).map(row).collect();
    rows.sort_by_key(|(all, _)| std::cmp::Reverse(*all));
    Table::new(
        "What the wrong ones of each class were mostly taken for, and how many of them",
        ["class", "wrong", "taken for"].map(str::to_owned).to_vec(),
        rows.into_iter().map(|(_, row)| row).collect(),
    )
}

fn seen(pictures: &super::Pictures) -> Result<Seen, ReportError> {
    let photograph = |prediction: &Prediction, alternative: String| -> Result<Picture, ReportError> {
        let png = image::photograph(&prediction.pixels, [SIDE, SIDE], 112)?;
        let (class, predicted) = (CLASSES[prediction.class], CLASSES[prediction.predicted]);
        let confidence = format!("{:.1}\u{a0}%", 100.0 * prediction.confidence);
        let (caption, detail) = match class == predicted {
            true => (class.to_owned(), format!("recognised, {confidence}")),
            // T-shirt stays on one line.
            false => (class.to_owned(), format!("taken for {}, {confidence}", predicted.replace('-', "\u{2011}"))),
        };
        Ok(Picture { png, alternative, caption, detail })
    };
    let mistake = |prediction: &Prediction| {
        let (class, predicted) = (CLASSES[prediction.class], CLASSES[prediction.predicted]);
        photograph(prediction, format!("Test image {}: {class} taken for {predicted}", prediction.image))
    };
    let mut rows = Vec::new();
    let mut maps = Vec::new();
    for (prediction, layers) in &pictures.maps {
        let class = CLASSES[prediction.class];
        let mut input = photograph(prediction, format!("Test image {}: {class}", prediction.image))?;
        input.caption = format!("{class}, test image {}", prediction.image);
        let mut sheets = Vec::new();
        for map in layers {
            rows.push(map_row(class, prediction.image, map));
            sheets.push(sheet(class, map)?);
        }
        maps.push(Maps { input, layers: sheets });
    }
    let mistakes = pictures.mistakes.iter().map(mistake).collect::<Result<Vec<_>, _>>()?;
    let mistakes_text = format!(
        "{} of the {}{} test images are classified wrong. {}",
        thousands(pictures.wrong),
        if pictures.images < pictures.total { "first " } else { "" },
        thousands(pictures.images),
        match mistakes.len() {
            0 => String::new(),
            1 => "This is it.".to_owned(),
            shown if shown == pictures.wrong => "These are they, those the network was surest of first.".to_owned(),
            shown => format!("These are the {shown} the network was surest of; the percentage is its softmax."),
        }
    );
    let head = ["image", "layer", "size", "mean", "greatest", "zeros", "channels that are all zero"];
    let maps_table = Table::new("Feature maps in numbers", head.map(str::to_owned).to_vec(), rows);
    Ok(Seen { mistakes_text, mistakes, maps, maps_table })
}

fn size([channels, height, width]: [usize; 3]) -> String {
    format!("{} of {height} × {width}", text::count(channels, "channel", "channels"))
}

fn sheet(class: &str, map: &FeatureMap) -> Result<Picture, ReportError> {
    let [channels, height, width] = map.shape;
    let (low, high) = Scale::Sequential.range(&map.values);
    let shown = if map.shown < channels { format!(", the first {} shown", map.shown) } else { String::new() };
    Ok(Picture {
        png: image::sheet(&map.values, [height, width], Scale::Sequential, 56)?,
        alternative: format!("Feature maps of {} for this {class}: {}{shown}", map.layer, size(map.shape)),
        caption: map.layer.clone(),
        detail: format!("{}{shown}; dark {low:.2}, bright {high:.2}", size(map.shape)),
    })
}

fn map_row(class: &str, image: usize, map: &FeatureMap) -> Vec<String> {
    let [_, height, width] = map.shape;
    let count = map.values.len().max(1) as f64;
    let mean = map.values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let zeros = map.values.iter().filter(|value| **value == 0.0).count() as f64 / count;
    let dead = map.values.chunks((height * width).max(1)).filter(|channel| channel.iter().all(|v| *v == 0.0)).count();
    let greatest = map.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    vec![
        format!("{class}, {image}"),
        map.layer.clone(),
        size(map.shape),
        format!("{mean:.3}"),
        format!("{greatest:.3}"),
        format!("{:.0} %", 100.0 * zeros),
        format!("{dead} of {}", map.shown),
    ]
}

/// The weights of the first layer that has some, as pictures: a convolution's kernels for its first input channel, or a
/// dense layer's weights where they belong to pixels.
fn filters(run: &Run, values: &[Vec<f32>]) -> Result<Result<Filters, String>, ReportError> {
    let network = &run.network;
    let first = network.layers().iter().zip(network.names()).find_map(|(layer, name)| match layer {
        Layer::Conv { weight, .. } | Layer::Dense { weight, .. } => Some((*weight, name)),
        _ => None,
    });
    let Some((weight, name)) = first else { return Ok(Err("the network has no layer with filters".to_owned())) };
    let (dims, values) = (&network.parameters()[weight].spec.dims, &values[weight]);
    let (size, step) = match *dims.as_slice() {
        [_, channels, height, width] => ([height, width], channels * height * width),
        [_, PIXELS] => ([SIDE, SIDE], PIXELS),
        _ => return Ok(Err(format!("the first layer, {name}, does not see pixels"))),
    };
    let all = values.chunks_exact(step.max(1)).count();
    let shown = all.min(FILTERS);
    let pictures: Vec<&[f32]> = values.chunks_exact(step.max(1)).take(shown).map(|f| &f[..size[0] * size[1]]).collect();
    let flat = pictures.concat();
    let (_, largest) = Scale::Diverging.range(&flat);
    let [height, width] = size;
    let which = if shown < all { format!("the first {shown} of {all}") } else { format!("all {all}") };
    let rows = pictures.iter().enumerate().map(|(index, filter)| {
        let extreme = |pick: fn(f32, f32) -> f32| filter.iter().copied().fold(filter[0], pick);
        let norm = filter.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let number = |value: f32| format!("{value:.3}");
        vec![index.to_string(), number(extreme(f32::min)), number(extreme(f32::max)), format!("{norm:.3}")]
    });
    let rows = rows.collect();
    Ok(Ok(Filters {
        picture: Picture {
            png: image::sheet(&flat, size, Scale::Diverging, 84)?,
            alternative: format!("The filters of {name}: {which}, {height} × {width} weights each"),
            caption: name.clone(),
            detail: format!("{which}, {height} × {width}; blue −{largest:.2}, white 0, orange {largest:.2}"),
        },
        table: Table::new(
            &format!("The filters of {name} in numbers"),
            ["filter", "least", "greatest", "length (L2)"].map(str::to_owned).to_vec(),
            rows,
        ),
    }))
}

fn layers(run: &Run) -> Table {
    let network = &run.network;
    let shape = |shape: &[usize]| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
    let mut rows = vec![vec!["input".to_owned(), String::new(), shape(&crate::network::INPUT), String::new()]];
    for ((name, dims), spec) in network.names().iter().zip(network.shapes()).zip(&run.recipe.layers) {
        let own = network.parameters().iter().filter(|parameter| parameter.name.split('.').next() == Some(name));
        let count: usize = own.map(|parameter| parameter.spec.len()).sum();
        let count = if count == 0 { String::new() } else { thousands(count) };
        rows.push(vec![name.clone(), settings(spec), shape(dims), count]);
    }
    let mut total =
        |name: &str, count| rows.push(vec![name.to_owned(), String::new(), String::new(), thousands(count)]);
    total("total", network.parameter_count());
    if network.trainable_count() != network.parameter_count() {
        total("trained", network.trainable_count());
    }
    let head = ["layer", "settings", "output", "parameters"].map(str::to_owned).to_vec();
    Table::new("The network, layer by layer", head, rows)
}

/// The settings of a layer: `out 6, kernel 5, pad 4`.
pub fn settings(spec: &LayerSpec) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(spec) else { return String::new() };
    let defaults = BTreeMap::from([("stride", "1"), ("pad", "0"), ("dilation", "1")]);
    let setting = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(both) => both.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "),
            other => other.to_string(),
        };
        let silent = key == "kind" || defaults.get(key.as_str()) == Some(&value.as_str());
        (!silent).then(|| format!("{key} {value}"))
    };
    fields.iter().filter_map(setting).collect::<Vec<_>>().join(", ")
}

/// Every setting of a recipe by its path, without the layers and the texts.
pub fn recipe_settings(run: &Run) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(&run.recipe) {
        for (key, value) in fields {
            if !["name", "layers", "description", "source", "assumptions", "findings"].contains(&key.as_str()) {
                flatten(&key, &value, &mut settings);
            }
        }
    }
    settings
}

fn flatten(path: &str, value: &Value, settings: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, settings));
        }
        Value::String(text) => {
            settings.insert(path.to_owned(), text.clone());
        }
        other => {
            settings.insert(path.to_owned(), other.to_string());
        }
    }
}

fn environment(run: &Run) -> Vec<(String, String)> {
    let mut rows = vec![("run folder".to_owned(), run.name.clone())];
    let mut add = |name: &str, value: String| rows.push((name.to_owned(), value));
    if let Some(summary) = &run.summary {
        let adapter = &summary.adapter;
        add("adapter", format!("{} ({})", adapter.name, adapter.device_type));
        add("graphics API", adapter.backend.clone());
        add("driver", adapter.driver.clone());
        add("data set", summary.dataset.clone());
        add("seed", summary.seed.to_string());
        add(
            "time",
            format!(
                "{} training, {} in all",
                text::duration(summary.seconds.train),
                text::duration(summary.seconds.total)
            ),
        );
        add("versions", format!("selvedge {}, wgpu {}", summary.versions.selvedge, summary.versions.wgpu));
        add("arguments", summary.arguments.join(" "));
    } else {
        add("seed", run.recipe.train.seed.to_string());
    }
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Tally;
    use crate::recipe::Recipe;

    #[test]
    fn cells_count_and_rate() {
        let cell = |count, all| {
            let cell = cell("Shirt", "Coat", count, all);
            (cell.count, cell.percent, cell.level)
        };
        assert_eq!(cell(0, 1000), ("0".into(), String::new(), 0));
        assert_eq!(cell(5, 1000), ("5".into(), "0.5 %".into(), 1));
        assert_eq!(cell(995, 1000), ("995".into(), "100 %".into(), 10));
        assert_eq!(cell(1, 8), ("1".into(), "12 %".into(), 6));
        assert_eq!(cell(0, 0).1, "");
    }

    #[test]
    fn the_wrong_ones_are_followed() {
        let mut tally = Tally::default();
        for (class, predicted, count) in [(6, 6, 5), (6, 0, 6), (6, 2, 3), (6, 4, 1), (4, 6, 1), (1, 1, 2)] {
            (0..count).for_each(|_| tally.count(class, predicted));
        }
        let table = wrong(&tally.finish());
        assert_eq!(table.rows[0], ["Shirt", "10", "T-shirt/top 60\u{a0}%, Pullover 30\u{a0}%"]);
        assert_eq!(table.rows[1], ["Coat", "1", "Shirt 100\u{a0}%"]);
        assert_eq!(table.rows[2][1..], ["0".to_owned(), String::new()]);
    }

    #[test]
    fn settings_are_those_that_matter() {
        let recipe = Recipe::find("lenet5").unwrap();
        let all: Vec<String> = recipe.layers.iter().take(3).map(settings).collect();
        assert_eq!(all, ["kernel 5, out 6, pad 4", "", "kernel 2"]);
    }

    #[test]
    fn long_curves_are_thinned_out() {
        let steps: Vec<(u64, f64)> = (1..=900).map(|step| (step, step as f64)).collect();
        let points = thin(&steps);
        assert_eq!(points.len(), STEP_POINTS);
        assert_eq!((points[0], points[299]), ((3, 2.0), (900, 899.0)));
        assert_eq!(thin(&steps[..10]), steps[..10]);
    }
}
