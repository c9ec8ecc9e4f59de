//! A stand-in for systemd and its `systemctl`: runs the services of a tree.

mod service;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use self::service::{Answer, Call, Place, Question, Run, Service};
use super::unit::Unit;
use crate::process::{Process, write_program};

const TICK: Duration = Duration::from_millis(10);
/// `TimeoutStartSec=` and `TimeoutStopSec=`.
const PATIENCE: Duration = Duration::from_secs(90);

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
    place: Arc<Place>,
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
            place: Arc::new(Place {
                root: root.to_owned(),
                room,
            }),
            state: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let systemctl = shared.systemctl();
        if let Some(folder) = systemctl.parent() {
            fs::create_dir_all(folder)?;
        }
        write_program(&systemctl, &script)?;
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

    /// Waits until a unit has started: until it says so itself, where it does, which may be later than its first answer.
    pub fn wait_until_active(&self, unit: &str) -> Result<()> {
        super::wait_for("the unit does not become active", || {
            let state = self.shared.state();
            Ok(state
                .services
                .get(unit)
                .is_some_and(|it| matches!(it.run, Run::Active(_))))
        })
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

    /// Lets it go on.
    pub fn thaw(&self, unit: &str) -> Result<()> {
        let state = self.shared.state();
        let process = state.services.get(unit).and_then(|it| it.run.process());
        process.context("it does not run")?.signal(Signal::CONT)
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
        let _ = fs::remove_file(self.shared.place.room.join("alive"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.state().services.clear();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn systemctl(&self) -> PathBuf {
        self.place.root.join("usr/bin/systemctl")
    }

    fn tick(&self) -> Result<()> {
        let mut state = self.state();
        if !state.is_deaf {
            for entry in fs::read_dir(&self.place.room)? {
                let path = entry?.path();
                if path.extension().is_some_and(|it| it == "request") {
                    let words = fs::read_to_string(&path)?;
                    fs::remove_file(&path)?;
                    self.hear(&mut state, &path, &words)?;
                }
            }
        }
        let patience = state.patience.unwrap_or(PATIENCE);
        for service in state.services.values_mut() {
            service.step(patience)?;
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
                    service.unit = Unit::load(&self.place.root, name)?;
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
                    match Unit::load(&self.place.root, &name) {
                        Ok(unit) => {
                            let service = Service::new(&name, unit, &self.place);
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
                    service.obey(call, patience)?;
                }
            }
            _ => Answer::failed(1, "Unknown command verb.\n").give(ask)?,
        }
        Ok(())
    }
}
