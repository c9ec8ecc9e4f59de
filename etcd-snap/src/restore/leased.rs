//! Which user keys hang on a lease, so that they can be left out.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use crate::backend::{KeyValueShape, RevisionKey, bucket};
use crate::bbolt::{self, Follow, PageError, Record, Visitor};
use crate::observe::{Event, Observer, Phase, tell};
use crate::verify::{AsItIs, Fingerprints, fingerprint_of, shape_of, split};
use crate::{Error, ErrorKind, Problem, Result, Severity, Snapshot};

/// The keys whose newest record is a put with a lease. A key that had a lease once and was put without one since, or deleted, is
/// none of them.
///
/// Memory: 18 MiB at most, 27 for the moment in which the table grows to that.
#[derive(Debug)]
pub(super) struct LeasedKeys {
    fingerprints: Fingerprints,
    keys: HashSet<[u64; 2], BuildHasherDefault<AsItIs>>,
}

/// As many as fill a table of 2^20 places to seven eighths: the next one would double it.
const MOST: usize = 7 << 17;

impl LeasedKeys {
    /// Reads all records in the order of revisions: the last word about a key counts.
    ///
    /// # Errors
    /// `Unsupported` where there are too many; `Damaged`; where the source cannot be read, or the observer asked to stop.
    pub(super) fn find(snapshot: &Snapshot, observer: &dyn Observer) -> Result<Self> {
        Self::find_up_to(MOST, snapshot, observer)
    }

    fn find_up_to(most: usize, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Self> {
        tell(observer, &Event::Started(Phase::Check))?;
        let mut finding = Finding {
            leased: Self {
                fingerprints: Fingerprints::new(),
                keys: HashSet::default(),
            },
            most,
            damage: None,
            page_size: u64::from(snapshot.meta().page_size),
            observer,
        };
        bbolt::check(
            snapshot.source().as_ref(),
            snapshot.meta(),
            snapshot.database_bytes(),
            &mut finding,
        )?;
        match finding.damage {
            Some(problem) => Err(Error::damaged(format!(
                "{} is damaged: {problem}",
                snapshot.name()
            ))),
            None => Ok(finding.leased),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Whether a record is one of these keys.
    pub(super) fn has(&self, record: &mut Record<'_, '_>) -> Result<bool, PageError> {
        let (key, _) = self.read(record)?;
        Ok(self.keys.contains(&key))
    }

    fn read(&self, record: &mut Record<'_, '_>) -> Result<([u64; 2], KeyValueShape), PageError> {
        let shape = shape_of(record)?.map_err(|why| {
            let message = format!("the value {why}");
            record.damaged(crate::ProblemCode::Value, message)
        })?;
        let key = fingerprint_of(record, &shape, &self.fingerprints)?;
        Ok((split(key), shape))
    }
}

struct Finding<'a> {
    leased: LeasedKeys,
    most: usize,
    damage: Option<Problem>,
    page_size: u64,
    observer: &'a dyn Observer,
}

impl Visitor for Finding<'_> {
    fn bucket(&mut self, name: &[u8]) -> Result<Follow> {
        Ok(if name == bucket::KEY {
            Follow::Records
        } else {
            Follow::Nothing
        })
    }

    fn bucket_end(&mut self) {}

    fn record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        let (key, shape) = self.leased.read(record)?;
        let is_delete = RevisionKey::parse(record.key).is_ok_and(|key| key.tombstone);
        let keys = &mut self.leased.keys;
        if is_delete || shape.lease == 0 {
            keys.remove(&key);
        } else if keys.len() < self.most || keys.contains(&key) {
            keys.insert(key);
        } else {
            return Err(PageError::Failed(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "more than {} keys hang on leases, too many to leave out: restore without --drop-leases, and revoke the \
                     leases or wait until they expire",
                    self.most
                ),
            )));
        }
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        if problem.severity == Severity::Damaged {
            self.damage.get_or_insert(problem);
        }
    }

    fn progress(&mut self, done: u64, total: u64) -> Result<()> {
        tell(
            self.observer,
            &Event::Progress {
                phase: Phase::Check,
                done_bytes: done.saturating_mul(self.page_size),
                total_bytes: total.saturating_mul(self.page_size),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn more_leased_keys_than_there_is_room_for_are_refused() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db");
        let snapshot = Snapshot::open(path).unwrap();
        let all = LeasedKeys::find(&snapshot, &crate::Silent).unwrap().len();
        assert!(all > 1, "{all}");
        let find = |most| LeasedKeys::find_up_to(most, &snapshot, &crate::Silent);
        assert_eq!(find(all as usize).unwrap().len(), all);
        let error = find(all as usize - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("--drop-leases"), "{error}");
    }

    /// The table must not double behind the bound.
    #[test]
    fn the_bound_fills_a_table_of_its_size() {
        let keys: HashSet<[u64; 2]> = HashSet::with_capacity(MOST);
        assert_eq!(keys.capacity(), MOST);
    }
}
