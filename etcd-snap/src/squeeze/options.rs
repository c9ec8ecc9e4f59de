//! How to squeeze.

use std::fmt;
use std::sync::Arc;

use crate::io::{Disk, Replace, Storage};
use crate::observe::{Observer, Silent};

/// How to squeeze.
#[derive(Clone)]
pub struct SqueezeOptions {
    no_clobber: bool,
    pub(super) skip_hash_check: bool,
    observer: Arc<dyn Observer>,
    storage: Arc<dyn Storage>,
}

impl Default for SqueezeOptions {
    fn default() -> Self {
        Self {
            no_clobber: false,
            skip_hash_check: false,
            observer: Arc::new(Silent),
            storage: Arc::new(Disk),
        }
    }
}

impl SqueezeOptions {
    /// Refuses a target that is already there, instead of replacing it in one step at the end.
    #[must_use]
    pub fn with_no_clobber(mut self, no_clobber: bool) -> Self {
        self.no_clobber = no_clobber;
        self
    }

    /// Takes a file without digest, as the raw copy of a stopped member's `db` is, and does not compare one that is there.
    /// Pages and records are checked all the same. The new file gets a digest, which then proves no more than that it is the
    /// file that was written here.
    #[must_use]
    pub fn with_skip_hash_check(mut self, skip: bool) -> Self {
        self.skip_hash_check = skip;
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

    pub(super) fn replace(&self) -> Replace {
        if self.no_clobber {
            Replace::No
        } else {
            Replace::Yes
        }
    }

    pub(super) fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }
}

impl fmt::Debug for SqueezeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqueezeOptions")
            .field("no_clobber", &self.no_clobber)
            .field("skip_hash_check", &self.skip_hash_check)
            .finish_non_exhaustive()
    }
}
