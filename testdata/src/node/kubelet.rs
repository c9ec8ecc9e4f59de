//! A stand-in for kubelet: runs the static pods of a directory.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::pod::{Pod, Program};
use crate::process::{self, Process};

/// How often the directory is looked at; the real one hears of changes at once.
const TICK: Duration = Duration::from_millis(10);
/// How soon what crashed is started again: at first, and at most. The real one begins with ten seconds.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// What a pod has between SIGTERM and SIGKILL unless its manifest says otherwise.
const GRACE: Duration = Duration::from_secs(30);

/// Something that kubelet did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// The name of the pod; of the file, where that is none.
    pub pod: String,
    /// The name of its file.
    pub file: String,
    /// What happened.
    pub what: What,
}

/// What happened to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was started.
    Started,
    /// It was stopped, because its file had gone or changed.
    Stopped,
    /// It was killed, because it did not end in its time.
    Killed,
    /// It ended by itself: why.
    Crashed(String),
    /// It cannot be started: why.
    Refused(String),
}

/// Runs the static pods of a directory below a tree: etcd as a real server, the API server as a port that is open, all others as
/// nothing but a line in the log.
///
/// Every regular file whose name does not begin with a dot is a pod. Of two with one name the one that was seen first runs, and
/// the other one as soon as it has gone, as in the real one.
pub struct Kubelet {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    root: PathBuf,
    directory: PathBuf,
    etcd: PathBuf,
    state: Mutex<State>,
    ended: AtomicBool,
}

struct State {
    pods: Vec<StaticPod>,
    refused: BTreeSet<(PathBuf, Vec<u8>)>,
    log: Vec<Happened>,
    is_down: bool,
    grace: Duration,
    more_arguments: Vec<String>,
    layers: u32,
}

struct StaticPod {
    file: PathBuf,
    content: Vec<u8>,
    pod: Pod,
    wanted: bool,
    run: Run,
}

enum Run {
    Waiting,
    Etcd(Process),
    /// Connections wait in the queue of the port: that is all that anybody asks of the API server here.
    ApiServer {
        _port: TcpListener,
    },
    Record,
    Stopping(Process, Instant),
    BackOff(Instant, Duration),
}

impl Kubelet {
    /// Runs what is in `directory`, a path of the machine, below `root`. `more_arguments` go behind those of every etcd.
    pub(super) fn start(root: &Path, directory: &Path, etcd: &Path, more: Vec<String>) -> Self {
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            directory: super::below(root, directory),
            etcd: etcd.to_owned(),
            ended: AtomicBool::new(false),
            state: Mutex::new(State {
                pods: Vec::new(),
                refused: BTreeSet::new(),
                log: Vec::new(),
                is_down: false,
                grace: GRACE,
                more_arguments: more,
                layers: 0,
            }),
        });
        let thread = {
            let shared = shared.clone();
            std::thread::spawn(move || {
                while !shared.ended.load(Ordering::Relaxed) {
                    shared.tick();
                    std::thread::sleep(TICK);
                }
            })
        };
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// All that happened so far, oldest first.
    pub fn log(&self) -> Vec<Happened> {
        self.shared.state().log.clone()
    }

    /// How often a pod was started.
    pub fn starts_of(&self, pod: &str) -> usize {
        let is_start = |it: &&Happened| it.pod == pod && it.what == What::Started;
        self.shared.state().log.iter().filter(is_start).count()
    }

    /// Whether a container of this pod runs; also while it is asked to end.
    pub fn runs(&self, pod: &str) -> bool {
        self.shared.state().pods.iter_mut().any(|it| {
            it.pod.name() == pod
                && match &mut it.run {
                    Run::Etcd(process) | Run::Stopping(process, _) => {
                        matches!(process.ended(), Ok(None))
                    }
                    Run::ApiServer { .. } | Run::Record => true,
                    Run::Waiting | Run::BackOff(..) => false,
                }
        })
    }

    /// The operating system's number of the etcd that runs.
    pub fn etcd_process_id(&self) -> Option<u32> {
        self.shared.state().etcds().map(|it| it.id()).next()
    }

    /// Kubelet itself stops: containers live on, nothing is started, stopped or started again.
    pub fn go_down(&self) {
        self.shared.state().is_down = true;
    }

    /// Kubelet works again.
    pub fn come_up(&self) {
        self.shared.state().is_down = false;
    }

    /// How long a container may take from SIGTERM to its end.
    pub fn set_grace(&self, grace: Duration) {
        self.shared.state().grace = grace;
    }

    /// Lets a running etcd hang (SIGSTOP): it keeps its port and its lock, and does not hear SIGTERM.
    pub fn freeze_etcd(&self) -> Result<()> {
        let state = self.shared.state();
        let etcd = state.etcds().next().context("no etcd runs")?;
        etcd.freeze()
    }

    /// Lets it go on.
    pub fn thaw_etcd(&self) -> Result<()> {
        let state = self.shared.state();
        let etcd = state.etcds().next().context("no etcd runs")?;
        etcd.signal(Signal::CONT)
    }

    /// Kills the etcd that runs, as a crash of it; kubelet starts it again.
    pub fn crash_etcd(&self) -> Result<()> {
        let state = self.shared.state();
        let etcd = state.etcds().next().context("no etcd runs")?;
        etcd.signal(Signal::KILL)
    }

    pub(super) fn forget_more_arguments(&self) {
        self.shared.state().more_arguments.clear();
    }

    /// Waits until what is in the directory runs, and nothing else does.
    pub fn wait_until_settled(&self) -> Result<()> {
        super::wait_for("kubelet has not done what its directory says", || {
            let files = self.shared.files()?;
            let state = self.shared.state();
            let runs = state.pods.iter().filter(|it| {
                it.wanted && !matches!(it.run, Run::Waiting | Run::BackOff(..) | Run::Stopping(..))
            });
            let running: BTreeSet<_> = runs.map(|it| (&it.file, &it.content)).collect();
            let wanted: BTreeSet<_> = files
                .iter()
                .map(|(file, content)| (file, content))
                .collect();
            Ok(running == wanted && running.len() == state.pods.len())
        })
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.state().pods.clear();
    }
}

impl State {
    fn etcds(&self) -> impl Iterator<Item = &Process> {
        self.pods.iter().filter_map(|it| match &it.run {
            Run::Etcd(process) | Run::Stopping(process, _) => Some(process),
            _ => None,
        })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        let mut state = self.state();
        if state.is_down {
            return;
        }
        // What cannot be listed now is looked at the next time.
        if let Ok(files) = self.files() {
            notice(&mut state, &files);
        }
        let mut pods = std::mem::take(&mut state.pods);
        for place in 0..pods.len() {
            let (before, rest) = pods.split_at_mut(place);
            if let Some(pod) = rest.first_mut() {
                let is_first = !before.iter().any(|it| it.pod.name() == pod.pod.name());
                self.step(pod, is_first, &mut state);
            }
        }
        pods.retain(|it| it.wanted || !matches!(it.run, Run::Waiting));
        state.pods = pods;
    }

    /// The files that are pods, in the order of their names.
    fn files(&self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let is_hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if is_hidden || !path.is_file() {
                continue;
            }
            // Gone since it was listed.
            if let Ok(content) = fs::read(&path) {
                files.push((path, content));
            }
        }
        files.sort();
        Ok(files)
    }

    fn step(&self, it: &mut StaticPod, is_first: bool, state: &mut State) {
        let run = std::mem::replace(&mut it.run, Run::Waiting);
        it.run = match run {
            Run::Stopping(mut process, until) => match process.ended() {
                Ok(None) if Instant::now() < until => Run::Stopping(process, until),
                Ok(None) => {
                    drop(process);
                    state.note(it, What::Killed);
                    Run::Waiting
                }
                _ => {
                    state.note(it, What::Stopped);
                    Run::Waiting
                }
            },
            Run::Etcd(mut process) => match process.ended() {
                Ok(None) if it.wanted => Run::Etcd(process),
                Ok(None) => {
                    let _ = process.signal(Signal::TERM);
                    Run::Stopping(process, Instant::now() + state.grace)
                }
                Ok(Some(status)) => {
                    state.note(it, What::Crashed(status.to_string()));
                    Run::BackOff(Instant::now() + BACK_OFF.0, BACK_OFF.0)
                }
                Err(error) => {
                    state.note(it, What::Crashed(error.to_string()));
                    Run::Waiting
                }
            },
            Run::ApiServer { .. } | Run::Record if !it.wanted => {
                drop(run);
                state.note(it, What::Stopped);
                Run::Waiting
            }
            Run::BackOff(..) if !it.wanted => Run::Waiting,
            Run::BackOff(until, delay) if Instant::now() >= until => self.start(it, delay, state),
            Run::Waiting if it.wanted && is_first => self.start(it, BACK_OFF.0 / 2, state),
            other => other,
        };
    }

    fn start(&self, it: &StaticPod, delay: Duration, state: &mut State) -> Run {
        match self.try_start(&it.pod, state) {
            Ok(run) => {
                state.note(it, What::Started);
                run
            }
            Err(error) => {
                state.note(it, What::Refused(format!("{error:#}")));
                let delay = (delay * 2).min(BACK_OFF.1);
                Run::BackOff(Instant::now() + delay, delay)
            }
        }
    }

    fn try_start(&self, pod: &Pod, state: &mut State) -> Result<Run> {
        pod.prepare_volumes(&self.root)?;
        Ok(match pod.program()? {
            Program::Other => Run::Record,
            Program::ApiServer(port) => Run::ApiServer {
                _port: TcpListener::bind(("127.0.0.1", port))
                    .with_context(|| format!("port {port}"))?,
            },
            Program::Etcd => {
                state.layers += 1;
                let layer = self.root.join(format!("run/containers/{}", state.layers));
                fs::create_dir_all(&layer)?;
                let command = super::etcd_command(process::command(&self.etcd));
                let mut command = pod.command(command, &self.root, &layer);
                command.args(&state.more_arguments);
                let log = super::etcd_log(&self.root);
                Run::Etcd(Process::spawn(&self.etcd, command, &log)?)
            }
        })
    }
}

impl State {
    fn note(&mut self, pod: &StaticPod, what: What) {
        self.log.push(Happened {
            pod: pod.pod.name().to_owned(),
            file: file_name(&pod.file),
            what,
        });
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Compares what is to run with what is there: another content is another pod.
fn notice(state: &mut State, files: &[(PathBuf, Vec<u8>)]) {
    for it in &mut state.pods {
        it.wanted = files
            .iter()
            .any(|(file, content)| *file == it.file && *content == it.content);
    }
    for (file, content) in files {
        let known = |it: &StaticPod| it.file == *file && it.content == *content;
        if state.pods.iter().any(known) || state.refused.contains(&(file.clone(), content.clone()))
        {
            continue;
        }
        let parsed = std::str::from_utf8(content)
            .map_err(anyhow::Error::from)
            .and_then(Pod::parse);
        match parsed {
            Ok(pod) => state.pods.push(StaticPod {
                file: file.clone(),
                content: content.clone(),
                pod,
                wanted: true,
                run: Run::Waiting,
            }),
            Err(error) => {
                state.refused.insert((file.clone(), content.clone()));
                state.log.push(Happened {
                    pod: file_name(file),
                    file: file_name(file),
                    what: What::Refused(format!("{error:#}")),
                });
            }
        }
    }
}

/// Fails where the log does not have these things in this order, whatever is between them.
pub fn expect_in_order(log: &[Happened], expected: &[(&str, What)]) -> Result<()> {
    let mut left = log.iter();
    for (pod, what) in expected {
        if !left.any(|it| it.pod == *pod && it.what == *what) {
            bail!("{pod} was not {what:?} (in this order) in: {log:#?}");
        }
    }
    Ok(())
}
