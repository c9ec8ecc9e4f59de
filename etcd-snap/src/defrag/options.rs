//! How to defragment.

use std::fmt;
use std::sync::Arc;

use crate::io::{Disk, Storage};
use crate::observe::{Observer, Silent};

/// How to defragment.
#[derive(Clone)]
pub struct DefragOptions {
    observer: Arc<dyn Observer>,
    storage: Arc<dyn Storage>,
}

impl Default for DefragOptions {
    fn default() -> Self {
        Self {
            observer: Arc::new(Silent),
            storage: Arc::new(Disk),
        }
    }
}

impl DefragOptions {
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

    pub(super) fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }
}

impl fmt::Debug for DefragOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefragOptions").finish_non_exhaustive()
    }
}
