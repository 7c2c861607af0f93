//! A checkpoint as bytes.

use super::{Checkpoint, Damage, DatasetIdentity, Identity, Saved, Snapshot};
use crate::train::LoopState;
use crate::weights::{self, NoHeader, Tensor, Values};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// Room for the header, and enough of it for any network.
pub(super) const HEADER: u64 = 1 << 21;

/// Of the format.
pub const VERSION: &str = "1";

const KEY_VERSION: &str = "selvedge_checkpoint";
const KEY_RECIPE: &str = "recipe";
const KEY_RECIPE_HASH: &str = "recipe_sha256";
const KEY_DATASET: &str = "dataset";
const KEY_LOG_EVERY: &str = "log_every";
const KEY_ADAPTER: &str = "adapter";
const KEY_STATE: &str = "state";
const KEY_HASHES: &str = "sha256";
const KEY_DIGEST: &str = "digest";
/// Written by [`weights::serialise`], for PyTorch.
const KEY_FORMAT: &str = "format";

/// The file's bytes. The same checkpoint gives the same bytes.
pub fn encode(checkpoint: &Checkpoint) -> io::Result<Vec<u8>> {
    let Checkpoint { identity, snapshot } = checkpoint;
    let hashes: BTreeMap<&str, String> =
        snapshot.tensors.iter().map(|tensor| (tensor.name.as_str(), hash_of_values(&tensor.values))).collect();
    let mut metadata: BTreeMap<&str, String> = BTreeMap::from([
        (KEY_VERSION, VERSION.to_owned()),
        (KEY_RECIPE, identity.recipe.clone()),
        (KEY_RECIPE_HASH, hex(&Sha256::digest(&identity.recipe))),
        (KEY_DATASET, serde_json::to_string(&identity.dataset)?),
        (KEY_LOG_EVERY, serde_json::to_string(&identity.log_every)?),
        (KEY_ADAPTER, identity.adapter.clone()),
        (KEY_STATE, serde_json::to_string(&snapshot.state)?),
        (KEY_HASHES, serde_json::to_string(&hashes)?),
    ]);
    let shapes = snapshot.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice())).collect();
    let digest = digest(&metadata, &shapes);
    metadata.insert(KEY_DIGEST, digest);
    let tensors: Vec<Tensor<'_>> = snapshot
        .tensors
        .iter()
        .map(|tensor| Tensor { name: &tensor.name, dims: &tensor.dims, values: Values::F32(&tensor.values) })
        .collect();
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
    weights::serialise(&tensors, &metadata)
}

/// Reads a file's bytes, none of which is trusted.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint, Damage> {
    read(Cursor::new(bytes), bytes.len() as u64)
}

/// Reads the first `len` bytes of a source, none of which is trusted. Only the header and the values are ever held, never
/// the whole file.
pub fn read(mut source: impl Read + Seek, len: u64) -> Result<Checkpoint, Damage> {
    let (begin, file) = weights::header(&mut source, len, HEADER).map_err(|error| match error {
        NoHeader::Unreadable(error) => unreadable(&error),
        NoHeader::Format(message) => Damage::Format(message),
    })?;
    let none = HashMap::new();
    let metadata = file.metadata().as_ref().unwrap_or(&none);
    let value = |key: &'static str| metadata.get(key).ok_or(Damage::NotACheckpoint(key));

    let version = value(KEY_VERSION)?;
    if version != VERSION {
        return Err(Damage::Version(shown(version)));
    }
    let known: BTreeMap<&str, String> = metadata
        .iter()
        .filter(|(key, _)| ![KEY_DIGEST, KEY_FORMAT].contains(&key.as_str()))
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    let tensors = file.tensors();
    let shapes = tensors.iter().map(|(name, info)| (name.as_str(), info.shape.as_slice())).collect();
    if *value(KEY_DIGEST)? != digest(&known, &shapes) {
        return Err(Damage::Digest);
    }
    let recipe = value(KEY_RECIPE)?.clone();
    if *value(KEY_RECIPE_HASH)? != hex(&Sha256::digest(&recipe)) {
        return Err(Damage::Digest);
    }

    let dataset: DatasetIdentity = json("dataset", value(KEY_DATASET)?)?;
    let log_every: Option<u64> = json("log interval", value(KEY_LOG_EVERY)?)?;
    let state: LoopState = json("state", value(KEY_STATE)?)?;
    state.check().map_err(Damage::State)?;
    let hashes: BTreeMap<String, String> = json("list of hashes", value(KEY_HASHES)?)?;
    let tensors = tensors_of(&file, &mut source, begin, &hashes)?;
    let adapter = value(KEY_ADAPTER)?.clone();
    Ok(Checkpoint { identity: Identity { recipe, dataset, log_every, adapter }, snapshot: Snapshot { state, tensors } })
}

/// The tensors in the order of the file.
fn tensors_of(
    file: &Metadata,
    source: &mut (impl Read + Seek),
    begin: u64,
    hashes: &BTreeMap<String, String>,
) -> Result<Vec<Saved>, Damage> {
    let mut tensors = Vec::new();
    // In this order they follow each other without gaps: the header was checked.
    source.seek(SeekFrom::Start(begin)).map_err(|error| unreadable(&error))?;
    for name in file.offset_keys() {
        let damaged = || Damage::Hash(shown(&name));
        let info = file.info(&name).ok_or_else(damaged)?;
        if info.dtype != Dtype::F32 {
            return Err(Damage::Tensors(format!("{} is {:?}, expected F32", shown(&name), info.dtype)));
        }
        let (begin, end) = info.data_offsets;
        let (values, hash) = values(source, (end - begin) / size_of::<f32>()).map_err(|error| unreadable(&error))?;
        if hashes.get(&name) != Some(&hash) {
            return Err(damaged());
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Damage::NotFinite(shown(&name)));
        }
        tensors.push(Saved { dims: info.shape.clone(), values, name });
    }
    Ok(tensors)
}

/// The next `count` values, and the sha256 of their bytes. Through a small buffer: the bytes of a tensor are never held
/// together.
fn values(source: &mut impl Read, count: usize) -> io::Result<(Vec<f32>, String)> {
    let mut values = Vec::with_capacity(count);
    let mut hasher = Sha256::new();
    let mut piece = [0; 1 << 14];
    while values.len() < count {
        let room = piece.len();
        let bytes = &mut piece[..room.min(size_of::<f32>() * (count - values.len()))];
        source.read_exact(bytes)?;
        hasher.update(&*bytes);
        values.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
    }
    Ok((values, hex(&hasher.finalize())))
}

fn unreadable(error: &io::Error) -> Damage {
    Damage::Format(format!("it cannot be read to its end: {error}"))
}

fn json<T: DeserializeOwned>(part: &'static str, text: &str) -> Result<T, Damage> {
    serde_json::from_str(text).map_err(|error| Damage::Metadata { part, message: shown(&error.to_string()) })
}

/// Over everything in the header that means something, in an order of its own.
fn digest(metadata: &BTreeMap<&str, String>, shapes: &BTreeMap<&str, &[usize]>) -> String {
    let mut hasher = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (key, value) in metadata {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    for (name, dims) in shapes {
        add(name.as_bytes());
        add(format!("{dims:?}").as_bytes());
    }
    hex(&hasher.finalize())
}

fn hash_of_values(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    // In pieces: a copy of all would be as large as the tensor.
    for piece in values.chunks(4096) {
        let bytes: Vec<u8> = piece.iter().flat_map(|value| value.to_le_bytes()).collect();
        hasher.update(bytes);
    }
    hex(&hasher.finalize())
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use safetensors::SafeTensors;

    pub(in crate::checkpoint) fn checkpoint(steps: u64) -> Checkpoint {
        let saved = |name: &str, dims: &[usize], first: f32| Saved {
            name: name.to_owned(),
            dims: dims.to_vec(),
            values: (0..dims.iter().product::<usize>()).map(|i| first + i as f32).collect(),
        };
        Checkpoint {
            identity: Identity {
                recipe: "name = \"mine\"\n".to_owned(),
                dataset: DatasetIdentity { name: "synthetic".to_owned(), sha256: "00".to_owned() },
                log_every: Some(3),
                adapter: "reference".to_owned(),
            },
            snapshot: Snapshot {
                state: LoopState { steps, position: 12, metrics_bytes: 99, ..LoopState::default() },
                tensors: vec![
                    saved("fc1.weight", &[2, 3], -0.5),
                    saved("fc1.weight/moment", &[2, 3], 0.25),
                    saved("totals/epoch", &[2], 1e9),
                ],
            },
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let checkpoint = checkpoint(7);
        let bytes = encode(&checkpoint).unwrap();
        assert_eq!(decode(&bytes).unwrap(), checkpoint);
        assert_eq!(encode(&checkpoint).unwrap(), bytes, "the same checkpoint gives the same bytes");
        // Any reader of safetensors opens it.
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("fc1.weight/moment").unwrap().shape(), [2, 3]);
    }

    /// Every byte: of the length, of the header and of the data. What decodes all the same means the same.
    #[test]
    fn no_changed_byte_passes_for_another_checkpoint() {
        let checkpoint = checkpoint(7);
        let bytes = encode(&checkpoint).unwrap();
        let mut refused = 0;
        for index in 0..bytes.len() {
            for flip in [0x01, 0x02, 0x10, 0x80] {
                let mut changed = bytes.clone();
                changed[index] ^= flip;
                match decode(&changed) {
                    Ok(same) => assert_eq!(same, checkpoint, "byte {index} ^ {flip:#x}"),
                    Err(_) => refused += 1,
                }
            }
        }
        // All but the bits of blanks and of `format`.
        assert!(refused > 4 * bytes.len() * 9 / 10, "{refused} of {}", 4 * bytes.len());
    }

    #[test]
    fn no_truncation_passes() {
        let bytes = encode(&checkpoint(7)).unwrap();
        for len in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..len]), Err(Damage::Format(_))), "{len} bytes");
        }
        assert!(matches!(decode(&[bytes.as_slice(), &[0]].concat()), Err(Damage::Format(_))));
    }

    #[test]
    fn each_kind_of_damage_is_told() {
        let weights = weights::serialise(&[], &[("recipe", "lenet5")]).unwrap();
        assert_eq!(decode(&weights).unwrap_err(), Damage::NotACheckpoint(KEY_VERSION));

        let mut other = checkpoint(7);
        other.snapshot.tensors[1].values[2] = f32::NAN;
        assert_eq!(decode(&encode(&other).unwrap()).unwrap_err(), Damage::NotFinite("fc1.weight/moment".into()));

        let mut other = checkpoint(7);
        other.snapshot.state.epoch = 0;
        assert!(matches!(decode(&encode(&other).unwrap()).unwrap_err(), Damage::State(_)));

        let bytes = encode(&checkpoint(7)).unwrap();
        let replaced = |from: &str, to: &str| {
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            let mut bytes = bytes.clone();
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            decode(&bytes).unwrap_err()
        };
        assert_eq!(replaced("checkpoint\":\"1\"", "checkpoint\":\"2\""), Damage::Version("2".into()));
        assert_eq!(replaced("\\\"steps\\\":7", "\\\"steps\\\":8"), Damage::Digest);
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(decode(&changed).unwrap_err(), Damage::Hash("totals/epoch".into()));
    }
}
