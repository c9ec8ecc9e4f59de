//! One file a command: its arguments, one call of the library, its report.

pub(crate) mod completion;
pub(crate) mod defrag;
pub(crate) mod discover;
pub(crate) mod doctor;
pub(crate) mod drill;
pub(crate) mod hashkv;
pub(crate) mod man;
pub(crate) mod recover;
pub(crate) mod restore;
pub(crate) mod save;
pub(crate) mod squeeze;
pub(crate) mod status;
pub(crate) mod verify;

use std::sync::Arc;

use etcd_snap::ErrorKind;

use crate::arguments::{Arguments, Task};
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::journal;
use crate::progress::Progress;

/// Does what the command line says.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let output = &arguments.output;
    journal::open(output)?;
    match &arguments.command {
        Task::Save(arguments) => save::run(arguments, output),
        Task::Verify(arguments) => verify::run(arguments, output),
        Task::Status(arguments) => status::run(arguments, output),
        Task::Hashkv(arguments) => hashkv::run(arguments, output),
        Task::Restore(arguments) => restore::run(arguments, output),
        Task::Defrag(arguments) => defrag::run(arguments, output),
        Task::Squeeze(arguments) => squeeze::run(arguments, output),
        Task::Discover(arguments) => discover::run(arguments, output),
        Task::Drill(arguments) => drill::run(arguments, output),
        Task::Recover(arguments) => recover::run(arguments, output),
        Task::Doctor(arguments) => doctor::run(arguments, output),
        Task::Completion(arguments) => completion::run(arguments),
        Task::Man(arguments) => man::run(arguments),
    }
}

/// Runs work that an observer can stop, and says so if it was a signal that stopped it.
pub(crate) fn watched<T>(
    quiet: bool,
    work: impl FnOnce(Arc<Progress>) -> etcd_snap::Result<T>,
) -> Result<T> {
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

/// The same for work that may wait for somebody else, and then would not hear of a signal: it is left where it stands.
fn watched_apart<T: Send + 'static>(
    quiet: bool,
    work: impl FnOnce(Arc<Progress>) -> etcd_snap::Result<T> + Send + 'static,
) -> Result<T> {
    let mut interrupt = Interrupt::listen()?;
    let progress = Arc::new(Progress::new(quiet, interrupt.clone()));
    let (tell, told) = tokio::sync::oneshot::channel();
    let system = |doing| move |error| Failure::System { doing, error };
    let watching = Arc::clone(&progress);
    std::thread::Builder::new()
        .spawn(move || tell.send(work(watching)))
        .map_err(system("start a thread"))?;
    let done = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(system("start a runtime"))?
        .block_on(async {
            let signals = interrupt.clone();
            tokio::select! {
                done = told => match done {
                    Ok(done) => done.map_err(|error| stopped(error, &signals)),
                    Err(_) => Err(Failure::System {
                        doing: "do the work",
                        error: std::io::Error::other("its thread has died; this is a fault of etcd-snap"),
                    }),
                },
                signal = interrupt.signalled() => Err(Failure::Stopped(signal)),
            }
        });
    progress.finish();
    done
}

/// A failure that a signal may have been the reason of.
pub(crate) fn stopped(error: etcd_snap::Error, interrupt: &Interrupt) -> Failure {
    match interrupt.signal() {
        Some(signal) if error.kind() == ErrorKind::Cancelled => Failure::Stopped(signal),
        _ => error.into(),
    }
}
