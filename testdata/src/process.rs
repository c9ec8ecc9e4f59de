//! Child processes that never outlive the test: killed on drop, and by the kernel when the test process itself dies.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// A program that signals end, even if the tests themselves were started with some of them ignored: by `nohup`, or in the
/// background of a script.
pub fn stoppable(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.arg("--default-signal=HUP,INT,TERM").arg(program);
    command
}

/// Makes a program of a text. Another process writes it: while this one starts other programs, they have all that is open
/// for writing here until they are what they are to be, and meanwhile nobody can run it ("text file busy").
pub fn write_program(path: &Path, text: &str) -> Result<()> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("its standard input")?;
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    let status = child.wait()?;
    ensure!(status.success(), "{} is not written", path.display());
    Ok(())
}

/// The same with a copy of another program.
pub fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-p").arg(from).arg(to).status()?;
    ensure!(status.success(), "{} is not copied", from.display());
    Ok(())
}

/// A running program. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    program: PathBuf,
}

impl Process {
    /// Starts the program with stdout and stderr appended to the log file.
    pub(crate) fn spawn(program: &Path, command: Command, log: &Path) -> Result<Self> {
        let out = OpenOptions::new().create(true).append(true).open(log)?;
        let err = out.try_clone()?;
        Self::spawn_with(program, command, out.into(), err.into())
    }

    pub(crate) fn spawn_with(
        program: &Path,
        mut command: Command,
        out: Stdio,
        err: Stdio,
    ) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = spawn_for_life(command)
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Process {
            child,
            program: program.to_owned(),
        })
    }

    /// The operating system's number for it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Stops it, all of its threads: the signal alone is only on its way.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let pid = Pid::from_child(&self.child);
        // How it ended, if it did, is still to be learnt by others.
        let events = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        retry_on_intr(|| waitid(WaitId::Pid(pid), events))?;
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("no such process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Asks it to end (SIGTERM) and waits for that, at most two minutes: an etcd that compares itself with members that have gone begins
    /// that again, as often as not, for six seconds each, before it sees that it is to end.
    pub(crate) fn terminate(&mut self) -> Result<ExitStatus> {
        let patience = Instant::now() + Duration::from_secs(120);
        if self.child.try_wait()?.is_none() {
            self.signal(Signal::TERM)?;
        }
        while Instant::now() < patience {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{} does not end on SIGTERM", self.program.display());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a child that the kernel kills together with this process, even when that one gets no chance to clean up.
///
/// The kernel ties the child to the *thread* that started it, and a test's thread may end before its servers shall. So one
/// thread that never ends starts them all.
fn spawn_for_life(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, received) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in received {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, started) = channel();
    let gone = |_| io::Error::other("the thread that starts servers has ended");
    starter
        .lock()
        .map_err(|_| io::Error::other("poisoned"))?
        .send((command, answer))
        .map_err(|_| gone(()))?;
    started.recv().map_err(|_| gone(()))?
}

/// A command whose process the kernel kills when its parent dies: `setpriv --pdeathsig` does that where the machine has it
/// (util-linux; every Debian). The environment holds nothing that steers etcd or etcdctl.
pub(crate) fn command(program: &Path) -> Command {
    let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let mut command = match setpriv {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ETCD") {
            command.env_remove(name);
        }
    }
    command
}
