//! `trainer report`, and the report that training ends with.

use super::pictures::{Pictures, Predictions};
use super::run::Run;
use super::{ReportError, page};
use crate::cli::{DataArgs, ReportArgs};
use crate::files::{Existing, write_atomically};
use crate::model::Model;
use crate::run_folder::RunFolder;
use fashion_mnist::{Dataset, DatasetName, Finder, Source};
use std::path::{Path, PathBuf};
use tape::Device;

/// A comparison is written here unless told otherwise.
const COMPARISON: &str = "comparison.html";

/// Data sets by name, each looked for at most once, and only when a run was made with it.
pub struct Library<'a> {
    data: &'a DataArgs,
    progress: &'a mut dyn FnMut(fashion_mnist::Progress<'_>),
    found: Vec<(DatasetName, Result<Dataset, String>)>,
}

impl<'a> Library<'a> {
    /// Looks where the command line says.
    pub fn new(data: &'a DataArgs, progress: &'a mut dyn FnMut(fashion_mnist::Progress<'_>)) -> Self {
        Self { data, progress, found: Vec::new() }
    }

    /// The data set of this name, or why it cannot be had.
    pub fn get(&mut self, name: &str) -> Result<&Dataset, String> {
        let known = [DatasetName::FashionMnist, DatasetName::Synthetic];
        let Some(name) = known.into_iter().find(|known| known.as_str() == name) else {
            return Err(format!("the data set {name} is not known here"));
        };
        let place = match self.found.iter().position(|(found, _)| *found == name) {
            Some(place) => place,
            None => {
                let finder = match name {
                    DatasetName::Synthetic => Finder::new(Source::Synthetic),
                    DatasetName::FashionMnist => self.data.finder(),
                };
                let dataset = finder.find(self.progress).map_err(|error| error.to_string());
                let dataset = dataset.and_then(|dataset| match dataset.name == name {
                    true => Ok(dataset),
                    false => Err(format!("{name} was not found ({})", dataset.origin)),
                });
                self.found.push((name, dataset));
                self.found.len() - 1
            }
        };
        self.found[place].1.as_ref().map_err(Clone::clone)
    }
}

impl Run {
    /// Looks at images with the trained network: the mistakes, and feature maps of the `chosen` test images. What is
    /// missing for that is noted instead.
    pub async fn look(
        &mut self,
        device: &Device,
        library: &mut Library<'_>,
        chosen: &[usize],
    ) -> Result<(), tape::Error> {
        let values = match &self.weights {
            Ok(values) => values.clone(),
            Err(reason) => {
                self.pictures = Err(reason.clone());
                return Ok(());
            }
        };
        let Some(name) = self.dataset().map(str::to_owned) else {
            self.pictures = Err("which data the run was made with is not known without summary.json".to_owned());
            return Ok(());
        };
        self.pictures = match library.get(&name) {
            Ok(dataset) => {
                let model = Model::new(device, self.network.clone(), values)?;
                Ok(Pictures::take(device, &model, &self.recipe, dataset, None, chosen).await?)
            }
            Err(reason) => Err(format!("the images cannot be had: {reason}")),
        };
        Ok(())
    }
}

/// Writes the report of the runs that `args` name. Returned: where it lies, and what a person should know about it.
pub async fn report(
    device: &Device,
    args: &ReportArgs,
    mut runs: Vec<Run>,
    library: &mut Library<'_>,
) -> Result<(PathBuf, Vec<String>), ReportError> {
    let mut remarks = Vec::new();
    for run in &mut runs {
        run.look(device, library, &args.images).await?;
        remarks.extend(run.notes.iter().map(|note| format!("{}: {note}", run.name)));
        if let Err(reason) = &run.pictures {
            remarks.push(format!("{}: no mistakes and no feature maps: {reason}", run.name));
        }
    }
    let path = match (&args.out, args.runs.as_slice()) {
        (Some(path), _) => path.clone(),
        (None, [run]) => RunFolder::begun(run)?.report(),
        (None, _) => COMPARISON.into(),
    };
    write(&path, &page(&runs, "Runs compared")?)?;
    Ok((path, remarks))
}

/// Writes the report of a run that has just ended, from its folder and from what is on the device already.
pub async fn after_training(
    folder: &RunFolder,
    device: &Device,
    model: &Model,
    dataset: &Dataset,
    predictions: Predictions,
) -> Result<PathBuf, ReportError> {
    let mut run = Run::read(folder.path())?;
    run.pictures = Ok(Pictures::take(device, model, &run.recipe, dataset, Some(predictions), &[]).await?);
    let path = folder.report();
    write(&path, &page(&[run], "")?)?;
    Ok(path)
}

fn write(path: &Path, page: &str) -> Result<(), ReportError> {
    write_atomically(path, page.as_bytes(), Existing::Replace)
        .map_err(|error| ReportError::Unwritable { path: path.to_owned(), error })
}
