//! Compactions, whole ones and those that were cut short.

use std::collections::BTreeMap;

use super::DatabaseBuilder;
use super::model::{is_delete, main, user_key};
use super::records::{placeholder_key, revision_key};

impl DatabaseBuilder {
    /// A finished compaction: what is neither newest nor above `revision` is gone. A delete at the revision itself stays, as
    /// since etcd 3.5.16.
    #[must_use]
    pub fn compact(self, revision: i64) -> Self {
        self.compact_partly(revision, usize::MAX)
            .finish_compaction(revision)
    }

    /// The same by a server up to etcd 3.5.15 or 3.4.33, which takes a delete at the revision itself away too.
    #[must_use]
    pub fn compact_as_before_3_5_16(self, revision: i64) -> Self {
        let compacted = self.compact(revision);
        let model = compacted.model();
        let deletes = model.changes().filter(|(key, _)| is_delete(key));
        deletes
            .filter(|(key, _)| main(key) == revision)
            .fold(compacted, |compacted, (key, _)| {
                compacted.remove("key", key)
            })
    }

    /// A compaction whose server was killed: of what it removes, in ascending order, so many records are gone.
    #[must_use]
    pub fn compact_partly(self, revision: i64, removed: usize) -> Self {
        let obsolete = self.obsolete(revision);
        obsolete
            .iter()
            .take(removed)
            .fold(self.schedule_compaction(revision), |compacted, key| {
                compacted.remove("key", key)
            })
    }

    /// A compaction that has not begun to remove anything.
    #[must_use]
    pub fn schedule_compaction(self, revision: i64) -> Self {
        self.record("meta", "scheduledCompactRev", revision_key(revision, 0))
    }

    /// Says that a compaction removed all that it had to.
    #[must_use]
    pub fn finish_compaction(self, revision: i64) -> Self {
        self.record("meta", "finishedCompactRev", revision_key(revision, 0))
    }

    /// What a restore with `--bump-revision` and `--mark-compacted` leaves behind.
    #[must_use]
    pub fn bump(mut self, by: i64) -> Self {
        self.revision += by;
        let revision = self.revision;
        self.record("key", placeholder_key(revision), [])
            .schedule_compaction(revision)
    }

    /// Keys of the records that a compaction removes, ascending.
    fn obsolete(&self, revision: i64) -> Vec<Vec<u8>> {
        let model = self.model();
        let mut newest = BTreeMap::new();
        let mut obsolete = Vec::new();
        for (key, value) in model.changes().filter(|(key, _)| main(key) <= revision) {
            if let Some(older) = newest.insert(user_key(value), key) {
                obsolete.push(older.clone());
            }
        }
        let gone = |key: &&&Vec<u8>| is_delete(key) && main(key) < revision;
        obsolete.extend(newest.values().filter(gone).map(|key| (*key).clone()));
        obsolete.sort();
        obsolete
    }
}
