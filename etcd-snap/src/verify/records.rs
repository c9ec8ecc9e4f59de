//! Judges and counts every record of an etcd database while its pages are walked (formats.md 2, 4.1, 4.2).

use super::Contents;
use super::at::{At, Compactions};
use super::changes::{contradiction, fingerprint_of, shape_of};
use super::contents::{BucketContents, Largest};
use super::entries::Entries;
use super::large::Counting;
use super::leases::Leases;
use super::look::Progress;
use super::rounds::Rounds;
use crate::backend::{KeyValueShape, RevisionKey, bucket};
use crate::bbolt::{Follow, Leaves, PageError, PageId, PageKind, Record, Visitor};
use crate::problem::KEY_SHOWN;
use crate::{Problem, ProblemCode, Result, Revision, Severity, Snapshot};

/// The largest value of a bucket other than `key` that is decoded: a role with very many permissions may have megabytes.
const LARGEST_ENTRY: u32 = 4 * 1024 * 1024;

/// What a walk is for. Everything but keys and their hash is said and counted in the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    First,
    /// For keys that were put off.
    Counting,
    /// For HashKV, when it is known which records count.
    Hashing,
}

pub(super) struct Records<'a, P> {
    report: P,
    progress: Progress<'a>,
    walk: Walk,
    /// The bucket whose records come now.
    bucket: Vec<u8>,
    /// Those of etcd's buckets that came.
    seen: Vec<Vec<u8>>,
    last: Option<RevisionKey>,
    entries: Entries,
    rounds: Rounds,
    /// In the place of the rounds, where more is known.
    counting: Option<Counting<'a>>,
    leases: Leases<'a>,
    largest: Largest,
    hash_kv: KeepHash,
    deferred: Option<Deferred>,
    contents: Contents,
}

/// HashKV in the making.
struct KeepHash {
    at: At,
    hash: u32,
    /// Records of the `key` bucket so far.
    number: u64,
    /// Records after this revision decide nothing.
    decides: Revision,
}

impl KeepHash {
    fn new(at: At) -> Self {
        Self {
            at,
            hash: crc32c::crc32c(bucket::KEY),
            number: 0,
            decides: at.revision,
        }
    }

    fn restart(&mut self) {
        self.hash = crc32c::crc32c(bucket::KEY);
        self.number = 0;
    }
}

/// The leaves of the `key` bucket, which somebody else looks at, and the status hash up to them.
pub(super) struct Deferred {
    pub(super) leaves: Leaves,
    /// All bounds have a short form, and rise.
    pub(super) is_plain: bool,
    pub(super) hash_before: u32,
    /// Bytes that the status hash takes behind them.
    pub(super) bytes_behind: u64,
}

/// What came of it.
pub(super) struct Walked {
    pub(super) contents: Contents,
    pub(super) largest: Largest,
    /// All leases in ascending order, where memory holds them.
    pub(super) lease_ids: Option<Vec<i64>>,
    pub(super) deferred: Option<Deferred>,
}

impl<'a, P: FnMut(Problem)> Records<'a, P> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        at: At,
        report: P,
        progress: Progress<'a>,
    ) -> Result<Self> {
        Ok(Self {
            report,
            progress,
            walk: Walk::First,
            bucket: Vec::new(),
            seen: Vec::new(),
            last: None,
            entries: Entries::default(),
            rounds: Rounds::new(),
            counting: None,
            leases: Leases::of(snapshot)?,
            largest: Largest::default(),
            hash_kv: KeepHash::new(at),
            deferred: None,
            contents: Contents::default(),
        })
    }

    /// Leaves of the `key` bucket are gathered, not read.
    pub(super) fn deferring(mut self, leaves: Leaves) -> Self {
        self.deferred = Some(Deferred {
            leaves,
            is_plain: true,
            hash_before: 0,
            bytes_behind: 0,
        });
        self
    }

    /// Which records count is known, if the file is sound.
    pub(super) fn counting_with(mut self, counting: Counting<'a>) -> Self {
        self.counting = Some(counting);
        self
    }

    /// What was given for counting, after the walk.
    pub(super) fn take_counting(&mut self) -> Option<Counting<'a>> {
        self.counting.take()
    }

    /// Whether the same walk must be done again, for keys that were put off or to hash what counts.
    pub(super) fn goes_on(&mut self) -> bool {
        if self.walk == Walk::Hashing {
            return false;
        }
        let report = &mut self.report;
        if self.rounds.next_round(report) {
            self.walk = Walk::Counting;
            self.hash_kv.number = 0;
            return true;
        }
        let KeepHash { at, decides, .. } = self.hash_kv;
        if decides == at.revision {
            self.contents.live_keys = self.rounds.live_keys();
        }
        let Some(compacted) = at.compact_revision else {
            return false;
        };
        // Without any live key all records count that the compaction leaves (formats.md 4.2).
        if self.contents.live_keys == 0 {
            if at.compact_revision <= self.entries.finished_compact {
                return false;
            }
            if decides > compacted {
                self.hash_kv.decides = compacted;
                self.hash_kv.number = 0;
                self.rounds = Rounds::new();
                self.walk = Walk::Counting;
                return true;
            }
        }
        if self.rounds.any_obsolete() != Some(true) {
            return false;
        }
        self.walk = Walk::Hashing;
        self.hash_kv.restart();
        true
    }

    /// HashKV; `None` where there are too many records to tell which of them count.
    pub(super) fn hash_kv(&self) -> Option<u32> {
        let known = self.rounds.any_obsolete().is_some();
        (known || self.hash_kv.at.compact_revision.is_none()).then_some(self.hash_kv.hash)
    }

    /// The main revision of the last record.
    pub(super) fn last_revision(&self) -> Revision {
        self.contents.revision
    }

    pub(super) fn finish(mut self) -> Walked {
        for name in [bucket::KEY, bucket::META] {
            if !self.seen.iter().any(|seen| seen == name) {
                let message = format!("the bucket {:?} is missing", String::from_utf8_lossy(name));
                (self.report)(Problem::damaged(ProblemCode::Bucket, message));
            }
        }
        let deferred = self.deferred.as_ref();
        let written =
            self.last.is_some() || deferred.is_some_and(|deferred| deferred.leaves.len() > 0);
        self.entries
            .contradictions(written)
            .into_iter()
            .for_each(&mut self.report);
        let compactions = Compactions {
            finished: self.entries.finished_compact,
            scheduled: self.entries.scheduled_compact,
        };
        self.contents.compact_revision = compactions.compact_revision();
        Walked {
            contents: self.contents,
            lease_ids: self.entries.lease_ids(),
            largest: self.largest,
            deferred: self.deferred,
        }
    }

    fn say(&mut self, mut problem: Problem) {
        if self.walk == Walk::First {
            problem.bucket = Some(String::from_utf8_lossy(&self.bucket).into_owned());
            (self.report)(problem);
        }
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.contents.hash = crc32c::crc32c_append(self.contents.hash, bytes);
        if let Some(deferred) = &mut self.deferred {
            deferred.bytes_behind = deferred.bytes_behind.saturating_add(bytes.len() as u64);
        }
    }

    fn bucket_contents(&mut self) -> Option<&mut BucketContents> {
        self.contents
            .buckets
            .last_mut()
            .filter(|_| self.walk == Walk::First && !self.bucket.is_empty())
    }

    /// A record of the `key` bucket.
    fn change(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        let number = self.hash_kv.number;
        self.hash_kv.number = number.saturating_add(1);
        let parsed = RevisionKey::parse(record.key);
        if self.walk == Walk::Hashing {
            return match parsed {
                Ok(revision) => self.hash_what_counts(record, revision, number),
                Err(_) => Ok(()),
            };
        }
        let len = record.value_len();
        let shape = shape_of(record)?;

        let revision = match parsed {
            Ok(revision) => {
                if let Some(what) = self.misplaced(revision) {
                    self.say(record.damaged(ProblemCode::RevisionKey, what));
                }
                if self.walk == Walk::First {
                    self.last = self.last.max(Some(revision));
                    self.contents.revision = revision.main;
                }
                revision
            }
            Err(why) => {
                self.say(record.damaged(ProblemCode::RevisionKey, format!("the key {why}")));
                return Ok(());
            }
        };
        let shape = match shape {
            Ok(shape) => shape,
            Err(why) => {
                let message = format!("the value of revision {revision} {why}");
                self.say(record.damaged(ProblemCode::Value, message));
                return Ok(());
            }
        };
        if let Some(what) = contradiction(revision, &shape, len) {
            let message = format!("revision {revision} {what}");
            self.say(record.damaged(ProblemCode::Record, message));
        }
        self.count(record, revision, &shape, number)
    }

    /// Which record of its key is the newest, and whether it counts.
    fn count(
        &mut self,
        record: &mut Record<'_, '_>,
        revision: RevisionKey,
        shape: &KeyValueShape,
        number: u64,
    ) -> Result<(), PageError> {
        let fingerprints = match &self.counting {
            Some(counting) => counting.fingerprints(),
            None => self.rounds.fingerprints(),
        };
        let key = fingerprint_of(record, shape, fingerprints)?;
        if let Some(counting) = &mut self.counting {
            if counting.count(revision, key, shape.lease) {
                self.hash_record(record)?;
            }
        // What came after the revision of the hash decides nothing.
        } else if revision.main <= self.hash_kv.decides {
            if self.walk == Walk::First {
                self.hash_what_counts(record, revision, number)?;
            }
            if revision.tombstone {
                self.rounds.delete(key, number);
            } else {
                let lives = self.hash_kv.decides == self.hash_kv.at.revision;
                let suspicion = if lives {
                    self.absent_lease(record, shape)?
                } else {
                    None
                };
                self.rounds.put(key, number, suspicion);
            }
        }
        if self.walk == Walk::First {
            let size_bytes = u64::from(record.value_len());
            if self.largest.takes(size_bytes, revision.main) {
                // As much of it as is shown, and what tells that there is more.
                let shown = shape.key.start.saturating_add(KEY_SHOWN as u32);
                let end = shape.key.end.min(shown.saturating_add(1));
                let mut key = Vec::new();
                record.value_pieces(shape.key.start, end, |bytes| {
                    key.extend_from_slice(bytes);
                })?;
                self.largest.insert(size_bytes, revision.main, &key);
            }
        }
        Ok(())
    }

    /// The key would outlive the lease that it hangs on.
    fn absent_lease(
        &mut self,
        record: &Record<'_, '_>,
        shape: &KeyValueShape,
    ) -> Result<Option<Problem>, PageError> {
        if shape.lease == 0 || self.leases.has(shape.lease)? != Some(false) {
            return Ok(None);
        }
        let mut problem = record.damaged(
            ProblemCode::Lease,
            format!(
                "a key hangs on the lease {:x}, which is not there: it would never expire",
                shape.lease
            ),
        );
        problem.severity = Severity::Suspicious;
        problem.bucket = Some(String::from_utf8_lossy(bucket::KEY).into_owned());
        Ok(Some(problem))
    }

    /// The rules of HashKV; in the first walk as if nothing were obsolete.
    fn hash_what_counts(
        &mut self,
        record: &mut Record<'_, '_>,
        revision: RevisionKey,
        number: u64,
    ) -> Result<(), PageError> {
        let at = self.hash_kv.at;
        if revision.main > at.revision {
            return Ok(());
        }
        if at.compact_revision >= Some(revision.main) {
            let is_obsolete = self.walk == Walk::Hashing && self.rounds.is_obsolete(number);
            let is_last_delete = revision.tombstone && at.compact_revision == Some(revision.main);
            if is_obsolete || is_last_delete {
                return Ok(());
            }
        }
        self.hash_record(record)
    }

    fn hash_record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        let mut hash = crc32c::crc32c_append(self.hash_kv.hash, record.key);
        record.value_pieces(0, record.value_len(), |bytes| {
            hash = crc32c::crc32c_append(hash, bytes);
        })?;
        self.hash_kv.hash = hash;
        Ok(())
    }

    fn misplaced(&self, revision: RevisionKey) -> Option<String> {
        if revision.main.get() == 0 {
            return Some("a record has revision 0, which no write gets".to_owned());
        }
        let last = self.last?;
        ((revision.main, revision.sub) <= (last.main, last.sub))
            .then(|| format!("revision {revision} stands behind revision {last}"))
    }

    /// A record of a small bucket: its value in memory, or a problem.
    fn entry(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        let len = record.value_len();
        if !bucket::ALL.contains(&self.bucket.as_slice()) {
            return Ok(());
        }
        if len > LARGEST_ENTRY {
            let message = format!("the value has {len} bytes, more than any of this bucket has");
            self.say(record.damaged(ProblemCode::Value, message));
            return Ok(());
        }
        let mut value = Vec::with_capacity(len as usize);
        record.value_pieces(0, len, |piece| value.extend_from_slice(piece))?;
        let judged = self
            .entries
            .judge(&self.bucket, record.key, &value, &mut self.contents);
        if let Err((code, message)) = judged {
            self.say(record.damaged(code, message));
        }
        Ok(())
    }
}

impl<P: FnMut(Problem)> Visitor for Records<'_, P> {
    fn bucket(&mut self, name: &[u8]) -> Result<Follow> {
        self.bucket = name.to_vec();
        if self.walk != Walk::First {
            return Ok(Follow::Records);
        }
        self.hash(name);
        // Names repeat only in a damaged file, which may have very many.
        let is_known = bucket::ALL.contains(&name);
        if is_known && !self.seen.iter().any(|seen| seen == name) {
            self.seen.push(name.to_vec());
        } else if !is_known {
            self.say(Problem::new(
                Severity::Note,
                ProblemCode::Bucket,
                "no version of etcd that is known has this bucket",
            ));
        }
        const LISTED: usize = 100;
        if self.contents.buckets.len() < LISTED {
            self.contents.buckets.push(BucketContents {
                name: String::from_utf8_lossy(name).into_owned(),
                ..BucketContents::default()
            });
        }
        if let Some(deferred) = &mut self.deferred
            && name == bucket::KEY
        {
            deferred.hash_before = std::mem::take(&mut self.contents.hash);
            deferred.bytes_behind = 0;
            return Ok(Follow::Branches);
        }
        Ok(Follow::Records)
    }

    fn bucket_end(&mut self) {
        self.bucket.clear();
    }

    fn leaf(&mut self, id: PageId, least: &[u8], bound: Option<&[u8]>) {
        let packed = |key| Some(RevisionKey::parse(key).ok()?.packed()?.bits());
        let Some(deferred) = &mut self.deferred else {
            return;
        };
        let short_bound = bound.map(packed);
        deferred.is_plain &= match (packed(least), short_bound) {
            (Some(_), Some(None)) | (None, _) => false,
            (Some(least), bound) => deferred.leaves.push(id, least, bound.flatten()),
        };
    }

    fn page(&mut self, _: PageKind, pages: u64) {
        if let Some(bucket) = self.bucket_contents() {
            bucket.pages = bucket.pages.saturating_add(pages);
        }
    }

    fn record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        if self.walk != Walk::First {
            let is_change =
                self.bucket == bucket::KEY && !record.is_bucket() && record.nesting == 0;
            return if is_change {
                self.change(record)
            } else {
                Ok(())
            };
        }
        self.contents.total_records = self.contents.total_records.saturating_add(1);
        let len = record.value_len();
        let bytes = (record.key.len() as u64).saturating_add(u64::from(len));
        if let Some(bucket) = self.bucket_contents() {
            bucket.records = bucket.records.saturating_add(1);
            bucket.data_bytes = bucket.data_bytes.saturating_add(bytes);
        }
        self.hash(record.key);
        if record.is_bucket() || record.nesting > 0 {
            self.say(record.damaged(
                ProblemCode::Bucket,
                "a bucket is nested in it, which etcd never does: does a page of another bucket hang here?",
            ));
            return Ok(());
        }
        let mut hash = self.contents.hash;
        record.value_pieces(0, len, |bytes| {
            hash = crc32c::crc32c_append(hash, bytes);
        })?;
        self.contents.hash = hash;
        if let Some(deferred) = &mut self.deferred {
            deferred.bytes_behind = deferred.bytes_behind.saturating_add(u64::from(len));
        }
        if self.bucket == bucket::KEY {
            self.change(record)
        } else {
            self.entry(record)
        }
    }

    fn problem(&mut self, mut problem: Problem) {
        if self.walk == Walk::First {
            if !self.bucket.is_empty() && problem.bucket.is_none() {
                problem.bucket = Some(String::from_utf8_lossy(&self.bucket).into_owned());
            }
            (self.report)(problem);
        }
    }

    fn progress(&mut self, done: u64, total: u64) -> Result<()> {
        (self.progress)(done, total)
    }
}
