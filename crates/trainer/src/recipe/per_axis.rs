use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A size along each axis of an image. In TOML an integer for both axes, or `[height, width]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerAxis {
    /// Along the height.
    pub h: usize,
    /// Along the width.
    pub w: usize,
}

impl PerAxis {
    /// The same along both.
    pub fn both(size: usize) -> Self {
        Self { h: size, w: size }
    }

    /// 1 along both.
    pub fn one() -> Self {
        Self::both(1)
    }
}

impl Serialize for PerAxis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.h == self.w { self.h.serialize(serializer) } else { [self.h, self.w].serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for PerAxis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PerAxisVisitor)
    }
}

/// An untagged enum would do, but its errors do not say what is wrong.
struct PerAxisVisitor;

impl<'de> Visitor<'de> for PerAxisVisitor {
    type Value = PerAxis;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size of 0 or more, or [height, width]")
    }

    fn visit_u64<E: Error>(self, size: u64) -> Result<PerAxis, E> {
        usize::try_from(size).map(PerAxis::both).map_err(|_| E::custom(format_args!("{size} is too large")))
    }

    fn visit_i64<E: Error>(self, size: i64) -> Result<PerAxis, E> {
        let unexpected = || E::invalid_value(serde::de::Unexpected::Signed(size), &self);
        usize::try_from(size).map(PerAxis::both).map_err(|_| unexpected())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PerAxis, A::Error> {
        let mut next = |length| seq.next_element()?.ok_or_else(|| A::Error::invalid_length(length, &self));
        let (h, w) = (next(0)?, next(1)?);
        match seq.next_element::<usize>()? {
            None => Ok(PerAxis { h, w }),
            Some(_) => Err(A::Error::invalid_length(3, &self)),
        }
    }
}
