//! Revisions, and the keys of the `key` bucket that are made of them (formats.md 2).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;

/// A point in the history of the store: it grows by one with every transaction that changes a key.
///
/// An empty store is at revision 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(i64);

impl Revision {
    /// The revision with this number.
    #[must_use]
    pub const fn new(revision: i64) -> Self {
        Self(revision)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({})", self.0)
    }
}

/// A key of the `key` bucket: one change of one key (`BytesToBucketKey` in etcd's `server/storage/mvcc/revision.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RevisionKey {
    pub(crate) main: Revision,
    /// Which change of its transaction it was, from 0.
    pub(crate) sub: i64,
    /// The change was a delete.
    pub(crate) tombstone: bool,
}

impl RevisionKey {
    pub(crate) const LEN: usize = 17;
    const SEPARATOR: u8 = b'_';
    const TOMBSTONE: u8 = b't';

    /// # Errors
    /// A phrase that continues "the key ...".
    pub(crate) fn parse(key: &[u8]) -> Result<Self, String> {
        let mut cursor = Cursor::new(key);
        let mut parts = || {
            let main = cursor.i64_be("main revision")?;
            let [separator] = cursor.array("separator")?;
            let sub = cursor.i64_be("sub revision")?;
            Ok((main, separator, sub))
        };
        let (main, separator, sub) = parts().map_err(|_: crate::cursor::Short| {
            format!(
                "has {} bytes instead of {} or {}",
                key.len(),
                Self::LEN,
                Self::LEN.saturating_add(1)
            )
        })?;
        let tombstone = match cursor.rest() {
            [] => false,
            [Self::TOMBSTONE] => true,
            [other] => {
                return Err(format!(
                    "ends with {other:#04x} instead of the mark of a delete"
                ));
            }
            _ => {
                return Err(format!(
                    "has {} bytes instead of {} or {}",
                    key.len(),
                    Self::LEN,
                    Self::LEN.saturating_add(1)
                ));
            }
        };
        if separator != Self::SEPARATOR {
            return Err(format!(
                "has {separator:#04x} instead of '_' between its revisions"
            ));
        }
        if main < 0 || sub < 0 {
            return Err(format!("has a negative revision: {main}.{sub}"));
        }
        Ok(Self {
            main: Revision(main),
            sub,
            tombstone,
        })
    }

    /// The same order in 64 bits: `None` beyond revision 2^43, which the largest bump of a restore does not reach by chance, or
    /// 2^20 changes in one transaction.
    pub(crate) fn packed(self) -> Option<PackedRevision> {
        let main = u64::try_from(self.main.0)
            .ok()
            .filter(|_| self.main <= PackedRevision::LAST)?;
        let sub = u64::try_from(self.sub).ok().filter(|sub| *sub >> 20 == 0)?;
        Some(PackedRevision(
            main << 21 | sub << 1 | u64::from(self.tombstone),
        ))
    }

    /// The 17 bytes of a change that is not a delete.
    pub(crate) fn to_bytes(main: Revision, sub: i64) -> [u8; Self::LEN] {
        let mut bytes = [Self::SEPARATOR; Self::LEN];
        let all = main
            .0
            .to_be_bytes()
            .into_iter()
            .chain([Self::SEPARATOR])
            .chain(sub.to_be_bytes());
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        bytes
    }
}

/// A [`RevisionKey`] in 64 bits, in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PackedRevision(u64);

impl PackedRevision {
    /// The last revision that has this form.
    pub(crate) const LAST: Revision = Revision((1 << 43) - 1);

    /// The last change that a revision can have.
    pub(crate) fn last_of(revision: Revision) -> Option<Self> {
        let last = RevisionKey {
            main: revision,
            sub: (1 << 20) - 1,
            tombstone: true,
        };
        last.packed()
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn main(self) -> Revision {
        Revision((self.0 >> 21) as i64)
    }

    pub(crate) fn is_tombstone(self) -> bool {
        self.0 & 1 == 1
    }

    /// Whether it is another change, and a later one.
    pub(crate) fn is_after(self, other: Self) -> bool {
        self.0 >> 1 > other.0 >> 1
    }
}

impl fmt::Display for RevisionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.main, self.sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_key_has_the_bytes_that_etcd_gives_it() {
        let bytes = RevisionKey::to_bytes(Revision(1055), 0);
        assert_eq!(bytes, *b"\0\0\0\0\0\0\x04\x1f_\0\0\0\0\0\0\0\0");
        let key = RevisionKey::parse(&bytes).unwrap();
        assert_eq!(
            (key.main, key.sub, key.tombstone),
            (Revision(1055), 0, false)
        );
        let deleted = RevisionKey::parse(&[bytes.as_slice(), b"t"].concat()).unwrap();
        assert!(deleted.tombstone && deleted.main == key.main);
    }

    #[test]
    fn malformed_revision_keys_are_refused() {
        let good = RevisionKey::to_bytes(Revision(7), 1);
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            RevisionKey::parse(&bytes)
        };
        assert!(RevisionKey::parse(&good[..16]).is_err());
        assert!(RevisionKey::parse(&[good.as_slice(), b"x"].concat()).is_err());
        assert!(RevisionKey::parse(&[good.as_slice(), b"tt"].concat()).is_err());
        assert!(with(8, b'-').is_err());
        assert!(with(0, 0x80).is_err());
        assert!(with(9, 0x80).is_err());
    }
}
