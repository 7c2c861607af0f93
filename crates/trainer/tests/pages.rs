//! README and docs: that links lead somewhere, and that the course quotes what stands in the files, names kernels that
//! there are, and leaves out no backward pass. (Its figures: `src/bench/course.rs`; its commands: `lab.rs`.)
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn pages_in(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages.extend(pages_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort_unstable();
    pages
}

fn course() -> Vec<PathBuf> {
    pages_in(&checkout().join("docs/course"))
}

/// A page in lines of text and code blocks: `(info string, text)`, without one outside of code.
fn parts(page: &str) -> Vec<(Option<&str>, String)> {
    let mut parts = vec![(None, String::new())];
    for line in page.lines() {
        match (line.strip_prefix("```"), parts.last().unwrap().0) {
            (Some(_), Some(_)) => parts.push((None, String::new())),
            (Some(info), None) => parts.push((Some(info), String::new())),
            (None, _) => {
                let text = &mut parts.last_mut().unwrap().1;
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    parts
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

fn anchors(page: &str) -> BTreeSet<String> {
    let text: String = parts(page).into_iter().filter(|(info, _)| info.is_none()).map(|(_, text)| text).collect();
    text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// Where the links of a page lead that lead nowhere.
fn dead_links(path: &Path) -> (usize, Vec<String>) {
    let page = read(path);
    let text: String = parts(&page).into_iter().filter(|(info, _)| info.is_none()).map(|(_, text)| text).collect();
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    let (mut count, mut dead) = (0, Vec::new());
    for link in links.filter(|link| !link.starts_with("http")) {
        count += 1;
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
        let there = target.exists() && (heading.is_empty() || anchors(&read(&target)).contains(heading));
        if !there {
            dead.push(format!("{}: {link}", path.display()));
        }
    }
    (count, dead)
}

#[test]
fn links_lead_somewhere() {
    let mut pages = pages_in(&checkout().join("docs"));
    pages.push(checkout().join("README.md"));
    let (mut links, mut dead) = (0, Vec::new());
    for page in &pages {
        let (count, lost) = dead_links(page);
        links += count;
        dead.extend(lost);
    }
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
    assert!(links > 60, "only {links} links were found");

    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.md");
    fs::write(&page, "# One two\n[a](#one-two) [b](#three) [c](page.md) [d](gone.md)\n```\n[e](code)\n```\n").unwrap();
    let (links, dead) = dead_links(&page);
    assert_eq!((links, dead.len()), (4, 2), "{dead:?}");
}

/// Lines without what all of them are indented by.
fn dedented<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let least = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or_default();
    lines.iter().map(|line| line.get(least..).unwrap_or_default()).collect()
}

fn occurs(snippet: &str, file: &str) -> bool {
    let (snippet, lines): (Vec<&str>, Vec<&str>) = (snippet.lines().collect(), file.lines().collect());
    let snippet = dedented(&snippet);
    !snippet.is_empty() && lines.windows(snippet.len()).any(|window| dedented(window) == snippet)
}

/// Code blocks of the course that name a file: page, file, text.
fn snippets() -> Vec<(PathBuf, String, String)> {
    let mut snippets = Vec::new();
    for path in course() {
        for (info, text) in parts(&read(&path)) {
            match info.map(|info| info.split_whitespace().collect::<Vec<_>>()).as_deref() {
                Some([_, file]) => snippets.push((path.clone(), (*file).to_owned(), text)),
                Some([language]) => {
                    assert!(["sh", "text"].contains(language), "{}: whose code is this?\n{text}", path.display());
                }
                Some(_) => panic!("{}: a code block without a language:\n{text}", path.display()),
                None => {}
            }
        }
    }
    snippets
}

#[test]
fn what_the_course_quotes_stands_in_the_files() {
    let snippets = snippets();
    assert!(snippets.len() > 25, "only {} quotations were found", snippets.len());
    for (page, file, text) in &snippets {
        let whole = read(&checkout().join(file));
        assert!(occurs(text, &whole), "{}: {file} has no such lines:\n{text}", page.display());
        let altered = text.replacen(|c: char| c.is_alphabetic(), "0", 1);
        assert!(!occurs(&altered, &whole), "an altered quotation of {file} passes:\n{altered}");
    }
}

#[test]
fn no_backward_pass_is_left_out() {
    let quoted: String = snippets().into_iter().map(|(_, _, text)| text).collect();
    let mut formulas = 0;
    for op in fs::read_dir(checkout().join("shaders")).unwrap() {
        for shader in fs::read_dir(op.unwrap().path()).unwrap() {
            let path = shader.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name.starts_with("bwd_") && name.ends_with("_naive.wgsl") {
                let text = read(&path);
                let formula = text.lines().next().unwrap();
                assert!(quoted.contains(formula), "no chapter has the formula\n{formula}");
                formulas += 1;
            }
        }
    }
    assert!(formulas > 15, "{formulas} formulas were found");
}

#[test]
fn kernels_of_the_course_exist() {
    let ids: BTreeSet<&str> = kernels::ops::all().iter().map(|row| row.id()).collect();
    let directions: BTreeSet<&str> = ids.iter().filter_map(|id| id.split('.').nth(1)).collect();
    let mut named = BTreeSet::new();
    for path in course() {
        for (info, text) in parts(&read(&path)) {
            // What `new-kernel` is to make is not there yet.
            if info == Some("sh") && text.contains("new-kernel") {
                continue;
            }
            for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.') {
                if let [_, direction, algorithm] = word.trim_end_matches('.').split('.').collect::<Vec<_>>()[..]
                    && directions.contains(direction)
                    && algorithm != "wgsl"
                {
                    let id = word.trim_end_matches('.');
                    assert!(ids.contains(id), "{}: there is no kernel `{id}`", path.display());
                    named.insert(id.to_owned());
                }
            }
        }
    }
    for op in ["conv2d.", "dense."] {
        let rows = kernels::ops::all().iter().filter(|row| row.storage() == kernels::Storage::F32);
        let of_op: Vec<&str> = rows.map(|row| row.id()).filter(|id| id.starts_with(op)).collect();
        let missing: Vec<&&str> = of_op.iter().filter(|id| !named.contains(**id)).collect();
        assert!(missing.is_empty(), "the course passes over {missing:?}");
    }
}

#[test]
fn chapters_are_listed_in_order_and_end_with_something_to_try() {
    let mut chapters = course();
    chapters.retain(|path| !path.ends_with("README.md"));
    let contents = read(&checkout().join("docs/course/README.md"));
    let mut from = 0;
    for (number, path) in (1..).zip(&chapters) {
        let (name, text) = (path.file_name().unwrap().to_str().unwrap(), read(path));
        let heading = text.lines().next().unwrap();
        let title = heading.strip_prefix(&format!("# {number}. ")).unwrap_or_else(|| panic!("{name}: {heading}"));
        let entry = format!("\n{number}. [{title}]({name})\n");
        let at = contents[from..].find(&entry).unwrap_or_else(|| panic!("the contents lack, in this order, {entry}"));
        from += at + entry.len() - 1;
        let end = text.split("**Try it.**").nth(1).unwrap_or_else(|| panic!("{name}: nothing to try"));
        assert!(end.contains("```sh\n") && !end.contains("<!-- measured"), "{name} ends with nothing to try");
    }
    assert!(chapters.len() > 10, "{} chapters were found", chapters.len());
}
