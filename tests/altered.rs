//! A kernel row with something about its launch changed.

use kernels::grid::Grid;
use kernels::kernel::Launch;
use kernels::{Error, Needs, Prefer, Row, Source, Storage, Summation};
use reference::{Direction, Operation};

/// A row that launches another text, or the same text on another grid. Everything else is the row's.
#[derive(Clone, Debug)]
pub struct Altered {
    row: &'static dyn Row,
    id: &'static str,
    source: Source,
    shared: &'static [Source],
    fold: Option<u64>,
}

impl Altered {
    /// The row as it is.
    pub fn new(row: &'static dyn Row) -> Self {
        Self { row, id: row.id(), source: row.source(), shared: row.shared(), fold: None }
    }

    /// With the file at `path` (the row's own, or a shared one) replaced by `text`. A device keeps
    /// pipelines by id, so the text comes with an id of its own.
    pub fn text(self, id: &str, path: &str, text: &str) -> Self {
        let replace = |source: Source| if source.path == path { Source { text: leak(text), ..source } } else { source };
        let shared: Vec<Source> = self.shared.iter().copied().map(replace).collect();
        Self { id: leak(id), source: replace(self.source), shared: Box::leak(shared.into_boxed_slice()), ..self }
    }

    /// With its workgroups in rows of `width`, as [`Grid::linear`] folds them where there are more
    /// than 65,535. The last row may hold some too many.
    pub fn folded(self, width: u64) -> Self {
        Self { fold: Some(width), ..self }
    }

    /// A row for the harness, which takes those of the tables only: they live as long as the program.
    pub fn row(self) -> &'static dyn Row {
        Box::leak(Box::new(self))
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

impl Row for Altered {
    fn id(&self) -> &'static str {
        self.id
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
    fn order(&self) -> Summation {
        self.row.order()
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
        let mut launch = self.row.launch(op)?;
        if let Some(width) = self.fold {
            for Grid { groups: [x, y, _] } in &mut launch.grids {
                let all = *x * *y;
                (*x, *y) = (width.min(all), all.div_ceil(width));
            }
        }
        Ok(launch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reference::TensorSpec;
    use reference::ops::Relu;

    #[test]
    fn changes_what_it_says_and_nothing_else() {
        let row = kernels::ops::all().iter().find(|row| row.id() == "relu.fwd.naive").expect("a row");
        let altered = Altered::new(&**row).text("relu.fwd.broken", "shared/grid.wgsl", "nothing").folded(3).row();
        assert_eq!((altered.id(), altered.source()), ("relu.fwd.broken", row.source()));
        assert_eq!(altered.shared(), [Source { path: "shared/grid.wgsl", text: "nothing" }]);
        // Five workgroups of 64, in rows of three.
        let op = Relu::new(TensorSpec::plain([257])).expect("an operation");
        assert_eq!(row.launch(&op).expect("a launch").grids, [Grid { groups: [5, 1, 1] }]);
        assert_eq!(altered.launch(&op).expect("a launch").grids, [Grid { groups: [3, 2, 1] }]);
    }
}
