//! What `new-kernel` and `new-op` share: names, files that must not exist yet, lists kept in order.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What stands where a person has to write something. `cargo xtask validate` refuses shaders that contain it.
pub const FILL_IN: &str = "FILL IN";

/// Why nothing was created.
#[derive(Debug)]
pub enum ScaffoldError {
    /// A name that is none.
    Name {
        /// What was given.
        given: String,
        /// What it has to look like.
        expected: &'static str,
    },
    /// Something that must exist does not.
    Unknown {
        /// What was looked for.
        what: String,
        /// What there is: the one name that is like it, or all.
        known: Vec<String>,
        /// Whether it is the one.
        similar: bool,
    },
    /// Something that must not exist does.
    Exists {
        /// What.
        what: String,
    },
    /// A file does not look as expected.
    Shape {
        /// The file.
        path: PathBuf,
        /// What is not found in it.
        missing: String,
    },
    /// A file cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl ScaffoldError {
    /// Something of this `kind` does not exist; the one that takes at most two edits is suggested, else all are listed.
    pub fn unknown(kind: &str, given: &str, known: Vec<String>) -> Self {
        let what = format!("{kind} `{given}`");
        let edits = |name: &String| strsim::levenshtein(given, name);
        match known.iter().min_by_key(|name| edits(name)).filter(|name| edits(name) <= 2) {
            Some(name) => Self::Unknown { what, known: vec![name.clone()], similar: true },
            None => Self::Unknown { what, known, similar: false },
        }
    }
}

impl fmt::Display for ScaffoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { given, expected } => write!(f, "`{given}` is no {expected}"),
            Self::Unknown { what, known, similar: true } => {
                write!(f, "there is no {what}, did you mean `{}`?", known.join(", "))
            }
            Self::Unknown { what, known, .. } => write!(f, "there is no {what}; there are {}", known.join(", ")),
            Self::Exists { what } => write!(f, "{what} exists already; choose another name"),
            Self::Shape { path, missing } => {
                write!(f, "{} has no {missing}; add the new part by hand (docs/ADDING_A_KERNEL.md)", path.display())
            }
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for ScaffoldError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl ScaffoldError {
    /// Whether the person who gave the command can mend it by giving another.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Name { .. } | Self::Unknown { .. } | Self::Exists { .. })
    }
}

/// The changes of a command: written together at the end, so that a refusal leaves nothing behind.
#[derive(Debug, Default)]
pub struct Changes {
    files: Vec<(PathBuf, String)>,
}

impl Changes {
    /// A file with these contents, whether it exists or not.
    pub fn put(&mut self, path: &Path, text: String) {
        self.files.push((path.to_owned(), text));
    }

    /// Writes all of them below `root`; returned are their paths.
    pub fn write(self, root: &Path) -> Result<Vec<PathBuf>, ScaffoldError> {
        for (path, text) in &self.files {
            let full = root.join(path);
            let folder = full.parent().unwrap_or(root);
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(&full, text));
            written.map_err(|source| ScaffoldError::Io { path: path.clone(), source })?;
        }
        Ok(self.files.into_iter().map(|(path, _)| path).collect())
    }
}

/// The text of a file below `root`.
pub fn read(root: &Path, path: &Path) -> Result<String, ScaffoldError> {
    fs::read_to_string(root.join(path)).map_err(|source| ScaffoldError::Io { path: path.to_owned(), source })
}

/// True for `conv2d`, `split_k`: lower-case letters, digits and single underscores, a letter first; not for what ends like
/// the names that rows get by themselves when they store f16.
pub fn is_name(text: &str) -> bool {
    let stored = text.ends_with("_f16") || text.ends_with("_f16_x");
    !stored
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !text.ends_with('_')
        && !text.contains("__")
}

/// `conv2d_bias` as `Conv2dBias`.
pub fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    name.split('_').map(word).collect()
}

/// `text` with a line put in front of the first of its kind that sorts behind it, or else behind the last of its kind.
/// Lines are of one kind if they start and end alike. `None` if there is no such line.
pub fn insert_line(text: &str, start: &str, name: &str, end: &str) -> Option<String> {
    let of_kind = |line: &str| Some(line.strip_prefix(start)?.strip_suffix(end)?.to_owned());
    let lines: Vec<&str> = text.lines().collect();
    let kin = |(at, line): (usize, &&str)| Some((at, of_kind(line)?));
    let all: Vec<(usize, String)> = lines.iter().enumerate().filter_map(kin).collect();
    let behind = all.iter().find(|(_, other)| other.as_str() > name).map(|&(at, _)| at);
    let at = behind.or(all.last().map(|&(at, _)| at + 1))?;
    let new = format!("{start}{name}{end}");
    let all: Vec<&str> = lines[..at].iter().copied().chain([new.as_str()]).chain(lines[at..].iter().copied()).collect();
    Some(all.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_in_lower_case() {
        for name in ["relu", "conv2d", "split_k", "a"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Relu", "2d", "_x", "x_", "a__b", "a.b", "a-b", "größe", "a b", "../x"] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!((camel("relu"), camel("max_pool2d")), ("Relu".to_owned(), "MaxPool2d".to_owned()));
    }

    #[test]
    fn lines_are_inserted_in_order() {
        let list = "mod a;\nmod c;\n\npub use a;\n";
        let with = |name| insert_line(list, "mod ", name, ";").expect("a list");
        assert_eq!(with("b"), "mod a;\nmod b;\nmod c;\n\npub use a;\n");
        assert_eq!(with("d"), "mod a;\nmod c;\nmod d;\n\npub use a;\n");
        assert_eq!(insert_line(list, "use ", "b", ";"), None);
    }
}
