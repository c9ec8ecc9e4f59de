//! What a database holds.

use serde::{Deserialize, Serialize};

use crate::problem::key_text;
use crate::{HashKv, Revision};

/// What a database holds, counted while it was walked. Of a damaged one: what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Contents {
    /// The CRC-32C that `etcdutl snapshot status` prints: over names, keys and values of all buckets.
    pub hash: u32,
    /// Main revision of the last record: the store's revision.
    pub revision: Revision,
    /// Everything before it was compacted away, or is to be at the next start. `None`: never compacted.
    pub compact_revision: Option<Revision>,
    /// What a live member answers to HashKV at the newest revision. `None` of a damaged database.
    pub hash_kv: Option<HashKv>,
    /// Records in all buckets together: the "total keys" of etcd 3.4 and 3.5.
    pub total_records: u64,
    /// User keys that are not deleted: the "total keys" since etcd 3.6.
    pub live_keys: u64,
    /// Bytes of the database up to its high-water mark: the "total size".
    pub total_size_bytes: u64,
    /// Pages in that size which nothing uses; a defragmentation would give them back.
    pub free_pages: u64,
    /// What each bucket takes, in the order of the file.
    pub buckets: Vec<BucketContents>,
    /// The largest records of the `key` bucket, largest first; ten at most.
    pub largest_records: Vec<LargeRecord>,
    /// Since etcd 3.6, for example `3.6.0`.
    pub storage_version: Option<String>,
    /// The version that the whole cluster had, for example `3.5.0`.
    pub cluster_version: Option<String>,
    /// Members of the cluster that the snapshot is from.
    pub members: u64,
    /// Leases, expired or not.
    pub leases: u64,
    /// Alarms in force, each as `NOSPACE of member 8e9e05c52164694d`.
    pub alarms: Vec<String>,
    /// Whether users must log in.
    pub auth_enabled: bool,
}

/// What a bucket takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BucketContents {
    /// Its name.
    pub name: String,
    /// Its records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub data_bytes: u64,
    /// Pages of its own, branches and overflow included; 0 for a small bucket, which lies within the page of the bucket above.
    pub pages: u64,
}

/// A record that is larger than most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LargeRecord {
    /// Bytes of the record: the user's key and value, and some more.
    pub size_bytes: u64,
    /// The revision that wrote it.
    pub revision: Revision,
    /// The user's key: text where it is printable, else hexadecimal digits behind `0x`.
    pub key: String,
}

/// The largest records so far.
#[derive(Debug, Default)]
pub(super) struct Largest(Vec<LargeRecord>);

impl Largest {
    const MOST: usize = 10;

    /// Whether a record of this size may be among the largest. Of equals the earlier one is, and of those of one revision the one
    /// with the smaller key.
    pub(super) fn takes(&self, size_bytes: u64, revision: Revision) -> bool {
        let least = self.0.last().filter(|_| self.0.len() == Self::MOST);
        least.is_none_or(|least| (size_bytes, least.revision) >= (least.size_bytes, revision))
    }

    /// Takes a record that may be among the largest.
    pub(super) fn insert(&mut self, size_bytes: u64, revision: Revision, key: &[u8]) {
        self.insert_record(LargeRecord {
            size_bytes,
            revision,
            key: key_text(key),
        });
    }

    fn insert_record(&mut self, record: LargeRecord) {
        let place = self.0.partition_point(|there| {
            let (one, other) = (there, &record);
            (one.size_bytes, other.revision, &other.key)
                > (other.size_bytes, one.revision, &one.key)
        });
        self.0.insert(place, record);
        self.0.truncate(Self::MOST);
    }

    pub(super) fn merge(&mut self, other: Self) {
        for record in other.0 {
            if self.takes(record.size_bytes, record.revision) {
                self.insert_record(record);
            }
        }
    }

    pub(super) fn into_vec(self) -> Vec<LargeRecord> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves are read in any order, and a transaction may have more than ten records of one size.
    #[test]
    fn records_of_one_size_and_revision_are_told_apart_by_their_keys() {
        let seen = |order: &mut dyn Iterator<Item = u8>| {
            let mut largest = Largest::default();
            for n in order {
                if largest.takes(12, Revision::new(4)) {
                    largest.insert(12, Revision::new(4), &[b'a' + n]);
                }
            }
            largest.into_vec()
        };
        let forward = seen(&mut (0..20));
        assert_eq!(forward, seen(&mut (0..20).rev()));
        assert_eq!((&*forward[0].key, &*forward[9].key), ("a", "j"));
    }

    #[test]
    fn the_largest_ten_are_the_same_in_any_order() {
        let sizes = [3_u64, 9, 9, 1, 7, 9, 2, 8, 4, 6, 5, 9, 9, 10, 3];
        let seen = |order: &mut dyn Iterator<Item = usize>| {
            let mut largest = Largest::default();
            for n in order {
                let revision = Revision::new(n as i64);
                if largest.takes(sizes[n], revision) {
                    largest.insert(sizes[n], revision, b"key");
                }
            }
            largest.into_vec()
        };
        let forward = seen(&mut (0..sizes.len()));
        assert_eq!(forward, seen(&mut (0..sizes.len()).rev()));
        let revisions: Vec<_> = forward.iter().map(|record| record.revision.get()).collect();
        assert_eq!(revisions, [13, 1, 2, 5, 11, 12, 7, 4, 9, 10]);
    }
}
