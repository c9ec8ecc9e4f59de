//! The journal of a recovery: what was planned, what is done of it, and what was found on the way.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use etcd_snap::HashKv;
use serde::{Deserialize, Serialize};

use super::ApplyOptions;
use crate::recover::{Action, JOURNAL, Recovery, RecoveryStep};
use crate::time::{now, stamp};
use crate::{Error, ErrorKind, Result, disk};

const LOCK: &str = "recovery.lock";
const SCHEMA: u32 = 1;

/// All that is known of a recovery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Journal {
    schema: u32,
    /// For the person who opens the file.
    what: String,
    pub(super) state: State,
    /// When it was begun.
    pub(super) begun: String,
    /// Who works on it, or was the last to do so.
    pub(super) run: RunBy,
    pub(super) recovery: Recovery,
    pub(super) forward: Course,
    /// The way back, once it was chosen.
    pub(super) back: Option<Course>,
    pub(super) facts: Facts,
    /// Where it was found, if its recovery was over: until it is worked on again, it stays there.
    #[serde(skip)]
    pub(super) kept_as: Option<PathBuf>,
}

/// Where a recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    UnderWay,
    /// Restored and started; other members are missing.
    Waiting,
    RollingBack,
    Done,
    RolledBack,
}

/// A process that works on a recovery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunBy {
    pub(super) pid: u32,
    pub(super) since: String,
}

/// Steps, and how far they are done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Course {
    pub(super) steps: Vec<RecoveryStep>,
    /// The number of the last step that was begun.
    begun: usize,
    pub(super) done: Vec<Done>,
}

/// A step that is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    number: usize,
    duration_ms: u64,
}

/// What was found on the way, and is needed later. Paths are the machine's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Whether the member served before it was stopped.
    pub(super) served: Option<bool>,
    /// The cluster that it was a member of then.
    #[serde(default)]
    pub(super) served_cluster_id: Option<u64>,
    /// Whether a run has begun to make the new member, so that what is found in its place is this recovery's.
    #[serde(default)]
    pub(super) is_staging: bool,
    /// Whether the directory that it is made in was there before.
    #[serde(default)]
    pub(super) had_home: bool,
    /// The HashKV of the new member, before any server has run on it.
    pub(super) expected: Option<HashKv>,
    /// Whether there was a member where the new one went.
    pub(super) had_member: Option<bool>,
    /// Old members that were kept there before the swap.
    #[serde(default)]
    pub(super) earlier: Vec<String>,
    /// Where the old member is.
    pub(super) old_data: Option<PathBuf>,
    /// Directories that were made for files that are.
    pub(super) made_directories: Vec<PathBuf>,
    pub(super) notes: Vec<String>,
}

impl Course {
    pub(super) fn of(steps: Vec<RecoveryStep>) -> Self {
        Self {
            steps,
            ..Self::default()
        }
    }

    pub(super) fn begin(&mut self, number: usize) {
        self.begun = self.begun.max(number);
    }

    pub(super) fn finish(&mut self, number: usize, duration_ms: u64) {
        self.done.retain(|done| done.number != number);
        self.done.push(Done {
            number,
            duration_ms,
        });
    }

    pub(super) fn is_done(&self, number: usize) -> bool {
        self.done.iter().any(|done| done.number == number)
    }

    /// Whether a step that does this was begun, and is perhaps done.
    pub(super) fn has_begun(&self, action: Action) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.action == action && step.number <= self.begun)
    }

    /// Whether what is done is done again, because the machine may have been started since, and etcd with it: until etcd is to
    /// be started, it has to be stopped.
    pub(super) fn must_be_sure(&self, action: Action) -> bool {
        matches!(action, Action::Stop | Action::WaitUntilStopped) && !self.has_begun(Action::Start)
    }

    /// What was done, with the milliseconds of each.
    pub(super) fn report(&self) -> Vec<(RecoveryStep, u64)> {
        self.done
            .iter()
            .filter_map(|done| {
                let step = self.steps.iter().find(|step| step.number == done.number)?;
                Some((step.clone(), done.duration_ms))
            })
            .collect()
    }

    /// `3 of 8 steps are done, the last one was "stop etcd.service"`.
    fn progress(&self) -> String {
        let last = self.done.last();
        let last = last.and_then(|done| self.steps.iter().find(|step| step.number == done.number));
        let last = last.map(|step| format!(", the last one was {:?}", step.title));
        format!(
            "{} of {} steps are done{}",
            self.done.len(),
            self.steps.len(),
            last.unwrap_or_default()
        )
    }
}

impl Journal {
    pub(super) fn of(recovery: &Recovery) -> Self {
        Self {
            schema: SCHEMA,
            what: "etcd-snap is recovering the etcd of this machine, or was stopped while it did: `etcd-snap recover --resume` goes on, \
                   `etcd-snap recover --rollback` brings back what was there before; leave this file where it is until then"
                .to_owned(),
            state: State::UnderWay,
            begun: now(),
            run: RunBy {
                pid: std::process::id(),
                since: now(),
            },
            forward: Course::of(recovery.steps.clone()),
            recovery: recovery.clone(),
            back: None,
            facts: Facts::default(),
            kept_as: None,
        }
    }

    /// This process works on it now.
    fn taken_over(mut self) -> Self {
        self.run = RunBy {
            pid: std::process::id(),
            since: now(),
        };
        self
    }

    /// `a recovery of m1 (etcd.service) from /backup.db that was begun at ...: 3 of 8 steps are done, ...`.
    fn title(&self) -> String {
        let (what, progress) = match &self.back {
            Some(back) => ("a roll-back of a recovery", back.progress()),
            None => ("a recovery", self.forward.progress()),
        };
        format!(
            "{what} of {} from {} that was begun at {}: {progress}",
            self.recovery.etcd.title(),
            self.recovery.snapshot.display(),
            self.begun
        )
    }
}

/// The directory with the journal, and its lock.
#[derive(Debug)]
pub(super) struct Book {
    /// As the machine knows it.
    journal: PathBuf,
    /// As a path that can be opened.
    on_disk: PathBuf,
    _lock: disk::Locked,
}

impl Book {
    /// Locks the state directory, which is made if that is wanted.
    pub(super) fn open(options: &ApplyOptions, make: bool) -> Result<Self> {
        let shown = &options.state_directory;
        let directory = options.root.open_as(shown);
        if make {
            disk::make_directory(&directory, 0o700)?;
        } else if !directory.is_dir() {
            return Err(no_recovery(shown));
        }
        let lock = match disk::lock(&directory.join(LOCK))? {
            Ok(lock) => lock,
            Err(by) => {
                return Err(Error::new(
                    ErrorKind::Busy,
                    match by.trim() {
                        "" => "another recovery is at work on this machine".to_owned(),
                        by => format!("another recovery is at work on this machine: {by}"),
                    },
                )
                .with_path(shown.join(LOCK))
                .with_remedy("wait until it has ended; this run has changed nothing"));
            }
        };
        lock.says(&format!(
            "process {}, since {}\n",
            std::process::id(),
            now()
        ))
        .map_err(|e| Error::io("write", &shown.join(LOCK), e))?;
        Ok(Self {
            journal: shown.join(JOURNAL),
            on_disk: directory.join(JOURNAL),
            _lock: lock,
        })
    }

    /// No recovery is under way.
    pub(super) fn require_free(&self) -> Result<()> {
        let Some(journal) = self.find()? else {
            return Ok(());
        };
        let remedy = match journal.state {
            State::RollingBack => "`etcd-snap recover --rollback` finishes it",
            _ => {
                "`etcd-snap recover --resume` goes on with it, `etcd-snap recover --rollback` brings back what was there before"
            }
        };
        Err(Error::new(
            ErrorKind::Busy,
            format!("there is {} ({})", journal.title(), self.journal.display()),
        )
        .with_path(&self.journal)
        .with_remedy(format!("{remedy}; this run has changed nothing")))
    }

    /// The recovery that is under way.
    pub(super) fn require_unfinished(&self) -> Result<Journal> {
        let directory = self.journal.parent().unwrap_or(Path::new("/"));
        let journal = self.find()?.ok_or_else(|| no_recovery(directory))?;
        Ok(journal.taken_over())
    }

    /// The recovery to take back: the one that is under way, or the last one, if it has come to its end.
    pub(super) fn require_to_roll_back(&self) -> Result<Journal> {
        match self.find()? {
            Some(journal) => Ok(journal.taken_over()),
            None => self.last().map(Journal::taken_over),
        }
    }

    /// The journal of the last recovery, if that is over and was not taken back.
    fn last(&self) -> Result<Journal> {
        let directory = self.on_disk.parent().unwrap_or(Path::new("/"));
        let shown = self.journal.parent().unwrap_or(Path::new("/"));
        last_done(directory)?.ok_or_else(|| no_recovery(shown))
    }

    /// The journal of a recovery that is over gets its name again.
    pub(super) fn reopen(&self, kept: &Path) -> Result<()> {
        disk::rename_new(kept, &self.on_disk)
    }

    /// The journal of a recovery that is not over. One that is, and whose run died before it could say so by its name, gets that.
    fn find(&self) -> Result<Option<Journal>> {
        let found = read(&self.on_disk, &self.journal)?;
        match found {
            Some(journal) if matches!(journal.state, State::Done | State::RolledBack) => {
                self.keep()?;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    pub(super) fn write(&self, journal: &Journal) -> Result<()> {
        let failed = |e: serde_json::Error| Error::io("write the journal", &self.journal, e.into());
        let text = serde_json::to_vec_pretty(journal).map_err(failed)?;
        disk::write_whole(&self.on_disk, &text, 0o600)
    }

    /// Keeps the journal of a recovery that is over under another name, and says which.
    pub(super) fn close(&self, journal: &Journal) -> Result<PathBuf> {
        self.write(journal)?;
        self.keep()
    }

    fn keep(&self) -> Result<PathBuf> {
        let stamp = stamp(SystemTime::now());
        for n in 1..1000_u32 {
            let name = match n {
                1 => format!("recovery-{stamp}.json"),
                n => format!("recovery-{stamp}-{n}.json"),
            };
            match disk::rename_new(&self.on_disk, &self.on_disk.with_file_name(&name)) {
                Err(e) if e.kind() == ErrorKind::Busy => {}
                result => return result.map(|()| self.journal.with_file_name(&name)),
            }
        }
        Err(Error::new(
            ErrorKind::Io,
            format!("too many journals are beside {}", self.journal.display()),
        ))
    }
}

/// The journal of the last recovery in a state directory, if that is over and was not taken back.
fn last_done(directory: &Path) -> Result<Option<Journal>> {
    let failed = |e| Error::io("look into", directory, e);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mut kept = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("recovery-") && name.ends_with(".json") {
            let written = entry.metadata().and_then(|it| it.modified());
            kept.push((written.map_err(failed)?, entry.path()));
        }
    }
    let Some((_, last)) = kept.into_iter().max() else {
        return Ok(None);
    };
    let journal = read(&last, &last)?.filter(|journal| journal.state == State::Done);
    Ok(journal.map(|journal| Journal {
        kept_as: Some(last),
        ..journal
    }))
}

/// Whether there is one.
pub(in crate::recover) fn is_kept(directory: &Path) -> bool {
    last_done(directory).is_ok_and(|last| last.is_some())
}

/// Whether a journal says that its recovery is not over. One that cannot be read may be one.
pub(in crate::recover) fn is_open(on_disk: &Path) -> bool {
    if !on_disk.exists() {
        return false;
    }
    let journal = read(on_disk, on_disk);
    !journal.is_ok_and(|journal| {
        journal.is_none_or(|it| matches!(it.state, State::Done | State::RolledBack))
    })
}

/// What is in a journal; `shown` is the path that the machine knows.
fn read(on_disk: &Path, shown: &Path) -> Result<Option<Journal>> {
    let bytes = match std::fs::read(on_disk) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read the journal", shown, e)),
    };
    let journal: Journal = serde_json::from_slice(&bytes).map_err(|e| {
            Error::new(
                ErrorKind::Misconfigured,
                format!(
                    "the journal {} is damaged, or of another version of etcd-snap: it says how far a recovery has come",
                    shown.display()
                ),
            )
            .with_path(shown)
            .with_remedy(
                "use the version that wrote it; or put things in order by hand as it says, and move it away",
            )
            .with_source(e)
        })?;
    if journal.schema != SCHEMA {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the journal {} is of another version of etcd-snap",
                shown.display()
            ),
        )
        .with_path(shown)
        .with_remedy("use that version"));
    }
    Ok(Some(journal))
}

fn no_recovery(directory: &Path) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "no recovery is under way on this machine: there is no {JOURNAL} in {}",
            directory.display()
        ),
    )
    .with_remedy("`etcd-snap recover SNAPSHOT --plan` shows what one would do")
}
