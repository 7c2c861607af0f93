//! The IDX format: magic `00 00 08 rank`, `rank` big-endian dimensions, then unsigned bytes in row-major order.

use crate::dataset::CLASSES;
use crate::error::IdxError;

/// Bytes of an IDX file of unsigned bytes with these dimensions, header included.
pub fn file_len(dims: &[u32]) -> Result<usize, IdxError> {
    dims.iter()
        .try_fold(1usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
        .and_then(|elements| elements.checked_add(header_len(dims)))
        .ok_or_else(|| IdxError::TooLarge(dims.to_vec()))
}

/// Checks the header against `dims` and takes it off.
pub fn decode(mut file: Vec<u8>, dims: &[u32]) -> Result<Vec<u8>, IdxError> {
    let expected = file_len(dims)?;
    let header = header_len(dims);
    // The header first: it tells more about a wrong file than its length does.
    let (words, _) = file.as_chunks::<4>();
    if let Some(&magic) = words.first() {
        let found = u32::from_be_bytes(magic);
        let expected = 0x0800 | dims.len() as u32;
        if found != expected {
            return Err(IdxError::Magic { expected, found });
        }
    }
    if let Some(found) = words.get(1..header / 4) {
        let found: Vec<u32> = found.iter().map(|&word| u32::from_be_bytes(word)).collect();
        if found != dims {
            return Err(IdxError::Dimensions { expected: dims.to_vec(), found });
        }
    }
    if file.len() < expected {
        return Err(IdxError::Truncated { expected, found: file.len() });
    }
    if file.len() > expected {
        return Err(IdxError::Trailing { count: file.len() - expected });
    }
    file.drain(..header);
    Ok(file)
}

/// Every label must name a class.
pub fn check_labels(labels: &[u8]) -> Result<(), IdxError> {
    match labels.iter().position(|&label| usize::from(label) >= CLASSES.len()) {
        Some(index) => Err(IdxError::Label { index, label: labels[index] }),
        None => Ok(()),
    }
}

fn header_len(dims: &[u32]) -> usize {
    4 + 4 * dims.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn encode(dims: &[u32], payload: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, dims.len() as u8];
        for dim in dims {
            file.extend(dim.to_be_bytes());
        }
        file.extend(payload);
        file
    }

    #[test]
    fn takes_the_header_off() {
        assert_eq!(decode(encode(&[2, 3], b"abcdef"), &[2, 3]).unwrap(), b"abcdef");
        assert_eq!(decode(encode(&[0], b""), &[0]).unwrap(), b"");
    }

    #[test]
    fn every_truncation_is_refused() {
        let dims = [2, 3, 4];
        let file = encode(&dims, &[9; 24]);
        for end in 0..file.len() {
            assert_eq!(
                decode(file[..end].to_vec(), &dims),
                Err(IdxError::Truncated { expected: file.len(), found: end })
            );
        }
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut file = encode(&[3], &[1, 2, 3]);
        file.push(4);
        assert_eq!(decode(file, &[3]), Err(IdxError::Trailing { count: 1 }));
    }

    #[test]
    fn wrong_magic_is_refused() {
        // Rank 3 for rank 1, signed bytes, floats, little-endian, text.
        for magic in [*b"\x00\x00\x08\x03", *b"\x00\x00\x09\x01", *b"\x00\x00\x0d\x01", *b"\x01\x08\x00\x00", *b"<!DO"]
        {
            let mut file = encode(&[3], &[1, 2, 3]);
            file[..4].copy_from_slice(&magic);
            assert!(matches!(decode(file, &[3]), Err(IdxError::Magic { expected: 0x801, .. })));
        }
    }

    #[test]
    fn wrong_and_oversized_dimensions_are_refused() {
        for dims in [[1, 28, 28], [2, 14, 28], [u32::MAX; 3], [0x8000_0001, 28, 28]] {
            let file = encode(&dims, &[0; 2 * 28 * 28]);
            assert!(matches!(decode(file, &[2, 28, 28]), Err(IdxError::Dimensions { .. })));
        }
        assert!(matches!(file_len(&[u32::MAX, u32::MAX, u32::MAX]), Err(IdxError::TooLarge(_))));
    }

    #[test]
    fn labels_name_a_class() {
        assert_eq!(check_labels(&[0, 9]), Ok(()));
        assert_eq!(check_labels(&[0, 9, 10, 255]), Err(IdxError::Label { index: 2, label: 10 }));
    }
}
