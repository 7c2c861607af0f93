//! A row whose shader was edited while the program runs.

use crate::kernel::Launch;
use crate::{Error, Needs, Prefer, Row, Shader, Source, Storage};
use reference::{Direction, Operation};

/// `row` with the texts of some of its files replaced; `texts` are paths below `shaders/` with their
/// new contents. Grid, overrides and everything else stay those of the row. Refused if naga does not
/// accept the new shader, or if it no longer fits the row.
///
/// A device keeps pipelines for rows that live as long as the program, so the text does, too: a few
/// kilobytes for every edit.
pub fn edited(row: &'static dyn Row, texts: &[(&str, String)]) -> Result<&'static dyn Row, Error> {
    let replace = |source: Source| match texts.iter().find(|(path, _)| *path == source.path) {
        Some((_, text)) => Source { text: text.clone().leak(), ..source },
        None => source,
    };
    let shared: Vec<Source> = row.shared().iter().copied().map(replace).collect();
    let edited = Edited { row, source: replace(row.source()), shared: shared.leak() };
    Shader::of(&edited)?.fits(&edited)?;
    Ok(Box::leak(Box::new(edited)))
}

#[derive(Debug)]
struct Edited {
    row: &'static dyn Row,
    source: Source,
    shared: &'static [Source],
}

impl Row for Edited {
    fn id(&self) -> &'static str {
        self.row.id()
    }
    fn op(&self) -> &'static str {
        self.row.op()
    }
    fn direction(&self) -> Direction {
        self.row.direction()
    }
    fn source(&self) -> Source {
        self.source
    }
    fn shader_of(&self) -> Option<&'static str> {
        self.row.shader_of()
    }
    fn shared(&self) -> &'static [Source] {
        self.shared
    }
    fn overrides(&self) -> &'static [(&'static str, u32)] {
        self.row.overrides()
    }
    fn prefer(&self) -> Prefer {
        self.row.prefer()
    }
    fn needs(&self) -> Needs {
        self.row.needs()
    }
    fn storage(&self) -> Storage {
        self.row.storage()
    }
    fn fields(&self) -> &'static [(&'static str, &'static str)] {
        self.row.fields()
    }
    fn entries(&self) -> Vec<&'static str> {
        self.row.entries()
    }
    fn accepts(&self, op: &dyn Operation) -> Result<(), Error> {
        self.row.accepts(op)
    }
    fn launch(&self, op: &dyn Operation) -> Result<Launch, Error> {
        self.row.launch(op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relu() -> &'static dyn Row {
        let rows = crate::ops::all().iter().map(|row| &**row);
        rows.into_iter().find(|row| row.id() == "relu.fwd.naive").expect("a row")
    }

    fn edit(path: &str, from: &str, to: &str) -> Result<&'static dyn Row, Error> {
        let row = relu();
        let sources = row.shared().iter().chain([&row.source()]).copied().collect::<Vec<_>>();
        let text = sources.iter().find(|source| source.path == path).expect("a file of the row").text;
        assert!(text.contains(from), "{from}");
        edited(row, &[(path, text.replace(from, to))])
    }

    #[test]
    fn own_and_shared_files_are_replaced_and_nothing_else() {
        let own = edit("relu/fwd_naive.wgsl", "0.0, x[i] < 0.0", "0.5, x[i] < 0.5").expect("a valid shader");
        assert_eq!((own.id(), own.shared(), own.entries()), (relu().id(), relu().shared(), relu().entries()));
        assert!(own.source().text.contains("x[i] < 0.5") && own.source().path == relu().source().path);
        let shared = edit("shared/grid.wgsl", "group.x;", "group.x + 0u;").expect("a valid shader");
        assert_eq!(shared.source(), relu().source());
        assert!(shared.shared()[0].text.contains("+ 0u"));
    }

    #[test]
    fn what_no_longer_fits_the_row_is_refused() {
        for (from, to, message) in [
            ("x[i], 0.0", "z[i], 0.0", "relu/fwd_naive.wgsl:29:"),
            ("len: u32", "len: u32, more: u32", "struct Params"),
            ("override WORKGROUP", "const WORKGROUP", "override"),
            ("fn main(", "fn other(", "entry points"),
        ] {
            let error = edit("relu/fwd_naive.wgsl", from, to).expect_err(from).to_string();
            assert!(error.starts_with("relu/fwd_naive.wgsl") && error.contains(message), "{error}");
        }
    }
}
