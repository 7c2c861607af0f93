//! How real numbers lie in memory. Whatever a kernel computes with is f32.

use crate::kernel::Launch;
use crate::{Error, Needs, Prefer, Row, Source, Summation, shader};
use half::f16;
use reference::{Arg, Array, DType, Direction, Operation, TensorSpec};
use std::fmt;

/// How a tensor's real numbers lie in memory. Indices have 32 bits always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, two to a word.
    F16,
}

impl Element {
    /// 32-bit words of a tensor. A half word at the end belongs to it.
    pub fn words(self, spec: &TensorSpec) -> usize {
        match self.of(spec) {
            Self::F32 => spec.len(),
            Self::F16 => spec.len().div_ceil(2),
        }
    }

    /// Bytes of an element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// The nearest number that can be stored; of two the one whose last bit is 0, and infinity beyond the largest.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
        }
    }

    /// What is left of real numbers that were stored.
    pub fn round_all(self, array: &mut Array<f32>) {
        if self == Self::F16 {
            array.real_mut().iter_mut().for_each(|value| *value = self.round(*value));
        }
    }

    /// What of this there is for a tensor.
    pub(crate) fn of(self, spec: &TensorSpec) -> Self {
        if spec.dtype == DType::Index { Self::F32 } else { self }
    }

    /// The words of elements, given one word for each.
    pub(crate) fn pack(self, spec: &TensorSpec, elements: Vec<u32>) -> Vec<u32> {
        match self.of(spec) {
            Self::F32 => elements,
            Self::F16 => {
                let half = |bits: &u32| u32::from(f16::from_f32(f32::from_bits(*bits)).to_bits());
                let pair = |pair: &[u32]| half(&pair[0]) | pair.get(1).map_or(0, half) << 16;
                elements.chunks(2).map(pair).collect()
            }
        }
    }

    /// One word for each element, given its words.
    pub(crate) fn unpack(self, spec: &TensorSpec, words: &[u32]) -> Vec<u32> {
        match self.of(spec) {
            Self::F32 => words.to_vec(),
            Self::F16 => {
                let halves = words.iter().flat_map(|word| [*word as u16, (word >> 16) as u16]);
                halves.take(spec.len()).map(|half| f16::from_bits(half).to_f32().to_bits()).collect()
            }
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

/// Which arguments of a kernel lie in memory as f16: some of the activations and their gradients, never parameters,
/// statistics or losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// None.
    #[default]
    F32,
    /// Those called `x`, `y`, `dx` and `dy`.
    F16,
    /// Only `x` and `dx`: the last layer's, whose `y` are logits.
    F16X,
}

impl Storage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::F16X];

    /// How an argument of this name lies in memory.
    pub fn element(self, arg: &str) -> Element {
        match (self, arg) {
            (Self::F16, "x" | "y" | "dx" | "dy") | (Self::F16X, "x" | "dx") => Element::F16,
            _ => Element::F32,
        }
    }

    /// What ids of such rows end in.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "",
            Self::F16 => "_f16",
            Self::F16X => "_f16_x",
        }
    }

    /// Whether arguments of a signature may lie in memory like this.
    pub(crate) fn takes(self, signature: &[Arg], elements: impl IntoIterator<Item = Element>) -> bool {
        signature.iter().zip(elements).all(|(arg, element)| self.element(arg.name).of(&arg.spec) == element)
    }

    /// Bytes that a direction has to move.
    pub fn bytes(self, op: &dyn Operation, direction: Direction) -> u64 {
        let half = |arg: &Arg| arg.spec.dtype == DType::Real && self.element(arg.name) == Element::F16;
        let spared: u64 =
            op.signature(direction).iter().filter(|arg| half(arg)).map(|arg| 2 * arg.spec.len() as u64).sum();
        op.bytes(direction).saturating_sub(spared)
    }
}

/// A module that gives back what it is given.
pub(crate) const STORED: Source = shader!("shared/stored.wgsl");

/// Its counterpart, which gives back what is left of it in f16.
const STORED_F16: Source = shader!("shared/stored_f16.wgsl");

/// A row that launches another's shader with some arguments in f16. Everything else is that row's.
#[derive(Debug)]
pub(crate) struct Stored {
    row: Box<dyn Row>,
    id: &'static str,
    storage: Storage,
    shared: &'static [Source],
}

impl Stored {
    /// The row with arguments so stored; nothing if its shader has none.
    pub(crate) fn new(row: Box<dyn Row>, storage: Storage) -> Option<Self> {
        let binds = |name: &str| row.source().text.contains(&format!("> {name}: array<"));
        let any = ["x", "y", "dx", "dy"].into_iter().any(|name| storage.element(name) == Element::F16 && binds(name));
        let replace = |source: &Source| if *source == STORED { STORED_F16 } else { *source };
        let shared: Vec<Source> = row.shared().iter().map(replace).collect();
        let id = format!("{}{}", row.id(), storage.suffix());
        any.then(|| Self { row, id: id.leak(), storage, shared: shared.leak() })
    }
}

impl Row for Stored {
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
        self.row.source()
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
        self.storage
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
        self.row.launch(op)
    }
}

/// The directive that a shader with f16 in it begins with.
pub(crate) const ENABLE: (&str, &str) = ("enable", "enable f16;\n");

/// A kernel's own file with the arguments that are stored as f16 declared so, widened where they are read and narrowed
/// where they are written. Lines stay where they are.
///
/// What is not understood is left as it is, and naga refuses it: f16 and f32 do not mix.
pub(crate) fn narrowed(text: &str, storage: Storage) -> String {
    let mut names = Vec::new();
    for name in ["x", "y", "dx", "dy"].into_iter().filter(|name| storage.element(name) == Element::F16) {
        let declared = |ty: &str| text.contains(&format!("> {name}: array<{ty}>;"));
        let types = [["f32", "f16"], ["vec2<f32>", "vec2<f16>"], ["vec4<f32>", "vec4<f16>"]];
        names.extend(types.into_iter().find(|[wide, _]| declared(wide)).map(|types| (name, types)));
    }
    let mut text = text.to_owned();
    for (name, [wide, narrow]) in &names {
        text = text.replace(&format!("> {name}: array<{wide}>;"), &format!("> {name}: array<{narrow}>;"));
    }
    let mut lines = String::with_capacity(2 * text.len());
    for line in text.split_inclusive('\n') {
        let (code, comment) = line.split_once("//").map_or((line, ""), |(code, _)| line.split_at(code.len()));
        lines += &rewritten(code, &names);
        lines += comment;
    }
    lines
}

/// Names of arguments with their types, wide and narrow.
type Names<'a> = [(&'a str, [&'a str; 2])];

/// A piece of code in which `name[place]` is widened, and what is written there narrowed.
fn rewritten(code: &str, names: &Names<'_>) -> String {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(2 * code.len());
    let mut rest = code;
    while let Some(start) = rest.find(part_of_name) {
        let (before, from) = rest.split_at(start);
        out += before;
        let (word, after) = from.split_at(from.find(|c| !part_of_name(c)).unwrap_or(from.len()));
        rest = after;
        let argument = names.iter().find(|(name, _)| *name == word && !out.ends_with('.'));
        let (Some((name, [wide, narrow])), Some((place, after))) = (argument, index(after)) else {
            out += word;
            continue;
        };
        let place = format!("{name}[{}]", rewritten(place, names));
        let value = after.strip_prefix(" = ").and_then(|value| value.split_once(';'));
        rest = match value {
            Some((value, after)) => {
                out += &format!("{place} = {narrow}({});", rewritten(value, names));
                after
            }
            None => {
                out += &format!("{wide}({place})");
                after
            }
        };
    }
    out + rest
}

/// What stands between brackets here, and what follows.
fn index(code: &str) -> Option<(&str, &str)> {
    let inside = code.strip_prefix('[')?;
    let mut depth = 1;
    let end = inside.find(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        depth == 0
    })?;
    Some((&inside[..end], &inside[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_survive_being_packed() {
        let spec = TensorSpec::plain([5]);
        let values = [1.0, -2.5, 65504.0, 6e-8, f32::INFINITY];
        let words = Element::F16.pack(&spec, values.iter().map(|value| value.to_bits()).collect());
        assert_eq!((words.len(), Element::F16.words(&spec)), (3, 3));
        assert_eq!(words[0], 0xc100_3c00);
        let back: Vec<f32> = Element::F16.unpack(&spec, &words).into_iter().map(f32::from_bits).collect();
        assert_eq!(back, values.map(|value| Element::F16.round(value)));
        assert_eq!(back[2..], [65504.0, 2.0_f32.powi(-24), f32::INFINITY]);
        // Indices are no real numbers.
        let spec = spec.of_indices();
        assert_eq!(Element::F16.unpack(&spec, &Element::F16.pack(&spec, vec![7; 5])), [7; 5]);
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest() {
        for (value, stored) in [(2049.0, 2048.0), (2051.0, 2052.0), (65519.0, 65504.0), (65520.0, f32::INFINITY)] {
            assert_eq!((Element::F16.round(value), Element::F32.round(value)), (stored, value));
        }
        assert!(Element::F16.round(f32::NAN).is_nan());
    }

    #[test]
    fn reads_are_widened_and_writes_narrowed() {
        let text = "@binding(1) var<storage, read> x: array<f32>; // x[i] = x[j]
var<storage, read_write> dx: array<vec4<f32>>;
var<storage, read> weight: array<f32>;
    let v = vec2(x[order[i]], weight[i]) + p.x[0]; // x[i]
    dx[at.x + 1u] = select(dx[0], vec4<f32>(x[i] * max_x[i]), x[i] == 0.0);
    if a == x[i] { x_1[i] = x[i]; }
";
        let expected = "@binding(1) var<storage, read> x: array<f16>; // x[i] = x[j]
var<storage, read_write> dx: array<vec4<f16>>;
var<storage, read> weight: array<f32>;
    let v = vec2(f32(x[order[i]]), weight[i]) + p.x[0]; // x[i]
    dx[at.x + 1u] = vec4<f16>(select(vec4<f32>(dx[0]), vec4<f32>(f32(x[i]) * max_x[i]), f32(x[i]) == 0.0));
    if a == f32(x[i]) { x_1[i] = f32(x[i]); }
";
        assert_eq!(narrowed(text, Storage::F16), expected);
        assert_eq!(narrowed(text, Storage::F16X), expected);
        assert_eq!(narrowed(text, Storage::F32), text);
    }
}
