//! The recipes that come with the program, and how a name or a path on the command line becomes a recipe.

use super::{Recipe, RecipeError};
use crate::similar::most_similar;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A recipe that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    text: &'static str,
}

/// Every recipe that comes with the program.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn { name: "lenet5", text: include_str!("../../recipes/lenet5.toml") },
    BuiltIn { name: "depth2", text: include_str!("../../recipes/depth2.toml") },
    BuiltIn { name: "depth3", text: include_str!("../../recipes/depth3.toml") },
];

/// Recipes are a few hundred bytes; whoever names a disk image gets an error, not a wait. Parsing takes memory many times
/// the size of its text, see also `MAX_TOKENS`.
const MAX_BYTES: u64 = 1 << 16;

impl Recipe {
    /// Reads a recipe that comes with the program.
    pub fn built_in(built_in: &BuiltIn) -> Result<Self, RecipeError> {
        Self::parse(built_in.text, &format!("{}.toml (built in)", built_in.name))
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
            known: BUILT_IN.iter().map(|built_in| built_in.name).collect::<Vec<_>>().join(", "),
        })
    }

    /// Reads a recipe file.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let unreadable = |error| RecipeError::Unreadable { path: PathBuf::from(path), error };
        let mut text = String::new();
        // Before it is opened: opening a pipe would wait for its writer.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(unreadable(std::io::Error::other("not a regular file")));
        }
        let file = File::open(path).map_err(unreadable)?;
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if read as u64 > MAX_BYTES {
            let error = std::io::Error::other(format!("larger than {MAX_BYTES} bytes, this is no recipe"));
            return Err(unreadable(error));
        }
        Self::parse(&text, &path.display().to_string())
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
            "there is no recipe `lenet`, did you mean `lenet5`?; the built-in ones are lenet5, depth2, depth3; \
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
