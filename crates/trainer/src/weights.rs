//! Weights on disk: safetensors with PyTorch's names and layouts.

use crate::files::{Existing, write_atomically};
use crate::network::ParameterSpec;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Room for the metadata in front of the values.
const METADATA: u64 = 1 << 16;

/// Room for the name, the type and the shape of a tensor.
const ENTRY: u64 = 256;

/// PyTorch writes it for BatchNorm; nothing here depends on it.
const BATCH_COUNTER: &str = "num_batches_tracked";

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file is missing, no file, or cannot be read.
    #[error("weights {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The file is larger than these weights can be. It was not read.
    #[error("weights {}: {bytes} bytes, but this network has at most {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// Largest size for this network.
        limit: u64,
    },
    /// The file is not safetensors, or damaged.
    #[error("weights {}: not a valid safetensors file: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The file does not hold what the network needs.
    #[error("weights {}: {problem}: {tensors}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: TensorProblem,
        /// With which tensors.
        tensors: String,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

/// What can be wrong with tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The network has them, the file does not.
    #[error("the file lacks tensors of this network")]
    Missing,
    /// The file has them, the network does not.
    #[error("the file has tensors that this network does not have")]
    Unknown,
    /// Another shape.
    #[error("wrong shape")]
    Shape,
    /// Neither F32, F16, BF16 nor F64.
    #[error("wrong element type, F32, F16, BF16 or F64 is needed")]
    DType,
    /// NaN, infinite, or too large for `f32`.
    #[error("values that are not finite")]
    NotFinite,
}

/// A tensor to write.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Unique in the file.
    pub name: &'a str,
    /// Row-major.
    pub dims: &'a [usize],
    /// As many as the dimensions say.
    pub values: Values<'a>,
}

/// Elements of a tensor to write.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// `F32`
    F32(&'a [f32]),
    /// `I64`, PyTorch's type of labels.
    I64(&'a [i64]),
}

/// Writes parameters, in place of what is there, all or nothing.
pub fn save<'a>(
    path: &Path,
    parameters: impl IntoIterator<Item = (&'a ParameterSpec, &'a [f32])>,
    metadata: &[(&str, &str)],
) -> Result<(), WeightsError> {
    let tensors: Vec<Tensor<'_>> = parameters
        .into_iter()
        .map(|(parameter, values)| Tensor {
            name: &parameter.name,
            dims: &parameter.spec.dims,
            values: Values::F32(values),
        })
        .collect();
    write(path, &tensors, metadata)
}

/// Writes tensors, in place of what is there, all or nothing. The metadata gets `format = pt`, as PyTorch's loaders
/// expect.
///
/// The same tensors and metadata give the same bytes, which the safetensors crate with its hash map of metadata
/// does not promise.
pub fn write(path: &Path, tensors: &[Tensor<'_>], metadata: &[(&str, &str)]) -> Result<(), WeightsError> {
    serialise(tensors, metadata)
        .and_then(|bytes| write_atomically(path, &bytes, Existing::Replace))
        .map_err(|error| WeightsError::Unwritable { path: path.to_owned(), error })
}

/// The bytes of a file.
pub(crate) fn serialise(tensors: &[Tensor<'_>], metadata: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let mut info: Map<String, Value> = metadata.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect();
    info.insert("format".to_owned(), "pt".into());
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), info.into());

    // Wide elements first, so that all are aligned.
    let (wide, narrow): (Vec<&Tensor<'_>>, Vec<_>) =
        tensors.iter().partition(|tensor| matches!(tensor.values, Values::I64(_)));
    let mut data = Vec::new();
    for tensor in wide.into_iter().chain(narrow) {
        let begin = data.len();
        let (dtype, len) = match tensor.values {
            Values::F32(values) => {
                data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                ("F32", values.len())
            }
            Values::I64(values) => {
                data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                ("I64", values.len())
            }
        };
        if tensor.dims.iter().product::<usize>() != len {
            let message = format!("tensor {} has {len} values for the shape {:?}", tensor.name, tensor.dims);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let entry = json!({ "dtype": dtype, "shape": tensor.dims, "data_offsets": [begin, data.len()] });
        header.insert(tensor.name.to_owned(), entry);
    }

    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    bytes.append(&mut data);
    Ok(bytes)
}

/// Reads the values of `parameters`, in their order.
///
/// The file must hold these tensors and no others (but for PyTorch's `num_batches_tracked`), all finite.
pub fn load(path: &Path, parameters: &[ParameterSpec]) -> Result<Vec<Vec<f32>>, WeightsError> {
    let unreadable = |error| WeightsError::Unreadable { path: path.to_owned(), error };
    // Before it is opened: opening a pipe would wait for its writer.
    let metadata = path.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("not a regular file")));
    }
    let widest: u64 = parameters.iter().map(|parameter| 8 * (parameter.spec.len() as u64 + 1)).sum();
    let limit = widest.saturating_add(header_limit(parameters));
    if metadata.len() > limit {
        return Err(WeightsError::TooLarge { path: path.to_owned(), bytes: metadata.len(), limit });
    }
    let file = File::open(path).map_err(unreadable)?;
    read(file, metadata.len(), path, parameters)
}

/// Like [`load`], from the first `len` bytes of any source; `path` is for messages.
///
/// Only the header and the values are ever held, never the whole file.
pub fn read(
    mut source: impl Read + Seek,
    len: u64,
    path: &Path,
    parameters: &[ParameterSpec],
) -> Result<Vec<Vec<f32>>, WeightsError> {
    let (begin, header) = header(&mut source, len, header_limit(parameters)).map_err(|error| match error {
        NoHeader::Unreadable(error) => WeightsError::Unreadable { path: path.to_owned(), error },
        NoHeader::Format(message) => WeightsError::Format { path: path.to_owned(), message },
    })?;
    let failed = |problem, tensors: Vec<String>| match tensors.is_empty() {
        true => Ok(()),
        false => Err(WeightsError::Tensors { path: path.to_owned(), problem, tensors: list(&tensors) }),
    };

    let mut found = Vec::new();
    let mut missing = Vec::new();
    for parameter in parameters {
        match header.info(&parameter.name) {
            Some(tensor) => found.push((parameter, tensor)),
            None => missing.push(parameter.name.clone()),
        }
    }
    failed(TensorProblem::Missing, missing)?;
    let known = |name: &str| parameters.iter().any(|parameter| parameter.name == name);
    let counter = |name: &str| {
        let layer = name.strip_suffix(BATCH_COUNTER);
        layer.is_some_and(|layer| known(&format!("{layer}running_mean")))
    };
    let mut unknown = header.offset_keys();
    unknown.retain(|name| !known(name) && !counter(name));
    unknown.sort_unstable();
    failed(TensorProblem::Unknown, unknown.iter().map(|name| name.escape_debug().take(60).collect()).collect())?;

    let differs = |(parameter, tensor): &(&ParameterSpec, &TensorInfo)| {
        let (name, got, expected) = (&parameter.name, &tensor.shape, &parameter.spec.dims);
        (got != expected).then(|| format!("{name} is {got:?}, expected {expected:?}"))
    };
    failed(TensorProblem::Shape, found.iter().filter_map(differs).collect())?;
    let no_number = |(parameter, tensor): &(&ParameterSpec, &TensorInfo)| {
        (!is_real(tensor.dtype)).then(|| format!("{} is {}", parameter.name, tensor.dtype))
    };
    failed(TensorProblem::DType, found.iter().filter_map(no_number).collect())?;

    let mut values = Vec::new();
    let mut not_finite = Vec::new();
    for (parameter, tensor) in found {
        let elements = begin
            .checked_add(tensor.data_offsets.0 as u64)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            .and_then(|at| source.seek(SeekFrom::Start(at)))
            .and_then(|_| decode(&mut source, tensor.dtype, parameter.spec.len()))
            .map_err(|error| WeightsError::Unreadable { path: path.to_owned(), error })?;
        if elements.iter().any(|element| !element.is_finite()) {
            not_finite.push(parameter.name.clone());
        }
        values.push(elements);
    }
    failed(TensorProblem::NotFinite, not_finite)?;
    Ok(values)
}

fn header_limit(parameters: &[ParameterSpec]) -> u64 {
    METADATA + ENTRY * parameters.len() as u64
}

/// Why a safetensors file has no header.
pub(crate) enum NoHeader {
    /// The operating system would not let it be read.
    Unreadable(io::Error),
    /// It is damaged, or something else.
    Format(String),
}

/// The header of a safetensors file of `len` bytes, and where the values begin, which fill the rest of it exactly.
pub(crate) fn header(source: &mut (impl Read + Seek), len: u64, limit: u64) -> Result<(u64, Metadata), NoHeader> {
    // Names in a damaged file may hold anything, line breaks and terminal codes included.
    let format = |message: String| NoHeader::Format(message.escape_debug().take(200).collect());
    let unreadable = NoHeader::Unreadable;
    const LENGTH: u64 = size_of::<u64>() as u64;
    if len < LENGTH {
        return Err(format(format!("{len} bytes hold no header")));
    }
    let mut length = [0; LENGTH as usize];
    source.rewind().and_then(|()| source.read_exact(&mut length)).map_err(unreadable)?;
    let length = u64::from_le_bytes(length);
    if length > limit.min(len - LENGTH) {
        return Err(format(format!("a header of {length} bytes does not fit or is too large")));
    }
    let mut text = vec![0; length as usize];
    source.read_exact(&mut text).map_err(NoHeader::Unreadable)?;
    let header: Metadata = serde_json::from_slice(&text).map_err(|error| format(error.to_string()))?;
    let (begin, data) = (LENGTH + length, header.data_len() as u64);
    match begin.checked_add(data) {
        Some(end) if end == len => Ok((begin, header)),
        _ => Err(format(format!("{} bytes of values, but the header describes {data}", len - begin))),
    }
}

fn is_real(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64)
}

/// The next `count` elements as `f32`.
fn decode(source: &mut impl Read, dtype: Dtype, count: usize) -> io::Result<Vec<f32>> {
    /// Through a small buffer: the bytes of a tensor are never held together.
    fn each<const N: usize>(
        source: &mut impl Read,
        count: usize,
        decode: impl Fn([u8; N]) -> f32,
    ) -> io::Result<Vec<f32>> {
        const PIECE: usize = 4096;
        let mut values = Vec::with_capacity(count);
        let mut piece = [0; PIECE];
        while values.len() < count {
            let bytes = &mut piece[..N * (count - values.len()).min(PIECE / N)];
            source.read_exact(bytes)?;
            values.extend(bytes.as_chunks().0.iter().map(|&bytes| decode(bytes)));
        }
        Ok(values)
    }
    match dtype {
        Dtype::F32 => each(source, count, f32::from_le_bytes),
        Dtype::F16 => each(source, count, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => each(source, count, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => each(source, count, |bytes| f64::from_le_bytes(bytes) as f32),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn list(tensors: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = tensors[..tensors.len().min(SHOWN)].join(", ");
    if tensors.len() > SHOWN { format!("{shown} and {} more", tensors.len() - SHOWN) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Initial;
    use reference::TensorSpec;
    use safetensors::SafeTensors;
    use safetensors::tensor::TensorView;
    use std::fs;
    use tempfile::TempDir;

    fn parameters() -> Vec<ParameterSpec> {
        let parameter =
            |name: &str, spec| ParameterSpec { name: name.to_owned(), spec, trainable: true, initial: Initial::Zeros };
        vec![
            parameter("fc1.weight", TensorSpec::linear(2, 3)),
            parameter("fc1.bias", TensorSpec::plain([2])),
            parameter("bn1.running_mean", TensorSpec::plain([1])),
        ]
    }

    fn values() -> Vec<Vec<f32>> {
        vec![vec![1.0, -2.0, 0.5, 3.25, f32::MIN_POSITIVE, f32::MAX], vec![-0.0, 7.0], vec![0.125]]
    }

    struct Scratch(TempDir);

    impl Scratch {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
        fn path(&self) -> PathBuf {
            self.0.path().join("model.safetensors")
        }
        fn saved(&self) -> Vec<u8> {
            let (parameters, values) = (parameters(), values());
            let pairs = parameters.iter().zip(values.iter().map(Vec::as_slice));
            save(&self.path(), pairs, &[("recipe", "mine"), ("dataset", "synthetic")]).unwrap();
            fs::read(self.path()).unwrap()
        }
        fn load(&self, bytes: &[u8]) -> Result<Vec<Vec<f32>>, WeightsError> {
            fs::write(self.path(), bytes).unwrap();
            load(&self.path(), &parameters())
        }
    }

    /// A file made by the safetensors crate.
    fn foreign(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    fn problem(result: Result<Vec<Vec<f32>>, WeightsError>) -> (TensorProblem, String) {
        match result {
            Err(WeightsError::Tensors { problem, tensors, .. }) => (problem, tensors),
            other => panic!("{other:?}"),
        }
    }

    fn bytes_of<const N: usize>(values: &[f32], encode: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(|&value| encode(value)).collect()
    }

    #[test]
    fn what_was_saved_is_loaded_bit_for_bit() {
        let scratch = Scratch::new();
        let bytes = scratch.saved();
        let loaded = scratch.load(&bytes).unwrap();
        let bits =
            |tensors: &[Vec<f32>]| -> Vec<u32> { tensors.iter().flatten().map(|value| value.to_bits()).collect() };
        assert_eq!(bits(&loaded), bits(&values()));
        assert_eq!(scratch.saved(), bytes, "the same weights give the same file");

        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        assert_eq!((metadata["format"].as_str(), metadata["recipe"].as_str()), ("pt", "mine"));
        assert_eq!(metadata["dataset"], "synthetic");
    }

    #[test]
    fn tensors_of_both_types_are_aligned() {
        let scratch = Scratch::new();
        let real = Tensor { name: "a", dims: &[1], values: Values::F32(&[1.5]) };
        let label = Tensor { name: "b", dims: &[2, 1], values: Values::I64(&[-1, 9]) };
        write(&scratch.path(), &[real, label], &[]).unwrap();
        let bytes = fs::read(scratch.path()).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let labels = file.tensor("b").unwrap();
        assert_eq!((labels.dtype(), labels.shape()), (Dtype::I64, [2, 1].as_slice()));
        assert_eq!(labels.data()[..8], [0xff; 8]);
        assert_eq!(file.tensor("a").unwrap().data(), 1.5_f32.to_le_bytes());
        assert_eq!((bytes.len() - file.tensor("b").unwrap().data().len() - 4) % 8, 0);

        let wrong = Tensor { name: "c", dims: &[3], values: Values::F32(&[1.0]) };
        assert!(matches!(write(&scratch.path(), &[wrong], &[]), Err(WeightsError::Unwritable { .. })));
        assert_eq!(fs::read(scratch.path()).unwrap(), bytes, "the old file stays");
    }

    #[test]
    fn other_real_types_are_converted() {
        let scratch = Scratch::new();
        let weight = [1.0, -2.0, 0.5, 3.25, 0.0, -0.25];
        for (dtype, bytes) in [
            (Dtype::F16, bytes_of(&weight, |value| f16::from_f32(value).to_le_bytes())),
            (Dtype::BF16, bytes_of(&weight, |value| bf16::from_f32(value).to_le_bytes())),
            (Dtype::F64, bytes_of(&weight, |value| f64::from(value).to_le_bytes())),
        ] {
            let file = foreign(&[
                ("fc1.weight", dtype, &[2, 3], bytes),
                ("fc1.bias", Dtype::F32, &[2], vec![0; 8]),
                ("bn1.running_mean", Dtype::F32, &[1], vec![0; 4]),
                ("bn1.num_batches_tracked", Dtype::I64, &[], vec![0; 8]),
            ]);
            assert_eq!(scratch.load(&file).unwrap()[0], weight, "{dtype:?}");
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_named() {
        let scratch = Scratch::new();
        let weight = ("fc1.weight", Dtype::F32, [2, 3].as_slice(), vec![0; 24]);
        let bias = ("fc1.bias", Dtype::F32, [2].as_slice(), vec![0; 8]);
        let mean = ("bn1.running_mean", Dtype::F32, [1].as_slice(), vec![0; 4]);

        let lacking = foreign(std::slice::from_ref(&weight));
        let names = "fc1.bias, bn1.running_mean".to_owned();
        assert_eq!(problem(scratch.load(&lacking)), (TensorProblem::Missing, names));

        let extra = ("fc2.\u{1b}[31m\n", Dtype::F32, [1].as_slice(), vec![0; 4]);
        let foreign_counter = ("fc1.num_batches_tracked", Dtype::I64, [].as_slice(), vec![0; 8]);
        let file = foreign(&[weight.clone(), bias.clone(), mean.clone(), extra, foreign_counter]);
        let names = r"fc1.num_batches_tracked, fc2.\u{1b}[31m\n".to_owned();
        assert_eq!(problem(scratch.load(&file)), (TensorProblem::Unknown, names));

        let turned = ("fc1.weight", Dtype::F32, [3, 2].as_slice(), vec![0; 24]);
        let file = foreign(&[turned, bias.clone(), mean.clone()]);
        let names = "fc1.weight is [3, 2], expected [2, 3]".to_owned();
        assert_eq!(problem(scratch.load(&file)), (TensorProblem::Shape, names));

        let integers = ("fc1.bias", Dtype::I32, [2].as_slice(), vec![0; 8]);
        let file = foreign(&[weight.clone(), integers, mean.clone()]);
        assert_eq!(problem(scratch.load(&file)), (TensorProblem::DType, "fc1.bias is I32".to_owned()));

        for not_finite in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let wide = ("bn1.running_mean", Dtype::F64, [1].as_slice(), not_finite.to_le_bytes().to_vec());
            let file = foreign(&[weight.clone(), bias.clone(), wide]);
            assert_eq!(problem(scratch.load(&file)), (TensorProblem::NotFinite, "bn1.running_mean".to_owned()));
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        assert_eq!(list(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }

    #[test]
    fn every_truncation_is_refused() {
        let scratch = Scratch::new();
        let bytes = scratch.saved();
        for len in 0..bytes.len() {
            assert!(matches!(scratch.load(&bytes[..len]), Err(WeightsError::Format { .. })), "{len} bytes");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(scratch.load(&longer), Err(WeightsError::Format { .. })));
    }

    #[test]
    fn no_damage_to_the_header_goes_further_than_an_error() {
        let scratch = Scratch::new();
        let bytes = scratch.saved();
        let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        for position in 0..header {
            for value in [0, b' ', b'"', b'9', b'}', 0xff] {
                let mut damaged = bytes.clone();
                damaged[position] = value;
                if let Ok(loaded) = scratch.load(&damaged) {
                    assert_eq!(loaded.iter().map(Vec::len).collect::<Vec<_>>(), [6, 2, 1], "byte {position}");
                }
            }
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let scratch = Scratch::new();
        for header in [
            r#"{"fc1.weight":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,24]}}"#,
            r#"{"fc1.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[24,0]}}"#,
            r#"{"fc1.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,18446744073709551615]}}"#,
            r#"{"fc1.weight":{"dtype":"F32","shape":[-1],"data_offsets":[0,24]}}"#,
            r#"{"fc1.weight":{"dtype":"Q7","shape":[2,3],"data_offsets":[0,24]}}"#,
            "[]",
            "{",
            "null",
        ] {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.bytes());
            bytes.extend([0; 24]);
            assert!(matches!(scratch.load(&bytes), Err(WeightsError::Format { .. })), "{header}");
        }
        // Deeper than a parser may follow, and still no larger than a header may be.
        let deep = "[".repeat(1_000);
        let mut bytes = (deep.len() as u64).to_le_bytes().to_vec();
        bytes.extend(deep.bytes());
        assert!(matches!(scratch.load(&bytes), Err(WeightsError::Format { .. })));
        assert!(matches!(scratch.load(&u64::MAX.to_le_bytes()), Err(WeightsError::Format { .. })));
    }

    #[test]
    fn large_files_are_not_read() {
        let scratch = Scratch::new();
        let file = File::create(scratch.path()).unwrap();
        file.set_len(1 << 40).unwrap();
        match load(&scratch.path(), &parameters()) {
            Err(WeightsError::TooLarge { bytes, limit, .. }) => assert!(bytes == 1 << 40 && limit < 1 << 21),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn missing_files_and_folders_are_refused() {
        let scratch = Scratch::new();
        assert!(matches!(load(&scratch.path(), &parameters()), Err(WeightsError::Unreadable { .. })));
        assert!(matches!(load(scratch.0.path(), &parameters()), Err(WeightsError::Unreadable { .. })));
    }
}
