//! A stand-in for systemd and its `systemctl`: runs the services of a tree.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::unit::Unit;
use crate::process::{self, Process};

const TICK: Duration = Duration::from_millis(10);
/// `TimeoutStartSec=` and `TimeoutStopSec=`.
const PATIENCE: Duration = Duration::from_secs(90);
/// `RestartSec=`
const RESTART_AFTER: Duration = Duration::from_millis(100);

/// Runs services of a tree as real processes; asked by the program [`Systemd::systemctl`], each call of which is a process of its
/// own, as in life. A unit of type `notify` has started when etcd says so, which it does when it serves.
///
/// Units count as they were when they were loaded: at first use, or at the last `daemon-reload`. Files with variables are read at
/// each start. It knows `start`, `stop`, `restart`, `daemon-reload`, `is-active`, `is-enabled`, `show` and `cat`, with `--no-block`, `--quiet`,
/// `--property` and `--value`.
pub struct Systemd {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    root: PathBuf,
    room: PathBuf,
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    services: BTreeMap<String, Service>,
    calls: Vec<String>,
    patience: Option<Duration>,
    is_deaf: bool,
}

#[derive(Default)]
struct Service {
    unit: Unit,
    run: Run,
    asked: Vec<Question>,
    starts: usize,
}

#[derive(Default)]
enum Run {
    #[default]
    Inactive,
    Failed,
    Activating {
        process: Process,
        ready: UnixDatagram,
        until: Instant,
    },
    Active(Process),
    Deactivating {
        process: Process,
        until: Instant,
        then_start: bool,
    },
    RestartsAt(Instant),
}

/// A call of systemctl about one unit.
struct Call<'a> {
    verb: &'a str,
    options: Vec<&'a str>,
    question: Question,
}

/// A call of systemctl that waits for its answer: where that goes.
struct Question {
    ask: PathBuf,
    wants_active: bool,
    warning: String,
}

impl Systemd {
    /// Serves the tree below `root`; its `systemctl` is put there, into `/usr/bin`.
    pub(super) fn start(root: &Path) -> Result<Self> {
        let room = root.join("run/systemd/private");
        fs::create_dir_all(&room)?;
        fs::write(room.join("alive"), "")?;
        let script = include_str!("systemctl.sh")
            .replace("@ROOM@", &room.to_string_lossy())
            .replace("@PROCESS@", &std::process::id().to_string());
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            room,
            state: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let systemctl = shared.systemctl();
        if let Some(folder) = systemctl.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&systemctl, script)?;
        fs::set_permissions(&systemctl, Permissions::from_mode(0o755))?;
        let thread = {
            let shared = shared.clone();
            std::thread::spawn(move || {
                while !shared.ended.load(Ordering::Relaxed) {
                    // A folder that is on its way to be removed is no reason to fail: nobody asks any more.
                    let _ = shared.tick();
                    std::thread::sleep(TICK);
                }
            })
        };
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The program that is to be called instead of the real one.
    pub fn systemctl(&self) -> PathBuf {
        self.shared.systemctl()
    }

    /// Calls it and returns what it printed; a failure is an error with everything that it said.
    pub fn call(&self, words: &[&str]) -> Result<String> {
        crate::etcd::stdout(Command::new(self.systemctl()).args(words))
    }

    /// All calls so far, each as one line.
    pub fn calls(&self) -> Vec<String> {
        self.shared.state().calls.clone()
    }

    /// How often a unit was started.
    pub fn starts_of(&self, unit: &str) -> usize {
        let state = self.shared.state();
        state.services.get(unit).map_or(0, |it| it.starts)
    }

    /// Whether a process of this unit runs, however it is about to end.
    pub fn runs(&self, unit: &str) -> bool {
        self.process_id(unit).is_some()
    }

    /// The operating system's number of the process of a unit.
    pub fn process_id(&self, unit: &str) -> Option<u32> {
        let state = self.shared.state();
        state.services.get(unit)?.run.process().map(Process::id)
    }

    /// How long a start or a stop may take, instead of 90 s.
    pub fn set_patience(&self, patience: Duration) {
        self.shared.state().patience = Some(patience);
    }

    /// Answers nobody any more, as a machine whose systemd hangs.
    pub fn go_deaf(&self) {
        self.shared.state().is_deaf = true;
    }

    /// Answers again.
    pub fn hear_again(&self) {
        self.shared.state().is_deaf = false;
    }

    /// Lets a service hang (SIGSTOP): it keeps its port and its lock, and does not hear SIGTERM.
    pub fn freeze(&self, unit: &str) -> Result<()> {
        let state = self.shared.state();
        let process = state.services.get(unit).and_then(|it| it.run.process());
        process.context("it does not run")?.freeze()
    }

    /// Kills a service, as a crash of it.
    pub fn crash(&self, unit: &str) -> Result<()> {
        let state = self.shared.state();
        let process = state.services.get(unit).and_then(|it| it.run.process());
        process.context("it does not run")?.signal(Signal::KILL)
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _ = fs::remove_file(self.shared.room.join("alive"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.state().services.clear();
    }
}

impl Run {
    fn process(&self) -> Option<&Process> {
        match self {
            Self::Activating { process, .. }
            | Self::Active(process)
            | Self::Deactivating { process, .. } => Some(process),
            Self::Inactive | Self::Failed | Self::RestartsAt(_) => None,
        }
    }

    fn states(&self) -> (&'static str, &'static str) {
        match self {
            Self::Inactive => ("inactive", "dead"),
            Self::Failed => ("failed", "failed"),
            Self::Activating { .. } => ("activating", "start"),
            Self::RestartsAt(_) => ("activating", "auto-restart"),
            Self::Active(_) => ("active", "running"),
            Self::Deactivating { .. } => ("deactivating", "stop-sigterm"),
        }
    }
}

/// An answer of systemctl.
#[derive(Default)]
struct Answer {
    code: u8,
    out: String,
    err: String,
}

impl Answer {
    fn said(out: impl Into<String>) -> Self {
        Self {
            out: out.into(),
            ..Self::default()
        }
    }

    fn failed(code: u8, err: impl Into<String>) -> Self {
        Self {
            code,
            err: err.into(),
            ..Self::default()
        }
    }

    fn give(&self, ask: &Path) -> io::Result<()> {
        fs::write(ask.with_extension("out"), &self.out)?;
        fs::write(ask.with_extension("err"), &self.err)?;
        // The last one is what the asker waits for, so it appears whole.
        let staged = ask.with_extension("code.new");
        fs::write(&staged, self.code.to_string())?;
        fs::rename(staged, ask.with_extension("code"))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn systemctl(&self) -> PathBuf {
        self.root.join("usr/bin/systemctl")
    }

    fn tick(&self) -> Result<()> {
        let mut state = self.state();
        if !state.is_deaf {
            for entry in fs::read_dir(&self.room)? {
                let path = entry?.path();
                if path.extension().is_some_and(|it| it == "request") {
                    let words = fs::read_to_string(&path)?;
                    fs::remove_file(&path)?;
                    self.hear(&mut state, &path, &words)?;
                }
            }
        }
        let patience = state.patience.unwrap_or(PATIENCE);
        for (name, service) in &mut state.services {
            self.step(name, service, patience)?;
        }
        Ok(())
    }

    fn hear(&self, state: &mut State, ask: &Path, request: &str) -> Result<()> {
        let words: Vec<&str> = request.lines().collect();
        state.calls.push(words.join(" "));
        let (options, words): (Vec<&str>, Vec<&str>) =
            words.into_iter().partition(|word| word.starts_with('-'));
        match words.as_slice() {
            ["daemon-reload"] => {
                for (name, service) in &mut state.services {
                    service.unit = Unit::load(&self.root, name)?;
                }
                Answer::default().give(ask)?;
            }
            [verb, names @ ..] if !names.is_empty() => {
                // `-p X` is two words: the second one is not a unit.
                let unit = names.iter().rev().find(|name| name.contains('.'));
                let name = match unit.or(names.last()) {
                    Some(name) if name.contains('.') => (*name).to_owned(),
                    Some(name) => format!("{name}.service"),
                    None => String::new(),
                };
                if !state.services.contains_key(&name) {
                    match Unit::load(&self.root, &name) {
                        Ok(unit) => {
                            let service = Service {
                                unit,
                                ..Service::default()
                            };
                            state.services.insert(name.clone(), service);
                        }
                        Err(error) => {
                            let code = if *verb == "is-active" { 3 } else { 5 };
                            let said = format!("Failed to {verb} {name}: {error:#}\n");
                            return Ok(Answer::failed(code, said).give(ask)?);
                        }
                    }
                }
                let patience = state.patience.unwrap_or(PATIENCE);
                if let Some(service) = state.services.get_mut(&name) {
                    let call = Call {
                        verb,
                        options,
                        question: Question {
                            ask: ask.to_owned(),
                            wants_active: *verb != "stop",
                            warning: String::new(),
                        },
                    };
                    self.obey(service, &name, call, patience)?;
                }
            }
            _ => Answer::failed(1, "Unknown command verb.\n").give(ask)?,
        }
        Ok(())
    }

    fn obey(
        &self,
        service: &mut Service,
        name: &str,
        call: Call<'_>,
        patience: Duration,
    ) -> Result<()> {
        let Call {
            verb,
            options,
            mut question,
        } = call;
        match verb {
            "start" | "stop" | "restart" => {
                let is_stale = Unit::load(&self.root, name).is_ok_and(|it| it != service.unit);
                service.cancel(question.wants_active)?;
                let run = std::mem::take(&mut service.run);
                service.run = match (verb, run) {
                    ("start", Run::Inactive | Run::Failed | Run::RestartsAt(_)) => {
                        service.starts += 1;
                        self.launch(name, &service.unit, patience)
                            .unwrap_or(Run::Failed)
                    }
                    ("start", Run::Deactivating { process, until, .. }) => Run::Deactivating {
                        process,
                        until,
                        then_start: true,
                    },
                    ("start", run) => run,
                    (_, Run::Activating { process, .. } | Run::Active(process)) => {
                        process.signal(Signal::TERM)?;
                        Run::Deactivating {
                            process,
                            until: Instant::now() + patience,
                            then_start: verb == "restart",
                        }
                    }
                    (_, Run::Deactivating { process, until, .. }) => Run::Deactivating {
                        process,
                        until,
                        then_start: verb == "restart",
                    },
                    ("restart", _) => {
                        service.starts += 1;
                        self.launch(name, &service.unit, patience)
                            .unwrap_or(Run::Failed)
                    }
                    (_, Run::Failed) => Run::Failed,
                    (_, Run::Inactive | Run::RestartsAt(_)) => Run::Inactive,
                };
                if is_stale {
                    question.warning = format!(
                        "Warning: The unit file, source configuration file or drop-ins of {name} changed on disk. \
                         Run 'systemctl daemon-reload' to reload units.\n"
                    );
                }
                if !options.contains(&"--no-block") {
                    service.asked.push(question);
                } else {
                    Answer::failed(0, question.warning).give(&question.ask)?;
                }
            }
            "is-active" => {
                let (active, _) = service.run.states();
                let answer = Answer {
                    code: if active == "active" { 0 } else { 3 },
                    ..Answer::said(format!("{active}\n"))
                };
                answer.give(&question.ask)?;
            }
            "is-enabled" => Answer::said("enabled\n").give(&question.ask)?,
            "show" => Answer::said(service.show(name, &options)).give(&question.ask)?,
            "cat" => {
                let files = service.unit.files.iter();
                let text: Vec<_> = files
                    .map(|(path, content)| format!("# {}\n{content}", path.display()))
                    .collect();
                Answer::said(text.join("\n")).give(&question.ask)?;
            }
            _ => Answer::failed(1, format!("Unknown command verb '{verb}'.\n"))
                .give(&question.ask)?,
        }
        Ok(())
    }

    fn step(&self, name: &str, service: &mut Service, patience: Duration) -> Result<()> {
        let run = std::mem::take(&mut service.run);
        service.run = match run {
            Run::Activating {
                mut process,
                ready,
                until,
            } => {
                if process.ended()?.is_some() {
                    service.after_crash()
                } else if has_said_ready(&ready) {
                    Run::Active(process)
                } else if Instant::now() > until {
                    drop(process);
                    service.after_crash()
                } else {
                    Run::Activating {
                        process,
                        ready,
                        until,
                    }
                }
            }
            Run::Active(mut process) => match process.ended()? {
                Some(status) if status.success() => Run::Inactive,
                Some(_) => service.after_crash(),
                None => Run::Active(process),
            },
            Run::Deactivating {
                mut process,
                until,
                then_start,
            } => {
                let is_late = Instant::now() > until;
                if process.ended()?.is_none() && !is_late {
                    Run::Deactivating {
                        process,
                        until,
                        then_start,
                    }
                } else {
                    drop(process);
                    if then_start {
                        service.starts += 1;
                        self.launch(name, &service.unit, patience)
                            .unwrap_or(Run::Failed)
                    } else if is_late {
                        Run::Failed
                    } else {
                        Run::Inactive
                    }
                }
            }
            Run::RestartsAt(when) if Instant::now() >= when => {
                service.starts += 1;
                self.launch(name, &service.unit, patience)
                    .unwrap_or(Run::Failed)
            }
            run => run,
        };
        service.answer(name)
    }

    fn launch(&self, name: &str, unit: &Unit, patience: Duration) -> Result<Run> {
        let log = super::etcd_log(&self.root);
        let noted = |error: anyhow::Error| {
            let _ = super::append(&log, &format!("{name}: {error:#}\n"));
            error
        };
        let invocation = unit.invocation(&self.root).map_err(noted)?;
        let mut command = match &unit.user {
            Some(user) => {
                let id = super::user_id(&self.root, user).map_err(noted)?.to_string();
                let mut command = process::command(Path::new("/usr/bin/setpriv"));
                command
                    .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
                    .args(["--pdeathsig", "KILL", "--"])
                    .arg(&invocation.program);
                command
            }
            None => process::command(&invocation.program),
        };
        command.env_clear().env("PATH", "/usr/bin:/bin");
        let mut command = super::etcd_command(command);
        command
            .args(&invocation.arguments)
            .envs(&invocation.variables)
            .current_dir(&invocation.directory);
        let mut ready = None;
        if unit.notifies {
            let socket = self.room.join(format!("notify-{name}"));
            let _ = fs::remove_file(&socket);
            let listening = UnixDatagram::bind(&socket)?;
            listening.set_nonblocking(true)?;
            fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
            command.env("NOTIFY_SOCKET", &socket);
            ready = Some(listening);
        }
        let process = Process::spawn(&invocation.program, command, &log).map_err(noted)?;
        Ok(match ready {
            Some(ready) => Run::Activating {
                process,
                ready,
                until: Instant::now() + patience,
            },
            None => Run::Active(process),
        })
    }
}

fn has_said_ready(ready: &UnixDatagram) -> bool {
    let mut message = [0; 4096];
    while let Ok(length) = ready.recv(&mut message) {
        let said = message.get(..length).unwrap_or_default();
        if said.split(|byte| *byte == b'\n').any(|it| it == b"READY=1") {
            return true;
        }
    }
    false
}

impl Service {
    fn after_crash(&self) -> Run {
        if self.unit.restarts {
            Run::RestartsAt(Instant::now() + RESTART_AFTER)
        } else {
            Run::Failed
        }
    }

    /// A stop takes the place of a start that is waited for, and the other way round.
    fn cancel(&mut self, wants_active: bool) -> Result<()> {
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.asked)
            .into_iter()
            .partition(|it| it.wants_active == wants_active);
        self.asked = stay;
        for question in go {
            Answer::failed(1, "Job canceled.\n").give(&question.ask)?;
        }
        Ok(())
    }

    /// Answers those whose wish is fulfilled, or can no longer be.
    fn answer(&mut self, name: &str) -> Result<()> {
        let verdict = |wants_active: bool| match (&self.run, wants_active) {
            (Run::Active(_), true) | (Run::Inactive, false) => Some(Answer::default()),
            // Stopped all the same, if by force.
            (Run::Failed, false) => Some(Answer::default()),
            (Run::Failed | Run::Inactive | Run::RestartsAt(_), true) => Some(Answer::failed(
                1,
                format!(
                    "Job for {name} failed because the control process exited with error code.\n\
                     See \"systemctl status {name}\" and \"journalctl -xeu {name}\" for details.\n"
                ),
            )),
            _ => None,
        };
        let mut left = Vec::new();
        for question in std::mem::take(&mut self.asked) {
            match verdict(question.wants_active) {
                Some(mut answer) => {
                    answer.err.insert_str(0, &question.warning);
                    answer.give(&question.ask)?;
                }
                None => left.push(question),
            }
        }
        self.asked = left;
        Ok(())
    }

    fn show(&self, name: &str, options: &[&str]) -> String {
        let (active, sub) = self.run.states();
        let process = self.run.process().map_or(0, Process::id);
        let fragment = self.unit.files.first();
        let fragment = fragment.map_or_else(String::new, |(path, _)| path.display().to_string());
        let drop_ins = self.unit.files.iter().skip(1);
        let drop_ins: Vec<_> = drop_ins
            .map(|(path, _)| path.display().to_string())
            .collect();
        let all = [
            ("Id", name.to_owned()),
            ("LoadState", "loaded".to_owned()),
            ("ActiveState", active.to_owned()),
            ("SubState", sub.to_owned()),
            ("MainPID", process.to_string()),
            ("FragmentPath", fragment),
            ("DropInPaths", drop_ins.join(" ")),
        ];
        let asked: Vec<&str> = options
            .iter()
            .filter_map(|it| it.strip_prefix("--property=").or(it.strip_prefix("-p")))
            .flat_map(|it| it.split(','))
            .collect();
        let bare = options.contains(&"--value");
        all.iter()
            .filter(|(key, _)| asked.is_empty() || asked.contains(key))
            .map(|(key, value)| {
                if bare {
                    format!("{value}\n")
                } else {
                    format!("{key}={value}\n")
                }
            })
            .collect()
    }
}
