//! One file a command: its arguments, one call of the library, its report.

pub(crate) mod restore;
pub(crate) mod save;
pub(crate) mod status;
pub(crate) mod verify;

use std::sync::Arc;

use etcd_snap::ErrorKind;

use crate::arguments::{Arguments, Task};
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Does what the command line says.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let output = &arguments.output;
    match &arguments.command {
        Task::Save(arguments) => save::run(arguments, output),
        Task::Verify(arguments) => verify::run(arguments, output),
        Task::Status(arguments) => status::run(arguments, output),
        Task::Restore(arguments) => restore::run(arguments, output),
    }
}

/// Runs work that an observer can stop, and says so if it was a signal that stopped it.
fn watched<T>(quiet: bool, work: impl FnOnce(Arc<Progress>) -> etcd_snap::Result<T>) -> Result<T> {
    watched_with(&Interrupt::listen()?, quiet, work)
}

/// The same where there is more to do that the same signals stop.
fn watched_with<T>(
    interrupt: &Interrupt,
    quiet: bool,
    work: impl FnOnce(Arc<Progress>) -> etcd_snap::Result<T>,
) -> Result<T> {
    let progress = Arc::new(Progress::new(quiet, interrupt.clone()));
    let done = work(Arc::clone(&progress));
    progress.finish();
    done.map_err(|error| stopped(error, interrupt))
}

/// A failure that a signal may have been the reason of.
pub(crate) fn stopped(error: etcd_snap::Error, interrupt: &Interrupt) -> Failure {
    match interrupt.signal() {
        Some(signal) if error.kind() == ErrorKind::Cancelled => Failure::Stopped(signal),
        _ => error.into(),
    }
}
