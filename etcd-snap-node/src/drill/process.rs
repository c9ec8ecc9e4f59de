//! Processes that never outlive a drill: each in a group of its own, so that a signal of the terminal does not reach them before
//! the drill is ready for it, and so that what a wrapper starts goes with the wrapper.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Event;

/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn pause() {
    thread::sleep(PAUSE);
}

pub(super) fn waiting(what: &str) -> Event {
    Event::Waiting {
        what: what.to_owned(),
    }
}

/// A program with nothing of the caller's environment: a variable like `ETCD_DATA_DIR` would turn into a setting, or be refused
/// beside the flag.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        // For wrappers that are scripts.
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .stdin(Stdio::null());
    if let Some(architecture) = unsupported_architecture() {
        command.env("ETCD_UNSUPPORTED_ARCH", architecture);
    }
    command
}

/// What etcd calls this machine's architecture, where some version starts on it only after being told.
fn unsupported_architecture() -> Option<&'static OsStr> {
    let name = match std::env::consts::ARCH {
        "x86_64" => return None,
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    };
    Some(OsStr::new(name))
}

/// A running program. Dropping it kills it, with all that it has started.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Of the group.
    number: Pid,
    ended: Option<ExitStatus>,
}

impl Process {
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        Ok(Self {
            number: Pid::from_child(&child),
            child,
            ended: None,
        })
    }

    pub(super) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Asks it to end, and kills it where that takes longer.
    pub(super) fn stop(&mut self, patience: Duration) {
        let _ = kill_process_group(self.number, Signal::TERM);
        let began = Instant::now();
        while self.ended().is_none() && began.elapsed() < patience {
            pause();
        }
        self.kill();
    }

    fn kill(&mut self) {
        let _ = kill_process_group(self.number, Signal::KILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
