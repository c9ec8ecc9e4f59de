//! The old member, back in its place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::layout::{free_name_of, now, require_replaceable, resolve};
use super::owner::require_writable;
use super::replace::{BARRIER, MARKER, Steps, by_exchange, names};
use super::staging::{latecomers, require_unused};
use super::unfinished::{Ended, journal_for, settle, tidy};
use crate::data_dir::{barrier, lock_database};
use crate::io::{Change, Disk, Place, Storage, directory_of, write_file};
use crate::observe::{Event, Observer, Phase, Silent, tell};
use crate::{Error, ErrorKind, Result};

/// How to take a restore back.
#[derive(Clone)]
pub struct UndoOptions {
    wal_dir: Option<PathBuf>,
    observer: Arc<dyn Observer>,
    storage: Arc<dyn Storage>,
}

impl Default for UndoOptions {
    fn default() -> Self {
        Self {
            wal_dir: None,
            observer: Arc::new(Silent),
            storage: Arc::new(Disk),
        }
    }
}

impl UndoOptions {
    /// The WAL directory, where it is not in the data directory.
    #[must_use]
    pub fn with_wal_dir(mut self, wal_dir: impl Into<PathBuf>) -> Self {
        self.wal_dir = Some(wal_dir.into());
        self
    }

    /// Who is told of progress, and may stop the work before the first name is changed.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    #[cfg(test)]
    pub(super) fn with_storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }
}

impl fmt::Debug for UndoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UndoOptions")
            .field("wal_dir", &self.wal_dir)
            .finish_non_exhaustive()
    }
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UndoReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// The data directory, as an absolute path.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub data_dir: PathBuf,
    /// Where the old member was; `None` where a restore that was stopped half done was taken back, which had not yet replaced
    /// anything.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub put_back: Option<PathBuf>,
    /// Where that which had its place is now, if there was any.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub set_aside: Option<PathBuf>,
    /// The same of a WAL in a directory of its own.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub wal_set_aside: Option<PathBuf>,
    /// What the person should know.
    pub notes: Vec<String>,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

/// Takes a restore back: the newest `member.old-TIME` in a data directory becomes its `member` again, and what has that name now is
/// kept as `member.undone-TIME`.
///
/// A restore that was stopped half done is taken back if it had not yet replaced the old member, and otherwise finished first; both
/// without anything lost. The database in place is locked meanwhile, as a server locks it.
///
/// # Errors
/// `NotFound` where there is no old member, or its WAL is not found; `InvalidInput` where it had its WAL in another directory, which
/// was not named; `Busy` where an etcd, or another run, uses the database; `Unsupported`, `AccessDenied`, `NoSpace`, `Io`. After
/// any of them all is as it was, or a journal is left that the next run follows, as the sentence says.
pub fn undo_restore(data_dir: impl AsRef<Path>, options: &UndoOptions) -> Result<UndoReport> {
    let started = Instant::now();
    let (storage, observer) = (&options.storage, options.observer.as_ref());
    let data_dir = resolve(data_dir.as_ref())?;
    let mut report = UndoReport {
        schema: 1,
        data_dir: data_dir.clone(),
        put_back: None,
        set_aside: None,
        wal_set_aside: None,
        notes: Vec::new(),
        duration_ms: 0,
    };

    let settled = settle(storage, &data_dir)?;
    if let Some((ended, note)) = settled {
        report.notes.push(note);
        // Both leave the old member where it belongs.
        if matches!(ended, Ended::RestoreTakenBack | Ended::UndoFinished) {
            report.duration_ms = crate::milliseconds(started);
            return Ok(report);
        }
    }
    tell(observer, &Event::Started(Phase::Lock))?;
    let old = newest_old(&data_dir)?;
    let _lock = lock_database(storage.as_ref(), &data_dir)?;
    let directory = data_dir.join("member");
    let database = directory.join("snap").join("db");
    require_unused(&database)?;
    require_writable(&data_dir)?;
    let now = now();
    let wal = OldWal::find(&old, &directory, options)?;

    tell(observer, &Event::Started(Phase::Publish))?;
    let journal = journal_for(&data_dir)?;
    tidy(storage.as_ref(), &journal);
    let aside = free_name_of(&data_dir, &format!("member.undone-{now}"))?;
    if std::fs::symlink_metadata(&directory).is_err() {
        // Somebody has moved it away.
        let renamed = storage.rename_new(&old, &directory);
        renamed.map_err(|e| Error::io("put back", &old, e))?;
        let synced = storage.sync_dir(&data_dir);
        synced.map_err(|e| Error::io("sync the directory", &data_dir, e))?;
    } else {
        require_replaceable(storage.as_ref(), &directory)?;
        let is_exchanged =
            wal == OldWal::Inside && exchange(storage, &journal, &old, &directory, &aside)?;
        if !is_exchanged {
            let text = barrier(&data_dir, &journal);
            report.wal_set_aside = by_steps(
                storage,
                &journal,
                [&old, &directory, &aside],
                &wal,
                &text,
                &now,
            )?;
        }
        report
            .notes
            .extend(latecomers(&aside.join("snap").join("db")));
        report.set_aside = Some(aside);
    }
    report.put_back = Some(old);
    report.duration_ms = crate::milliseconds(started);
    Ok(report)
}

/// Where the WAL of the old member is.
#[derive(Debug, PartialEq, Eq)]
enum OldWal {
    /// In its directory.
    Inside,
    /// Beside the WAL directory, which can be renamed.
    Beside { wal: PathBuf, old: PathBuf },
    /// In the WAL directory.
    Below { wal: PathBuf, old: PathBuf },
}

impl OldWal {
    fn find(old: &Path, directory: &Path, options: &UndoOptions) -> Result<Self> {
        let stamp = old.file_name().unwrap_or_default().to_string_lossy();
        let stamp = stamp.strip_prefix(OLD).unwrap_or_default();
        let in_member = directory.join("wal");
        let below = |wal: &Path| wal.join(format!("wal.old-{stamp}"));
        let Some(wal) = &options.wal_dir else {
            if old.join("wal").exists() {
                return Ok(Self::Inside);
            }
            if below(&in_member).is_dir() {
                let old = below(&in_member);
                return Ok(Self::Below {
                    wal: in_member,
                    old,
                });
            }
            return Err(Error::invalid(format!(
                "{} has no WAL in it, so the member had it in another directory: name that with --wal-dir",
                old.display()
            ))
            .with_path(old));
        };
        let wal = resolve(wal)?;
        let name = wal.file_name().unwrap_or_default().to_string_lossy();
        let beside = directory_of(&wal).join(format!("{name}.old-{stamp}"));
        if below(&wal).is_dir() {
            let old = below(&wal);
            return Ok(Self::Below { wal, old });
        }
        if beside.is_dir() {
            return Ok(Self::Beside { wal, old: beside });
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no old WAL that belongs to {}: neither {} nor {} is a directory",
                old.display(),
                beside.display(),
                below(&wal).display()
            ),
        )
        .with_path(&wal))
    }
}

const OLD: &str = "member.old-";

/// The times in the names sort as they pass.
fn newest_old(data_dir: &Path) -> Result<PathBuf> {
    let old = names(data_dir)?.into_iter().filter(|name| {
        name.to_string_lossy().starts_with(OLD) && data_dir.join(name).join("snap/db").exists()
    });
    old.max().map(|name| data_dir.join(name)).ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!(
                "there is nothing to undo in {}: no old member (member.old-TIME) is kept in it",
                data_dir.display()
            ),
        )
        .with_path(data_dir)
    })
}

/// `false` where the filesystem cannot do that; nothing has changed then.
fn exchange(
    storage: &Arc<dyn Storage>,
    journal: &Path,
    old: &Path,
    directory: &Path,
    aside: &Path,
) -> Result<bool> {
    let mut plan = by_exchange(old, directory, aside);
    let marker = old.join(MARKER);
    plan.staged.clear();
    plan.litter.push(Place(marker.clone()));
    plan.undoes = true;
    // A run that was killed may have left it.
    if std::fs::symlink_metadata(&marker).is_err() {
        write_file(storage.as_ref(), &marker, b"")?;
    }
    let begun = storage
        .sync_dir(old)
        .map_err(|e| Error::io("sync the directory", old, e))
        .and_then(|()| Change::begin(storage, journal, plan));
    let change = begun.inspect_err(|_| {
        let _ = storage.remove_file(&marker);
    })?;
    match change.run() {
        Err(e) if e.kind() == ErrorKind::Unsupported => Ok(false),
        result => result.map(|()| true),
    }
}

/// Gives the place of the WAL that was set aside.
fn by_steps(
    storage: &Arc<dyn Storage>,
    journal: &Path,
    [old, directory, aside]: [&Path; 3],
    wal: &OldWal,
    text: &str,
    now: &str,
) -> Result<Option<PathBuf>> {
    let marker = old.join(MARKER);
    if std::fs::symlink_metadata(&marker).is_ok() {
        let removed = storage.remove_file(&marker);
        removed.map_err(|e| Error::io("remove", &marker, e))?;
    }
    let mut steps = Steps::default();
    let staged = old.join("snap").join(BARRIER);
    steps.staged.push(staged.clone());
    let stays = match wal {
        OldWal::Below { wal, .. } | OldWal::Beside { wal, .. } => Some(wal.as_path()),
        OldWal::Inside => None,
    };
    steps.replace(old, directory, aside, stays)?;
    let wal_aside = match wal {
        OldWal::Inside => None,
        OldWal::Beside { wal, old } => {
            let name = wal.file_name().unwrap_or_default().to_string_lossy();
            let aside = free_name_of(directory_of(wal), &format!("{name}.undone-{now}"))?;
            steps.rename(wal, &aside);
            steps.rename(old, wal);
            Some(aside)
        }
        OldWal::Below { wal, old } => {
            let aside = free_name_of(wal, &format!("wal.undone-{now}"))?;
            steps.empty(wal, &aside)?;
            steps.fill(wal, old)?;
            Some(aside)
        }
    };
    let mut plan = steps.plan(journal, text.to_owned())?;
    plan.undoes = true;
    let change = Change::begin(storage, journal, plan)?;
    if let Err(e) = write_file(storage.as_ref(), &staged, text.as_bytes())
        .and_then(|()| change.sync_beside(&staged))
    {
        return Err(change.taken_back(0, e));
    }
    change.run()?;
    Ok(wal_aside)
}
