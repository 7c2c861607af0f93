//! From a path to trusted bytes: size, then hash, then decompression and decoding, all of the same bytes.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::FileProblem;
use crate::gzip;
use crate::idx;
use crate::manifest::FileSpec;

/// Reads one file and returns its elements, without the header.
pub(crate) fn load(path: &Path, spec: &FileSpec, dims: &[u32]) -> Result<Vec<u8>, FileProblem> {
    let packed = read(path, spec)?;
    decode(&packed, dims)
}

/// Reads one file if it is the official one.
pub(crate) fn read(path: &Path, spec: &FileSpec) -> Result<Vec<u8>, FileProblem> {
    let metadata = fs::metadata(path).map_err(open_problem)?;
    // Before it is opened: opening a pipe would wait for a writer.
    if !metadata.is_file() {
        return Err(FileProblem::NotAFile);
    }
    let size_problem = |found| FileProblem::Size { expected: spec.size, found };
    if metadata.len() != spec.size {
        return Err(size_problem(metadata.len()));
    }
    let file = File::open(path).map_err(open_problem)?;
    // The file may have changed since: read no more than one byte too many, into a buffer that need not grow.
    let limit = spec.size.saturating_add(1);
    let mut packed = Vec::with_capacity(usize::try_from(limit).unwrap_or(0));
    file.take(limit).read_to_end(&mut packed).map_err(FileProblem::Unreadable)?;
    if packed.len() as u64 != spec.size {
        return Err(size_problem(packed.len() as u64));
    }
    let found = hex(&Sha256::digest(&packed));
    if found != spec.sha256 {
        return Err(FileProblem::Hash { expected: spec.sha256.clone(), found });
    }
    Ok(packed)
}

/// Unpacks and decodes; a list of one dimension is a list of labels.
pub(crate) fn decode(packed: &[u8], dims: &[u32]) -> Result<Vec<u8>, FileProblem> {
    let file = gzip::unpack(packed, idx::file_len(dims)?)?;
    let elements = idx::decode(file, dims)?;
    if dims.len() == 1 {
        idx::check_labels(&elements)?;
    }
    Ok(elements)
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn open_problem(error: io::Error) -> FileProblem {
    if error.kind() == io::ErrorKind::NotFound { FileProblem::Missing } else { FileProblem::Unreadable(error) }
}
