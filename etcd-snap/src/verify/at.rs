//! Which hash of the key-value store is meant: a revision, and the compaction that is taken for done.

use crate::backend::{RevisionKey, bucket, meta_key};
use crate::bbolt::{Lookup, PageError};
use crate::{Error, ErrorKind, Result, Revision, Snapshot};

/// What was asked for; nothing stands for the store's own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) revision: Option<Revision>,
    pub(crate) compact_revision: Option<Revision>,
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) revision: Revision,
    pub(crate) compact_revision: Option<Revision>,
}

/// How far a store is compacted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compactions {
    /// Nothing obsolete is left up to here.
    pub(crate) finished: Option<Revision>,
    pub(crate) scheduled: Option<Revision>,
}

impl Compactions {
    /// Reads both, of a file that may be damaged: what cannot be read is found by the check.
    pub(crate) fn read(snapshot: &Snapshot) -> Result<Self> {
        let read = |key: &[u8]| -> Result<Option<Revision>, PageError> {
            let meta = Lookup::open(
                snapshot.source().as_ref(),
                snapshot.meta(),
                snapshot.database_bytes(),
                bucket::META,
            )?;
            let value = meta.get(key, RevisionKey::LEN)?;
            Ok(value
                .and_then(|value| RevisionKey::parse(&value).ok())
                .filter(|revision| !revision.tombstone)
                .map(|revision| revision.main))
        };
        let sound = |read| match read {
            Ok(revision) => Ok(revision),
            Err(PageError::Damaged(_)) => Ok(None),
            Err(PageError::Failed(error)) => Err(error),
        };
        Ok(Self {
            finished: sound(read(meta_key::FINISHED_COMPACT))?,
            scheduled: sound(read(meta_key::SCHEDULED_COMPACT))?,
        })
    }

    /// What is scheduled happens at the next start, whatever was finished before (`store.restore`).
    pub(crate) fn compact_revision(self) -> Option<Revision> {
        self.finished.max(self.scheduled)
    }
}

impl Asked {
    /// What a server with this store would answer, `last` being the main revision of its last record (formats.md 4.2).
    ///
    /// # Errors
    /// `InvalidInput`, as servers refuse too: the revision is compacted away or in the future.
    pub(crate) fn at(self, compactions: Compactions, last: Revision) -> Result<At> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidInput, what));
        let own = compactions.compact_revision();
        // An empty store is at revision 1.
        let current = last.max(Revision::new(1)).max(own.unwrap_or_default());
        let revision = self.revision.unwrap_or(current);
        let compact_revision = match self.compact_revision {
            Some(never) if never.get() < 0 => None,
            asked => asked.or(own),
        };
        if revision.get() < 0 {
            return refuse(format!("there is no revision {revision}"));
        }
        if revision > current {
            return refuse(format!(
                "revision {revision} is in the future: the snapshot is at {current}"
            ));
        }
        if compact_revision < own {
            return refuse(format!(
                "the snapshot is compacted at revision {}: there is no hash for an older compaction",
                own.unwrap_or_default()
            ));
        }
        if Some(revision) < compact_revision {
            return refuse(format!(
                "revision {revision} is compacted away: the compaction is at {}",
                compact_revision.unwrap_or_default()
            ));
        }
        Ok(At {
            revision,
            compact_revision,
        })
    }
}
