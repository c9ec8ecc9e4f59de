//! `mvccpb.KeyValue`, the value of every put (formats.md 2).
//!
//! A value may have many megabytes. What a backup tool must know of it is small, so the message is not decoded into memory:
//! its shape says where the key and the value stand in it.

use std::ops::Range;

/// What a `KeyValue` message says, and where its bytes are within it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct KeyValueShape {
    pub(crate) key: Range<u32>,
    pub(crate) create_revision: i64,
    pub(crate) mod_revision: i64,
    pub(crate) version: i64,
    pub(crate) value: Range<u32>,
    pub(crate) lease: i64,
}

/// Field numbers have 29 bits.
const TOO_LARGE: u64 = 1 << 29;
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;
/// Bytes of the longest varint.
const LONGEST_VARINT: u32 = 10;

impl KeyValueShape {
    /// Reads the shape of a message that is in memory.
    ///
    /// # Errors
    /// A phrase that continues "the value ...".
    pub(crate) fn of(message: &[u8]) -> Result<Self, String> {
        if let Some(shape) = Self::as_written(message) {
            return Ok(shape);
        }
        let len = u32::try_from(message.len()).map_err(|_| "has 4 GiB or more".to_owned())?;
        let parsed = Self::parse(len, |at, n| {
            let mut part = [0; LONGEST_VARINT as usize];
            let bytes = message.get(at as usize..).unwrap_or_default();
            part.iter_mut()
                .zip(bytes.iter().take(n))
                .for_each(|(to, from)| *to = *from);
            Ok::<_, std::convert::Infallible>(part)
        });
        match parsed {
            Ok(shape) => shape,
            Err(never) => match never {},
        }
    }

    /// The form in which etcd writes every message: each field once at most, in the order of their numbers. `None` for all
    /// others, whatever they are.
    fn as_written(message: &[u8]) -> Option<Self> {
        let mut shape = Self::default();
        let mut rest = message;
        let field = |rest: &mut &[u8], tag: u8| -> Option<Option<u64>> {
            let Some((first, behind)) = rest.split_first().filter(|(first, _)| **first == tag)
            else {
                return Some(None);
            };
            let _ = first;
            let (number, used) = match behind {
                [small @ 0..=0x7F, ..] => (u64::from(*small), 1),
                _ => {
                    let n = behind.len().min(LONGEST_VARINT as usize);
                    let (number, used) = parse_varint(behind.get(..n)?)?;
                    (number, used as usize)
                }
            };
            *rest = behind.get(used..)?;
            Some(Some(number))
        };
        let bytes = |rest: &mut &[u8], len: u64| -> Option<Range<u32>> {
            let len = usize::try_from(len).ok()?;
            let start = message.len().checked_sub(rest.len())?;
            *rest = rest.get(len..)?;
            let end = start.checked_add(len)?;
            Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
        };
        const fn tag(number: u8, kind: u64) -> u8 {
            number << 3 | kind as u8
        }
        if let Some(len) = field(&mut rest, tag(1, BYTES))? {
            shape.key = bytes(&mut rest, len)?;
        }
        shape.create_revision = field(&mut rest, tag(2, VARINT))?.unwrap_or_default() as i64;
        shape.mod_revision = field(&mut rest, tag(3, VARINT))?.unwrap_or_default() as i64;
        shape.version = field(&mut rest, tag(4, VARINT))?.unwrap_or_default() as i64;
        if let Some(len) = field(&mut rest, tag(5, BYTES))? {
            shape.value = bytes(&mut rest, len)?;
        }
        shape.lease = field(&mut rest, tag(6, VARINT))?.unwrap_or_default() as i64;
        rest.is_empty().then_some(shape)
    }

    /// Reads the shape of a message of `len` bytes. `part` gives bytes of it: from where, and how many (10 at most, and never
    /// over the end).
    ///
    /// # Errors
    /// The outer one is `part`'s. The inner one is a phrase that continues "the value ...".
    pub(crate) fn parse<E>(
        len: u32,
        mut part: impl FnMut(u32, usize) -> Result<[u8; 10], E>,
    ) -> Result<Result<Self, String>, E> {
        let mut shape = Self::default();
        let mut at = 0;
        while at < len {
            let mut varint = |at: &mut u32| -> Result<Result<u64, String>, E> {
                let n = len.saturating_sub(*at).min(LONGEST_VARINT);
                let bytes = part(*at, n as usize)?;
                let bytes = bytes.get(..n as usize).unwrap_or_default();
                Ok(match parse_varint(bytes) {
                    Some((number, used)) => {
                        *at = at.saturating_add(used);
                        Ok(number)
                    }
                    None => Err(format!("breaks off in a number at its byte {at}")),
                })
            };
            macro_rules! varint {
                () => {
                    match varint(&mut at)? {
                        Ok(number) => number,
                        Err(why) => return Ok(Err(why)),
                    }
                };
            }
            let tag = varint!();
            let (field, kind) = (tag >> 3, tag & 7);
            match (field, kind) {
                (0 | TOO_LARGE.., _) => {
                    return Ok(Err(format!(
                        "has a field with the impossible number {field}"
                    )));
                }
                (1 | 5, BYTES) => {
                    let size = varint!();
                    let end = u64::from(at).saturating_add(size);
                    let Some(end) = u32::try_from(end).ok().filter(|end| *end <= len) else {
                        return Ok(Err(format!(
                            "claims {size} bytes at its byte {at}, more than it has"
                        )));
                    };
                    if field == 1 {
                        shape.key = at..end;
                    } else {
                        shape.value = at..end;
                    }
                    at = end;
                }
                (2, VARINT) => shape.create_revision = varint!() as i64,
                (3, VARINT) => shape.mod_revision = varint!() as i64,
                (4, VARINT) => shape.version = varint!() as i64,
                (6, VARINT) => shape.lease = varint!() as i64,
                (1..=6, kind) => {
                    return Ok(Err(format!("has field {field} in the wrong form {kind}")));
                }
                (_, VARINT) => {
                    let _ = varint!();
                }
                (_, FIXED_64 | FIXED_32 | BYTES) => {
                    let size = match kind {
                        FIXED_64 => 8,
                        FIXED_32 => 4,
                        _ => varint!(),
                    };
                    let end = u64::from(at).saturating_add(size);
                    let Some(end) = u32::try_from(end).ok().filter(|end| *end <= len) else {
                        return Ok(Err(format!(
                            "claims {size} bytes at its byte {at}, more than it has"
                        )));
                    };
                    at = end;
                }
                (_, kind) => {
                    return Ok(Err(format!("has field {field} in an unknown form {kind}")));
                }
            }
        }
        Ok(Ok(shape))
    }
}

/// The number and the bytes it took.
fn parse_varint(bytes: &[u8]) -> Option<(u64, u32)> {
    let mut number = 0_u64;
    for (n, byte) in (0_u32..).zip(bytes) {
        let bits = u64::from(byte & 0x7F);
        let shift = n.checked_mul(7)?;
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits.checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((number, n.saturating_add(1)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    /// The message as prost reads it: the model.
    #[derive(Clone, PartialEq, prost::Message)]
    struct KeyValue {
        #[prost(bytes = "vec", tag = "1")]
        key: Vec<u8>,
        #[prost(int64, tag = "2")]
        create_revision: i64,
        #[prost(int64, tag = "3")]
        mod_revision: i64,
        #[prost(int64, tag = "4")]
        version: i64,
        #[prost(bytes = "vec", tag = "5")]
        value: Vec<u8>,
        #[prost(int64, tag = "6")]
        lease: i64,
    }

    fn shape(bytes: &[u8]) -> Result<KeyValueShape, String> {
        let part = |at: u32, n: usize| {
            let mut part = [0; 10];
            part[..n].copy_from_slice(&bytes[at as usize..at as usize + n]);
            Ok::<_, std::convert::Infallible>(part)
        };
        match KeyValueShape::parse(bytes.len() as u32, part) {
            Ok(result) => result,
        }
    }

    fn decode(bytes: &[u8]) -> Result<KeyValue, String> {
        let shape = shape(bytes)?;
        let range = |r: &Range<u32>| bytes[r.start as usize..r.end as usize].to_vec();
        Ok(KeyValue {
            key: range(&shape.key),
            create_revision: shape.create_revision,
            mod_revision: shape.mod_revision,
            version: shape.version,
            value: range(&shape.value),
            lease: shape.lease,
        })
    }

    #[test]
    fn impossible_field_numbers_are_refused() {
        let above_29_bits = [213, 128, 128, 128, 16, 0, 0, 0, 0];
        assert!(shape(&above_29_bits).is_err());
        assert!(shape(&[0x05, 0, 0, 0, 0]).is_err());
        assert!(shape(&[0x7d, 0, 0, 0, 0]).is_ok());
    }

    proptest! {
        #[test]
        fn the_shape_says_what_a_full_decoder_says(
            key: Vec<u8>, create_revision: i64, mod_revision: i64, version: i64, value: Vec<u8>, lease: i64,
        ) {
            let message = KeyValue { key, create_revision, mod_revision, version, value, lease };
            prop_assert_eq!(decode(&message.encode_to_vec()), Ok(message));
        }

        #[test]
        fn in_memory_it_is_the_same(bytes in proptest::collection::vec(prop_oneof![0_u8..64, any::<u8>()], 0..40)) {
            let piecewise = KeyValueShape::parse(bytes.len() as u32, |at, n| {
                let mut part = [0; 10];
                part[..n].copy_from_slice(&bytes[at as usize..][..n]);
                Ok::<_, ()>(part)
            });
            prop_assert_eq!(KeyValueShape::of(&bytes), piecewise.unwrap());
        }

        #[test]
        fn what_etcd_writes_is_read_in_memory(
            key: Vec<u8>, create_revision: i64, mod_revision: i64, version: i64, value: Vec<u8>, lease: i64,
        ) {
            let bytes = KeyValue { key: key.clone(), create_revision, mod_revision, version, value: value.clone(), lease }.encode_to_vec();
            let shape = KeyValueShape::as_written(&bytes).unwrap();
            let at = |range: Range<u32>| &bytes[range.start as usize..range.end as usize];
            prop_assert_eq!((at(shape.key), at(shape.value)), (key.as_slice(), value.as_slice()));
            prop_assert_eq!((shape.create_revision, shape.mod_revision), (create_revision, mod_revision));
            prop_assert_eq!((shape.version, shape.lease), (version, lease));
        }

        #[test]
        fn any_bytes_are_judged_as_a_full_decoder_judges_them(bytes in proptest::collection::vec(prop_oneof![0_u8..64, any::<u8>()], 0..40)) {
            let model = KeyValue::decode(bytes.as_slice());
            match (decode(&bytes), model) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Ok(ours), Err(e)) => prop_assert!(false, "accepted {:?}, prost says {}", ours, e),
                // prost still reads the groups that proto2 had; nothing in etcd writes them.
                (Err(_), _) => {}
            }
        }
    }
}
