//! Writing files so that a reader sees the old contents or the new, never half of either.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// What to do with a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Replace it.
    Replace,
    /// Leave it and fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
}

/// Writes a sibling file, syncs it, gives it its name. A link is followed; what is no regular file is not replaced.
pub fn write_atomically(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let target = match (existing, path.metadata()) {
        (Existing::Replace, Ok(metadata)) if !metadata.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file; name another"));
        }
        (Existing::Replace, Ok(_)) => path.canonicalize()?,
        _ => path.to_owned(),
    };
    let path = target.as_path();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = Sibling::write(folder, bytes)?;
    match existing {
        Existing::Replace => file.replace(path)?,
        Existing::Keep => file.0.persist_noclobber(path).map(drop)?,
    }
    sync_folder(folder);
    Ok(())
}

const PREFIX: &str = ".selvedge-";
const SUFFIX: &str = ".part";

/// A file without its name yet, whole and on the disk. It goes with this value unless it is given its name.
#[derive(Debug)]
pub struct Sibling(NamedTempFile);

impl Sibling {
    /// Writes and syncs a file in the folder that it is to stay in.
    pub fn write(folder: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        // Temporary files are private by default; this one is to become an ordinary file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder).map_err(nameless)?;
        file.as_file_mut().write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(Self(file))
    }

    /// Gives it its name, in place of what has it.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        Ok(self.0.persist(path).map(drop)?)
    }
}

/// The same error without the path of the temporary file, which means nothing to whoever reads it.
fn nameless(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() { error } else { error.kind().into() }
}

/// Makes names last: they are part of the folder. Where folders cannot be synced, there is nothing more to do.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Removes files that never got their names because their writer was killed.
pub fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            // Room is all that is lost if it stays.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_and_folders_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomically(&link, b"new", Existing::Replace).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        for path in [folder.path(), Path::new("/dev/null")] {
            let error = write_atomically(path, b"new", Existing::Replace).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn replaces_or_keeps_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, b"one", Existing::Keep).unwrap();
        let kept = write_atomically(&path, b"two", Existing::Keep).unwrap_err();
        assert_eq!(kept.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_atomically(&path, b"two", Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn files_can_be_read_by_others_as_usual() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        fs::write(folder.path().join("plain"), b"").unwrap();
        write_atomically(&folder.path().join("atomic"), b"", Existing::Keep).unwrap();
        assert_eq!(mode("atomic"), mode("plain"));
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("no/file"), b"", Existing::Replace).unwrap_err();
        assert!(!error.to_string().contains(PREFIX), "{error}");
    }
}
