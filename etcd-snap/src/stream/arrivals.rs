//! When the last byte came. A message of 32 KiB can take a slow line longer than any silence should last; its bytes are
//! seen here before it is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Duration, Instant};

/// Shared by the connection, which sees bytes, and the save, which waits for messages.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    since: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Arrivals {
    #[cfg(feature = "client")]
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            last_ms: Arc::default(),
        }
    }

    #[cfg(feature = "client")]
    pub(crate) fn bytes_came(&self) {
        let ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Instant {
        let ms = self.last_ms.load(Ordering::Relaxed);
        self.since
            .checked_add(Duration::from_millis(ms))
            .unwrap_or(self.since)
    }
}
