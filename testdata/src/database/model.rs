//! What etcd says of a database, computed the plain way (formats.md 4.1).

use std::collections::{BTreeMap, BTreeSet};

use super::crc32c;

/// Buckets, keys and values, and the numbers that follow from them.
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) buckets: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Model {
    /// The hash of `etcdutl snapshot status`.
    #[must_use]
    pub fn status_hash(&self) -> u32 {
        let mut crc = 0;
        for (name, records) in &self.buckets {
            crc = crc32c(crc, name);
            for (key, value) in records {
                crc = crc32c(crc, key);
                crc = crc32c(crc, value);
            }
        }
        crc
    }

    /// Main revision of the last record, 0 without any.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.changes().last().map_or(0, |(key, _)| {
            i64::from_be_bytes(key[..8].try_into().expect("eight bytes"))
        })
    }

    /// Records in all buckets: the "total keys" of etcd 3.4 and 3.5.
    #[must_use]
    pub fn total_records(&self) -> u64 {
        self.buckets
            .values()
            .map(|records| records.len() as u64)
            .sum()
    }

    /// User keys that are not deleted: the "total keys" since etcd 3.6.
    #[must_use]
    pub fn live_keys(&self) -> u64 {
        let mut live = BTreeSet::new();
        for (revision, value) in self.changes() {
            let user_key = user_key(value);
            if revision.len() == 18 {
                live.remove(&user_key);
            } else {
                live.insert(user_key);
            }
        }
        live.len() as u64
    }

    /// The value of a record.
    #[must_use]
    pub fn value(&self, bucket: &str, key: &[u8]) -> Option<&[u8]> {
        let records = self.buckets.get(bucket.as_bytes())?;
        records.get(key).map(Vec::as_slice)
    }

    fn changes(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.buckets.get(b"key".as_slice()).into_iter().flatten()
    }
}

/// Field 1 of a `KeyValue`, which the writer puts first.
pub(super) fn user_key(value: &[u8]) -> Vec<u8> {
    let Some((0x0A, rest)) = value.split_first() else {
        return Vec::new();
    };
    let mut length = 0;
    for (n, byte) in rest.iter().enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return rest[n + 1..][..length].to_vec();
        }
    }
    panic!("a key without a length");
}
