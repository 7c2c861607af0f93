//! Damage to files.

use crate::Random;
use std::ops::Range;

/// One kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One to eight bits inverted, anywhere.
    BitFlips,
    /// One to eight bits inverted within the first 256 bytes, where most formats keep their header.
    HeaderFlips,
    /// One to four bytes replaced by ones that formats give a meaning.
    Bytes,
    /// A piece copied over another.
    Splice,
    /// A piece copied to another place, which moves the rest.
    Insert,
    /// A piece taken out.
    Remove,
    /// The end cut off.
    Cut,
    /// Something behind the end.
    Append,
    /// A binary integer of one to eight bytes replaced by an extreme one, or by a neighbour of what it is.
    Length,
    /// A number in text replaced by an extreme one.
    Digits,
}

impl Damage {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::BitFlips,
        Self::HeaderFlips,
        Self::Bytes,
        Self::Splice,
        Self::Insert,
        Self::Remove,
        Self::Cut,
        Self::Append,
        Self::Length,
        Self::Digits,
    ];

    /// Does it, somewhere.
    pub fn apply(self, bytes: &mut Vec<u8>, random: &mut Random) {
        let len = bytes.len();
        match self {
            _ if len == 0 => bytes.push(random.bits() as u8),
            Self::BitFlips => flip(bytes, len, random),
            Self::HeaderFlips => flip(bytes, len.min(256), random),
            Self::Bytes => {
                for _ in 0..=random.below(4) {
                    bytes[random.below(len)] =
                        random.one_of(b"\0\x01\x7f\x80\xff \n\r\t\"'\\[]{},:=-+.#0919einfaNE\xc3");
                }
            }
            Self::Splice => {
                let from = piece(len, random);
                let at = random.below(len - from.len() + 1);
                bytes.copy_within(from, at);
            }
            Self::Insert => {
                let piece = bytes[piece(len, random)].to_vec();
                let at = random.below(len + 1);
                bytes.splice(at..at, piece);
            }
            Self::Remove => {
                bytes.drain(piece(len, random));
            }
            Self::Cut => bytes.truncate(random.below(len)),
            Self::Append => {
                let count = 1 + random.below(64);
                let fill = random.one_of(&[0, b' ', b'}', 0xff, bytes[0]]);
                bytes.extend((0..count).map(|_| fill));
            }
            Self::Length => {
                let width = random.one_of(&[1, 2, 4, 8]).min(len);
                let at = if random.below(2) == 0 { random.below(len.min(32)) } else { random.below(len) };
                let at = at.min(len - width);
                let field = &mut bytes[at..at + width];
                let mut old = [0; 8];
                old[..width].copy_from_slice(field);
                let old = u64::from_le_bytes(old);
                let new = match random.below(4) {
                    0 => old.wrapping_add(1),
                    1 => old.wrapping_sub(1),
                    2 => old.rotate_left(8),
                    _ => random.one_of(&[0, 1, u64::MAX, 1 << 63, u64::MAX >> 1, 1 << 31, (1 << 32) - 1, 1 << 20]),
                };
                let mut new = new.to_le_bytes();
                if random.below(2) == 0 {
                    new[..width].reverse();
                }
                field.copy_from_slice(&new[..width]);
            }
            Self::Digits => {
                let starts: Vec<usize> = (0..len)
                    .filter(|&at| bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit()))
                    .take(256)
                    .collect();
                if starts.is_empty() {
                    return flip(bytes, len, random);
                }
                let start = random.one_of(&starts);
                let end = start + bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let number = random.one_of(&[
                    "0",
                    "1",
                    "-1",
                    "4294967296",
                    "9223372036854775807",
                    "18446744073709551615",
                    "99999999999999999999999",
                    "1e999",
                    "0.5",
                    "nan",
                    "null",
                    "[]",
                ]);
                bytes.splice(start..end, number.bytes());
            }
        }
    }
}

/// A copy of a good file with one to three kinds of damage, and which.
pub fn damaged(good: &[u8], random: &mut Random) -> (Vec<u8>, Vec<Damage>) {
    let mut bytes = good.to_vec();
    let kinds: Vec<Damage> = (0..=random.below(3)).map(|_| random.one_of(&Damage::ALL)).collect();
    kinds.iter().for_each(|kind| kind.apply(&mut bytes, random));
    (bytes, kinds)
}

fn flip(bytes: &mut [u8], within: usize, random: &mut Random) {
    for _ in 0..=random.below(8) {
        bytes[random.below(within)] ^= 1 << random.below(8);
    }
}

/// A short piece: the kind of thing that a lost write leaves out or doubles.
fn piece(len: usize, random: &mut Random) -> Range<usize> {
    let start = random.below(len);
    let longest = 1 << random.below(13);
    start..start + 1 + random.below((len - start).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_does_the_same_damage() {
        let good: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
        for seed in 0..200 {
            assert_eq!(damaged(&good, &mut Random::new(seed)), damaged(&good, &mut Random::new(seed)));
        }
    }

    #[test]
    fn every_kind_works_on_every_length() {
        let mut changed = [0; Damage::ALL.len()];
        for len in 0..40 {
            let good: Vec<u8> = (0..len).map(|i| b'0' + i % 40).collect();
            for (kind, changed) in Damage::ALL.into_iter().zip(&mut changed) {
                for seed in 0..50 {
                    let mut bytes = good.clone();
                    kind.apply(&mut bytes, &mut Random::new(seed));
                    *changed += usize::from(bytes != good);
                }
            }
        }
        // Now and then a change changes nothing, such as two flips of one bit.
        assert!(changed.iter().all(|&changed| changed > 1200), "{changed:?}");
    }
}
