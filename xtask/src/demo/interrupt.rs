//! Ctrl-C, SIGTERM and SIGHUP: the demo ends, but not before it has cleaned up.
//!
//! The work runs in ordinary blocking calls, most of them waiting for a child. So the way to stop it is to end the children:
//! every call fails at once, the error goes up, and what it passes on its way is dropped in order.

use std::fmt;
use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// The demo was asked to stop, and has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Interrupted,
    Terminated,
    HungUp,
}

impl Stopped {
    /// What a shell reports of a program that the signal ended.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Stopped::HungUp => 129,
            Stopped::Interrupted => 130,
            Stopped::Terminated => 143,
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::Interrupted => "stopped by SIGINT (Ctrl-C)",
            Stopped::Terminated => "stopped by SIGTERM",
            Stopped::HungUp => "stopped by SIGHUP",
        })
    }
}

impl std::error::Error for Stopped {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody works: a signal ends the program, as it would without us.
    Idle,
    Working,
    Stopping(Stopped),
}

type Shared = Arc<Mutex<State>>;

/// Listens for signals as long as it lives.
pub(super) struct Interrupt(Shared);

impl Interrupt {
    pub(super) fn listen() -> Result<Self> {
        static LISTENER: OnceLock<Shared> = OnceLock::new();
        // The handlers of a process stay for good, so the thread does as well.
        let state = match LISTENER.get() {
            Some(state) => Arc::clone(state),
            None => {
                let state = Arc::new(Mutex::new(State::Idle));
                listen(Arc::clone(&state)).context("cannot listen for signals")?;
                LISTENER.get_or_init(|| state).clone()
            }
        };
        set(&state, State::Working);
        Ok(Interrupt(state))
    }

    /// What the work came to; if a signal was the reason that it failed, the signal.
    pub(super) fn explain<T>(&self, done: Result<T>) -> Result<T> {
        let Err(error) = done else {
            return done;
        };
        // A child that got the same Ctrl-C may have ended before our thread even woke up.
        let patience = Instant::now() + Duration::from_millis(300);
        loop {
            if let State::Stopping(stopped) = get(&self.0) {
                return Err(Error::new(stopped));
            }
            if Instant::now() > patience {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        set(&self.0, State::Idle);
    }
}

fn get(state: &Shared) -> State {
    *state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set(state: &Shared, to: State) {
    *state.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

fn listen(state: Shared) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupts, mut terminations, mut hang_ups) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            loop {
                let stopped = runtime.block_on(async {
                    tokio::select! {
                        _ = interrupts.recv() => Stopped::Interrupted,
                        _ = terminations.recv() => Stopped::Terminated,
                        _ = hang_ups.recv() => Stopped::HungUp,
                    }
                });
                if get(&state) == State::Idle {
                    process::exit(stopped.exit_code().into());
                }
                set(&state, State::Stopping(stopped));
                // The work may start another child before it notices. More signals change nothing: it is on its way out.
                while get(&state) != State::Idle {
                    end_children();
                    thread::sleep(Duration::from_millis(20));
                }
            }
        })?;
    Ok(())
}

/// Kills what this process has started. Where there is no /proc, the terminal has sent them the Ctrl-C as well.
fn end_children() {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if parent(&stat) == Some(own)
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            // It fails when the child has just ended.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// The parent's number in the text of /proc/PID/stat. The program's name in it may hold anything, also parentheses.
fn parent(stat: &str) -> Option<i32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("7 (etcd) S 42 7 7 0"), Some(42));
        assert_eq!(parent("7 (a) S 1 (b) R 42 7"), Some(42));
        assert_eq!(parent(""), None);
    }
}
