//! ONNX files: the parts of a model and of a tensor that the node tests need.
//!
//! Field numbers are those of `onnx.proto`.

use crate::protobuf::{Damage, Value, fields};
use std::collections::BTreeMap;

/// An operator at work, with its attributes.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub operator: String,
    /// Names, in the operator's order; empty for one that is left out.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// The version of the operator set the model was written for.
    pub opset: i64,
    attributes: BTreeMap<String, Attribute>,
}

/// An attribute of a kind that our operators have.
#[derive(Clone, Debug, Default)]
struct Attribute {
    float: f32,
    integer: i64,
    text: String,
    integers: Vec<i64>,
}

impl Node {
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attributes.get(name).map_or(default, |attribute| attribute.float)
    }

    pub fn integer(&self, name: &str, default: i64) -> i64 {
        self.attributes.get(name).map_or(default, |attribute| attribute.integer)
    }

    pub fn text(&self, name: &str, default: &str) -> String {
        self.attributes.get(name).map_or_else(|| default.into(), |attribute| attribute.text.clone())
    }

    pub fn integers(&self, name: &str) -> Option<&[i64]> {
        self.attributes.get(name).map(|attribute| attribute.integers.as_slice())
    }

    pub fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }
}

/// The nodes of a model's graph. Graphs inside of attributes are left alone.
pub fn nodes(model: &[u8]) -> Result<Vec<Node>, Damage> {
    let (mut nodes, mut opset) = (Vec::new(), 0);
    for field in fields(model) {
        match field? {
            (7, graph) => {
                for field in fields(graph.bytes()?) {
                    if let (1, message) = field? {
                        nodes.push(node(message.bytes()?)?);
                    }
                }
            }
            (8, set) => {
                for field in fields(set.bytes()?) {
                    if let (2, version) = field? {
                        opset = version.integer()?;
                    }
                }
            }
            _ => {}
        }
    }
    nodes.iter_mut().for_each(|node| node.opset = opset);
    Ok(nodes)
}

fn node(message: &[u8]) -> Result<Node, Damage> {
    let mut node = Node::default();
    for field in fields(message) {
        match field? {
            (1, name) => node.inputs.push(name.text()?),
            (2, name) => node.outputs.push(name.text()?),
            (4, name) => node.operator = name.text()?,
            (5, message) => {
                let (name, attribute) = attribute(message.bytes()?)?;
                node.attributes.insert(name, attribute);
            }
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(message: &[u8]) -> Result<(String, Attribute), Damage> {
    let (mut name, mut attribute) = (String::new(), Attribute::default());
    for field in fields(message) {
        match field? {
            (1, value) => name = value.text()?,
            (2, value) => attribute.float = value.float()?,
            (3, value) => attribute.integer = value.integer()?,
            (4, value) => attribute.text = value.text()?,
            (8, value) => attribute.integers.extend(value.integers()?),
            _ => {}
        }
    }
    Ok((name, attribute))
}

/// A tensor's dimensions and values. In `f64`, which holds every `f32` and every index.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dims: Vec<usize>,
    pub values: Vec<f64>,
    /// Whether the file says that these are integers or truth values.
    pub whole: bool,
}

impl Tensor {
    pub fn real(dims: impl Into<Vec<usize>>, values: Vec<f64>) -> Self {
        Self { dims: dims.into(), values, whole: false }
    }

    pub fn f32(&self) -> Vec<f32> {
        self.values.iter().map(|&v| v as f32).collect()
    }
}

/// Why a file is no tensor we can read.
#[derive(Debug, PartialEq)]
pub enum TensorError {
    Damaged(Damage),
    /// An element type that no operator of ours has.
    ElementType(i64),
    /// Another number of values than the dimensions say.
    Size,
}

impl From<Damage> for TensorError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl std::fmt::Display for TensorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(damage) => damage.fmt(f),
            Self::ElementType(kind) => write!(f, "elements of ONNX type {kind}"),
            Self::Size => f.write_str("another number of values than the dimensions say"),
        }
    }
}

pub fn tensor(message: &[u8]) -> Result<Tensor, TensorError> {
    let (mut dims, mut kind, mut raw) = (Vec::new(), 0, None);
    let (mut floats, mut integers) = (Vec::new(), Vec::new());
    for field in fields(message) {
        match field? {
            (1, value) => dims.extend(value.integers()?),
            (2, value) => kind = value.integer()?,
            (4, value) => floats.extend(value.floats()?),
            (5 | 7, value) => integers.extend(value.integers()?),
            (9, Value::Bytes(bytes)) => raw = Some(bytes),
            _ => {}
        }
    }
    let values: Vec<f64> = match (kind, raw) {
        (FLOAT, Some(raw)) => raw.chunks(4).map(|b| element(b).map(f32::from_le_bytes).map(f64::from)).collect(),
        (FLOAT, None) => Some(floats.into_iter().map(f64::from).collect()),
        (UINT8 | BOOL, Some(raw)) => Some(raw.iter().map(|&b| f64::from(b)).collect()),
        (INT64, Some(raw)) => raw.chunks(8).map(|b| element(b).map(i64::from_le_bytes).map(|v| v as f64)).collect(),
        (UINT8 | BOOL | INT64, None) => Some(integers.into_iter().map(|v| v as f64).collect()),
        (other, _) => return Err(TensorError::ElementType(other)),
    }
    .ok_or(TensorError::Size)?;
    let dims: Option<Vec<usize>> = dims.into_iter().map(|dim| usize::try_from(dim).ok()).collect();
    let dims = dims.ok_or(TensorError::Size)?;
    let elements = dims.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
    if elements != Some(values.len()) {
        return Err(TensorError::Size);
    }
    Ok(Tensor { dims, values, whole: kind != FLOAT })
}

const FLOAT: i64 = 1;
const UINT8: i64 = 2;
const INT64: i64 = 7;
const BOOL: i64 = 9;

fn element<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field whose value is bytes.
    fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, value.len() as u8], value].concat()
    }

    #[test]
    fn a_model_is_read() {
        let strides = [bytes(1, b"strides"), vec![0x40, 2, 0x40, 3]].concat();
        let alpha = [bytes(1, b"alpha"), vec![0x15, 0, 0, 0, 0x3f]].concat();
        let node = [bytes(1, b"x"), bytes(1, b""), bytes(2, b"y"), bytes(4, b"Conv"), bytes(5, &strides)];
        let node = [node.concat(), bytes(5, &alpha)].concat();
        let graph = [bytes(2, b"a graph's name"), bytes(1, &node)].concat();
        let model = [vec![0x08, 10], bytes(7, &graph), bytes(8, &[0x0a, 0, 0x10, 22])].concat();
        let nodes = nodes(&model).expect("a model");
        let [node] = &nodes[..] else { panic!("one node") };
        assert_eq!((node.operator.as_str(), node.opset), ("Conv", 22));
        assert_eq!(
            (&node.inputs[..], &node.outputs[..]),
            (&["x".to_owned(), String::new()][..], &["y".to_owned()][..])
        );
        assert_eq!(node.integers("strides"), Some(&[2, 3][..]));
        assert_eq!((node.float("alpha", 1.0), node.float("beta", 1.0)), (0.5, 1.0));
        assert!(node.has("alpha") && !node.has("beta"));
    }

    #[test]
    fn tensors_are_read_raw_and_typed() {
        let head = |kind| vec![0x08, 2, 0x08, 1, 0x10, kind];
        let floats = [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0];
        for data in [bytes(9, &floats), bytes(4, &floats)] {
            let got = tensor(&[head(1), data].concat()).expect("a tensor");
            assert_eq!(got, Tensor { dims: vec![2, 1], values: vec![1.0, -2.0], whole: false });
        }
        let long = [7, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255];
        let minus_one = [0x38, 7, 0x38, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        for data in [bytes(9, &long), minus_one.to_vec()] {
            let got = tensor(&[head(7), data].concat()).expect("a tensor");
            assert_eq!(got, Tensor { dims: vec![2, 1], values: vec![7.0, -1.0], whole: true });
        }
    }

    #[test]
    fn tensors_that_do_not_add_up_are_refused() {
        let floats = |count: usize| bytes(9, &vec![0; 4 * count]);
        assert_eq!(tensor(&[vec![0x08, 3, 0x10, 1], floats(2)].concat()), Err(TensorError::Size));
        assert_eq!(tensor(&[vec![0x08, 1, 0x10, 1], bytes(9, &[0; 5])].concat()), Err(TensorError::Size));
        assert_eq!(tensor(&[vec![0x08, 1, 0x10, 8], floats(1)].concat()), Err(TensorError::ElementType(8)));
        let minus_one = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x10, 1];
        assert_eq!(tensor(&minus_one), Err(TensorError::Size));
    }
}
