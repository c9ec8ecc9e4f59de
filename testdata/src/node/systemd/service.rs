//! One service: what runs of it, who waits for it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;

use super::super::unit::Unit;
use super::super::{append, etcd_command, etcd_log, user_id};
use crate::process::{self, Process};

/// `RestartSec=`
const RESTART_AFTER: Duration = Duration::from_millis(100);

/// Where a machine's tree begins, and where its `systemctl` asks.
pub(super) struct Place {
    pub(super) root: PathBuf,
    pub(super) room: PathBuf,
}

/// A unit, and what runs of it.
pub(super) struct Service {
    name: String,
    place: Arc<Place>,
    pub(super) unit: Unit,
    pub(super) run: Run,
    asked: Vec<Question>,
    pub(super) starts: usize,
}

#[derive(Default)]
pub(super) enum Run {
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

/// A call of systemctl that waits for its answer: where that goes.
pub(super) struct Question {
    pub(super) ask: PathBuf,
    pub(super) wants_active: bool,
    pub(super) warning: String,
}

/// A call of systemctl about one unit.
pub(super) struct Call<'a> {
    pub(super) verb: &'a str,
    pub(super) options: Vec<&'a str>,
    pub(super) question: Question,
}

impl Run {
    pub(super) fn process(&self) -> Option<&Process> {
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
pub(super) struct Answer {
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

    pub(super) fn failed(code: u8, err: impl Into<String>) -> Self {
        Self {
            code,
            err: err.into(),
            ..Self::default()
        }
    }

    pub(super) fn give(&self, ask: &Path) -> io::Result<()> {
        fs::write(ask.with_extension("out"), &self.out)?;
        fs::write(ask.with_extension("err"), &self.err)?;
        // The last one is what the asker waits for, so it appears whole.
        let staged = ask.with_extension("code.new");
        fs::write(&staged, self.code.to_string())?;
        fs::rename(staged, ask.with_extension("code"))
    }
}

impl Service {
    pub(super) fn new(name: &str, unit: Unit, place: &Arc<Place>) -> Self {
        Self {
            name: name.to_owned(),
            place: place.clone(),
            unit,
            run: Run::Inactive,
            asked: Vec::new(),
            starts: 0,
        }
    }

    /// Does what is asked; who wants to wait is answered later, by [`Service::step`].
    pub(super) fn obey(&mut self, call: Call<'_>, patience: Duration) -> Result<()> {
        let Call {
            verb,
            options,
            mut question,
        } = call;
        match verb {
            "start" | "stop" | "restart" => {
                let is_stale =
                    Unit::load(&self.place.root, &self.name).is_ok_and(|it| it != self.unit);
                self.cancel(question.wants_active)?;
                let run = std::mem::take(&mut self.run);
                self.run = match (verb, run) {
                    ("start", Run::Inactive | Run::Failed | Run::RestartsAt(_)) => {
                        self.starts += 1;
                        self.launch(patience).unwrap_or(Run::Failed)
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
                        self.starts += 1;
                        self.launch(patience).unwrap_or(Run::Failed)
                    }
                    (_, Run::Failed) => Run::Failed,
                    (_, Run::Inactive | Run::RestartsAt(_)) => Run::Inactive,
                };
                if is_stale {
                    question.warning = format!(
                        "Warning: The unit file, source configuration file or drop-ins of {} changed on disk. \
                         Run 'systemctl daemon-reload' to reload units.\n",
                        self.name
                    );
                }
                if !options.contains(&"--no-block") {
                    self.asked.push(question);
                } else {
                    Answer::failed(0, question.warning).give(&question.ask)?;
                }
            }
            "is-active" => {
                let (active, _) = self.run.states();
                let answer = Answer {
                    code: if active == "active" { 0 } else { 3 },
                    ..Answer::said(format!("{active}\n"))
                };
                answer.give(&question.ask)?;
            }
            "is-enabled" => Answer::said("enabled\n").give(&question.ask)?,
            "show" => Answer::said(self.show(&options)).give(&question.ask)?,
            "cat" => {
                let files = self.unit.files.iter();
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

    /// Looks what became of it.
    pub(super) fn step(&mut self, patience: Duration) -> Result<()> {
        let run = std::mem::take(&mut self.run);
        self.run = match run {
            Run::Activating {
                mut process,
                ready,
                until,
            } => {
                if process.ended()?.is_some() {
                    self.after_crash()
                } else if has_said_ready(&ready) {
                    Run::Active(process)
                } else if Instant::now() > until {
                    drop(process);
                    self.after_crash()
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
                Some(_) => self.after_crash(),
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
                        self.starts += 1;
                        self.launch(patience).unwrap_or(Run::Failed)
                    } else if is_late {
                        Run::Failed
                    } else {
                        Run::Inactive
                    }
                }
            }
            Run::RestartsAt(when) if Instant::now() >= when => {
                self.starts += 1;
                self.launch(patience).unwrap_or(Run::Failed)
            }
            run => run,
        };
        self.answer()
    }

    fn launch(&self, patience: Duration) -> Result<Run> {
        let (name, unit) = (&self.name, &self.unit);
        let log = etcd_log(&self.place.root);
        let noted = |error: anyhow::Error| {
            let _ = append(&log, &format!("{name}: {error:#}\n"));
            error
        };
        let invocation = unit.invocation(&self.place.root).map_err(noted)?;
        let mut command = match &unit.user {
            Some(user) => {
                let id = user_id(&self.place.root, user).map_err(noted)?.to_string();
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
        let mut command = etcd_command(command);
        command
            .args(&invocation.arguments)
            .envs(&invocation.variables)
            .current_dir(&invocation.directory);
        let mut ready = None;
        if unit.notifies {
            let socket = self.place.room.join(format!("notify-{name}"));
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
    fn answer(&mut self) -> Result<()> {
        let name = &self.name;
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

    fn show(&self, options: &[&str]) -> String {
        let (active, sub) = self.run.states();
        let process = self.run.process().map_or(0, Process::id);
        let fragment = self.unit.files.first();
        let fragment = fragment.map_or_else(String::new, |(path, _)| path.display().to_string());
        let drop_ins = self.unit.files.iter().skip(1);
        let drop_ins: Vec<_> = drop_ins
            .map(|(path, _)| path.display().to_string())
            .collect();
        let all = [
            ("Id", self.name.clone()),
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
