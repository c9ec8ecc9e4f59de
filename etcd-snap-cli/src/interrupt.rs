//! SIGINT, SIGTERM and SIGHUP: a wish to stop, which the work hears of at its next step.

use std::fmt;
use std::fs;
use std::io;
use std::process;
use std::thread;

use tokio::runtime;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{Failure, Result};

/// A signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    Hangup,
}

impl Signal {
    /// What a shell reports of a program that the signal ended.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Hangup => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        })
    }
}

/// Tells whether a signal asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(watch::Receiver<Option<Signal>>);

impl Interrupt {
    /// From here on, the first signal is a wish and the second one ends the program where it stands: work that hangs in
    /// the kernel, on a dead network file system for example, hears no wishes.
    pub(crate) fn listen() -> Result<Self> {
        Self::start().map_err(|error| Failure::System {
            doing: "listen for signals",
            error,
        })
    }

    fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupts, mut terminations, mut hangups) = {
            let _inside = runtime.enter();
            // A file that reaches its limit (`ulimit -f`) shall be a write that fails, and not the end without a word and
            // with everything left behind that this signal is by default.
            #[cfg(target_os = "linux")]
            drop(signal(SignalKind::from_raw(
                rustix::process::Signal::XFSZ.as_raw(),
            ))?);
            (
                listen_for(SignalKind::interrupt())?,
                listen_for(SignalKind::terminate())?,
                listen_for(SignalKind::hangup())?,
            )
        };
        let (tell, told) = watch::channel(None);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                runtime.block_on(async move {
                    let mut next = async || {
                        tokio::select! {
                            () = received(&mut interrupts) => Signal::Interrupt,
                            () = received(&mut terminations) => Signal::Terminate,
                            () = received(&mut hangups) => Signal::Hangup,
                        }
                    };
                    tell.send_replace(Some(next().await));
                    process::exit(next().await.exit_code().into());
                });
            })?;
        Ok(Self(told))
    }

    /// The signal that asked to stop, if one has.
    pub(crate) fn signal(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Returns when a signal asks to stop.
    pub(crate) async fn signalled(&mut self) -> Signal {
        loop {
            if let Some(signal) = self.signal() {
                return signal;
            }
            if self.0.changed().await.is_err() {
                // The thread that listens lives as long as the program does.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// A signal that is ignored from the start, as under `nohup` or in the background of a script, stays ignored.
fn listen_for(kind: SignalKind) -> io::Result<Option<unix::Signal>> {
    if is_ignored(kind) {
        Ok(None)
    } else {
        signal(kind).map(Some)
    }
}

/// Linux tells in the line `SigIgn`, one bit for each signal, the lowest for number 1. Elsewhere only hangups have to be
/// left alone for the sake of `nohup`.
fn is_ignored(kind: SignalKind) -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return kind == SignalKind::hangup();
    };
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

async fn received(signals: &mut Option<unix::Signal>) {
    match signals {
        Some(signals) => {
            signals.recv().await;
        }
        None => std::future::pending().await,
    }
}
