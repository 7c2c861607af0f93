//! The checkpoints of a run: `last`, `previous` and `best`, in `RUN/checkpoints`.

use super::format::{self, HEADER};
use super::{Checkpoint, CheckpointError, Damage, Reason, Refused, encode};
use crate::files::{Sibling, remove_leftovers, sync_folder};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const LAST: &str = "last.safetensors";
const PREVIOUS: &str = "previous.safetensors";
const BEST: &str = "best.safetensors";

/// Writes checkpoints and finds the newest that can be used.
#[derive(Debug)]
pub struct Store {
    run: PathBuf,
    folder: PathBuf,
    /// Whether `last` may become `previous`. A damaged one may not: `previous` is better.
    last_is_good: bool,
}

/// What a checkpoint is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `last`
    Last,
    /// `best`
    Best,
    /// Both.
    LastAndBest,
}

/// A checkpoint that can be used.
#[derive(Debug)]
pub struct Found {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its file.
    pub path: PathBuf,
    /// Newer ones that cannot be used.
    pub refused: Vec<Refused>,
}

impl Store {
    /// The name of the folder in a run's folder.
    pub const FOLDER: &str = "checkpoints";

    /// The checkpoints of a run. The folder is made if it is missing.
    pub fn create(run: &Path) -> Result<Self, CheckpointError> {
        let store = Self::of(run);
        match fs::create_dir_all(&store.folder) {
            Ok(()) => Ok(store),
            Err(error) => Err(CheckpointError::Unwritable { path: store.folder, error }),
        }
    }

    fn of(run: &Path) -> Self {
        Self { run: run.to_owned(), folder: run.join(Self::FOLDER), last_is_good: false }
    }

    /// Most bytes that a checkpoint of `values` numbers takes.
    pub fn largest(values: u64) -> u64 {
        values.saturating_mul(4).saturating_add(HEADER)
    }

    /// Bytes that a run's checkpoints take.
    pub fn bytes(run: &Path) -> u64 {
        let store = Self::of(run);
        let size = |name: &str| store.folder.join(name).metadata().map_or(0, |metadata| metadata.len());
        [LAST, PREVIOUS, BEST].into_iter().map(size).sum()
    }

    /// Whether a run has any.
    pub fn any(run: &Path) -> bool {
        let store = Self::of(run);
        [LAST, PREVIOUS, BEST].iter().any(|name| store.folder.join(name).is_file())
    }

    /// Whether a folder has more of a run than its first checkpoint.
    pub fn several(run: &Path) -> bool {
        let store = Self::of(run);
        [PREVIOUS, BEST].iter().any(|name| store.folder.join(name).symlink_metadata().is_ok())
    }

    /// Removes the first checkpoint of a run that was killed before it had a recipe.
    pub fn clear(&self) {
        // What cannot be removed cannot be replaced either, which saving will say.
        let _ = fs::remove_file(self.folder.join(LAST));
    }

    /// Writes a checkpoint. As `last` it makes the one before `previous`; at every moment one of the two is there and
    /// whole.
    pub fn save(&mut self, checkpoint: &Checkpoint, names: Names) -> Result<(), CheckpointError> {
        let (last, previous) = (self.folder.join(LAST), self.folder.join(PREVIOUS));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| CheckpointError::Unwritable { path, error }
        };
        let bytes = encode(checkpoint).map_err(failed(&last))?;
        // Before `last`, whose state says which epoch was the best: a run that ends between the two repeats the epoch
        // and writes the same file again, while a `last` ahead of its `best` could never be put right.
        if names != Names::Last {
            let path = self.folder.join(BEST);
            Sibling::write(&self.folder, &bytes).and_then(|new| new.replace(&path)).map_err(failed(&path))?;
            sync_folder(&self.folder);
        }
        if names != Names::Best {
            let new = Sibling::write(&self.folder, &bytes).map_err(failed(&last))?;
            if self.last_is_good {
                fs::rename(&last, &previous).map_err(failed(&previous))?;
            }
            new.replace(&last).map_err(failed(&last))?;
            self.last_is_good = true;
            sync_folder(&self.folder);
        }
        Ok(())
    }

    /// The newest checkpoint of a run that decodes and that `fits` accepts, `limit` bytes at most. Removes what an
    /// interrupted save left behind.
    pub fn load(
        run: &Path,
        limit: u64,
        fits: impl Fn(&Checkpoint) -> Result<(), Damage>,
    ) -> Result<(Self, Found), CheckpointError> {
        let mut store = Self::of(run);
        let mut refused = Vec::new();
        for name in [LAST, PREVIOUS, BEST] {
            let path = store.folder.join(name);
            match one(&path, limit, &fits) {
                Err(Reason::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(checkpoint) => {
                    store.last_is_good = name == LAST;
                    remove_leftovers(&store.folder);
                    return Ok((store, Found { checkpoint, path, refused }));
                }
                Err(reason) => refused.push(Refused { path, reason }),
            }
        }
        Err(match refused.is_empty() {
            true => CheckpointError::None { folder: store.run },
            false => CheckpointError::Invalid { refused },
        })
    }

    /// The checkpoint of a run's best epoch, `limit` bytes at most.
    pub fn best(
        run: &Path,
        limit: u64,
        fits: impl Fn(&Checkpoint) -> Result<(), Damage>,
    ) -> Result<Checkpoint, CheckpointError> {
        let path = Self::of(run).folder.join(BEST);
        one(&path, limit, &fits)
            .map_err(|reason| CheckpointError::NoBest { refused: Refused { path: path.clone(), reason } })
    }
}

/// One checkpoint that decodes and that `fits` accepts.
fn one(path: &Path, limit: u64, fits: &impl Fn(&Checkpoint) -> Result<(), Damage>) -> Result<Checkpoint, Reason> {
    match open(path) {
        Err(error) => Err(Reason::Unreadable(error)),
        Ok((_, bytes)) if bytes > limit => Err(Reason::TooLarge { bytes, limit }),
        Ok((file, bytes)) => format::read(file, bytes)
            .and_then(|checkpoint| fits(&checkpoint).map(|()| checkpoint))
            .map_err(Reason::Damaged),
    }
}

/// A file and its size.
fn open(path: &Path) -> io::Result<(File, u64)> {
    // Before it is opened: opening a pipe would wait for its writer.
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((File::open(path)?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::checkpoint;
    use super::*;
    use tempfile::TempDir;

    const LIMIT: u64 = 1 << 20;

    fn steps(run: &TempDir) -> Result<(String, u64, usize), CheckpointError> {
        let (_, found) = Store::load(run.path(), LIMIT, |_| Ok(()))?;
        let name = found.path.file_name().unwrap().to_str().unwrap().to_owned();
        Ok((name, found.checkpoint.snapshot.state.steps, found.refused.len()))
    }

    fn damage(run: &TempDir, name: &str) {
        let path = run.path().join(Store::FOLDER).join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes.truncate(middle);
        fs::write(&path, bytes).unwrap();
    }

    #[test]
    fn the_newest_that_can_be_used_is_loaded() {
        let run = tempfile::tempdir().unwrap();
        let mut store = Store::create(run.path()).unwrap();
        assert!(matches!(steps(&run), Err(CheckpointError::None { .. })));
        store.save(&checkpoint(1), Names::LastAndBest).unwrap();
        assert_eq!(steps(&run).unwrap(), (LAST.into(), 1, 0));
        store.save(&checkpoint(2), Names::Last).unwrap();
        store.save(&checkpoint(3), Names::Last).unwrap();
        assert_eq!(steps(&run).unwrap(), (LAST.into(), 3, 0));
        damage(&run, LAST);
        assert_eq!(steps(&run).unwrap(), (PREVIOUS.into(), 2, 1));

        // A damaged checkpoint does not push a good one out.
        let (mut store, _) = Store::load(run.path(), LIMIT, |_| Ok(())).unwrap();
        store.save(&checkpoint(4), Names::Last).unwrap();
        damage(&run, LAST);
        assert_eq!(steps(&run).unwrap(), (PREVIOUS.into(), 2, 1));
        damage(&run, PREVIOUS);
        assert_eq!(steps(&run).unwrap(), (BEST.into(), 1, 2));
        damage(&run, BEST);
        let error = steps(&run).unwrap_err();
        let text = error.to_string();
        assert!([LAST, PREVIOUS, BEST].iter().all(|name| text.contains(name)), "{text}");
    }

    #[test]
    fn a_save_cut_short_between_its_two_names_loses_nothing() {
        let run = tempfile::tempdir().unwrap();
        let mut store = Store::create(run.path()).unwrap();
        store.save(&checkpoint(1), Names::Last).unwrap();
        let folder = run.path().join(Store::FOLDER);
        fs::rename(folder.join(LAST), folder.join(PREVIOUS)).unwrap();
        fs::write(folder.join(".selvedge-1234.part"), b"half a checkpoint").unwrap();
        assert_eq!(steps(&run).unwrap(), (PREVIOUS.into(), 1, 0));
        let (mut store, _) = Store::load(run.path(), LIMIT, |_| Ok(())).unwrap();
        store.save(&checkpoint(2), Names::Last).unwrap();
        assert_eq!(steps(&run).unwrap(), (LAST.into(), 2, 0));
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2, "something was left behind");
    }

    #[test]
    fn what_does_not_fit_or_is_too_large_is_refused() {
        let run = tempfile::tempdir().unwrap();
        Store::create(run.path()).unwrap().save(&checkpoint(1), Names::Last).unwrap();
        let unfit = Store::load(run.path(), LIMIT, |_| Err(Damage::Tensors("no".into()))).unwrap_err();
        assert!(matches!(unfit, CheckpointError::Invalid { .. }), "{unfit}");
        let last = run.path().join(Store::FOLDER).join(LAST);
        File::create(&last).unwrap().set_len(1 << 40).unwrap();
        let huge = steps(&run).unwrap_err().to_string();
        assert!(huge.contains("1099511627776 bytes"), "{huge}");
        fs::remove_file(&last).unwrap();
        fs::create_dir(&last).unwrap();
        assert!(steps(&run).unwrap_err().to_string().contains("not a regular file"));
    }
}
