//! The hash by which members of a cluster compare their key-value stores, from a file (formats.md 4.2).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::observe::{Observer, Silent};
use crate::verify::{Asked, At, Findings, Wants, look};
use crate::{Error, ErrorKind, Result, Revision, Snapshot};

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

impl HashKv {
    pub(crate) fn new(hash: u32, at: At) -> Self {
        Self {
            schema: 1,
            hash,
            revision: at.revision,
            compact_revision: at.compact_revision,
        }
    }
}

/// Which hash.
#[derive(Clone)]
pub struct HashKvOptions {
    revision: Option<Revision>,
    compact_revision: Option<Revision>,
    table_bytes: u64,
    observer: Arc<dyn Observer>,
}

impl Default for HashKvOptions {
    fn default() -> Self {
        Self {
            revision: None,
            compact_revision: None,
            table_bytes: Wants::default().table_bytes,
            observer: Arc::new(Silent),
        }
    }
}

impl HashKvOptions {
    /// The revision to hash at. The store's own unless set, and for 0, as in a request to a server.
    #[must_use]
    pub fn with_revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Hashes as a member would that has compacted up to here: what a live member answers long after the snapshot was
    /// taken. The snapshot's own compaction unless set, which this cannot be below. -1, as servers say, stands for never.
    #[must_use]
    pub fn with_compact_revision(mut self, revision: Revision) -> Self {
        self.compact_revision = Some(revision);
        self
    }

    /// Takes less memory, where a transfer was before.
    #[cfg(feature = "client")]
    pub(crate) fn with_little_memory(mut self) -> Self {
        self.table_bytes = Wants::LITTLE_TABLE_BYTES;
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
    const PROBLEMS: usize = 100;
    let mut findings = Findings::new(PROBLEMS);
    let wants = Wants {
        hash_kv: Asked {
            revision: options.revision.filter(|revision| revision.get() != 0),
            compact_revision: options.compact_revision,
        },
        table_bytes: options.table_bytes,
        ..Wants::default()
    };
    let looked = look(snapshot, wants, &mut findings, options.observer.as_ref())?;
    findings.require_sound(snapshot.name())?;
    looked.contents.hash_kv.ok_or_else(|| {
        let message = "the store has more records than can be told apart in bounded memory";
        Error::new(ErrorKind::Unsupported, message)
    })
}
