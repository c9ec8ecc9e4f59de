//! The hash by which members of a cluster compare their key-value stores, from a file (formats.md 4.2).

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backend::{KeyValueShape, RevisionKey, bucket};
use crate::bbolt::{self, PageError, Record, Visitor};
use crate::observe::{Event, Observer, Phase, Silent, tell};
use crate::verify::{Findings, examine};
use crate::{Error, ErrorKind, Problem, Result, Revision, Snapshot};

/// The hash of a key-value store at a revision, comparable between members and with `etcdutl hashkv`.
///
/// Two hashes say the same only with the same compact revision: it decides which old records count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HashKv {
    /// Of this report's form: 1.
    pub schema: u32,
    /// CRC-32C over the records of the `key` bucket that count.
    pub hash: u32,
    /// The revision that it is the hash at.
    pub revision: Revision,
    /// The compaction that it takes for done; `None` in a store that was never compacted, where servers say -1.
    pub compact_revision: Option<Revision>,
}

/// Which hash.
#[derive(Clone)]
pub struct HashKvOptions {
    revision: Option<Revision>,
    compact_revision: Option<Revision>,
    observer: Arc<dyn Observer>,
}

impl Default for HashKvOptions {
    fn default() -> Self {
        Self {
            revision: None,
            compact_revision: None,
            observer: Arc::new(Silent),
        }
    }
}

impl HashKvOptions {
    /// The revision to hash at. The store's own unless set.
    #[must_use]
    pub fn with_revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Hashes as a member would that has compacted up to here: what a live member answers long after the snapshot was
    /// taken. The snapshot's own compaction unless set, which this cannot be below.
    #[must_use]
    pub fn with_compact_revision(mut self, revision: Revision) -> Self {
        self.compact_revision = Some(revision);
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

impl std::fmt::Debug for HashKvOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashKvOptions")
            .field("revision", &self.revision)
            .field("compact_revision", &self.compact_revision)
            .finish_non_exhaustive()
    }
}

/// Computes from the file what `Maintenance.HashKV` of a live member answers. The file is only read.
///
/// # Errors
/// `InvalidInput` where the revision is compacted away or in the future, or the compact revision below the snapshot's own or
/// above the revision; `Damaged` where pages or records are; and where the file cannot be read.
pub fn hash_kv(snapshot: &Snapshot, options: &HashKvOptions) -> Result<HashKv> {
    let observer = options.observer.as_ref();
    let mut findings = Findings::new(100);
    examine(snapshot, &mut findings, observer)?;
    findings.require_sound(snapshot.name())?;
    let contents = findings.contents();

    let own = contents.compact_revision;
    let current = contents
        .revision
        .max(Revision::new(1))
        .max(own.unwrap_or_default());
    let revision = options.revision.unwrap_or(current);
    let compact = options.compact_revision.or(own);
    let refuse = |what: String| Err(Error::new(ErrorKind::InvalidInput, what));
    if revision > current {
        return refuse(format!(
            "revision {revision} is in the future: the snapshot is at {current}"
        ));
    }
    if compact < own {
        return refuse(format!(
            "the snapshot is compacted at revision {}, so there is no hash for an older compaction",
            own.unwrap_or_default()
        ));
    }
    if Some(revision) < compact {
        return refuse(format!(
            "revision {revision} is compacted away: the compaction is at {}",
            compact.unwrap_or_default()
        ));
    }

    tell(observer, &Event::Started(Phase::Check))?;
    let mut pass = Pass {
        bucket: Vec::new(),
        revision,
        compact: compact.map_or(-1, Revision::get),
        newest: HashMap::new(),
        hashing: false,
        keep_is_empty: false,
        hash: crc32c::crc32c(bucket::KEY),
    };
    for hashing in [false, true] {
        pass.hashing = hashing;
        pass.keep_is_empty = pass.newest.values().all(|(_, tombstone)| *tombstone);
        bbolt::check(
            snapshot.source().as_ref(),
            snapshot.meta(),
            snapshot.database_bytes(),
            &mut pass,
        )?;
    }
    Ok(HashKv {
        schema: 1,
        hash: pass.hash,
        revision,
        compact_revision: compact,
    })
}

/// Main and sub revision.
type At = (Revision, i64);

struct Pass {
    bucket: Vec<u8>,
    revision: Revision,
    compact: i64,
    newest: HashMap<Vec<u8>, (At, bool)>,
    hashing: bool,
    keep_is_empty: bool,
    hash: u32,
}

impl Visitor for Pass {
    fn bucket(&mut self, name: &[u8]) -> Result<()> {
        self.bucket = name.to_vec();
        Ok(())
    }

    fn bucket_end(&mut self) {
        self.bucket.clear();
    }

    fn record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        if self.bucket != bucket::KEY {
            return Ok(());
        }
        let damaged = |why: String| PageError::Failed(Error::damaged(why));
        let at = RevisionKey::parse(record.key).map_err(damaged)?;
        if at.main > self.revision {
            return Ok(());
        }
        if at.main.get() <= self.compact || !self.hashing {
            let shape = KeyValueShape::parse(record.value_len(), |at, n| {
                let mut part = [0; 10];
                let bytes = record.value_part(at, n)?;
                part.iter_mut()
                    .zip(bytes)
                    .for_each(|(to, from)| *to = *from);
                Ok::<_, PageError>(part)
            })?
            .map_err(damaged)?;
            let mut key = Vec::new();
            record.value_pieces(shape.key.start, shape.key.end, |bytes| {
                key.extend_from_slice(bytes)
            })?;
            if !self.hashing {
                self.newest.insert(key, ((at.main, at.sub), at.tombstone));
                return Ok(());
            }
            let kept = self.newest.get(&key) == Some(&((at.main, at.sub), false));
            if !kept && !self.keep_is_empty {
                return Ok(());
            }
            if at.main.get() == self.compact && at.tombstone {
                return Ok(());
            }
        }
        self.hash = crc32c::crc32c_append(self.hash, record.key);
        let mut hash = self.hash;
        record.value_pieces(0, record.value_len(), |bytes| {
            hash = crc32c::crc32c_append(hash, bytes);
        })?;
        self.hash = hash;
        Ok(())
    }

    fn problem(&mut self, _: Problem) {}

    fn progress(&mut self, _: u64, _: u64) -> Result<()> {
        Ok(())
    }
}
