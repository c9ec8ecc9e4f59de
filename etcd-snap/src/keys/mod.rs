//! Single keys of a snapshot: whether one is there, how many begin alike, some of them by chance, and what they hold.
//!
//! A snapshot keeps its records in the order of revisions, so every question takes a walk over all of them; one walk answers many.
//!
//! ```
//! use etcd_snap::Snapshot;
//! use etcd_snap::keys::{KeyQuestions, look_up};
//!
//! # let backup = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/snapshots/3.6.db");
//! let snapshot = Snapshot::open(backup)?;
//! let questions = KeyQuestions::default()
//!     .with_key("plain/007")
//!     .with_prefix("plain/")
//!     .with_sample(10);
//! let answers = look_up(&snapshot, &questions)?;
//! println!("{} keys, {} of them below plain/", answers.keys, answers.counts[0]);
//! for key in &answers.sample {
//!     println!("{} bytes at revision {}", key.value(&snapshot)?.len(), key.mod_revision);
//! }
//! # Ok::<(), etcd_snap::Error>(())
//! ```

mod count;
mod sample;

use std::fmt;
use std::sync::Arc;

use crate::backend::{KeyValueShape, RevisionKey, bucket};
use crate::bbolt::{self, Follow, Lookup, PageError, Record, Visitor};
use crate::observe::{Event, Observer, Phase, Silent, tell};
use crate::verify::{Fingerprints, fingerprint_of, shape_of};
use crate::{Error, Problem, ProblemCode, Result, Revision, Severity, Snapshot};
use count::Count;
use sample::Sample;

/// What to look for, in the newest state of a snapshot.
#[derive(Clone)]
pub struct KeyQuestions {
    keys: Vec<Vec<u8>>,
    prefixes: Vec<Vec<u8>>,
    sample: usize,
    observer: Arc<dyn Observer>,
}

impl Default for KeyQuestions {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            prefixes: Vec::new(),
            sample: 0,
            observer: Arc::new(Silent),
        }
    }
}

impl KeyQuestions {
    /// The most keys that a sample has.
    pub const LARGEST_SAMPLE: usize = 10_000;

    /// A key to look for. May be called several times.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Keys to count: those that begin with this. May be called several times.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.prefixes.push(prefix.into());
        self
    }

    /// So many keys by chance, [`LARGEST_SAMPLE`](Self::LARGEST_SAMPLE) at most, spread evenly over all there are.
    #[must_use]
    pub fn with_sample(mut self, keys: usize) -> Self {
        self.sample = keys.min(Self::LARGEST_SAMPLE);
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

impl fmt::Debug for KeyQuestions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyQuestions")
            .field("keys", &self.keys.len())
            .field("prefixes", &self.prefixes.len())
            .field("sample", &self.sample)
            .finish_non_exhaustive()
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyAnswers {
    /// Keys that live: as many as a server counts that has this snapshot. The placeholder of `--bump-revision` is none.
    pub keys: u64,
    /// For each key that was looked for: what is there; `None` where it was never put, or is deleted.
    pub found: Vec<Option<StoredKey>>,
    /// For each prefix: how many keys that live begin with it.
    pub counts: Vec<u64>,
    /// The sample, in the order of keys. All keys where there are no more than were asked for; less than that only where far more
    /// keys are deleted than live.
    pub sample: Vec<StoredKey>,
}

/// A key as it stands in a snapshot, without its value, which may be large.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredKey {
    /// The key.
    pub key: Vec<u8>,
    /// The revision that created it.
    pub create_revision: Revision,
    /// The revision that changed it last.
    pub mod_revision: Revision,
    /// How often it was put since it was created.
    pub version: i64,
    /// The lease that it hangs on; 0: none.
    pub lease: i64,
    /// Bytes of its value.
    pub value_bytes: u64,
    record: RevisionKey,
}

impl StoredKey {
    /// Reads its value: a few pages.
    ///
    /// # Errors
    /// `Damaged`, and where the file cannot be read.
    pub fn value(&self, snapshot: &Snapshot) -> Result<Vec<u8>> {
        let (message, shape) = message(&records_of(snapshot)?, self.record)?;
        Ok(part(&message, &shape.value))
    }
}

/// Looks up everything that is asked, in one walk over the records where memory allows, and in more where very many keys have to
/// be told apart. Memory is bounded: some 30 MB beside the answers. The file is only read.
///
/// # Errors
/// `Damaged` where pages or records are; `Cancelled` where the observer asked to stop; and where the file cannot be read.
pub fn look_up(snapshot: &Snapshot, questions: &KeyQuestions) -> Result<KeyAnswers> {
    tell(questions.observer.as_ref(), &Event::Started(Phase::Check))?;
    let mut looking = Looking::new(snapshot, questions);
    loop {
        bbolt::check(
            snapshot.source().as_ref(),
            snapshot.meta(),
            snapshot.database_bytes(),
            &mut looking,
        )?;
        if let Some(problem) = looking.damage {
            return Err(Error::damaged(format!(
                "{} is damaged: {problem}",
                snapshot.name()
            )));
        }
        if !looking.goes_on() {
            return looking.answers(snapshot);
        }
    }
}

/// The key as it stands in the snapshot; `None` where it was never put, or is deleted.
///
/// # Errors
/// As [`look_up`], which is better for several questions.
pub fn find_key(snapshot: &Snapshot, key: &[u8]) -> Result<Option<StoredKey>> {
    let answers = look_up(snapshot, &KeyQuestions::default().with_key(key))?;
    Ok(answers.found.into_iter().next().flatten())
}

/// How many keys that live begin with this; all of them for an empty prefix.
///
/// # Errors
/// As [`look_up`], which is better for several questions.
pub fn count_prefix(snapshot: &Snapshot, prefix: &[u8]) -> Result<u64> {
    let answers = look_up(snapshot, &KeyQuestions::default().with_prefix(prefix))?;
    Ok(answers.counts.into_iter().next().unwrap_or_default())
}

/// Some keys by chance, in their order.
///
/// # Errors
/// As [`look_up`], which is better for several questions.
pub fn sample_keys(snapshot: &Snapshot, keys: usize) -> Result<Vec<StoredKey>> {
    Ok(look_up(snapshot, &KeyQuestions::default().with_sample(keys))?.sample)
}

/// The answers in the making.
struct Looking<'a> {
    questions: &'a KeyQuestions,
    fingerprints: Fingerprints,
    is_first_walk: bool,
    number: u64,
    /// For each key that is wanted: its newest record.
    found: Vec<Option<RevisionKey>>,
    all: Count,
    counts: Vec<Count>,
    sample: Sample,
    /// Bytes at the beginning of a key that decide about keys and prefixes.
    longest: usize,
    damage: Option<Problem>,
    page_size: u64,
}

impl<'a> Looking<'a> {
    fn new(snapshot: &Snapshot, questions: &'a KeyQuestions) -> Self {
        let counted = questions.prefixes.len().saturating_add(1);
        let wanted = questions.keys.iter().chain(&questions.prefixes);
        Self {
            questions,
            fingerprints: Fingerprints::new(),
            is_first_walk: true,
            number: 0,
            found: vec![None; questions.keys.len()],
            all: Count::sharing(counted),
            counts: questions
                .prefixes
                .iter()
                .map(|_| Count::sharing(counted))
                .collect(),
            sample: Sample::of(questions.sample),
            longest: wanted.map(Vec::len).max().unwrap_or_default(),
            damage: None,
            page_size: u64::from(snapshot.meta().page_size),
        }
    }

    fn change(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        let revision = RevisionKey::parse(record.key)
            .map_err(|why| record.damaged(ProblemCode::RevisionKey, format!("the key {why}")))?;
        let shape = shape_of(record)?.map_err(|why| {
            let message = format!("the value of revision {revision} {why}");
            record.damaged(ProblemCode::Value, message)
        })?;
        if shape.key.is_empty() {
            // The placeholder of `--bump-revision` (formats.md 5.8).
            return Ok(());
        }
        let key_len = shape.key.end.saturating_sub(shape.key.start) as usize;
        let end = u32::try_from(self.longest)
            .ok()
            .and_then(|longest| shape.key.start.checked_add(longest))
            .unwrap_or(u32::MAX)
            .min(shape.key.end);
        let mut head = Vec::new();
        record.value_pieces(shape.key.start, end, |bytes| head.extend_from_slice(bytes))?;
        let fingerprint = fingerprint_of(record, &shape, &self.fingerprints)?;

        if self.is_first_walk {
            for (wanted, found) in self.questions.keys.iter().zip(&mut self.found) {
                if wanted.len() == key_len && head.starts_with(wanted) {
                    *found = Some(revision);
                }
            }
        }
        let number = self.number;
        self.number = number.saturating_add(1);
        self.all.see(fingerprint, number, revision.tombstone);
        for (prefix, count) in self.questions.prefixes.iter().zip(&mut self.counts) {
            if head.starts_with(prefix) {
                count.see(fingerprint, number, revision.tombstone);
            }
        }
        self.sample.see(fingerprint, revision);
        Ok(())
    }

    /// Whether the records have to be walked once more.
    fn goes_on(&mut self) -> bool {
        self.is_first_walk = false;
        self.number = 0;
        let mut goes_on = self.sample.next_round() | self.all.next_round();
        for count in &mut self.counts {
            goes_on |= count.next_round();
        }
        goes_on
    }

    fn answers(self, snapshot: &Snapshot) -> Result<KeyAnswers> {
        let records = records_of(snapshot)?;
        let found = self.found.into_iter().map(|newest| {
            newest
                .filter(|newest| !newest.tombstone)
                .map(|newest| stored(&records, newest))
                .transpose()
        });
        let found = found.collect::<Result<_>>()?;
        let sample = self.sample.into_records().into_iter();
        let mut sample = sample
            .map(|record| stored(&records, record))
            .collect::<Result<Vec<_>>>()?;
        sample.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(KeyAnswers {
            keys: self.all.live(),
            found,
            counts: self.counts.iter().map(Count::live).collect(),
            sample,
        })
    }
}

impl Visitor for Looking<'_> {
    fn bucket(&mut self, name: &[u8]) -> Result<Follow> {
        Ok(if name == bucket::KEY {
            Follow::Records
        } else {
            Follow::Nothing
        })
    }

    fn bucket_end(&mut self) {}

    fn record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        self.change(record)
    }

    fn problem(&mut self, problem: Problem) {
        if problem.severity == Severity::Damaged {
            self.damage.get_or_insert(problem);
        }
    }

    fn progress(&mut self, done: u64, total: u64) -> Result<()> {
        tell(
            self.questions.observer.as_ref(),
            &Event::Progress {
                phase: Phase::Check,
                done_bytes: done.saturating_mul(self.page_size),
                total_bytes: total.saturating_mul(self.page_size),
            },
        )
    }
}

fn records_of(snapshot: &Snapshot) -> Result<Lookup<'_>> {
    let (source, meta) = (snapshot.source().as_ref(), snapshot.meta());
    Ok(Lookup::open(
        source,
        meta,
        snapshot.database_bytes(),
        bucket::KEY,
    )?)
}

/// A record, and where its fields stand.
fn message(records: &Lookup<'_>, record: RevisionKey) -> Result<(Vec<u8>, KeyValueShape)> {
    let damaged =
        |what: &str| Error::damaged(format!("the database is damaged: revision {record} {what}"));
    let message = records
        .read(&RevisionKey::to_bytes(record.main, record.sub))?
        .ok_or_else(|| damaged("was there, and is not"))?;
    let shape =
        KeyValueShape::of(&message).map_err(|why| damaged(&format!("has a value that {why}")))?;
    Ok((message, shape))
}

fn stored(records: &Lookup<'_>, record: RevisionKey) -> Result<StoredKey> {
    let (message, shape) = message(records, record)?;
    Ok(StoredKey {
        key: part(&message, &shape.key),
        create_revision: Revision::new(shape.create_revision),
        mod_revision: Revision::new(shape.mod_revision),
        version: shape.version,
        lease: shape.lease,
        value_bytes: u64::from(shape.value.end.saturating_sub(shape.value.start)),
        record,
    })
}

fn part(message: &[u8], range: &std::ops::Range<u32>) -> Vec<u8> {
    message
        .get(range.start as usize..range.end as usize)
        .unwrap_or_default()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn golden() -> Snapshot {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db");
        Snapshot::open(path).unwrap()
    }

    #[test]
    fn what_a_server_counted_is_counted() {
        let snapshot = golden();
        let status = crate::status(&snapshot).unwrap();
        assert_eq!(count_prefix(&snapshot, b"").unwrap(), status.live_keys);
        let all = sample_keys(&snapshot, 10_000).unwrap();
        assert_eq!(all.len() as u64, status.live_keys);
        assert!(all.is_sorted_by(|one, other| one.key < other.key));
        let below = all.iter().filter(|key| key.key.starts_with(b"plain/"));
        assert_eq!(
            count_prefix(&snapshot, b"plain/").unwrap(),
            below.count() as u64
        );
    }

    #[test]
    fn a_key_is_found_with_its_value_and_a_missing_one_is_not() {
        let snapshot = golden();
        let all = sample_keys(&snapshot, 10_000).unwrap();
        let largest = all.iter().max_by_key(|key| key.value_bytes).unwrap();
        // More than a page, and so more than a window at once.
        assert!(largest.value_bytes > 4096);
        let found = find_key(&snapshot, &largest.key).unwrap().unwrap();
        assert_eq!(&found, largest);
        let value = found.value(&snapshot).unwrap();
        assert_eq!(value.len() as u64, largest.value_bytes);
        let beginning = &largest.key[..largest.key.len() - 1];
        assert_eq!(find_key(&snapshot, beginning).unwrap(), None);
    }

    #[test]
    fn a_small_sample_has_its_size_and_no_key_twice() {
        let snapshot = golden();
        let sample = sample_keys(&snapshot, 7).unwrap();
        assert_eq!(sample.len(), 7);
        assert!(sample.is_sorted_by(|one, other| one.key < other.key));
        assert_eq!(sample_keys(&snapshot, 0).unwrap(), []);
    }
}
