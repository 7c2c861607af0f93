//! What a run leaves on the disk while it trains.

use super::LoopState;
use crate::checkpoint::{Checkpoint, Identity, Names, Snapshot, Store};
use crate::metrics::{Journal, Record, Timing};
use std::path::PathBuf;

/// Where figures and checkpoints go.
#[derive(Debug)]
pub struct Records {
    journal: Journal,
    checkpoints: Option<(PathBuf, Store, Identity)>,
}

impl Records {
    /// Figures only, and no checkpoints.
    pub fn figures(journal: Journal) -> Self {
        Self { journal, checkpoints: None }
    }

    /// Figures, and checkpoints of the run in this folder.
    pub fn new(journal: Journal, run: PathBuf, store: Store, identity: Identity) -> Self {
        Self { journal, checkpoints: Some((run, store, identity)) }
    }

    /// The run's folder, if there are checkpoints to go on from.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.checkpoints.as_ref().map(|(run, ..)| run.clone())
    }

    pub(super) fn write(&mut self, state: &mut LoopState, record: &Record) -> anyhow::Result<()> {
        self.journal.metrics.write(record)?;
        state.metrics_bytes = self.journal.metrics.bytes();
        Ok(())
    }

    pub(super) fn write_timing(&mut self, timing: &Timing) -> anyhow::Result<()> {
        Ok(self.journal.timings.write(timing)?)
    }

    /// Writes a checkpoint under these names, if there are to be any.
    pub(crate) fn save(&mut self, snapshot: &Snapshot, names: Names) -> anyhow::Result<()> {
        let Some((_, store, identity)) = &mut self.checkpoints else { return Ok(()) };
        // The checkpoint says how long the file is.
        self.journal.metrics.sync()?;
        let checkpoint = Checkpoint { identity: identity.clone(), snapshot: snapshot.clone() };
        Ok(store.save(&checkpoint, names)?)
    }
}
