//! Fashion-MNIST: find, download, verify, decode, split.
//!
//! [`Finder`] looks for the four official files in this order and takes the first that answers:
//!
//! 1. the folder it is told to use ([`Source::Directory`]);
//! 2. the folder in the environment variable [`DIRECTORY_VARIABLE`];
//! 3. the cache folder (`$XDG_CACHE_HOME/selvedge/fashion-mnist/`);
//! 4. a download into that cache, from a list of mirrors;
//! 5. the procedural stand-in of [`synthetic()`], announced as such and named `synthetic` in the result.
//!
//! A folder somebody named (1 and 2) must hold good files: a missing or damaged one is an [`Error`], never a
//! reason to look elsewhere. Every file is checked against its size and sha256 in the [`Manifest`] before it is
//! decompressed, and no more than the expected bytes are ever decompressed.
//!
//! ```
//! use fashion_mnist::{DatasetName, Finder, Source};
//!
//! let finder = Finder::new(Source::Synthetic);
//! # let manifest = fashion_mnist::Manifest { train_count: 50, test_count: 10, ..finder.manifest };
//! # let finder = Finder { manifest, ..finder };
//! let dataset = finder.find(&mut |progress| eprintln!("{}/{}", progress.received, progress.total))?;
//! assert_eq!(dataset.name, DatasetName::Synthetic);
//! assert_eq!(dataset.train.images().len(), dataset.train.len() * 28 * 28);
//! # Ok::<(), fashion_mnist::Error>(())
//! ```

mod dataset;
mod download;
mod error;
mod find;
pub mod gzip;
pub mod idx;
mod manifest;
mod rng;
mod split;
mod synthetic;
mod verify;

pub use dataset::{CLASSES, Dataset, DatasetName, Origin, PIXELS, SIDE, Split};
pub use download::{Download, MIRRORS, Progress};
pub use error::{DownloadError, Error, FileProblem, GzipError, IdxError, MirrorError, MirrorFailure};
pub use find::{DIRECTORY_VARIABLE, Finder, STAND_IN_VARIABLE, Source};
pub use manifest::{FileSpec, Manifest};
pub use split::{SplitError, epoch_order, split_validation};
pub use synthetic::{STAND_IN_SEED, synthetic};
