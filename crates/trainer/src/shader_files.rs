//! Shaders as files: those of the checkout around the current folder, and whether they are what this program was built from.

use kernels::{Row, Source};
use std::env;
use std::path::{Path, PathBuf};

/// Where the shaders come from that a command does not read from files.
pub const COMPILED_IN: &str = "compiled into this program";

/// `shaders` of the innermost folder, from here upwards, that has this row's own file.
pub fn folder(row: &dyn Row) -> Option<PathBuf> {
    let here = env::current_dir().ok()?;
    let mut folders = here.ancestors().map(|folder| folder.join("shaders"));
    folders.find(|folder| folder.join(row.source().path).is_file())
}

/// A path as a person in the current folder would write it.
pub fn from_here(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// A file that is not what this program was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The file.
    pub file: String,
    /// The first of the chosen rows that has it.
    pub row: &'static str,
}

impl Changed {
    /// What a person should know and can do.
    pub fn advice(&self) -> String {
        let Self { file, row } = self;
        format!(
            "{file} differs from the shader {COMPILED_IN}, which is the one that counts here; `cargo build --release -p trainer` \
             compiles the file in, `trainer kernels watch {row} --once` checks it as it is"
        )
    }
}

/// The files of these rows, shared modules included, whose text is not the one compiled in. Files that cannot be read and
/// files outside of a checkout are none of them.
pub fn changed(rows: &[&'static dyn Row]) -> Vec<Changed> {
    let mut changed: Vec<Changed> = Vec::new();
    for row in rows {
        let Some(folder) = folder(*row) else { continue };
        let differs = |source: &Source| {
            let path = folder.join(source.path);
            let text = std::fs::read_to_string(&path).ok()?;
            (text != source.text).then(|| from_here(&path))
        };
        for file in std::iter::once(&row.source()).chain(row.shared()).filter_map(differs) {
            if !changed.iter().any(|known| known.file == file) {
                changed.push(Changed { file, row: row.id() });
            }
        }
    }
    changed
}
