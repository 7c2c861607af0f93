//! Kernels with planted bugs: the patches of `tests/broken`.
//!
//! `<row id>--<bug>.patch` is a unified diff against one file of `shaders/`, below two lines that
//! say what is planted and which checks may find it:
//!
//! ```text
//! Planted: the last column of a tile is not stored
//! Caught by: unwritten
//! ```
//!
//! Line numbers are not looked at. A hunk stands where its lines do, which must be in one place.

use crate::altered::Altered;
use kernels::{Row, Source};
use std::path::Path;

/// One planted bug.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The file's name without its ending: the row's id, `--`, the bug.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// Any of these may find it first.
    pub caught_by: Vec<String>,
    /// The row it is planted in.
    pub row: &'static dyn Row,
    /// The file it is planted in.
    pub file: Source,
    /// That file's text with the bug.
    pub text: String,
    /// Lines taken out and put in.
    pub lines: usize,
}

impl Planted {
    /// All of `tests/broken`, or what is wrong with one of them.
    pub fn all() -> Result<Vec<Self>, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("broken");
        let entries = folder.read_dir().map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let read = |path: &Path| {
            let name = path.file_name().unwrap_or_default().display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
            Self::parse(&name, &text).map_err(|error| format!("tests/broken/{name}: {error}"))
        };
        paths.iter().map(|path| read(path)).collect()
    }

    fn parse(name: &str, patch: &str) -> Result<Self, String> {
        let name = name.strip_suffix(".patch").ok_or("is no .patch")?;
        let (id, _) = name.split_once("--").ok_or("is not called <row id>--<bug>.patch")?;
        let row = kernels::ops::all().iter().find(|row| row.id() == id).ok_or("no such row")?;
        let line = |start: &str| patch.lines().find_map(|line| line.strip_prefix(start));
        let what = line("Planted: ").ok_or("no line `Planted: `")?.to_owned();
        let caught_by = line("Caught by: ").ok_or("no line `Caught by: `")?;
        let path = line("--- a/shaders/").ok_or("no line `--- a/shaders/`")?;
        let mut files = row.shared().iter().copied().chain([row.source()]);
        let file = files.find(|file| file.path == path).ok_or("the row does not use that file")?;
        let (text, lines) = apply(patch, file.text)?;
        let caught_by = caught_by.split(", ").map(str::to_owned).collect();
        Ok(Self { name: name.to_owned(), what, caught_by, row: &**row, file, text, lines })
    }

    /// The row with the bug, under the patch's name.
    pub fn altered(&self) -> Altered {
        Altered::new(self.row).text(&self.name, self.file.path, &self.text)
    }
}

/// Applies the hunks of a unified diff to `text`. Returns what comes out and how many lines change.
fn apply(patch: &str, text: &str) -> Result<(String, usize), String> {
    // Whole lines: a hunk starts and ends at a line break.
    let mut text = format!("\n{text}");
    let mut changed = 0;
    let (_, hunks) = patch.split_once("\n@@").ok_or("no hunk")?;
    for hunk in hunks.split("\n@@") {
        let [mut before, mut after] = ["\n".to_owned(), "\n".to_owned()];
        for line in hunk.lines().skip(1) {
            let (mark, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
            let (keep, add) = match mark {
                " " => (true, true),
                "-" => (true, false),
                "+" => (false, true),
                _ => return Err(format!("not a line of a hunk: {line}")),
            };
            if keep {
                before = before + rest + "\n";
            }
            if add {
                after = after + rest + "\n";
            }
            changed += usize::from(keep != add);
        }
        match text.matches(&before).count() {
            1 => text = text.replace(&before, &after),
            places => return Err(format!("a hunk fits {places} places:{before}")),
        }
    }
    Ok((text.split_off(1), changed))
}

#[cfg(test)]
mod tests {
    use super::apply;

    const TEXT: &str = "one\ntwo\nthree\ntwo\n";

    #[test]
    fn hunks_go_where_their_lines_are() {
        let patch = "Planted: x\n--- a/f\n+++ b/f\n@@ -9,2 +9,2 @@\n three\n-two\n+four\n@@ -1 +1,2 @@\n one\n+more\n";
        assert_eq!(apply(patch, TEXT), Ok(("one\nmore\ntwo\nthree\nfour\n".to_owned(), 3)));
    }

    #[test]
    fn hunks_that_fit_nowhere_or_twice_are_refused() {
        let fits = |hunk: &str| {
            apply(&format!("--- a/f\n+++ b/f\n@@ @@\n{hunk}"), TEXT).map_err(|error| error[..15].to_owned())
        };
        assert_eq!(fits("-two\n"), Err("a hunk fits 2 p".into()));
        assert_eq!(fits(" two\n-two\n"), Err("a hunk fits 0 p".into()));
        // A part of a line is no line.
        assert_eq!(fits("-hree\n"), Err("a hunk fits 0 p".into()));
        assert_eq!(fits("*two\n"), Err("not a line of a".into()));
        assert!(apply("--- a/f\n", TEXT).is_err());
    }
}
