//! What a run folder holds, as far as it got.

use super::ReportError;
use super::history::History;
use super::pictures::Pictures;
use super::text;
use crate::metrics::Journal;
use crate::network::Network;
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::summary::Summary;
use crate::weights;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A run logs some hundred bytes per epoch and per logged step.
const MAX_METRICS: u64 = 64 << 20;

/// A summary or a recipe has a few kilobytes.
const MAX_TEXT: u64 = 1 << 20;

/// A run, read from its folder.
#[derive(Clone, Debug)]
pub struct Run {
    /// The folder's own name.
    pub name: String,
    /// As it ran.
    pub recipe: Recipe,
    /// The text of `config.toml`.
    pub config: String,
    /// The network of the recipe.
    pub network: Network,
    /// What was logged.
    pub history: History,
    /// How it ended; `None` if it did not, or if the file cannot be read.
    pub summary: Option<Summary>,
    /// The trained values, in the order of [`Network::parameters`], or why there are none.
    pub weights: Result<Vec<Vec<f32>>, String>,
    /// What takes images and a forward pass, or why it is missing.
    pub pictures: Result<Pictures, String>,
    /// What a reader should know before believing the rest.
    pub notes: Vec<String>,
}

impl Run {
    /// Reads a run folder. Only `config.toml` must be there and good; what else is missing or damaged is noted.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let folder = RunFolder::begun(path)?;
        let recipe = folder.recipe()?;
        let network = Network::new(&recipe.layers, recipe.train.batch_size)?;
        let config = match read_text(&folder.config(), MAX_TEXT) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => return Err(ReportError::Unreadable { path: folder.config(), error }),
        };
        let mut notes = Vec::new();

        let summary = match read_text(&folder.summary_file(), MAX_TEXT) {
            Ok(Some(text)) => serde_json::from_str(&text)
                .map_err(|error| {
                    notes.push(format!("summary.json cannot be read, so final figures are missing: {error}."))
                })
                .ok(),
            Ok(None) => {
                notes.push(
                    "This run is unfinished: it has no summary.json. It was interrupted, failed, or is still going on. \
                     Final figures are missing."
                        .to_owned(),
                );
                None
            }
            Err(error) => {
                notes.push(format!("summary.json cannot be read, so final figures are missing: {error}."));
                None
            }
        };
        // Times are no more than a column of a table: without them the page says as much.
        let timings = read_text(&folder.path().join(Journal::TIMINGS), MAX_METRICS).ok().flatten().unwrap_or_default();
        let history = match read_text(&folder.path().join(Journal::METRICS), MAX_METRICS) {
            Ok(text) => History::parse(&text.unwrap_or_default(), &timings),
            Err(error) => {
                notes.push(format!("metrics.jsonl cannot be read, so the curves are missing: {error}."));
                History::default()
            }
        };
        if history.unreadable > 0 {
            let lines = text::count(history.unreadable, "line", "lines");
            notes.push(format!("{lines} of metrics.jsonl cannot be read and left out."));
        }
        let ended = summary.as_ref().map(|summary: &Summary| summary.epochs);
        if history.epochs.last().zip(ended).is_some_and(|(last, ended)| last.epoch > ended) {
            notes.push(
                "This run went on after its summary.json was written: final figures are those of then.".to_owned(),
            );
        }
        let weights = match folder.weights().exists() {
            true => weights::load(&folder.weights(), network.parameters())
                .map_err(|error| plain(error.to_string(), &folder)),
            false => Err("model.safetensors is missing".to_owned()),
        };
        // The folder's own name, also of `.` and of a link.
        let name = folder.path().canonicalize().unwrap_or_else(|_| folder.path().to_owned());
        let name = name.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
        let pictures = Err("no images were looked at".to_owned());
        Ok(Self { name, recipe, config, network, history, summary, weights, pictures, notes })
    }

    /// `fashion-mnist` or `synthetic`, if that is known.
    pub fn dataset(&self) -> Option<&str> {
        self.summary.as_ref().map(|summary| summary.dataset.as_str())
    }
}

/// A message without the folder: where a run lies says nothing about it, and the page goes elsewhere.
fn plain(message: String, folder: &RunFolder) -> String {
    let prefix = format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR);
    message.replace(&prefix, "")
}

/// A file's text, `None` if there is no file.
fn read_text(path: &Path, limit: u64) -> io::Result<Option<String>> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // Before it is opened: opening a pipe would wait for its writer.
        metadata => metadata?,
    };
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("larger than {limit} bytes")));
    }
    // A run that was cut off may end within a character.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
