//! How a caller watches a verb at work, and stops it.

use std::fmt;
use std::ops::ControlFlow;
#[cfg(feature = "stream")]
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{Error, Result};

/// A part of the work that has a beginning and an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Reaching a server and asking for its status.
    Connect,
    /// Receiving the snapshot stream.
    Receive,
    /// Hashing a file against its digest.
    Digest,
    /// Taking the lock of a member's database.
    Lock,
    /// Walking pages and records.
    Check,
    /// Asking the members of a cluster what they hold.
    Attest,
    /// Copying the database into a data directory, or writing it anew.
    Copy,
    /// Writing the new membership, the WAL and the `.snap` file.
    Write,
    /// Bringing everything to the disk and under its final name.
    Publish,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Receive => "receive",
            Self::Digest => "digest",
            Self::Lock => "lock",
            Self::Check => "check",
            Self::Attest => "attest",
            Self::Copy => "copy",
            Self::Write => "write",
            Self::Publish => "publish",
        })
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A phase has begun.
    Started(Phase),
    /// Bytes done within the phase, of a total that is known from the start.
    Progress {
        /// The phase that advances.
        phase: Phase,
        /// Bytes done so far.
        done_bytes: u64,
        /// Bytes to do altogether.
        total_bytes: u64,
    },
    /// What a database takes before it is changed.
    Measured {
        /// Bytes up to its high-water mark.
        size_bytes: u64,
        /// Bytes of the pages in use.
        in_use_bytes: u64,
    },
    /// A sentence worth showing: which member was chosen, what was found.
    Note(String),
}

/// Receives events; may ask the verb to stop.
///
/// Returning [`ControlFlow::Break`] ends the verb with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled); what was
/// staged is removed, and the target is as it was.
pub trait Observer: Send + Sync {
    /// Called from the thread that does the work: it should return soon.
    fn event(&self, event: &Event) -> ControlFlow<()> {
        let _ = event;
        ControlFlow::Continue(())
    }
}

/// The observer that looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

pub(crate) fn tell(observer: &dyn Observer, event: &Event) -> Result<()> {
    match observer.event(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::cancelled()),
    }
}

/// The caller's observer, as long as there is a caller.
#[cfg(feature = "stream")]
pub(crate) struct UnlessCancelled {
    observer: Arc<dyn Observer>,
    cancelled: Arc<AtomicBool>,
}

#[cfg(feature = "stream")]
impl UnlessCancelled {
    pub(crate) fn new(observer: Arc<dyn Observer>, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            observer,
            cancelled,
        }
    }
}

#[cfg(feature = "stream")]
impl Observer for UnlessCancelled {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        self.observer.event(event)
    }
}
