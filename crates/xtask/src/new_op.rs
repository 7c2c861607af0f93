//! `cargo xtask new-op`: an operation to start from.
//!
//! It is `relu` under a new name in the three places of an operation and in every list that names operations, so that it builds and
//! runs before the first change; what only a person can write is marked or asked for by the tests.

use std::fs;
use std::path::{Path, PathBuf};

use crate::scaffold::{Changes, FILL_IN, ScaffoldError, camel, insert_line, is_name, read};

/// The operation that is copied: the simplest that has an input, an output and a gradient.
const MODEL: &str = "relu";

/// Where the operations are listed for the tests of random shapes.
const RANDOM_SHAPES: &str = "tests/tests/random_shapes.rs";

/// What no module can be called; `mod` is a file's name besides.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if \
                        impl in let loop macro match move mut override priv pub ref return self static struct super trait true try \
                        type typeof unsafe unsized use virtual where while yield";

/// Adds the operation `name` to a checkout; returned are the files created and changed.
pub fn create(root: &Path, name: &str) -> Result<Vec<PathBuf>, ScaffoldError> {
    if !is_name(name) {
        let expected = "name of an operation: expected lower case letters, digits and underscores, not _f16 at the end, such as leaky_relu";
        return Err(ScaffoldError::Name { given: name.to_owned(), expected });
    }
    if KEYWORDS.split_whitespace().any(|keyword| keyword == name) {
        let expected = "name of an operation: it is a keyword of Rust";
        return Err(ScaffoldError::Name { given: name.to_owned(), expected });
    }
    let reserved = ["mod", "optimiser", "tests", "shared", "probe"];
    let shaders = PathBuf::from("shaders");
    let [reference, kernels] = ["crates/reference/src/ops", "crates/kernels/src/ops"].map(PathBuf::from);
    let file = |folder: &Path, name: &str| folder.join(format!("{name}.rs"));
    for path in [shaders.join(name), file(&reference, name), file(&kernels, name)] {
        if reserved.contains(&name) || root.join(&path).exists() {
            return Err(ScaffoldError::Exists { what: path.display().to_string() });
        }
    }
    let renamed = |text: &str| rename(text, name);
    let mut changes = Changes::default();
    let descriptor = renamed(&read(root, &file(&reference, MODEL))?);
    changes.put(&file(&reference, name), marked(&descriptor));
    changes.put(&file(&kernels, name), renamed(&read(root, &file(&kernels, MODEL))?));
    for shader in files(root, &shaders.join(MODEL))? {
        let text = renamed(&read(root, &shaders.join(MODEL).join(&shader))?);
        let direction_first =
            text.replacen('\n', &format!("\n// {FILL_IN}: the formula above is still that of {MODEL}.\n"), 1);
        changes.put(&shaders.join(name).join(&shader), direction_first);
    }

    let mut list = |path: PathBuf, lines: &[(&str, String, &str)]| {
        let mut text = read(root, &path)?;
        for (start, name, end) in lines {
            let missing = || ScaffoldError::Shape { path: path.clone(), missing: format!("line `{start}…{end}`") };
            text = insert_line(&text, start, name, end).ok_or_else(missing)?;
        }
        changes.put(&path, text);
        Ok::<(), ScaffoldError>(())
    };
    let name = || name.to_owned();
    list(
        reference.join("mod.rs"),
        &[
            ("mod ", name(), ";"),
            ("pub use ", format!("{}::{}", name(), camel(&name())), ";"),
            ("    entry!(", name(), "),"),
        ],
    )?;
    list(kernels.join("mod.rs"), &[("mod ", name(), ";"), ("        rows(&", name(), "::TABLE),")])?;
    let path = PathBuf::from(RANDOM_SHAPES);
    let text = read(root, &path)?;
    let missing = || ScaffoldError::Shape { path: path.clone(), missing: "list `tests! { … }`".to_owned() };
    changes.put(&path, with_test(&text, &name()).ok_or_else(missing)?);
    changes.write(root)
}

/// `text` with the model's name, as a whole word, replaced by another.
fn rename(text: &str, name: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    // The end of the text ends the last word.
    for c in text.chars().chain(['\n']) {
        if c.is_alphanumeric() {
            word.push(c);
            continue;
        }
        match word.as_str() {
            MODEL => out.push_str(name),
            other if other == camel(MODEL) => out.push_str(&camel(name)),
            other => out.push_str(other),
        }
        word.clear();
        out.push(c);
    }
    out.pop();
    out
}

/// The descriptor's file with marks at its documentation.
fn marked(text: &str) -> String {
    let mut marked = String::new();
    for (number, line) in text.lines().enumerate() {
        if number == 0 {
            marked += &format!("//! {FILL_IN}: what this operation is.\n");
            continue;
        }
        if line.starts_with("/// `y = ") {
            marked +=
                &format!("/// {FILL_IN}: formula, shapes, numerics and source are still those of {MODEL}.\n///\n");
        }
        marked += line;
        marked.push('\n');
    }
    marked
}

/// The names of a folder's files, in order.
fn files(root: &Path, folder: &Path) -> Result<Vec<String>, ScaffoldError> {
    let entries = fs::read_dir(root.join(folder));
    let entries = entries.map_err(|source| ScaffoldError::Io { path: folder.to_owned(), source })?;
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The list `tests! { … }` with one more name in order, wrapped as before.
fn with_test(text: &str, name: &str) -> Option<String> {
    let open = text.find("\ntests! {\n")? + "\ntests! {\n".len();
    let close = open + text[open..].find('}')?;
    let mut names: Vec<&str> = text[open..close].split_whitespace().collect();
    let at = names.iter().position(|other| *other > name).unwrap_or(names.len());
    names.insert(at, name);
    let mut lines = vec![String::new()];
    for name in names {
        if lines.last().is_some_and(|line| line.len() + name.len() > 114) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            *line += &format!("{}{name}", if line.is_empty() { "    " } else { " " });
        }
    }
    Some(format!("{}{}\n{}", &text[..open], lines.join("\n"), &text[close..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_renamed() {
        let text = "use Relu; // relu.fwd: relus, `Relu::new`, relu_x";
        assert_eq!(
            rename(text, "leaky_relu"),
            "use LeakyRelu; // leaky_relu.fwd: relus, `LeakyRelu::new`, leaky_relu_x"
        );
    }

    #[test]
    fn the_list_of_tests_stays_in_order() {
        let text = "macro\n\ntests! {\n    adam relu\n    sgd\n}\n";
        let with = with_test(text, "elu").expect("a list");
        assert_eq!(with, "macro\n\ntests! {\n    adam elu relu sgd\n}\n");
        assert_eq!(with_test("nothing", "elu"), None);
    }
}
