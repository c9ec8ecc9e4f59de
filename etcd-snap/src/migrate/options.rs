//! How to migrate.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::StorageVersion;
use crate::io::{Disk, Storage};
use crate::observe::{Observer, Silent};

/// How to migrate.
#[derive(Clone)]
pub struct MigrateOptions {
    pub(super) force: bool,
    pub(super) newest: StorageVersion,
    pub(super) wal_dir: Option<PathBuf>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) storage: Arc<dyn Storage>,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            force: false,
            newest: StorageVersion::V3_7,
            wal_dir: None,
            observer: Arc::new(Silent),
            storage: Arc::new(Disk),
        }
    }
}

impl MigrateOptions {
    /// Sets or clears the stored version where there is no way, or where the WAL holds entries that the target does not
    /// understand. What a server then makes of the data nobody knows.
    #[must_use]
    pub fn with_force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Knows of no version beyond this one, as the tools of an older etcd. 3.7 unless set.
    #[must_use]
    pub fn with_newest(mut self, newest: StorageVersion) -> Self {
        self.newest = newest;
        self
    }

    /// Where the WAL is, if not in `member/wal`.
    #[must_use]
    pub fn with_wal_dir(mut self, wal_dir: impl Into<PathBuf>) -> Self {
        self.wal_dir = Some(wal_dir.into());
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    #[cfg(test)]
    pub(crate) fn with_storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }
}

impl fmt::Debug for MigrateOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrateOptions")
            .field("force", &self.force)
            .field("newest", &self.newest)
            .field("wal_dir", &self.wal_dir)
            .finish_non_exhaustive()
    }
}
