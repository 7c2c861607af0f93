//! Kernel tables: one row per kernel variant, one table per operation.

use crate::Error;
use crate::grid::Grid;
use crate::storage::{Storage, Stored};
use reference::{Contract, Direction, Operation};
use std::fmt;

/// One WGSL file, by its path below `shaders/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// For instance `conv2d/fwd_naive.wgsl`.
    pub path: &'static str,
    /// The file's text.
    pub text: &'static str,
}

/// Embeds a WGSL file as a [`Source`].
///
/// - `shader!("relu/fwd_naive.wgsl")`: a file of this workspace, below `shaders/`.
/// - `shader!("shaders", "relu/fwd_mine.wgsl")`: a file of another crate, below this folder beside
///   its `Cargo.toml`.
#[macro_export]
macro_rules! shader {
    ($path:literal) => {
        $crate::shader!("../../shaders", $path)
    };
    ($folder:literal, $path:literal) => {
        $crate::Source {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder, "/", $path)),
        }
    };
}

/// Declares the uniform block of an operation: a plain struct of types that are a [`crate::kernel::Field`]. It gets
/// `bytes(&self)` for [`Table::params`], and `FIELDS` for [`Table::fields`], which is compared with
/// the shader's `Params`.
#[macro_export]
macro_rules! params {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        struct $name { $($field: $type),* }
        impl $name {
            const FIELDS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($field), <$type as $crate::kernel::Field>::WGSL)),*];

            /// The fields one after the other, as WGSL lays them out.
            fn bytes(&self) -> Vec<u8> {
                let mut bytes = Vec::new();
                $($crate::kernel::Field::put(&self.$field, &mut bytes);)*
                bytes
            }
        }
    };
}

/// What may stand in a uniform block. Arrays come last: what is aligned to 16 bytes ends there, too, and so does the block.
pub trait Field {
    /// The type in WGSL.
    const WGSL: &'static str;

    /// Puts it behind the fields before it.
    fn put(&self, bytes: &mut Vec<u8>);
}

macro_rules! scalars {
    ($($type:ident)*) => {
        $(impl Field for $type {
            const WGSL: &'static str = stringify!($type);

            fn put(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        })*
    };
}

scalars!(u32 i32 f32);

/// Room for as many rows of four numbers.
impl Field for [[u32; 4]; 32] {
    const WGSL: &'static str = "array<vec4<u32>, 32>";

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        bytes.extend(self.as_flattened().iter().flat_map(|word| word.to_le_bytes()));
    }
}

/// What a kernel variant needs of the device beyond WebGPU's defaults; workgroup memory,
/// invocations and bindings are read from the shader itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Subgroup operations with at least this many lanes. 0: none.
    pub subgroup_lanes: u32,
}

impl Needs {
    /// Nothing beyond the defaults.
    pub const NOTHING: Self = Self { subgroup_lanes: 0 };
}

/// The kind of adapter a variant was written for. The last row of a table whose class fits, which
/// the device can run and which accepts the problem, is the one launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// Good anywhere.
    Anywhere,
    /// Good on GPUs; on a software adapter its barriers cost more than they save.
    Hardware,
    /// Good on software adapters.
    Software,
}

/// The order in which a row adds up what its formula sums. Floating-point sums depend on it: rows of
/// one direction that declare the same order and store alike give the same bits, on every problem and any one
/// device, and only such rows may stand in for one another unseen. A test holds them to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summation {
    /// Its own: it shares its bits with no other row.
    Own,
    /// By this rule, in words. The same words are the same order.
    Rule(&'static str),
}

impl Summation {
    /// For formulas without a sum.
    pub const NOTHING: Self = Self::Rule("nothing is summed");

    /// For one running sum over the terms in the order of the formula.
    pub const FORMULA: Self = Self::Rule("one sum, in the order of the formula");

    /// For one running sum over the products, to which the bias comes last.
    pub const BIAS_LAST: Self = Self::Rule("one sum, the bias last");

    /// Whether a row of this order gives the same bits as one of the other.
    pub fn agrees(self, other: Self) -> bool {
        self == other && self != Self::Own
    }
}

/// A buffer that lives for one launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// The shader variable bound to it.
    pub name: &'static str,
    /// Its size in 32-bit words.
    pub words: usize,
}

/// One dispatch of a kernel. Stages run in order; each sees what the ones before it wrote.
pub struct Stage<O: 'static> {
    /// The entry point.
    pub entry: &'static str,
    /// The workgroups for a problem.
    pub grid: fn(&O, &Overrides) -> Grid,
}

/// Values of a row's `override` constants, so that grid and shader share one number.
#[derive(Clone, Copy, Debug)]
pub struct Overrides(pub &'static [(&'static str, u32)]);

impl Overrides {
    /// The value of `name`; 1 if the row does not list it (a test refuses such a row).
    pub fn get(&self, name: &str) -> usize {
        self.0.iter().find(|(n, _)| *n == name).map_or(1, |&(_, v)| v as usize)
    }
}

/// A kernel variant: one row of an operation's table.
pub struct Kernel<O: 'static> {
    /// `<op>.<direction>.<algorithm>`.
    pub id: &'static str,
    /// The direction it computes.
    pub direction: Direction,
    /// Its shader.
    pub source: Source,
    /// The row whose shader that is, where only some of its stages are launched here.
    pub shader_of: Option<&'static str>,
    /// Modules of `shaders/shared` put in front of it.
    pub shared: &'static [Source],
    /// `override` constants.
    pub overrides: &'static [(&'static str, u32)],
    /// Where it is the one to choose.
    pub prefer: Prefer,
    /// What it needs of the device.
    pub needs: Needs,
    /// The order of its sums.
    pub order: Summation,
    /// The problems it can compute, or why not.
    pub accepts: fn(&O) -> Result<(), &'static str>,
    /// Buffers between its stages.
    pub scratch: fn(&O) -> Vec<Scratch>,
    /// Its dispatches.
    pub stages: &'static [Stage<O>],
}

impl<O> Kernel<O> {
    /// A row's defaults, for `..Kernel::ROW`: accepts everything, needs nothing, no scratch, sums in an order of its own.
    pub const ROW: Self = Self {
        id: "",
        direction: Direction::Fwd,
        source: Source { path: "", text: "" },
        shader_of: None,
        shared: &[],
        overrides: &[],
        prefer: Prefer::Anywhere,
        needs: Needs::NOTHING,
        order: Summation::Own,
        accepts: |_| Ok(()),
        scratch: |_| Vec::new(),
        stages: &[],
    };
}

/// The kernels of one operation, from `naive` to the best.
pub struct Table<O: 'static> {
    /// The bytes of the shader's `Params` for a problem.
    pub params: fn(&O) -> Vec<u8>,
    /// Names and types of the fields of `Params`.
    pub fields: &'static [(&'static str, &'static str)],
    /// The variants.
    pub rows: &'static [Kernel<O>],
}

/// A row, whatever its operation's type.
pub trait Row: fmt::Debug + Send + Sync {
    /// `<op>.<direction>.<algorithm>`.
    fn id(&self) -> &'static str;
    /// The operation's name.
    fn op(&self) -> &'static str;
    /// The direction it computes.
    fn direction(&self) -> Direction;
    /// Its shader.
    fn source(&self) -> Source;
    /// The row whose shader that is, where only some of its stages are launched here.
    fn shader_of(&self) -> Option<&'static str> {
        None
    }
    /// The shared modules in front of it.
    fn shared(&self) -> &'static [Source];
    /// `override` constants.
    fn overrides(&self) -> &'static [(&'static str, u32)];
    /// Where it is the one to choose.
    fn prefer(&self) -> Prefer;
    /// What it needs of the device.
    fn needs(&self) -> Needs;
    /// Which of its arguments are stored as f16.
    fn storage(&self) -> Storage {
        Storage::F32
    }
    /// The order of its sums.
    fn order(&self) -> Summation {
        Summation::Own
    }
    /// Names and types of the fields of `Params`.
    fn fields(&self) -> &'static [(&'static str, &'static str)];
    /// Entry points, in the order of the stages.
    fn entries(&self) -> Vec<&'static str>;
    /// Whether the row can compute this problem, or why not.
    fn accepts(&self, op: &dyn Operation) -> Result<(), Error>;
    /// What a launch of this problem takes.
    fn launch(&self, op: &dyn Operation) -> Result<Launch, Error>;
}

/// What a launch takes, apart from the arguments.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The uniform block.
    pub params: Vec<u8>,
    /// Buffers between the stages.
    pub scratch: Vec<Scratch>,
    /// Workgroups of each stage.
    pub grids: Vec<Grid>,
}

/// A row together with its table.
struct TypedRow<O: 'static> {
    table: &'static Table<O>,
    row: &'static Kernel<O>,
}

impl<O> fmt::Debug for TypedRow<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row.id)
    }
}

impl<O: Contract> TypedRow<O> {
    fn typed<'a>(&self, op: &'a dyn Operation) -> Result<&'a O, Error> {
        let id = self.row.id;
        op.as_any()
            .downcast_ref()
            .ok_or_else(|| Error::NotAccepted { id, reason: format!("it is not for `{}`", op.name()) })
    }
}

impl<O: Contract> Row for TypedRow<O> {
    fn id(&self) -> &'static str {
        self.row.id
    }
    fn op(&self) -> &'static str {
        O::NAME
    }
    fn direction(&self) -> Direction {
        self.row.direction
    }
    fn source(&self) -> Source {
        self.row.source
    }
    fn shader_of(&self) -> Option<&'static str> {
        self.row.shader_of
    }
    fn shared(&self) -> &'static [Source] {
        self.row.shared
    }
    fn overrides(&self) -> &'static [(&'static str, u32)] {
        self.row.overrides
    }
    fn prefer(&self) -> Prefer {
        self.row.prefer
    }
    fn needs(&self) -> Needs {
        self.row.needs
    }
    fn order(&self) -> Summation {
        self.row.order
    }
    fn fields(&self) -> &'static [(&'static str, &'static str)] {
        self.table.fields
    }
    fn entries(&self) -> Vec<&'static str> {
        self.row.stages.iter().map(|stage| stage.entry).collect()
    }
    fn accepts(&self, op: &dyn Operation) -> Result<(), Error> {
        (self.row.accepts)(self.typed(op)?)
            .map_err(|reason| Error::NotAccepted { id: self.row.id, reason: reason.into() })
    }
    fn launch(&self, op: &dyn Operation) -> Result<Launch, Error> {
        self.accepts(op)?;
        let op = self.typed(op)?;
        let overrides = Overrides(self.row.overrides);
        Ok(Launch {
            params: (self.table.params)(op),
            scratch: (self.row.scratch)(op),
            grids: self.row.stages.iter().map(|stage| (stage.grid)(op, &overrides)).collect(),
        })
    }
}

/// The rows of a table of another crate, for [`crate::Options::rows`]. They live as long as the
/// program.
pub fn custom<O: Contract>(table: &'static Table<O>) -> Vec<&'static dyn Row> {
    rows(table).into_iter().map(|row| &*Box::leak(row)).collect()
}

/// The rows of a table, and after them those of its shaders that store arguments in these other ways.
pub fn rows_stored<O: Contract>(table: &'static Table<O>, storages: &[Storage]) -> Vec<Box<dyn Row>> {
    let stored = |&storage: &Storage| {
        let stored = rows(table).into_iter().filter_map(move |row| Stored::new(row, storage));
        stored.map(|row| Box::new(row) as Box<dyn Row>)
    };
    rows(table).into_iter().chain(storages.iter().flat_map(stored)).collect()
}

/// The rows of a table, with their types erased.
pub fn rows<O: Contract>(table: &'static Table<O>) -> Vec<Box<dyn Row>> {
    let erase = |row| Box::new(TypedRow { table, row }) as Box<dyn Row>;
    table.rows.iter().map(erase).collect()
}
