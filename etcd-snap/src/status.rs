//! What `etcdutl snapshot status` says of a snapshot.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::observe::{Observer, Silent};
use crate::verify::{Findings, Wants, look};
use crate::{Result, Revision, Snapshot};

/// The numbers that etcd itself prints of a snapshot (formats.md 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// Of this report's form: 1.
    pub schema: u32,
    /// CRC-32C over names, keys and values of all buckets.
    pub hash: u32,
    /// Main revision of the last record; 0 in an empty store.
    pub revision: Revision,
    /// Records in all buckets together: the "total keys" of etcd 3.4 and 3.5.
    pub total_records: u64,
    /// User keys that are not deleted: the "total keys" since etcd 3.6.
    pub live_keys: u64,
    /// Bytes of the database up to its high-water mark, without the digest.
    pub total_size_bytes: u64,
    /// Since etcd 3.6, for example `3.6.0`.
    pub storage_version: Option<String>,
}

/// How to look.
#[derive(Clone)]
pub struct StatusOptions {
    observer: Arc<dyn Observer>,
}

impl Default for StatusOptions {
    fn default() -> Self {
        Self {
            observer: Arc::new(Silent),
        }
    }
}

impl StatusOptions {
    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

impl std::fmt::Debug for StatusOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusOptions").finish_non_exhaustive()
    }
}

/// Walks the database and counts. Does not look at the digest: [`verify`](crate::verify) does.
///
/// The file is only read. Blocks for as long as reading takes; memory stays within a few megabytes.
///
/// # Errors
/// `Damaged`, as etcd refuses too, where pages or records are; and where the file cannot be read.
pub fn status(snapshot: &Snapshot) -> Result<Status> {
    status_with(snapshot, &StatusOptions::default())
}

/// The same as [`status`], watched by an observer.
///
/// # Errors
/// As [`status`], and `Cancelled` where the observer asked to stop.
pub fn status_with(snapshot: &Snapshot, options: &StatusOptions) -> Result<Status> {
    const PROBLEMS: usize = 100;
    let mut findings = Findings::new(PROBLEMS);
    let observer = options.observer.as_ref();
    let contents = look(snapshot, Wants::default(), &mut findings, observer)?.contents;
    findings.require_sound(snapshot.name())?;
    Ok(Status {
        schema: 1,
        hash: contents.hash,
        revision: contents.revision,
        total_records: contents.total_records,
        live_keys: contents.live_keys,
        total_size_bytes: contents.total_size_bytes,
        storage_version: contents.storage_version,
    })
}
