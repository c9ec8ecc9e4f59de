//! The old member, back in its place.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::layout::{now, resolve};
use super::owner::require_writable;
use super::replace::names;
use super::staging::require_unused;
use super::successor::{ComingWal, Successor};
use super::unfinished::{Ended, journal_for, settle, tidy};
use crate::data_dir::lock_database;
use crate::io::{Disk, Storage, directory_of};
use crate::observe::{Event, Observer, Phase, Silent, tell};
use crate::{Error, ErrorKind, Result};

/// How to take a restore back.
#[derive(Clone)]
pub struct UndoOptions {
    wal_dir: Option<PathBuf>,
    earlier: Option<Vec<OsString>>,
    observer: Arc<dyn Observer>,
    storage: Arc<dyn Storage>,
}

impl Default for UndoOptions {
    fn default() -> Self {
        Self {
            wal_dir: None,
            earlier: None,
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

    /// The names of old members that are not meant: they were in the data directory before the restore that is taken back. The newest
    /// of the others comes back, even if it never had a database; without this, the newest that has one.
    #[must_use]
    pub fn with_earlier(mut self, names: impl IntoIterator<Item = OsString>) -> Self {
        self.earlier = Some(names.into_iter().collect());
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
            .field("earlier", &self.earlier)
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
    let old = match &options.earlier {
        None => newest_old(&data_dir)?,
        Some(earlier) => newest(&data_dir, |name| !earlier.contains(name))?,
    };
    let _lock = lock_database(storage.as_ref(), &data_dir)?;
    let directory = data_dir.join("member");
    let database = directory.join("snap").join("db");
    require_unused(&database)?;
    require_writable(&data_dir)?;
    let now = now();
    let wal = old_wal(&old, &directory, options)?;

    tell(observer, &Event::Started(Phase::Publish))?;
    let journal = journal_for(&data_dir)?;
    tidy(storage.as_ref(), &journal);
    if std::fs::symlink_metadata(&directory).is_err() {
        // Somebody has moved it away.
        let renamed = storage.rename_new(&old, &directory);
        renamed.map_err(|e| Error::io("put back", &old, e))?;
        let synced = storage.sync_dir(&data_dir);
        synced.map_err(|e| Error::io("sync the directory", &data_dir, e))?;
    } else {
        let displaced = Successor {
            storage,
            journal: &journal,
            data_dir: &data_dir,
            coming: &old,
            wal,
            aside: "undone",
            now: &now,
            undoes: true,
        }
        .displace()?;
        report.notes.extend(displaced.notes);
        report.set_aside = Some(displaced.member);
        report.wal_set_aside = displaced.wal;
    }
    report.put_back = Some(old);
    report.duration_ms = crate::milliseconds(started);
    Ok(report)
}

/// Where the WAL of the old member is.
fn old_wal(old: &Path, directory: &Path, options: &UndoOptions) -> Result<ComingWal> {
    let stamp = old.file_name().unwrap_or_default().to_string_lossy();
    let stamp = stamp.strip_prefix(OLD).unwrap_or_default();
    let in_member = directory.join("wal");
    let below = |wal: &Path| wal.join(format!("wal.old-{stamp}"));
    let Some(wal) = &options.wal_dir else {
        if old.join("wal").exists() {
            return Ok(ComingWal::Inside);
        }
        if below(&in_member).is_dir() {
            return Ok(ComingWal::Filled {
                coming: below(&in_member),
                wal: in_member,
            });
        }
        if options.earlier.is_some() {
            // It is known to be what had the place, WAL or not.
            return Ok(ComingWal::Inside);
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
        return Ok(ComingWal::Filled {
            coming: below(&wal),
            wal,
        });
    }
    if beside.is_dir() {
        return Ok(ComingWal::Renamed {
            wal,
            coming: beside,
        });
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

const OLD: &str = "member.old-";

pub(super) fn newest_old(data_dir: &Path) -> Result<PathBuf> {
    newest(data_dir, |name| {
        data_dir.join(name).join("snap/db").exists()
    })
}

/// The times in the names sort as they pass.
fn newest(data_dir: &Path, is_meant: impl Fn(&OsString) -> bool) -> Result<PathBuf> {
    let old = names(data_dir)?
        .into_iter()
        .filter(|name| name.to_string_lossy().starts_with(OLD) && is_meant(name));
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
