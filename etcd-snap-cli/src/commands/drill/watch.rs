//! What a drill says while it is at work.

use std::ops::ControlFlow;

use etcd_snap::Observer as _;
use etcd_snap_node::{Event, Observer};

use crate::interrupt::Interrupt;
use crate::journal;
use crate::progress::Progress;

/// Shows steps, and what the library does within them, and tells when a signal asked to stop.
#[derive(Debug)]
pub(super) struct Watch {
    quiet: bool,
    interrupt: Interrupt,
    progress: Progress,
}

impl Watch {
    pub(super) fn new(quiet: bool, interrupt: Interrupt) -> Self {
        Self {
            quiet,
            progress: Progress::new(quiet, interrupt.clone()),
            interrupt,
        }
    }

    pub(super) fn finish(&self) {
        self.progress.finish();
    }
}

impl Observer for Watch {
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
            Event::Note(note) if !self.quiet => journal::note(note),
            Event::Library(event) => return self.progress.event(event),
            _ => {}
        }
        match self.interrupt.signal() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}
