//! The folder a run leaves behind.

use crate::checkpoint::Store;
use crate::files::{Existing, remove_leftovers, write_atomically};
use crate::metrics::Journal;
use crate::recipe::{Recipe, RecipeError};
use crate::summary::Summary;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const CONFIG: &str = "config.toml";
const WEIGHTS: &str = "model.safetensors";
const SUMMARY: &str = "summary.json";
const LOCK: &str = ".lock";
const REPORT: &str = "report.html";

/// Bytes that no summary comes near.
const MAX_SUMMARY: u64 = 1 << 20;

/// A folder that holds a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFolderError {
    /// The folder holds a run already.
    #[error("{} already holds a run ({file}); name another folder with --out", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What was found there.
        file: &'static str,
    },
    /// The folder holds a run that can go on.
    #[error(
        "{0} holds an unfinished run; go on with it: trainer train --resume {0}; or name another folder with --out",
        path.display()
    )]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains there.
    #[error("{} is in use: another process trains there", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The disk is too full.
    #[error("{}: {free} bytes are free, but the run takes about {needed} with its checkpoints", path.display())]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that checkpoints and weights take.
        needed: u64,
    },
    /// No folder can be made there.
    #[error("{}: no run folder can be made there: {error}; name another with --out", path.display())]
    Uncreatable {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The path is a file.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// There is no such folder.
    #[error("there is no run folder {}", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The folder holds no run.
    #[error("{} holds no run: {file} is missing{}", path.display(), cure(path, file))]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        file: &'static str,
    },
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// How a folder comes to what is missing.
fn cure(path: &Path, file: &str) -> String {
    match file {
        WEIGHTS => format!("; trainer train --resume {} trains to the end and writes it", path.display()),
        CONFIG if Store::any(path) => {
            "; its checkpoints keep the recipe in their header, as `recipe`: write that to config.toml".to_owned()
        }
        _ => String::new(),
    }
}

/// Keeps other processes from training in the same folder. Ends with this value, or with the process.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "closing the file ends the lock")] Option<File>);

impl RunFolder {
    /// A new folder, locked: `out`, or one below `runs` in the working folder named after recipe and time. It holds no
    /// run before [`RunFolder::write_config`].
    pub fn create(out: Option<&Path>, recipe: &Recipe, now: SystemTime) -> Result<(Self, RunLock), RunFolderError> {
        let folder = match out {
            Some(path) => Self::prepare(path)?,
            None => Self::create_below(Path::new("runs"), &format!("{}-{}", recipe.name, timestamp(now)))?,
        };
        let lock = folder.lock()?;
        // Another run may have come first.
        Self::vacant(&folder.path)?;
        Ok((folder, lock))
    }

    /// Writes the recipe, which makes the folder one that holds a run.
    pub fn write_config(&self, recipe: &Recipe, existing: Existing) -> Result<(), RunFolderError> {
        let path = self.file(CONFIG);
        let text = recipe.to_toml().map_err(io::Error::other);
        match text.and_then(|text| write_atomically(&path, text.as_bytes(), existing)) {
            Ok(()) => Ok(()),
            // Another run came first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(RunFolderError::Occupied { path: self.path.clone(), file: CONFIG })
            }
            Err(error) => Err(RunFolderError::Io { path, error }),
        }
    }

    /// Takes back what [`RunFolder::create`] and the first checkpoint left, as far as it is empty or theirs: there is
    /// no run after all.
    pub fn abandon(&self) {
        // Whatever cannot be removed does no harm: without the recipe the folder counts as vacant.
        let _ = fs::remove_file(self.file(LOCK));
        let _ = fs::remove_dir(self.file(Store::FOLDER));
        let _ = fs::remove_dir(&self.path);
    }

    fn lock(&self) -> Result<RunLock, RunFolderError> {
        let path = self.file(LOCK);
        if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
            // Opening a pipe would wait for its other end.
            let error = io::Error::new(io::ErrorKind::InvalidInput, "is not a file");
            return Err(RunFolderError::Io { path, error });
        }
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| RunFolderError::Io { path, error })?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock(Some(file))),
            Err(TryLockError::WouldBlock) => Err(RunFolderError::Busy { path: self.path.clone() }),
            // Some file systems have no locks.
            Err(TryLockError::Error(_)) => Ok(RunLock(None)),
        }
    }

    /// Bytes that checkpoints and weights take already.
    pub fn kept(&self) -> u64 {
        Store::bytes(&self.path) + self.weights().metadata().map_or(0, |metadata| metadata.len())
    }

    /// Refuses a disk with less room than so many bytes.
    pub fn require_room(&self, needed: u64) -> Result<(), RunFolderError> {
        match fs4::available_space(&self.path) {
            Ok(free) if free < needed => Err(RunFolderError::NoRoom { path: self.path.clone(), free, needed }),
            // Where it cannot be known, writing will show.
            _ => Ok(()),
        }
    }

    /// `path` as a folder without a run.
    fn prepare(path: &Path) -> Result<Self, RunFolderError> {
        Self::vacant(path)?;
        fs::create_dir_all(path).map_err(|error| RunFolderError::Uncreatable { path: path.to_owned(), error })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Refuses a file, and a folder that holds a run. Writes nothing.
    pub fn vacant(path: &Path) -> Result<(), RunFolderError> {
        let folder = Self { path: path.to_owned() };
        if path.symlink_metadata().is_ok() && !path.is_dir() {
            return Err(RunFolderError::NotAFolder { path: folder.path });
        }
        // A link that leads nowhere is occupied, too.
        let there = |file: &&str| folder.file(file).symlink_metadata().is_ok();
        let files = [CONFIG, Journal::METRICS, Journal::TIMINGS, WEIGHTS, SUMMARY, REPORT];
        let is = |file: &str, kind: fn(&fs::Metadata) -> bool| {
            folder.file(file).symlink_metadata().map_or(true, |metadata| kind(&metadata))
        };
        match files.into_iter().find(there) {
            None if !is(LOCK, fs::Metadata::is_file) => Err(RunFolderError::Occupied { path: folder.path, file: LOCK }),
            // One checkpoint alone is what a run leaves that is killed before it has a recipe.
            None if !is(Store::FOLDER, fs::Metadata::is_dir) || Store::several(path) => {
                Err(RunFolderError::Occupied { path: folder.path, file: Store::FOLDER })
            }
            None => Ok(()),
            Some(CONFIG) if !there(&SUMMARY) && Store::any(path) => {
                Err(RunFolderError::Unfinished { path: folder.path })
            }
            Some(file) => Err(RunFolderError::Occupied { path: folder.path, file }),
        }
    }

    /// Refuses a place where no folder can be made, or written to if it is there; by default the one below `runs`. Leaves
    /// nothing behind.
    pub fn creatable(out: Option<&Path>) -> Result<(), RunFolderError> {
        let path = out.unwrap_or(Path::new("runs"));
        let there = |path: &&Path| path.as_os_str().is_empty() || path.symlink_metadata().is_ok();
        let Some(nearest) = path.ancestors().find(there) else { return Ok(()) };
        let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
        if !nearest.is_dir() {
            return Err(RunFolderError::NotAFolder { path: nearest.to_owned() });
        }
        let probe = nearest.join(format!(".selvedge-{}.probe", std::process::id()));
        match fs::create_dir(&probe) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(RunFolderError::Uncreatable { path: path.to_owned(), error })
            }
            _ => {
                let _ = fs::remove_dir(probe);
                Ok(())
            }
        }
    }

    /// A folder that did not exist before, numbered if runs start in the same second.
    fn create_below(parent: &Path, name: &str) -> Result<Self, RunFolderError> {
        let failed = |path: &Path, error| RunFolderError::Uncreatable { path: path.to_owned(), error };
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        for number in 1.. {
            let path = parent.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
        Err(failed(parent, io::ErrorKind::AlreadyExists.into()))
    }

    /// The folder of a finished run.
    pub fn open(path: &Path) -> Result<Self, RunFolderError> {
        Self::with(path, &[CONFIG, WEIGHTS])
    }

    /// Whether a run was begun in this folder.
    pub fn holds_config(path: &Path) -> bool {
        path.join(CONFIG).is_file()
    }

    /// The folder of a run that may be unfinished. Changes nothing.
    pub fn begun(path: &Path) -> Result<Self, RunFolderError> {
        Self::with(path, &[CONFIG])
    }

    /// The folder of a run that may be unfinished, locked. What an interrupted write left behind is removed.
    pub fn resume(path: &Path) -> Result<(Self, RunLock), RunFolderError> {
        let folder = Self::with(path, &[CONFIG])?;
        let lock = folder.lock()?;
        remove_leftovers(path);
        Ok((folder, lock))
    }

    /// A folder with these files.
    fn with(path: &Path, files: &[&'static str]) -> Result<Self, RunFolderError> {
        let folder = Self { path: path.to_owned() };
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RunFolderError::Missing { path: folder.path });
            }
            Err(error) => return Err(RunFolderError::Io { path: folder.path, error }),
            Ok(metadata) if !metadata.is_dir() => return Err(RunFolderError::NotAFolder { path: folder.path }),
            Ok(_) => {}
        }
        for &file in files {
            if !folder.file(file).is_file() {
                return Err(RunFolderError::NoRun { path: folder.path, file });
            }
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe as it ran.
    pub fn recipe(&self) -> Result<Recipe, RecipeError> {
        Recipe::read(&self.file(CONFIG))
    }

    /// Where the trained weights are, or are to be written.
    pub fn weights(&self) -> PathBuf {
        self.file(WEIGHTS)
    }

    /// Where the recipe is.
    pub fn config(&self) -> PathBuf {
        self.file(CONFIG)
    }

    /// Where the outcome is, or is to be written.
    pub fn summary_file(&self) -> PathBuf {
        self.file(SUMMARY)
    }

    /// Where the report is, or is to be written.
    pub fn report(&self) -> PathBuf {
        self.file(REPORT)
    }

    /// The summary of a finished run. `None` where there is none that can be read.
    pub fn summary(&self) -> Option<Summary> {
        let path = self.file(SUMMARY);
        let sane = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_SUMMARY);
        if sane { serde_json::from_slice(&fs::read(path).ok()?).ok() } else { None }
    }

    /// Writes `summary.json`.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), RunFolderError> {
        let path = self.file(SUMMARY);
        let text = serde_json::to_string_pretty(summary).map_err(io::Error::other);
        text.and_then(|text| write_atomically(&path, (text + "\n").as_bytes(), Existing::Replace))
            .map_err(|error| RunFolderError::Io { path, error })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// UTC as `20261121T025401Z`.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March, so that leap days come last. 400 years have 146,097 days.
    // https://howardhinnant.github.io/date_algorithms.html
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::summary;
    use std::time::Duration;

    fn recipe() -> Recipe {
        Recipe::find("depth2").unwrap()
    }

    #[test]
    fn a_run_folder_holds_what_was_put_there() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("deep/run");
        let (run, _lock) = RunFolder::create(Some(&path), &recipe(), UNIX_EPOCH).unwrap();
        assert!(matches!(RunFolder::resume(&path), Err(RunFolderError::NoRun { file: CONFIG, .. })));
        run.write_config(&recipe(), Existing::Keep).unwrap();
        assert_eq!(run.recipe().unwrap(), recipe());
        assert!(matches!(RunFolder::resume(&path), Err(RunFolderError::Busy { .. })));
        assert_eq!(run.summary(), None);
        run.write_summary(&summary()).unwrap();
        run.write_summary(&summary()).unwrap();
        let text = fs::read_to_string(path.join("summary.json")).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary());
        assert_eq!(run.summary(), Some(summary()));

        assert!(matches!(RunFolder::open(&path), Err(RunFolderError::NoRun { file: WEIGHTS, .. })));
        fs::write(run.weights(), b"").unwrap();
        assert_eq!(RunFolder::open(&path).unwrap(), run);
    }

    #[test]
    fn a_run_is_never_written_over() {
        let scratch = tempfile::tempdir().unwrap();
        let create = || RunFolder::create(Some(scratch.path()), &recipe(), UNIX_EPOCH).map(|(folder, _)| folder);
        for file in [CONFIG, Journal::METRICS, Journal::TIMINGS, WEIGHTS, SUMMARY, REPORT, Store::FOLDER] {
            let path = scratch.path().join(file);
            fs::write(&path, b"").unwrap();
            assert!(matches!(create(), Err(RunFolderError::Occupied { file: found, .. }) if found == file));
            fs::remove_file(path).unwrap();
        }
        fs::write(scratch.path().join("notes.txt"), b"").unwrap();
        // A first checkpoint without a recipe is nobody's run, more of them are.
        let checkpoints = scratch.path().join(Store::FOLDER);
        fs::create_dir(&checkpoints).unwrap();
        for (file, vacant) in [("last.safetensors", true), ("best.safetensors", false)] {
            fs::write(checkpoints.join(file), b"").unwrap();
            assert_eq!(create().is_ok(), vacant, "{file}");
        }
        fs::remove_dir_all(checkpoints).unwrap();
        fs::remove_file(scratch.path().join(LOCK)).unwrap();
        fs::create_dir(scratch.path().join(LOCK)).unwrap();
        assert!(matches!(create(), Err(RunFolderError::Occupied { file: LOCK, .. })));
        fs::remove_dir(scratch.path().join(LOCK)).unwrap();
        create().unwrap().write_config(&recipe(), Existing::Keep).unwrap();
        assert!(matches!(create(), Err(RunFolderError::Occupied { file: CONFIG, .. })));
        fs::create_dir(scratch.path().join("checkpoints")).unwrap();
        fs::write(scratch.path().join("checkpoints/previous.safetensors"), b"").unwrap();
        assert!(matches!(create(), Err(RunFolderError::Unfinished { .. })));
        fs::write(scratch.path().join(SUMMARY), b"").unwrap();
        assert!(matches!(create(), Err(RunFolderError::Occupied { file: CONFIG, .. })));
    }

    #[test]
    fn only_one_trains_in_a_folder() {
        let scratch = tempfile::tempdir().unwrap();
        let create = || RunFolder::create(Some(scratch.path()), &recipe(), UNIX_EPOCH);
        let first = create().unwrap();
        assert!(matches!(create(), Err(RunFolderError::Busy { .. })));
        drop(first);
        create().unwrap();
    }

    #[test]
    fn too_little_room_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let (run, _lock) = RunFolder::create(Some(scratch.path()), &recipe(), UNIX_EPOCH).unwrap();
        run.require_room(0).unwrap();
        assert!(matches!(run.require_room(u64::MAX), Err(RunFolderError::NoRoom { .. })));
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let created = RunFolder::create(Some(file.path()), &recipe(), UNIX_EPOCH);
        assert!(matches!(created, Err(RunFolderError::NotAFolder { .. })));
        assert!(matches!(RunFolder::open(file.path()), Err(RunFolderError::NotAFolder { .. })));
        assert!(matches!(RunFolder::open(&file.path().join("x")), Err(RunFolderError::Io { .. })));
        let below = RunFolder::create(Some(&file.path().join("x")), &recipe(), UNIX_EPOCH);
        assert!(matches!(below, Err(RunFolderError::Uncreatable { .. })));
    }

    #[test]
    fn runs_of_the_same_second_get_folders_of_their_own() {
        let scratch = tempfile::tempdir().unwrap();
        let name = |_| RunFolder::create_below(scratch.path(), "r").unwrap().path.file_name().unwrap().to_owned();
        assert_eq!([0; 3].map(name), ["r", "r-2", "r-3"]);
    }

    #[test]
    fn times_are_utc() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_767_225_599, "20251231T235959Z"),
            (1_767_225_600, "20260101T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "19700101T000000Z");
    }
}
