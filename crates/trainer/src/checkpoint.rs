//! Checkpoints: everything that a run needs to go on as if it had never stopped, in one file.
//!
//! The file is safetensors, so other tools can open it. Tensors: parameters and running statistics under their names,
//! the optimiser's state under `<parameter>/<name>`, the sums kept on the device under `totals/<name>`. The metadata
//! holds the format's version, the recipe, what the run was on, the loop's state, the sha256 of every tensor, and a
//! digest of all of that.

mod format;
mod store;

pub use format::{VERSION, decode, encode};
pub use store::{Found, Names, Store};

use crate::train::LoopState;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A moment of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Of what run.
    pub identity: Identity,
    /// When, and what the host knew.
    pub snapshot: Snapshot,
}

/// What a run is, apart from how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The recipe as TOML.
    pub recipe: String,
    /// What it trains on.
    pub dataset: DatasetIdentity,
    /// Steps between log lines.
    pub log_every: Option<u64>,
    /// The adapter and its driver, for a person.
    pub adapter: String,
}

/// Which data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetIdentity {
    /// `fashion-mnist` or `synthetic`.
    pub name: String,
    /// Of all images and labels, in hexadecimal.
    pub sha256: String,
}

/// What a step leaves for the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// On the host.
    pub state: LoopState,
    /// On the device.
    pub tensors: Vec<Saved>,
}

/// A tensor's contents, in the layout of files.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Unique.
    pub name: String,
    /// Dimensions.
    pub dims: Vec<usize>,
    /// Elements, row-major.
    pub values: Vec<f32>,
}

impl Snapshot {
    /// Whether it holds neither NaN nor infinity.
    pub fn is_finite(&self) -> bool {
        self.tensors.iter().all(|tensor| tensor.values.iter().all(|value| value.is_finite()))
    }

    /// A tensor by its name.
    pub fn tensor(&self, name: &str) -> Option<&Saved> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Sets a tensor to zeros.
    pub fn clear(&mut self, name: &str) {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.name == name) {
            tensor.values.fill(0.0);
        }
    }
}

/// What is wrong with a checkpoint's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It is not safetensors, or cut off.
    #[error("not a valid safetensors file: {0}")]
    Format(String),
    /// It is safetensors, but something else.
    #[error("not a checkpoint: its metadata has no `{0}`")]
    NotACheckpoint(&'static str),
    /// Another version of the format.
    #[error("format {0}, but this version reads format {VERSION}; use the version of trainer that wrote it")]
    Version(String),
    /// The metadata is not what was written.
    #[error("its metadata was changed or damaged: the digest does not match")]
    Digest,
    /// A tensor is not what was written.
    #[error("tensor {0} was changed or damaged: its sha256 does not match")]
    Hash(String),
    /// A part of the metadata makes no sense.
    #[error("its {part} cannot be read: {message}")]
    Metadata {
        /// Which.
        part: &'static str,
        /// Why not.
        message: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor {0} holds values that are not finite")]
    NotFinite(String),
    /// A number of the loop's state is out of its range.
    #[error("its state is impossible: {0}")]
    State(String),
    /// Other tensors than this network and optimiser have.
    #[error("it does not fit the network and optimiser: {0}")]
    Tensors(String),
}

/// Why checkpoints cannot be written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A checkpoint cannot be written.
    #[error("cannot write checkpoint {}: {error}; older checkpoints are untouched", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// There is none.
    #[error("{} holds no checkpoint to go on from; begin another run with --out", folder.display())]
    None {
        /// The folder of the run.
        folder: PathBuf,
    },
    /// None of those that are there can be used.
    #[error("no checkpoint can be used: {}", Refusals(refused))]
    Invalid {
        /// Each with its reason.
        refused: Vec<Refused>,
    },
    /// The checkpoint of the best epoch cannot be used.
    #[error(
        "the weights of the best epoch, with which the run is to end, cannot be had: {refused}; begin another run with \
         --out, and with --set early_stopping.restore_best=false if the last epoch's weights will do"
    )]
    NoBest {
        /// With its reason.
        refused: Refused,
    },
    /// A checkpoint of another run.
    #[error("checkpoint {}: {what}", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
}

/// A checkpoint that was not used.
#[derive(Debug)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub reason: Reason,
}

/// Why a checkpoint was not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The operating system refused.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// Larger than a checkpoint of this run can be. It was not read.
    #[error("{bytes} bytes, but a checkpoint of this run has at most {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// Largest size.
        limit: u64,
    },
    /// Damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

struct Refusals<'a>(&'a [Refused]);

impl fmt::Display for Refusals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refused) in self.0.iter().enumerate() {
            write!(f, "{}{refused}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}
