//! Work on a node, shown while it is done, and stopped by a signal.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use etcd_snap_node::{ErrorKind, Event, Observer};

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::journal;
use crate::progress::Progress;
use crate::render::text;

/// Steps as lines, and what the library does within one as its own verbs show it.
#[derive(Debug)]
struct Steps {
    progress: Arc<Progress>,
    quiet: bool,
}

impl Observer for Steps {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        match event {
            Event::StepStarted {
                number,
                total,
                title,
            } if !self.quiet => {
                self.progress.finish();
                journal::note(&format!("{number}/{total} {title}"));
            }
            Event::StepDone {
                number,
                duration_ms,
            } => {
                self.progress.finish();
                let took = Duration::from_millis(*duration_ms);
                journal::detail(&format!("step {number} took {}", text::duration(took)));
            }
            Event::Waiting { what } => journal::detail(&format!("waiting for {what}")),
            Event::Note(note) if !self.quiet => journal::note(note),
            Event::Library(event) => return etcd_snap::Observer::event(&*self.progress, event),
            _ => {}
        }
        self.progress.go_on()
    }
}

/// Runs work that the observer can stop, and says so if it was a signal that stopped it.
pub(crate) fn watched<T>(
    interrupt: &Interrupt,
    quiet: bool,
    work: impl FnOnce(Arc<dyn Observer>) -> etcd_snap_node::Result<T>,
) -> Result<T> {
    let progress = Arc::new(Progress::new(quiet, interrupt.clone()));
    let done = work(Arc::new(Steps {
        progress: Arc::clone(&progress),
        quiet,
    }));
    progress.finish();
    done.map_err(|error| match interrupt.signal() {
        Some(signal) if error.kind() == ErrorKind::Cancelled => Failure::Stopped(signal),
        _ => error.into(),
    })
}
