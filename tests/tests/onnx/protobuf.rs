//! Protocol buffers on the wire: as much of the encoding as ONNX files use.
//!
//! A message is a row of fields, each a number, a wire type and a value. What a number means is the
//! reader's business (`model.rs`); here is only how far each value reaches. Damaged input is an error,
//! never a panic.

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer, an enum or a bool. Negative integers are in two's complement.
    Varint(u64),
    /// Eight bytes: a double.
    Fixed64(u64),
    /// A string, bytes, a message inside this one, or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes: a float.
    Fixed32(u32),
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A value reaches past the end.
    Truncated,
    /// A varint of more than 64 bits.
    Overlong,
    /// Field number 0, or one past 2^29 - 1.
    FieldNumber,
    /// A group, which ONNX has none of, or a wire type that does not exist.
    WireType(u8),
    /// A field holds another kind of value than the format says.
    Kind,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated => f.write_str("a field reaches past the end"),
            Self::Overlong => f.write_str("a varint has more than 64 bits"),
            Self::FieldNumber => f.write_str("a field number is out of range"),
            Self::WireType(kind) => write!(f, "wire type {kind} is not one that ONNX uses"),
            Self::Kind => f.write_str("a field holds another kind of value than its number says"),
        }
    }
}

impl<'a> Value<'a> {
    pub fn integer(self) -> Result<i64, Damage> {
        match self {
            Self::Varint(v) => Ok(v.cast_signed()),
            _ => Err(Damage::Kind),
        }
    }

    pub fn float(self) -> Result<f32, Damage> {
        match self {
            Self::Fixed32(v) => Ok(f32::from_bits(v)),
            _ => Err(Damage::Kind),
        }
    }

    pub fn bytes(self) -> Result<&'a [u8], Damage> {
        match self {
            Self::Bytes(v) => Ok(v),
            _ => Err(Damage::Kind),
        }
    }

    pub fn text(self) -> Result<String, Damage> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// The numbers of a repeated integer field: one by itself, or all of them packed.
    pub fn integers(self) -> Result<Vec<i64>, Damage> {
        let mut rest = match self {
            Self::Varint(v) => return Ok(vec![v.cast_signed()]),
            Self::Bytes(bytes) => bytes,
            _ => return Err(Damage::Kind),
        };
        let mut all = Vec::new();
        while !rest.is_empty() {
            all.push(varint(&mut rest)?.cast_signed());
        }
        Ok(all)
    }

    /// The numbers of a repeated float field: one by itself, or all of them packed.
    pub fn floats(self) -> Result<Vec<f32>, Damage> {
        match self {
            Self::Fixed32(v) => Ok(vec![f32::from_bits(v)]),
            Self::Bytes(bytes) => {
                let (words, tail) = bytes.as_chunks::<4>();
                let floats = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
                if tail.is_empty() { Ok(floats) } else { Err(Damage::Truncated) }
            }
            _ => Err(Damage::Kind),
        }
    }
}

/// The fields of a message, in the order of the file. Ends at the first damage, which it returns.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u32, Value<'_>), Damage>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<(u32, Value<'a>), Damage> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
    let number = number.ok_or(Damage::FieldNumber)?;
    let value = match (tag & 7) as u8 {
        0 => Value::Varint(varint(rest)?),
        1 => Value::Fixed64(u64::from_le_bytes(*take(rest)?)),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| Damage::Truncated)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or(Damage::Truncated)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        5 => Value::Fixed32(u32::from_le_bytes(*take(rest)?)),
        other => return Err(Damage::WireType(other)),
    };
    Ok((number, value))
}

/// Seven bits a byte, the lowest first; the highest bit of a byte says that another follows.
fn varint(rest: &mut &[u8]) -> Result<u64, Damage> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = *take::<1>(rest)?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit only.
        if (bits << shift) >> shift != bits {
            return Err(Damage::Overlong);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Damage::Overlong)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], Damage> {
    let (bytes, after) = rest.split_first_chunk().ok_or(Damage::Truncated)?;
    *rest = after;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(message: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Damage> {
        fields(message).collect()
    }

    /// The examples of the encoding's own documentation.
    #[test]
    fn documented_messages_are_read() {
        assert_eq!(read(&[]), Ok(vec![]));
        assert_eq!(read(&[0x08, 0x96, 0x01]), Ok(vec![(1, Value::Varint(150))]));
        assert_eq!(read(b"\x12\x07testing"), Ok(vec![(2, Value::Bytes(b"testing"))]));
        assert_eq!(read(&[0x1a, 3, 0x08, 0x96, 0x01]), Ok(vec![(3, Value::Bytes(&[0x08, 0x96, 0x01]))]));
        let packed = [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05];
        let [(6, value)] = read(&packed).expect("a message")[..] else { panic!("one field, number 6") };
        assert_eq!(value.integers(), Ok(vec![3, 270, 86942]));
    }

    #[test]
    fn every_wire_type_is_read_in_order() {
        let message = [
            &[0x0d, 0, 0, 0x80, 0x3f][..],                                    // 1: float 1.0
            &[0x11, 1, 0, 0, 0, 0, 0, 0, 0],                                  // 2: fixed 64
            &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], // 3: -1
            &[0x80, 0x01, 7],                                                 // 16: a tag of two bytes
        ]
        .concat();
        let expected = [Value::Fixed32(0x3f80_0000), Value::Fixed64(1), Value::Varint(u64::MAX), Value::Varint(7)];
        let got = read(&message).expect("a message");
        assert_eq!(got, [1, 2, 3, 16].into_iter().zip(expected).collect::<Vec<_>>());
        assert_eq!((got[0].1.float(), got[2].1.integer()), (Ok(1.0), Ok(-1)));
    }

    #[test]
    fn numbers_come_packed_or_one_by_one() {
        assert_eq!(Value::Bytes(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]).floats(), Ok(vec![1.0, -2.0]));
        assert_eq!(Value::Fixed32(0x4040_0000).floats(), Ok(vec![3.0]));
        assert_eq!(Value::Varint(5).integers(), Ok(vec![5]));
        assert_eq!(Value::Bytes(&[]).integers(), Ok(vec![]));
    }

    #[test]
    fn damage_is_named() {
        let ten = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        for (message, damage) in [
            (&[0x08][..], Damage::Truncated),                              // no value
            (&[0x08, 0x80], Damage::Truncated),                            // a varint that does not end
            (&[0x0d, 1, 2, 3], Damage::Truncated),                         // three bytes of four
            (&[0x12, 0x05, 1, 2, 3, 4], Damage::Truncated),                // four bytes of five
            (&[&[0x12], &ten[..], &[1]].concat(), Damage::Truncated),      // a length of 2^64 - 1
            (&[&[0x08], &ten[..], &[2]].concat(), Damage::Overlong),       // bit 65
            (&[&[0x08], &ten[..], &[0x81, 0]].concat(), Damage::Overlong), // an eleventh byte
            (&[0x00, 0x01], Damage::FieldNumber),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0x01], Damage::FieldNumber), // 2^29
            (&[0x0b], Damage::WireType(3)),                               // the start of a group
            (&[0x0f], Damage::WireType(7)),
        ] {
            assert_eq!(read(message), Err(damage), "{message:02x?}");
        }
        for value in [Value::Varint(1), Value::Fixed64(1)] {
            assert_eq!(value.floats(), Err(Damage::Kind));
            assert_eq!(value.bytes(), Err(Damage::Kind));
        }
        assert_eq!(Value::Fixed32(1).integers(), Err(Damage::Kind));
        assert_eq!(Value::Bytes(&[1, 2, 3, 4, 5]).floats(), Err(Damage::Truncated));
        assert_eq!(Value::Bytes(&[0x80]).integers(), Err(Damage::Truncated));
    }

    proptest! {
        /// Whatever the bytes, reading ends, and every field lies inside of the message.
        #[test]
        fn arbitrary_bytes_do_no_harm(message in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut inside = 0;
            for field in fields(&message) {
                let Ok((number, value)) = field else { break };
                prop_assert!(number > 0);
                inside += 1 + value.bytes().map_or(0, <[u8]>::len);
                let _ = (value.integers(), value.floats());
            }
            prop_assert!(inside <= message.len());
        }

        /// Any 64 bits survive the trip through their shortest encoding.
        #[test]
        fn varints_round_trip(value: u64) {
            let mut message = vec![0x08];
            let mut rest = value;
            while rest > 0x7f {
                message.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            message.push(rest as u8);
            prop_assert_eq!(read(&message), Ok(vec![(1, Value::Varint(value))]));
        }
    }
}
