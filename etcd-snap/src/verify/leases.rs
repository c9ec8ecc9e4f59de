//! Is there such a lease? Asked for every key that hangs on one.

use crate::backend::bucket;
use crate::bbolt::{Lookup, PageError};
use crate::{Result, Snapshot};

/// Answers that are remembered: keys that are written together often share a lease.
const REMEMBERED: usize = 1024;

/// Looks leases up in the file, for one thread.
pub(super) struct Leases<'a> {
    /// `None`: the bucket cannot be reached, which is somebody else's finding.
    bucket: Option<Lookup<'a>>,
    /// By the last bits of the id: an id, and whether there is such a lease.
    answers: Vec<(i64, bool)>,
}

impl<'a> Leases<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Result<Self> {
        let bucket = Lookup::open(
            snapshot.source().as_ref(),
            snapshot.meta(),
            snapshot.database_bytes(),
            bucket::LEASE,
        );
        Ok(Self {
            bucket: match bucket {
                Ok(bucket) => Some(bucket),
                Err(PageError::Damaged(_)) => None,
                Err(PageError::Failed(error)) => return Err(error),
            },
            // 0 stands for no lease and is never asked for.
            answers: vec![(0, true); REMEMBERED],
        })
    }

    /// Whether there is such a lease. `None`: the bucket is damaged, which is somebody else's finding.
    pub(super) fn has(&mut self, id: i64) -> Result<Option<bool>> {
        let Some(bucket) = &self.bucket else {
            return Ok(None);
        };
        let place = id as usize & REMEMBERED.saturating_sub(1);
        if let Some((_, there)) = self.answers.get(place).filter(|(known, _)| *known == id) {
            return Ok(Some(*there));
        }
        let there = match bucket.contains(&id.to_be_bytes()) {
            Ok(there) => there,
            Err(PageError::Damaged(_)) => return Ok(None),
            Err(PageError::Failed(error)) => return Err(error),
        };
        if let Some(answer) = self.answers.get_mut(place) {
            *answer = (id, there);
        }
        Ok(Some(there))
    }
}
