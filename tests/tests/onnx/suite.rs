//! The node tests of ONNX: where they lie, and one test read into memory.

use crate::model::{self, Node, Tensor};
use std::env;
use std::path::{Path, PathBuf};

/// Names the folder that holds the tests, `test_relu` and so on.
const VARIABLE: &str = "SELVEDGE_ONNX_DIR";

/// Where `cargo xtask onnx` puts them, below the cache folder of this project.
const CACHED: &str = "onnx-1.22.0";

/// One test of one operator.
#[derive(Debug)]
pub struct Case {
    /// The name of its folder.
    pub name: String,
    pub node: Node,
    /// The operator's arguments; `None` where an optional one is left out.
    pub inputs: Vec<Option<Tensor>>,
    /// What the operator must return, by the name of the output.
    pub outputs: Vec<(String, Tensor)>,
}

impl Case {
    /// An argument that the operator cannot do without.
    pub fn input(&self, index: usize) -> Result<&Tensor, String> {
        self.optional(index).ok_or_else(|| format!("input {index} is missing"))
    }

    pub fn optional(&self, index: usize) -> Option<&Tensor> {
        self.inputs.get(index)?.as_ref()
    }
}

/// The folder of the tests, if this machine has them.
pub fn folder() -> Option<PathBuf> {
    if let Some(folder) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return Some(folder.into());
    }
    // Next to the data set, whose library knows the cache folder of every system.
    let data = fashion_mnist::Finder::new(fashion_mnist::Source::Auto).cache_directory?;
    Some(data.parent()?.join(CACHED)).filter(|folder| folder.is_dir())
}

/// Every test of a single node whose operator is among these, by name.
pub fn load(folder: &Path, operators: &[&str]) -> Result<Vec<Case>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let folder = entry.map_err(|error| error.to_string())?.path();
        let path = folder.join("model.onnx");
        if !path.is_file() {
            continue;
        }
        let nodes = model::nodes(&read(&path)?).map_err(|damage| format!("{}: {damage}", path.display()))?;
        if let [node] = &nodes[..]
            && operators.contains(&node.operator.as_str())
        {
            cases.push(case(&folder, node.clone())?);
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

fn case(folder: &Path, node: Node) -> Result<Case, String> {
    let tensor = |kind: &str, index: usize| {
        let path = folder.join("test_data_set_0").join(format!("{kind}_{index}.pb"));
        model::tensor(&read(&path)?).map_err(|error| format!("{}: {error}", path.display()))
    };
    // Files are counted without the arguments that are left out.
    let mut files = 0..;
    let mut inputs = Vec::new();
    for name in &node.inputs {
        let file = if name.is_empty() { None } else { files.next() };
        inputs.push(file.map(|file| tensor("input", file)).transpose()?);
    }
    let mut outputs = Vec::new();
    for (name, file) in node.outputs.iter().filter(|name| !name.is_empty()).zip(0..) {
        outputs.push((name.clone(), tensor("output", file)?));
    }
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Case { name, node, inputs, outputs })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
