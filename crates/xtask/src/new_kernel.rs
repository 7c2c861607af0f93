//! `cargo xtask new-kernel`: a kernel variant to start from.
//!
//! It is a copy of another row under a new name, so that it compiles, fits its table and agrees with the reference before the first
//! change; what only a person can write is marked, and `cargo xtask validate` asks for it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::scaffold::{Changes, FILL_IN, ScaffoldError, is_name, read};

/// What a kernel id looks like.
const ID: &str = "kernel id: expected <operation>.<direction>.<algorithm> in lower case, not _f16 at the end, such as conv2d.fwd.my_idea";

/// What was created.
#[derive(Debug)]
pub struct Created {
    /// The new shader.
    pub shader: PathBuf,
    /// The table with the new row.
    pub table: PathBuf,
    /// The row that was copied.
    pub from: String,
}

/// Adds the row `id` to a checkout, as a copy of the row `from`: an algorithm of the same operation and direction.
pub fn create(root: &Path, id: &str, from: &str) -> Result<Created, ScaffoldError> {
    let [op, direction, algorithm] = parts(id)?;
    let operations = names(root, Path::new("crates/kernels/src/ops"), ".rs", "")?;
    if !operations.iter().any(|name| name == op) {
        return Err(ScaffoldError::unknown("operation", op, operations));
    }
    let folder = PathBuf::from("shaders").join(op);
    let directions = names(root, &folder, "_naive.wgsl", "")?;
    if !directions.iter().any(|name| name == direction) {
        let known = directions.iter().map(|name| format!("{op}.{name}")).collect();
        return Err(ScaffoldError::unknown("direction", &format!("{op}.{direction}"), known));
    }
    let algorithms = names(root, &folder, ".wgsl", &format!("{direction}_"))?;
    if !algorithms.iter().any(|name| name == from) {
        return Err(ScaffoldError::unknown("algorithm", from, algorithms));
    }
    let shader = folder.join(format!("{direction}_{algorithm}.wgsl"));
    if root.join(&shader).exists() {
        return Err(ScaffoldError::Exists { what: shader.display().to_string() });
    }
    let table = PathBuf::from("crates/kernels/src/ops").join(format!("{op}.rs"));
    let text = read(root, &table)?;
    if text.contains(&format!("\"{id}\"")) {
        return Err(ScaffoldError::Exists { what: format!("the row `{id}`") });
    }
    let original = folder.join(format!("{direction}_{from}.wgsl"));
    let from = format!("{op}.{direction}.{from}");
    let missing = |missing: String| ScaffoldError::Shape { path: table.clone(), missing };
    let (start, end) =
        row(&text, &from).ok_or_else(|| missing(format!("row `{from}` written out as `Kernel {{ … }}`")))?;
    let [old, new] = [&original, &shader].map(|path| {
        let path = path.strip_prefix("shaders").unwrap_or(path);
        format!("\"{}\"", path.display())
    });
    let copy = text[start..end].replace(&format!("\"{from}\""), &format!("\"{id}\"")).replace(&old, &new);
    if !copy.contains(&new) {
        return Err(missing(format!("{old} in the row `{from}`")));
    }
    let mut changes = Changes::default();
    changes.put(&shader, skeleton(&read(root, &original)?, &from, id));
    changes.put(&table, format!("{}{copy}{}", &text[..end], &text[end..]));
    changes.write(root)?;
    Ok(Created { shader, table, from })
}

/// Operation, direction and algorithm of a kernel id.
fn parts(id: &str) -> Result<[&str; 3], ScaffoldError> {
    let parts: Vec<&str> = id.split('.').collect();
    match parts[..] {
        [op, direction, algorithm] if parts.iter().all(|part| is_name(part)) => Ok([op, direction, algorithm]),
        _ => Err(ScaffoldError::Name { given: id.to_owned(), expected: ID }),
    }
}

/// What files of a folder are called between `prefix` and `suffix`, in order.
fn names(root: &Path, folder: &Path, suffix: &str, prefix: &str) -> Result<Vec<String>, ScaffoldError> {
    let entries = fs::read_dir(root.join(folder));
    let entries = entries.map_err(|source| ScaffoldError::Io { path: folder.to_owned(), source })?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned()))
        .filter(|name| name != "mod")
        .collect();
    names.sort();
    Ok(names)
}

/// Where the row of this id begins and ends in the text of a table, as whole lines.
fn row(text: &str, id: &str) -> Option<(usize, usize)> {
    let at = text.find(&format!("id: \"{id}\""))?;
    let open = text[..at].rfind("Kernel {")?;
    let start = text[..open].rfind('\n')? + 1;
    let mut depth = 0;
    for (offset, c) in text[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == '}' && depth == 0 {
            let end = open + offset;
            // With the comma and the rest of its line.
            return Some((start, end + text[end..].find('\n')? + 1));
        }
    }
    None
}

/// The shader of `from` under the name `id`, with marks where its author has to write.
fn skeleton(text: &str, from: &str, id: &str) -> String {
    let header = text.lines().take_while(|line| line.starts_with("//")).count();
    let lines: Vec<&str> = text.lines().collect();
    let (header, body) = lines.split_at(header);
    let algorithm = from.rsplit('.').next().unwrap_or_default();
    let mut out: Vec<String> = Vec::new();
    let mut in_idea = false;
    for line in header {
        if line.starts_with("// Idea") {
            in_idea = true;
            out.push(format!("// Idea versus {algorithm}: {FILL_IN} what is done otherwise, and why that is faster."));
            continue;
        }
        // The idea ends where the next part, which opens with a capital and has a colon, begins.
        let opens_part =
            ["// Writes:", "// Numerics:", "// Dispatch:", "// Shared memory:"].iter().any(|p| line.starts_with(p));
        in_idea &= !opens_part;
        if !in_idea {
            out.push(line.replace(&format!("// {from}:"), &format!("// {id}:")));
        }
    }
    out.push(String::new());
    out.push(format!(
        "// {FILL_IN}, then delete this block. So far this is {from} under another name: it compiles and agrees."
    ));
    out.push(
        "// - Bound below, under the names of the signature; on the device channels lie last (docs/NAMING.md):"
            .to_owned(),
    );
    out.extend(bindings(body).into_iter().map(|(name, access)| format!("//     {name:<12} {access}")));
    out.push(
        "// - `override` constants stand in the table's row as well, which works out the grid from them.".to_owned(),
    );
    out.push(
        "// - Keep `group_index` (long grids are folded) and the name `lane` (tests shuffle the lanes).".to_owned(),
    );
    out.push("// - Write every element of what is written, nothing else, and return past the end.".to_owned());
    out.push(
        "// - Say above what an invocation owns, how much workgroup memory there is and where barriers sit.".to_owned(),
    );
    out.extend(body.iter().map(|line| (*line).to_owned()));
    out.join("\n") + "\n"
}

/// Names of the storage bindings, with what may be done to them.
fn bindings<'a>(body: &[&'a str]) -> Vec<(&'a str, &'static str)> {
    let binding = |line: &&'a str| {
        let (kind, rest) = line.strip_prefix("@group(0) @binding(")?.split_once("var<")?.1.split_once("> ")?;
        let access = match kind {
            "storage, read" => "read",
            "storage, read_write" => "written",
            _ => return None,
        };
        Some((rest.split(':').next()?, access))
    };
    body.iter().filter_map(binding).collect()
}
