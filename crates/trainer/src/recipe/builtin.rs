//! The recipes that come with the program, and how a name or a path on the command line becomes a recipe.

use super::{Recipe, RecipeError};
use crate::similar::most_similar;
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A recipe that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// The report it is a system of.
    pub report: &'static str,
    text: Text,
}

#[derive(Clone, Copy, Debug)]
enum Text {
    File(&'static str),
    Grid(Point),
}

/// A point of R1's grid.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// Windows of 4, stride 3, padding 1, instead of 2, 2, 0.
    wide: bool,
    dropout: &'static str,
    batch_norm: bool,
}

/// Every recipe that comes with the program, by report.
pub const BUILT_IN: &[BuiltIn] = &[
    grid("r1-k2-d10-bn", false, "0.1", true),
    grid("r1-k2-d30-bn", false, "0.3", true),
    grid("r1-k2-d50-bn", false, "0.5", true),
    grid("r1-k2-d10", false, "0.1", false),
    grid("r1-k2-d30", false, "0.3", false),
    grid("r1-k2-d50", false, "0.5", false),
    grid("r1-k4-d10-bn", true, "0.1", true),
    grid("r1-k4-d30-bn", true, "0.3", true),
    grid("r1-k4-d50-bn", true, "0.5", true),
    grid("r1-k4-d10", true, "0.1", false),
    grid("r1-k4-d30", true, "0.3", false),
    grid("r1-k4-d50", true, "0.5", false),
    file("depth2", "R2", include_str!("../../recipes/depth2.toml")),
    file("depth3", "R2", include_str!("../../recipes/depth3.toml")),
    file("shallow1", "R3", include_str!("../../recipes/shallow1.toml")),
    file("shallow1-augmented", "R3", include_str!("../../recipes/shallow1-augmented.toml")),
    file("lenet5", "R3", include_str!("../../recipes/lenet5.toml")),
    file("deep4-valid", "R3", include_str!("../../recipes/deep4-valid.toml")),
    file("deep4-valid-augmented", "R3", include_str!("../../recipes/deep4-valid-augmented.toml")),
    file("deep4-same", "R3", include_str!("../../recipes/deep4-same.toml")),
    file("deep4-same-augmented", "R3", include_str!("../../recipes/deep4-same-augmented.toml")),
    file("r4-baseline", "R4", include_str!("../../recipes/r4-baseline.toml")),
    file("r4-better", "R4", include_str!("../../recipes/r4-better.toml")),
    file("lenet-variant", "R5", include_str!("../../recipes/lenet-variant.toml")),
    file("one-conv", "R5", include_str!("../../recipes/one-conv.toml")),
    file("svm-linear", "R5", include_str!("../../recipes/svm-linear.toml")),
    file("svm-rff", "R5", include_str!("../../recipes/svm-rff.toml")),
];

const fn file(name: &'static str, report: &'static str, text: &'static str) -> BuiltIn {
    BuiltIn { name, report, text: Text::File(text) }
}

const fn grid(name: &'static str, wide: bool, dropout: &'static str, batch_norm: bool) -> BuiltIn {
    BuiltIn { name, report: "R1", text: Text::Grid(Point { wide, dropout, batch_norm }) }
}

/// The recipe of the whole grid, with names in `@` for what differs.
const GRID: &str = include_str!("../../recipes/r1.toml.in");
/// What is reported, all of it about one point.
const GRID_BEST: &str = include_str!("../../recipes/r1-best.toml.in");
const GRID_BEST_NAME: &str = "r1-k2-d10-bn";

impl BuiltIn {
    /// The recipe file.
    pub fn text(&self) -> Cow<'static, str> {
        match self.text {
            Text::File(text) => text.into(),
            Text::Grid(point) => self.point(point).into(),
        }
    }

    fn point(&self, Point { wide, dropout, batch_norm }: Point) -> String {
        let (window, pooling) = if wide {
            ("kernel = 4, stride = 3, pad = 1", "average pooling 4, stride 3, padding 1")
        } else {
            ("kernel = 2", "average pooling 2")
        };
        let with_norm = if batch_norm { ", BatchNorm" } else { "" };
        let mut text = String::new();
        for line in GRID.lines() {
            match line.strip_suffix(" # if normalised") {
                Some(line) if batch_norm => text += line,
                Some(_) => continue,
                None => text += line,
            }
            text.push('\n');
        }
        for (name, value) in [
            ("@name@", self.name),
            ("@window@", window),
            ("@pooling@", pooling),
            ("@dropout@", dropout),
            ("@with_norm@", with_norm),
        ] {
            text = text.replace(name, value);
        }
        if self.name == GRID_BEST_NAME {
            text += "\n";
            text += GRID_BEST;
        }
        text
    }
}

/// Recipes are a few hundred bytes; whoever names a disk image gets an error, not a wait. Parsing takes memory many times
/// the size of its text, see also `MAX_TOKENS`.
const MAX_BYTES: u64 = 1 << 16;

impl Recipe {
    /// Reads a recipe that comes with the program.
    pub fn built_in(built_in: &BuiltIn) -> Result<Self, RecipeError> {
        Self::parse(&built_in.text(), &format!("{}.toml (built in)", built_in.name))
    }

    /// The recipe of this name, or in this file: whatever ends in `.toml` or has a folder is a file.
    pub fn find(name_or_path: &str) -> Result<Self, RecipeError> {
        if let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.name == name_or_path) {
            return Self::built_in(built_in);
        }
        let path = Path::new(name_or_path);
        if path.extension().is_some_and(|extension| extension == "toml") || path.components().count() > 1 {
            return Self::read(path);
        }
        Err(RecipeError::Unknown {
            name: name_or_path.to_owned(),
            suggestion: most_similar(name_or_path, BUILT_IN.iter().map(|built_in| built_in.name)),
        })
    }

    /// Reads a recipe file.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        Self::parse(&Self::read_text(path)?, &path.display().to_string())
    }

    /// The text of a file that is as small as recipes and sweeps are.
    pub(crate) fn read_text(path: &Path) -> Result<String, RecipeError> {
        let unreadable = |error| RecipeError::Unreadable { path: PathBuf::from(path), error };
        let mut text = String::new();
        // Before it is opened: opening a pipe would wait for its writer.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(unreadable(std::io::Error::other("not a regular file")));
        }
        let file = File::open(path).map_err(unreadable)?;
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if read as u64 > MAX_BYTES {
            let error = std::io::Error::other(format!("larger than {MAX_BYTES} bytes, this is no recipe or sweep"));
            return Err(unreadable(error));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_recipes_are_good_and_named_as_listed() {
        for built_in in BUILT_IN {
            assert_eq!(Recipe::find(built_in.name).unwrap().name, built_in.name);
        }
    }

    #[test]
    fn an_unknown_name_is_met_with_the_known_ones() {
        let error = Recipe::find("lenet").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no recipe `lenet`, did you mean `lenet5`?; `trainer list` shows the built-in ones; \
             give your own as a path that ends in .toml"
        );
        assert!(!Recipe::find("resnet50").unwrap_err().to_string().contains("did you mean"));
        assert!(Recipe::find("").is_err());
    }

    #[test]
    fn files_are_named_by_their_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let name = path.to_str().unwrap();
        assert!(matches!(Recipe::find(name), Err(RecipeError::Unreadable { .. })));
        std::fs::write(&path, Recipe::find("depth3").unwrap().to_toml().unwrap()).unwrap();
        assert_eq!(Recipe::find(name).unwrap(), Recipe::find("depth3").unwrap());
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(Recipe::find(name), Err(RecipeError::Unreadable { .. })));
        std::fs::write(&path, vec![b'#'; 1 << 21]).unwrap();
        assert!(Recipe::find(name).unwrap_err().to_string().contains("larger than"));
        assert!(matches!(Recipe::read(folder.path()), Err(RecipeError::Unreadable { .. })));
    }
}
