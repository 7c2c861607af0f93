//! What is done with hostile bytes, one function for each format. `cargo fuzz` calls them with what it makes up, and
//! `cargo test` with the committed corpus and with damaged files. They panic if a promise is broken.
#![allow(dead_code, missing_docs)]

use fashion_mnist::{gzip as gz, idx as ix};
use kernels::tuned::Tuned;
use reference::TensorSpec;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use trainer::checkpoint::{decode, encode};
use trainer::network::{Initial, ParameterSpec};
use trainer::recipe::Recipe;
use trainer::sweep::Sweep;
use trainer::weights as wt;

/// Name of a target, and what it does.
type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("idx", idx),
    ("gzip", gzip),
    ("weights", weights),
    ("checkpoint", checkpoint),
    ("recipe", recipe),
    ("sweep", sweep),
    ("tuned", tuned),
];

/// The dimensions that the IDX files of the corpus claim.
pub const IDX_DIMS: [&[u32]; 3] = [&[8], &[2, 3, 4], &[2, 28, 28]];

/// An IDX file either has the dimensions that were asked for, or is refused.
pub fn idx(bytes: &[u8]) {
    for dims in IDX_DIMS {
        if let Ok(elements) = ix::decode(bytes.to_vec(), dims) {
            assert_eq!(elements.len() as u64, dims.iter().map(|&dim| u64::from(dim)).product::<u64>());
            if let Err(error) = ix::check_labels(&elements) {
                shown(&error);
            }
        }
    }
}

/// The limit on unpacked bytes.
pub const GZIP_LIMIT: usize = 4096;

/// A gzip stream unpacks to no more than the limit, or is refused.
pub fn gzip(bytes: &[u8]) {
    for limit in [GZIP_LIMIT, 16, 0] {
        match gz::unpack(bytes, limit) {
            Ok(unpacked) => assert!(unpacked.len() <= limit),
            Err(error) => shown(&error),
        }
    }
}

/// A small network's parameters.
pub fn parameters() -> Vec<ParameterSpec> {
    let parameter =
        |name: &str, spec, trainable| ParameterSpec { name: name.to_owned(), spec, trainable, initial: Initial::Zeros };
    vec![
        parameter("fc1.weight", TensorSpec::linear(3, 4), true),
        parameter("fc1.bias", TensorSpec::plain([3]), true),
        parameter("bn1.running_mean", TensorSpec::plain([3]), false),
    ]
}

/// Weights are complete and finite, or refused.
pub fn weights(bytes: &[u8]) {
    let parameters = parameters();
    match wt::read(Cursor::new(bytes), bytes.len() as u64, Path::new("weights"), &parameters) {
        Ok(values) => {
            assert_eq!(values.len(), parameters.len());
            for (values, parameter) in values.iter().zip(&parameters) {
                assert_eq!(values.len(), parameter.spec.len());
                assert!(values.iter().all(|value| value.is_finite()));
            }
        }
        Err(error) => shown(&error),
    }
}

/// A checkpoint is what was written, or refused: as it is, and with hashes that fit it.
pub fn checkpoint(bytes: &[u8]) {
    for bytes in [Some(bytes.to_vec()), sealed(bytes)].into_iter().flatten() {
        match decode(&bytes) {
            Ok(checkpoint) => {
                assert!(checkpoint.snapshot.is_finite());
                let written = encode(&checkpoint).expect("an accepted checkpoint can be written");
                assert!(decode(&written).expect("a written checkpoint is accepted") == checkpoint);
            }
            Err(error) => shown(&error),
        }
    }
}

/// The same safetensors file with the hashes of a checkpoint, which fit whatever is in it. Without this, a fuzzer would
/// hardly come past them.
pub fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let file = SafeTensors::deserialize(bytes).ok()?;
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let mut metadata: BTreeMap<String, String> = header.metadata().clone()?.into_iter().collect();
    let hashes: BTreeMap<&str, String> = file.iter().map(|(name, tensor)| (name, hex(tensor.data()))).collect();
    metadata.insert("sha256".to_owned(), serde_json::to_string(&hashes).ok()?);
    metadata.insert("recipe_sha256".to_owned(), hex(metadata.get("recipe")?.as_bytes()));
    let mut digest = Vec::new();
    let mut add = |bytes: &[u8]| {
        digest.extend((bytes.len() as u64).to_le_bytes());
        digest.extend(bytes);
    };
    for (key, value) in metadata.iter().filter(|(key, _)| !["digest", "format"].contains(&key.as_str())) {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    let shapes: BTreeMap<&str, Vec<usize>> =
        file.iter().map(|(name, tensor)| (name, tensor.shape().to_vec())).collect();
    for (name, dims) in shapes {
        add(name.as_bytes());
        add(format!("{dims:?}").as_bytes());
    }
    metadata.insert("digest".to_owned(), hex(&digest));
    safetensors::serialize(file.iter(), Some(metadata.into_iter().collect())).ok()
}

/// Its sha256.
fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A recipe that is accepted survives being written; any other is refused with one line.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Recipe::parse(text, "mine.toml") {
        Ok(recipe) => {
            let written = recipe.to_toml().expect("an accepted recipe can be written");
            let again = Recipe::parse(&written, "again.toml").expect("a written recipe is accepted");
            assert_eq!(again, recipe);
        }
        Err(error) => shown(&error),
    }
}

/// A sweep is read, or refused with one line.
pub fn sweep(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(error) = Sweep::parse(text, "mine.toml") {
        shown(&error);
    }
}

/// A table of chosen kernels that is accepted survives being written; any other is refused with one line.
pub fn tuned(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Tuned::parse(text) {
        Ok(table) => {
            let written = table.to_toml().expect("an accepted table can be written");
            let again = Tuned::parse(&written).expect("a written table is accepted");
            assert_eq!(again.choices(), table.choices());
        }
        Err(error) => shown(&error),
    }
}

/// An error has something to say, on one line, without control characters.
fn shown(error: &dyn std::error::Error) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 4096, "{} characters: {text:.200}", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
