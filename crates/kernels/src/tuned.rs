//! Which row was measured to be the fastest for a problem, on adapters of some class.
//!
//! `tuned/software.toml` and `tuned/hardware.toml` are such tables, written by `trainer kernels tune`.
//! What they do not list is left to [`crate::Prefer`].

use crate::{Row, ops};
use reference::{Direction, Operation};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The version of the format that this program reads and writes.
const FORMAT: u32 = 1;

/// Characters of a table at most.
const LONGEST: usize = 1 << 18;

/// Each of the characters that stand between the parts of a table takes the parser up to 400 bytes.
const MOST_PARTS: usize = 1 << 15;

/// Which table a device follows.
#[derive(Clone, Debug, Default)]
pub enum Tuning {
    /// The one that comes with this crate, for the adapter's class.
    #[default]
    BuiltIn,
    /// None.
    Off,
    /// This one.
    Table(Arc<Tuned>),
}

/// Kinds of adapters that differ in what is fast on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Drivers that run shaders on the CPU.
    Software,
    /// GPUs.
    Hardware,
}

impl Class {
    /// The class of an adapter.
    pub fn of(info: &wgpu::AdapterInfo) -> Self {
        if info.device_type == wgpu::DeviceType::Cpu { Self::Software } else { Self::Hardware }
    }

    /// As it stands in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Hardware => "hardware",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Among which rows a table chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Among {
    /// Those that sum in the same order as the row chosen without the table: results are the same with it and without.
    SameOrder,
    /// All: results may differ in the last bits.
    AnyOrder,
}

/// A table of choices.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// For which adapters.
    pub class: Class,
    /// The adapter it was measured on, and its driver.
    pub adapter: String,
    /// Among which rows it chose.
    pub among: Among,
    choices: Vec<Choice>,
    /// By operation and direction, then by problem.
    rows: HashMap<(&'static str, Direction), HashMap<String, &'static dyn Row>>,
}

/// One choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The operation with all its sizes, as its descriptor prints itself.
    pub problem: String,
    /// The row to launch.
    pub row: String,
    /// How many times as long the row took that is chosen without the table.
    pub gain: f64,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    class: Class,
    adapter: String,
    among: Among,
    #[serde(default)]
    choice: Vec<Choice>,
}

/// Why a text is no table of choices.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TunedError {
    /// No sane table is so long.
    #[error("it has {0} characters, more than any table of choices")]
    TooLong(usize),
    /// No sane table holds so much.
    #[error("it holds more than {MOST_PARTS} lines, keys and values, more than any table of choices")]
    TooMuch,
    /// It is not TOML, or has other keys.
    #[error("{}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Syntax {
        /// Counted from 1.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// It was written by another version.
    #[error("it has format {0}, this program reads format {FORMAT}; run `trainer kernels tune` again")]
    Format(u32),
    /// It names a row that does not exist (any more).
    #[error("choice {number}: there is no kernel `{row}`; run `trainer kernels tune` again")]
    UnknownRow {
        /// Counted from 1.
        number: usize,
        /// The name.
        row: String,
    },
    /// A gain that is none.
    #[error("choice {number}: gain is {gain}, not a positive number")]
    Gain {
        /// Counted from 1.
        number: usize,
        /// What it is.
        gain: f64,
    },
    /// It chooses twice for one problem.
    #[error("choice {number}: there is one already for `{problem}` and this direction")]
    Twice {
        /// Counted from 1.
        number: usize,
        /// The problem.
        problem: String,
    },
}

impl Tuned {
    /// A table of these choices.
    pub fn new(class: Class, adapter: String, among: Among, choices: Vec<Choice>) -> Result<Self, TunedError> {
        let mut rows: HashMap<_, HashMap<String, &'static dyn Row>> = HashMap::new();
        for (choice, number) in choices.iter().zip(1..) {
            let Choice { problem, row, gain } = choice;
            let Some(row) = ops::all().iter().map(|row| &**row).find(|known| known.id() == row) else {
                return Err(TunedError::UnknownRow { number, row: shown(row) });
            };
            if !(gain.is_finite() && *gain > 0.0) {
                return Err(TunedError::Gain { number, gain: *gain });
            }
            let of_direction = rows.entry((row.op(), row.direction())).or_default();
            if of_direction.insert(problem.clone(), row).is_some() {
                return Err(TunedError::Twice { number, problem: shown(problem) });
            }
        }
        Ok(Self { class, adapter, among, choices, rows })
    }

    /// Reads a table.
    pub fn parse(text: &str) -> Result<Self, TunedError> {
        if text.len() > LONGEST {
            return Err(TunedError::TooLong(text.len()));
        }
        if text.bytes().filter(|byte| b"=,.[{#\n".contains(byte)).count() > MOST_PARTS {
            return Err(TunedError::TooMuch);
        }
        let file: File = toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count());
            TunedError::Syntax { line: line.map(|line| line + 1), message: shown(error.message()) }
        })?;
        if file.format != FORMAT {
            return Err(TunedError::Format(file.format));
        }
        Self::new(file.class, file.adapter, file.among, file.choice)
    }

    /// The table that comes with this crate.
    pub fn built_in(class: Class) -> Result<Self, TunedError> {
        Self::parse(match class {
            Class::Software => include_str!("../tuned/software.toml"),
            Class::Hardware => include_str!("../tuned/hardware.toml"),
        })
    }

    /// As a file.
    pub fn to_toml(&self) -> Result<String, TunedError> {
        let Self { class, adapter, among, choices, .. } = self.clone();
        let file = File { format: FORMAT, class, adapter, among, choice: choices };
        let text =
            toml::to_string(&file).map_err(|error| TunedError::Syntax { line: None, message: error.to_string() })?;
        Ok(format!(
            "# Which kernel is the fastest for a problem. Written by `trainer kernels tune`; see docs/BENCHMARKING.md.\n\n{text}"
        ))
    }

    /// All choices.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The row for a direction of a problem, if the table has it.
    pub fn choice(&self, op: &dyn Operation, direction: Direction) -> Option<&'static dyn Row> {
        // Most directions have no choice at all: nothing is printed for them.
        let of_direction = self.rows.get(&(op.name(), direction))?;
        of_direction.get(&problem(op)).copied()
    }
}

/// What a stranger wrote, on one line, without terminal codes, and not too long.
fn shown(text: &str) -> String {
    text.chars().take(300).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The name of a problem in a table: its descriptor with all sizes.
pub fn problem(op: &dyn Operation) -> String {
    format!("{op:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use reference::TensorSpec;
    use reference::ops::Relu;

    fn relu(len: usize) -> Relu {
        Relu::new(TensorSpec::plain([len])).unwrap()
    }

    fn choice(op: &Relu, row: &str) -> Choice {
        Choice { problem: problem(op), row: row.to_owned(), gain: 1.5 }
    }

    fn table(choices: Vec<Choice>) -> Result<Tuned, TunedError> {
        Tuned::new(Class::Software, "a \"quoted\" adapter\n".to_owned(), Among::SameOrder, choices)
    }

    #[test]
    fn a_table_survives_being_written_and_read() {
        let choices = vec![choice(&relu(8), "relu.fwd.naive"), choice(&relu(8), "relu.bwd_input.vec4")];
        let written = table(choices.clone()).unwrap().to_toml().unwrap();
        let read = Tuned::parse(&written).unwrap();
        assert_eq!((read.choices(), read.class, read.among), (&choices[..], Class::Software, Among::SameOrder));
        assert_eq!(read.adapter, "a \"quoted\" adapter\n");
        let row = |op: &Relu, direction| read.choice(op, direction).map(|row| row.id());
        assert_eq!(row(&relu(8), Direction::Fwd), Some("relu.fwd.naive"));
        assert_eq!(row(&relu(8), Direction::BwdInput), Some("relu.bwd_input.vec4"));
        assert_eq!(row(&relu(9), Direction::Fwd), None);
        assert_eq!(row(&relu(8), Direction::BwdWeight), None);
    }

    #[test]
    fn the_tables_that_come_along_are_whole() {
        for class in [Class::Software, Class::Hardware] {
            let table = Tuned::built_in(class).unwrap_or_else(|error| panic!("{class}: {error}"));
            assert_eq!(table.class, class);
        }
    }

    #[test]
    fn what_is_no_table_is_refused_with_the_reason() {
        let head = "format = 1\nclass = \"software\"\nadapter = \"x\"\namong = \"same-order\"\n";
        let one = "[[choice]]\nproblem = \"p\"\nrow = \"relu.fwd.vec4\"\ngain = 1.5\n";
        assert!(Tuned::parse(head).is_ok());
        assert!(Tuned::parse(&format!("{head}{one}")).is_ok());
        for (text, reason) in [
            (String::new(), "missing field"),
            ("format = 1\nclass = ".to_owned(), "line 2: "),
            (head.replace("software", "hard"), "line 2: unknown variant `hard`"),
            (head.replace("format = 1", "format = 2"), "format 2"),
            (head.replace("format = 1", "format = -1"), "line 1: "),
            (format!("{head}speed = 1\n"), "line 5: unknown field `speed`"),
            (format!("{head}{}", one.replace("vec4", "vec5")), "choice 1: there is no kernel `relu.fwd.vec5`"),
            (format!("{head}{one}{one}"), "choice 2: there is one already for `p`"),
            (format!("{head}{}", one.replace("1.5", "nan")), "choice 1: gain is NaN"),
            (format!("{head}{}", one.replace("1.5", "-1.0")), "choice 1: gain is -1"),
            (format!("{head}{}", one.replace("gain = 1.5\n", "")), "missing field `gain`"),
            (format!("{head}{}", " ".repeat(LONGEST)), "more than any table"),
        ] {
            let error = Tuned::parse(&text).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
        // Cut off anywhere, it is refused or a shorter table, and nothing panics.
        let text = format!("{head}{one}");
        for end in 0..text.len() {
            let _ = Tuned::parse(&text[..end]);
        }
    }
}
