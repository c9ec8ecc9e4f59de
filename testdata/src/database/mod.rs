//! Databases made by hand: a naive writer of bbolt files with etcd's records in them, a model to compare numbers with, and
//! tools to damage a file at a named place.
//!
//! Written from formats.md alone and without a line of etcd-snap, so that the writer and the reader under test cannot share a
//! mistake. Everything is in memory, everything is deterministic, and a wrong use panics: this is for tests.
//!
//! ```
//! use etcd_snap_testdata::database::DatabaseBuilder;
//!
//! let builder = DatabaseBuilder::new(4096).put("fruit", "apple").put("fruit", "pear").delete("fruit");
//! assert_eq!(builder.model().revision(), 4);
//!
//! let sound = builder.build();
//! let mut image = builder.image();
//! let place = image.find_revision(3, 0);
//! image.set_key_size(place, 1 << 30);
//! let damaged = image.sealed();
//! assert_eq!(sound.len(), damaged.len());
//! ```

mod builder;
mod image;
mod layout;
mod meta_fields;
mod model;
mod random;
mod records;

pub use builder::{Change, DatabaseBuilder};
pub use image::{Image, Page, Place};
pub(crate) use layout::header;
pub use layout::{FreeContent, Freelist, Inline, Shape};
pub use meta_fields::MetaFields;
pub use model::Model;
pub use random::Random;
pub use records::{
    AlarmKind, KeyValue, Member, Permission, lease_record, placeholder_key, revision_key,
    role_record, tombstone_key, user_record,
};
pub(crate) use records::{bytes_field, length_delimited, number_field, varint};

use std::collections::BTreeMap;

/// What a bucket holds under a key.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Value(Vec<u8>),
    Bucket(Bucket),
    /// A bucket whose value is written as it stands.
    RawBucket(Vec<u8>),
}

pub(crate) type Bucket = BTreeMap<Vec<u8>, Entry>;

pub(crate) const HEADER: usize = 16;
pub(crate) const ELEMENT: usize = 16;
pub(crate) const BRANCH: u16 = 0x01;
pub(crate) const LEAF: u16 = 0x02;
pub(crate) const META: u16 = 0x04;
const FREELIST: u16 = 0x10;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// `meta.freelist` of a database that does not keep one.
const NO_FREELIST: u64 = u64::MAX;

/// FNV-1a with 64 bits, the checksum of a meta page.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
    })
}

/// CRC-32C, a bit at a time.
pub(crate) fn crc32c(before: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!before, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_give_the_published_values() {
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(crc32c(0, b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xE306_9283);
    }
}
