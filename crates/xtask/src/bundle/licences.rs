//! The licences of everything that is built into the programs.

use crate::failure::Failure;
use crate::step;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Names, versions and licences of all packages, and the texts that come with their sources.
pub fn collect() -> Result<String, Failure> {
    let arguments = ["tree", "--workspace", "--edges", "normal", "--prefix", "none", "--format", "{p}|{l}"];
    let output = step::cargo(arguments).output();
    let output = output.map_err(|source| Failure::Start { program: "cargo".to_owned(), source })?;
    if !output.status.success() {
        let what = format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
        return Err(Failure::Bundle { what });
    }
    Ok(page(&String::from_utf8_lossy(&output.stdout), &sources()))
}

/// The folders in which cargo keeps the sources of packages.
fn sources() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home =
        variable("CARGO_HOME").or_else(|| Some(variable("HOME").or_else(|| variable("USERPROFILE"))?.join(".cargo")));
    let registries = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    registries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// `tree` is what `cargo tree` prints: a package a line, those of this workspace with their paths.
fn page(tree: &str, sources: &[PathBuf]) -> String {
    let mut packages = BTreeSet::new();
    for line in tree.lines().filter(|line| !line.contains(" (/") && !line.contains(":\\")) {
        if let Some((package, licence)) = line.trim_end_matches(" (*)").split_once('|')
            && let Some((name, version)) = package.split_whitespace().next().zip(package.split_whitespace().nth(1))
        {
            packages.insert((name, version.trim_start_matches('v'), licence.trim_end_matches(" (*)")));
        }
    }
    let mut page = "Built in, with their licences:\n\n".to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version, licence) in packages {
        let _ = writeln!(page, "{name} {version}: {licence}");
        let folders = sources.iter().map(|source| source.join(format!("{name}-{version}")));
        for text in folders.flat_map(|folder| texts_in(&folder)) {
            texts.entry(text).or_default().push(format!("{name} {version}"));
        }
    }
    for (text, of) in texts {
        let _ = write!(page, "\n{}\n{}\n\n{}\n", "-".repeat(80), of.join(", "), text.trim_end());
    }
    page
}

fn texts_in(folder: &Path) -> Vec<String> {
    let is_licence = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"].iter().any(|word| name.starts_with(word))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries.filter(is_licence).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_come_with_their_texts() {
        let folder = tempfile::tempdir().unwrap();
        for (package, text) in [("one-1.0.0", "Free.\n"), ("two-0.2.0", "Free.\n"), ("three-3.0.0", "Also free.\n")] {
            fs::create_dir(folder.path().join(package)).unwrap();
            fs::write(folder.path().join(package).join("LICENSE-MIT"), text).unwrap();
            fs::write(folder.path().join(package).join("lib.rs"), "no licence").unwrap();
        }
        let tree = "ours v0.1.0 (/here/ours)|MIT\none v1.0.0|MIT OR Zlib\ntwo v0.2.0|MIT\none v1.0.0|MIT OR Zlib (*)\n\nfour v4.0.0 (proc-macro)|ISC\n";
        let page = page(tree, &[folder.path().to_owned()]);
        assert!(
            page.starts_with(
                "Built in, with their licences:\n\nfour 4.0.0: ISC\none 1.0.0: MIT OR Zlib\ntwo 0.2.0: MIT\n\n"
            ),
            "{page}"
        );
        assert!(page.ends_with("\none 1.0.0, two 0.2.0\n\nFree.\n"), "{page}");
        assert!(!page.contains("ours") && !page.contains("Also free") && !page.contains("no licence"), "{page}");
    }
}
