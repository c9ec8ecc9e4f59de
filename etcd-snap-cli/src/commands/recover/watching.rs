//! Work on a node, shown while it is done, and stopped by a signal.

use std::ops::ControlFlow;
use std::sync::Arc;

use etcd_snap_node::{ErrorKind, Event, Observer};

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::journal;
use crate::progress::Progress;
use crate::render::text;

/// Steps as lines, and what the library does within one as its own verbs show it.
struct Steps {
    progress: Arc<Progress>,
    interrupt: Interrupt,
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
                let took = std::time::Duration::from_millis(*duration_ms);
                journal::detail(&format!("step {number} took {}", text::duration(took)));
            }
            Event::Waiting { what } => journal::detail(&format!("waiting for {what}")),
            Event::Note(note) if !self.quiet => journal::note(note),
            Event::Library(event) => return etcd_snap::Observer::event(&*self.progress, event),
            _ => {}
        }
        match self.interrupt.signal() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Runs work that the observer can stop, and says so if it was a signal that stopped it.
pub(super) fn watched<T>(
    interrupt: &Interrupt,
    quiet: bool,
    work: impl FnOnce(Arc<dyn Observer>) -> etcd_snap_node::Result<T>,
) -> Result<T> {
    let progress = Arc::new(Progress::new(quiet, interrupt.clone()));
    let steps = Arc::new(Steps {
        progress: Arc::clone(&progress),
        interrupt: interrupt.clone(),
        quiet,
    });
    let done = work(steps);
    progress.finish();
    done.map_err(|error| match interrupt.signal() {
        Some(signal) if error.kind() == ErrorKind::Cancelled => Failure::Stopped(signal),
        _ => error.into(),
    })
}
