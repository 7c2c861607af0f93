//! `report.html`: what a run was and what came of it, as one page that needs nothing else: no network, no script.
//!
//! [`Run::read`] reads a run folder, finished or not. [`Run::look`] adds what takes the data set and a forward pass.
//! [`page`] makes the page of one run, or of several side by side; the same runs give the same bytes.

mod chart;
mod command;
mod compare;
mod history;
mod image;
mod pictures;
mod plot;
mod run;
mod text;
mod view;

pub use command::{Library, after_training, report};
pub use history::{EpochLine, History, Marks};
pub use pictures::{FeatureMap, MAX_CHOSEN, Pictures, Prediction, Predictions};
pub use run::Run;

use crate::network::NetworkError;
use crate::recipe::RecipeError;
use crate::run_folder::RunFolderError;
use askama::Template;
use std::io;
use std::path::PathBuf;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is no such run.
    #[error(transparent)]
    Folder(#[from] RunFolderError),
    /// The run's recipe cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The run's recipe describes no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The device refused.
    #[error(transparent)]
    Device(#[from] tape::Error),
    /// A file of the run cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A figure cannot be drawn.
    #[error("a figure cannot be drawn: {0}")]
    Draw(String),
    /// An image cannot be encoded.
    #[error("an image cannot be encoded: {0}")]
    Image(#[from] png::EncodingError),
    /// The page cannot be put together.
    #[error("the page cannot be put together: {0}")]
    Page(#[from] askama::Error),
    /// The page cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

/// A page.
#[derive(Template)]
#[template(path = "report/page.html")]
struct Page<'a> {
    title: String,
    style: &'static str,
    comparison: Option<compare::Comparison>,
    runs: &'a [view::RunView],
}

/// The page of one run, or of several with a comparison in front. `title` is the comparison's.
pub fn page(runs: &[Run], title: &str) -> Result<String, ReportError> {
    let several = runs.len() > 1;
    let comparison = if several { Some(compare::Comparison::new(runs)?) } else { None };
    let names = view::labels(runs);
    let views = runs
        .iter()
        .zip(&names)
        .enumerate()
        .map(|(index, (run, name))| view::RunView::new(run, name, if several { Some(index + 1) } else { None }));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let title = match runs {
        [run] => format!("{} · {}", run.recipe.name, run.name),
        _ => title.to_owned(),
    };
    let page = Page { title, style: include_str!("../../templates/report/style.css"), comparison, runs: &views };
    Ok(text::harmless(&page.render()?))
}
