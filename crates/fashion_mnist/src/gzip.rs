//! gzip, from a stranger: capped, checked to the last byte.

use std::io::Read;

use flate2::bufread::GzDecoder;

use crate::error::GzipError;

/// Deflate cannot pack tighter than this, so no buffer need be larger.
const DEFLATE_RATIO: usize = 1032;

/// Unpacks exactly one gzip member of at most `limit` bytes.
///
/// Never decompresses more than `limit + 1` bytes, whatever the stream claims. CRC and length in the trailer are
/// checked, and nothing may follow it (a second member counts as trailing bytes).
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, GzipError> {
    let mut decoder = GzDecoder::new(packed);
    let room = packed.len().saturating_mul(DEFLATE_RATIO);
    // Never grows: growing would hold the bytes twice for a moment.
    let mut unpacked = Vec::with_capacity(limit.min(room).saturating_add(1));
    // One byte past the limit tells "too long" from "exactly right", and reading to the end checks the trailer.
    decoder.by_ref().take((limit as u64).saturating_add(1)).read_to_end(&mut unpacked).map_err(GzipError::Damaged)?;
    if unpacked.len() > limit {
        return Err(GzipError::TooLong { limit: limit as u64 });
    }
    let trailing = decoder.into_inner().len();
    if trailing > 0 {
        return Err(GzipError::Trailing { count: trailing });
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn unpacks_up_to_the_limit() {
        assert_eq!(unpack(&pack(b"selvedge"), 8).unwrap(), b"selvedge");
        assert_eq!(unpack(&pack(b"selvedge"), 80).unwrap(), b"selvedge");
        assert_eq!(unpack(&pack(b""), 0).unwrap(), b"");
    }

    #[test]
    fn every_truncation_is_damage() {
        let packed = pack(&(0..200u8).collect::<Vec<_>>());
        for end in 0..packed.len() {
            assert!(matches!(unpack(&packed[..end], 200), Err(GzipError::Damaged(_))), "cut at {end}");
        }
    }

    #[test]
    fn every_flipped_trailer_bit_is_damage() {
        let packed = pack(b"CRC, then length");
        for bit in 0..64 {
            let mut bad = packed.clone();
            let byte = packed.len() - 8 + bit / 8;
            bad[byte] ^= 1 << (bit % 8);
            assert!(matches!(unpack(&bad, 64), Err(GzipError::Damaged(_))), "trailer bit {bit}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = pack(&vec![0; 50 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(unpack(&bomb, 1000), Err(GzipError::TooLong { limit: 1000 })));
    }

    #[test]
    fn nothing_may_follow() {
        let mut packed = pack(b"one");
        packed.push(0);
        assert!(matches!(unpack(&packed, 64), Err(GzipError::Trailing { count: 1 })));
        let two_members = [pack(b"one"), pack(b"two")].concat();
        assert!(matches!(unpack(&two_members, 64), Err(GzipError::Trailing { .. })));
    }
}
