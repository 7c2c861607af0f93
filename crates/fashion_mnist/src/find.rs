//! Where the data is looked for.

use std::env;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::dataset::{Dataset, DatasetName, Origin, Split};
use crate::download::{Download, Progress};
use crate::error::{DownloadError, Error, FileProblem};
use crate::manifest::{FileSpec, Manifest};
use crate::synthetic::{STAND_IN_SEED, synthetic};
use crate::verify;

/// The environment variable that names a folder with the four official files.
pub const DIRECTORY_VARIABLE: &str = "FASHION_MNIST_DIR";

/// The environment variable that makes the stand-in smaller, for quick trials: how many images to train on and to test
/// with, such as `200,100`.
pub const STAND_IN_VARIABLE: &str = "SELVEDGE_STAND_IN";

/// Where the data may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// `FASHION_MNIST_DIR` if set, else the cache, else a download, else the stand-in.
    #[default]
    Auto,
    /// This folder and nothing else (`--data-dir`).
    Directory(PathBuf),
    /// The procedural stand-in.
    Synthetic,
}

/// Finds the data. [`Finder::new`] gives the usual settings; the fields can be changed afterwards.
#[derive(Clone, Debug)]
pub struct Finder {
    /// Where the data may come from.
    pub source: Source,
    /// Never use the network.
    pub offline: bool,
    /// Whether [`Source::Auto`] may end at the stand-in. Without it, unavailable data is [`Error::Unavailable`].
    pub allow_stand_in: bool,
    /// The folder `FASHION_MNIST_DIR` names.
    pub environment_directory: Option<PathBuf>,
    /// What `SELVEDGE_STAND_IN` holds.
    pub stand_in_size: Option<String>,
    /// Where downloads are kept.
    pub cache_directory: Option<PathBuf>,
    /// Which files are expected.
    pub manifest: Manifest,
    /// Mirrors and time limits.
    pub download: Download,
}

impl Finder {
    /// The official files and mirrors, with the folders this environment names. An empty `FASHION_MNIST_DIR`
    /// counts as not set.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            offline: false,
            allow_stand_in: true,
            environment_directory: env::var_os(DIRECTORY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from),
            stand_in_size: env::var_os(STAND_IN_VARIABLE)
                .filter(|value| !value.is_empty())
                .map(|value| value.to_string_lossy().into_owned()),
            cache_directory: cache_directory(),
            manifest: Manifest::official(),
            download: Download::official(),
        }
    }

    /// Finds, verifies and decodes the data. `progress` hears of each piece of a download.
    ///
    /// # Errors
    /// [`Error::Directory`] if a folder that was named explicitly lacks a file or holds a damaged one;
    /// [`Error::StandInSize`] if the stand-in is used and cannot be of the size that was asked for. The other errors only
    /// if the stand-in is not allowed; otherwise they are logged as warnings, and their text is in [`Origin::StandIn`].
    pub fn find(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Dataset, Error> {
        match (&self.source, &self.environment_directory) {
            (Source::Synthetic, _) => self.stand_in("asked for".to_owned()),
            (Source::Directory(folder), _) => self.load_directory(folder, "--data-dir"),
            (Source::Auto, Some(folder)) => self.load_directory(folder, DIRECTORY_VARIABLE),
            (Source::Auto, None) => match self.load_cached(progress) {
                Err(error) if self.allow_stand_in => self.stand_in(error.to_string()),
                result => result,
            },
        }
    }

    fn load_directory(&self, folder: &Path, setting: &'static str) -> Result<Dataset, Error> {
        let load = |spec: &FileSpec, dims: &[u32]| {
            let path = folder.join(&spec.name);
            verify::load(&path, spec, dims).map_err(|problem| Error::Directory { setting, path, problem })
        };
        self.assemble(Origin::Directory(folder.to_owned()), load)
    }

    fn load_cached(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Dataset, Error> {
        let folder = self.cache_directory.as_deref().ok_or(Error::NoCacheFolder)?;
        let mut downloaded = false;
        let load = |spec: &FileSpec, dims: &[u32]| {
            let path = folder.join(&spec.name);
            let problem = match verify::load(&path, spec, dims) {
                Ok(elements) => return Ok(elements),
                Err(problem) => problem,
            };
            if !matches!(problem, FileProblem::Missing) {
                tracing::warn!("cached file {} is not used: {problem}", path.display());
            }
            let fetched =
                if self.offline { Err(DownloadError::Offline) } else { self.download.fetch(spec, folder, progress) };
            match fetched {
                Ok(()) => downloaded = true,
                Err(download) => {
                    return Err(Error::Unavailable { path, problem, download });
                }
            }
            // What is used is what lies in the cache, verified again.
            verify::load(&path, spec, dims).map_err(|problem| Error::Unavailable {
                path,
                problem,
                download: DownloadError::Changed,
            })
        };
        let mut dataset = self.assemble(Origin::Cache(folder.to_owned()), load)?;
        if downloaded {
            dataset.origin = Origin::Download(folder.to_owned());
        }
        Ok(dataset)
    }

    fn assemble(
        &self,
        origin: Origin,
        mut load: impl FnMut(&FileSpec, &[u32]) -> Result<Vec<u8>, Error>,
    ) -> Result<Dataset, Error> {
        let [train_labels, test_labels, test_images, train_images] = self.manifest.files();
        let train_labels = load(train_labels.0, &train_labels.1)?;
        let test_labels = load(test_labels.0, &test_labels.1)?;
        let test_images = load(test_images.0, &test_images.1)?;
        let train_images = load(train_images.0, &train_images.1)?;
        Ok(Dataset {
            name: DatasetName::FashionMnist,
            origin,
            train: Split::new(train_images, train_labels),
            test: Split::new(test_images, test_labels),
        })
    }

    fn stand_in(&self, mut reason: String) -> Result<Dataset, Error> {
        let all = [self.manifest.train_count, self.manifest.test_count];
        let [train, test] = match &self.stand_in_size {
            None => all,
            Some(given) => {
                let counts: Option<Vec<u32>> = given.split(',').map(|count| count.trim().parse().ok()).collect();
                match counts.as_deref() {
                    Some(&[train, test]) if (1..=all[0]).contains(&train) && (1..=all[1]).contains(&test) => {
                        [train, test]
                    }
                    _ => return Err(Error::StandInSize { given: given.clone() }),
                }
            }
        };
        if [train, test] != all {
            reason += &format!("; only {train} + {test} images ({STAND_IN_VARIABLE})");
        }
        tracing::warn!("using the synthetic stand-in, not Fashion-MNIST: {reason}");
        Ok(Dataset { origin: Origin::StandIn { reason }, ..synthetic(train, test, STAND_IN_SEED) })
    }
}

/// `$XDG_CACHE_HOME/selvedge/fashion-mnist`, or the platform's equivalent. A folder of its own, because MNIST's
/// files have the same names.
fn cache_directory() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("selvedge").join("fashion-mnist"))
}
