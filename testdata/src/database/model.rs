//! What etcd says of a database, computed the plain way (formats.md 4.1, 4.2).

use std::collections::{BTreeMap, BTreeSet};

use super::{Image, crc32c};

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
        self.changes().last().map_or(0, |(key, _)| main(key))
    }

    /// The compaction that a server with this file takes for done, -1 without any: what is scheduled it does at its start.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        ["finishedCompactRev", "scheduledCompactRev"]
            .iter()
            .filter_map(|name| Some(main(self.value("meta", name.as_bytes())?)))
            .max()
            .unwrap_or(-1)
    }

    /// The revision that a server with this file is at.
    #[must_use]
    pub fn current_revision(&self) -> i64 {
        self.revision().max(1).max(self.compact_revision())
    }

    /// What a server answers to HashKV at a revision when it has finished a compaction up to `compact_revision`, -1 for none.
    #[must_use]
    pub fn hash_kv(&self, revision: i64, compact_revision: i64) -> u32 {
        let keep = self.kept_at(revision);
        // Without anything to keep, all counts that there is: what the compaction has left.
        let left = self.kept_at(compact_revision);
        let finished = self.value("meta", b"finishedCompactRev").map_or(-1, main);
        let mut crc = crc32c(0, b"key");
        for (key, value) in self.changes() {
            if main(key) > revision {
                continue;
            }
            if main(key) <= compact_revision {
                let is_there = compact_revision <= finished || left.contains(key);
                let counts = if keep.is_empty() {
                    is_there
                } else {
                    keep.contains(key)
                };
                if !counts {
                    continue;
                }
            }
            if main(key) == compact_revision && is_delete(key) {
                continue;
            }
            crc = crc32c(crc, key);
            crc = crc32c(crc, value);
        }
        crc
    }

    /// Records that a compaction at a revision would take away.
    #[must_use]
    pub fn obsolete_at(&self, revision: i64) -> usize {
        let kept = self.kept_at(revision);
        let obsolete = |key: &Vec<u8>| {
            let is_last_delete = is_delete(key) && main(key) == revision;
            main(key) <= revision && !kept.contains(key) && !is_last_delete
        };
        self.changes().filter(|(key, _)| obsolete(key)).count()
    }

    /// Of each key the newest record up to a revision, unless that is a delete.
    fn kept_at(&self, revision: i64) -> BTreeSet<&Vec<u8>> {
        let mut newest = BTreeMap::new();
        for (key, value) in self.changes().filter(|(key, _)| main(key) <= revision) {
            newest.insert(user_key(value), key);
        }
        newest.into_values().filter(|key| !is_delete(key)).collect()
    }

    /// Records in all buckets: the "total keys" of etcd 3.4 and 3.5.
    #[must_use]
    pub fn total_records(&self) -> u64 {
        self.buckets
            .values()
            .map(|records| records.len() as u64)
            .sum()
    }

    /// Keys and values of one bucket, in order.
    pub fn entries(&self, bucket: &str) -> impl Iterator<Item = (&[u8], &[u8])> {
        let entries = self.buckets.get(bucket.as_bytes()).into_iter().flatten();
        entries.map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Records of one bucket.
    #[must_use]
    pub fn records(&self, bucket: &str) -> usize {
        self.buckets.get(bucket.as_bytes()).map_or(0, BTreeMap::len)
    }

    /// User keys that are not deleted: the "total keys" since etcd 3.6.
    #[must_use]
    pub fn live_keys(&self) -> u64 {
        self.live_keys_at(i64::MAX)
    }

    /// User keys that were there at a revision.
    #[must_use]
    pub fn live_keys_at(&self, revision: i64) -> u64 {
        self.kept_at(revision).len() as u64
    }

    /// User keys that are not deleted, each with its newest record: the key of that, and its value. What stands for a bump
    /// has no name, and is no user's.
    #[must_use]
    pub fn live(&self) -> BTreeMap<Vec<u8>, (&[u8], &[u8])> {
        let mut newest = BTreeMap::new();
        for (key, value) in self.changes() {
            newest.insert(user_key(value), (key.as_slice(), value.as_slice()));
        }
        newest.retain(|name, (key, _)| !name.is_empty() && !is_delete(key));
        newest
    }

    /// The value of a record.
    #[must_use]
    pub fn value(&self, bucket: &str, key: &[u8]) -> Option<&[u8]> {
        let records = self.buckets.get(bucket.as_bytes())?;
        records.get(key).map(Vec::as_slice)
    }

    /// Main revisions of the records of the `key` bucket, ascending, each once.
    #[must_use]
    pub fn revisions(&self) -> Vec<i64> {
        let mut revisions: Vec<_> = self.changes().map(|(key, _)| main(key)).collect();
        revisions.dedup();
        revisions
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.buckets.get(b"key".as_slice()).into_iter().flatten()
    }
}

impl Image {
    /// What all the buckets hold.
    #[must_use]
    pub fn model(&self) -> Model {
        let root = self.leaves_below(self.page(self.current().root));
        let names = root.into_iter().flat_map(|leaf| self.places(leaf));
        let records = |name: &str| {
            let places = self
                .leaves(name)
                .into_iter()
                .flat_map(|leaf| self.places(leaf));
            places
                .map(|place| (self.key(place).to_vec(), self.value(place).to_vec()))
                .collect()
        };
        let buckets = names.map(|name| {
            let name = String::from_utf8_lossy(self.key(name));
            (name.as_bytes().to_vec(), records(&name))
        });
        Model {
            buckets: buckets.collect(),
        }
    }
}

/// The main revision of a revision key.
pub(super) fn main(key: &[u8]) -> i64 {
    i64::from_be_bytes(key[..8].try_into().expect("eight bytes"))
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

/// A change that deletes has one letter more.
pub(super) fn is_delete(key: &[u8]) -> bool {
    key.len() == 18
}
