//! How a caller watches the work on a node, and stops it.

use std::ops::ControlFlow;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A step begins: its number from 1, how many there are, and what it does, as in "stop etcd".
    StepStarted {
        /// Its number.
        number: usize,
        /// How many there are.
        total: usize,
        /// What it does.
        title: String,
    },
    /// A step is done, and, where there is a journal, noted there.
    StepDone {
        /// Its number.
        number: usize,
        /// Milliseconds it took.
        duration_ms: u64,
    },
    /// What is waited for, in words, again and again while it lasts.
    Waiting {
        /// For what.
        what: String,
    },
    /// A sentence worth showing.
    Note(String),
    /// What the library does within a step.
    Library(etcd_snap::Event),
}

/// Receives events; may ask the work to stop.
///
/// Returning [`ControlFlow::Break`] ends it with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled); what stays then is said by each verb.
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

pub(crate) fn tell(observer: &dyn Observer, event: &Event) -> crate::Result<()> {
    match observer.event(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(crate::Error::cancelled()),
    }
}

/// Passes on what the library says.
pub(crate) struct OfLibrary(pub(crate) std::sync::Arc<dyn Observer>);

impl etcd_snap::Observer for OfLibrary {
    fn event(&self, event: &etcd_snap::Event) -> ControlFlow<()> {
        self.0.event(&Event::Library(event.clone()))
    }
}
