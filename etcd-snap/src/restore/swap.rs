//! A member that was made aside takes its place.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use serde::{Deserialize, Serialize};

use super::layout::{now, require_replaceable, resolve};
use super::owner::require_writable;
use super::staging::require_unused;
use super::successor::{ComingWal, Successor};
use super::undo::newest_old;
use super::unfinished::{Ended, journal_for, settle, tidy};
use super::{MemberTarget, Replaced};
use crate::data_dir::{self, lock_database};
use crate::io::{Disk, Storage, directory_of};
use crate::observe::{Event, Observer, Phase, Silent, tell};
use crate::{Error, ErrorKind, Result};

/// How to swap.
#[derive(Clone)]
pub struct SwapOptions {
    observer: Arc<dyn Observer>,
    storage: Arc<dyn Storage>,
}

impl Default for SwapOptions {
    fn default() -> Self {
        Self {
            observer: Arc::new(Silent),
            storage: Arc::new(Disk),
        }
    }
}

impl SwapOptions {
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

impl fmt::Debug for SwapOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwapOptions").finish_non_exhaustive()
    }
}

/// What took which place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SwapReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// The data directory, as an absolute path.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub data_dir: PathBuf,
    /// Where that is now which had the place, if anything had it.
    pub replaced: Option<Replaced>,
    /// What the person should know.
    pub notes: Vec<String>,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

/// Puts a member in place that a [`restore`](crate::restore) has made aside, while the old one perhaps still ran.
///
/// The old `member/` is kept in the data directory as `member.old-TIME`, and a WAL in a directory of its own as a restore that
/// [replaces](crate::RestoreOptions::with_replace) keeps it, so that [`undo_restore`](crate::undo_restore) puts them back. Where there
/// is no old member, the new one is renamed into its place. Nothing is copied: both have to be on one filesystem, and a WAL in
/// a directory of its own has to have been staged in one too, on the filesystem of its place. The new files keep the owner and the
/// label that the restore gave them.
///
/// Both databases are locked meanwhile, as a server locks its own. A run that was killed left a journal: the next one, and
/// [`undo_restore`](crate::undo_restore), finish or take back what it says; if that finished this very swap, the report says so.
///
/// # Errors
/// `NotFound` where no whole member is in `staged`; `InvalidInput` where the directories do not fit each other, or are not on one
/// filesystem; `Busy` where an etcd, or another run, uses one of the databases; `Unsupported`, `AccessDenied`, `NoSpace`, `Io`.
/// After any of them all is as it was, or a journal is left that the next run follows, as the sentence says.
pub fn swap_member(
    staged: &MemberTarget,
    target: &MemberTarget,
    options: &SwapOptions,
) -> Result<SwapReport> {
    let started = Instant::now();
    let (storage, observer) = (&options.storage, options.observer.as_ref());
    let (staged, target) = (Home::of(staged)?, Home::of(target)?);
    let mut report = SwapReport {
        schema: 1,
        data_dir: target.data_dir.clone(),
        replaced: None,
        notes: Vec::new(),
        duration_ms: 0,
    };

    target.require_apart(&staged)?;
    let finished = settle_both(storage, &staged, &target, &mut report.notes)?;
    if finished && !staged.has_member() && target.has_member() {
        report.replaced = newest_old(&target.data_dir).ok().map(|old| Replaced {
            wal_dir: target.kept_wal(&old),
            member_dir: old,
        });
        report.duration_ms = crate::milliseconds(started);
        return Ok(report);
    }
    staged.require_whole(storage.as_ref())?;

    tell(observer, &Event::Started(Phase::Lock))?;
    let _old = lock_database(storage.as_ref(), &target.data_dir)?;
    let _new = lock_database(storage.as_ref(), &staged.data_dir)?;
    for home in [&staged, &target] {
        require_unused(&data_dir::database(&home.data_dir))?;
    }
    let wal = target.require_fit(storage.as_ref(), &staged, |path| path)?;

    tell(observer, &Event::Started(Phase::Publish))?;
    let journal = journal_for(&target.data_dir)?;
    tidy(storage.as_ref(), &journal);
    report.notes.extend(target.doubts(&wal));
    let successor = Successor {
        storage,
        journal: &journal,
        data_dir: &target.data_dir,
        coming: &staged.directory,
        wal,
        aside: "old",
        now: &now(),
        undoes: false,
    };
    if target.has_member() {
        let displaced = successor.displace()?;
        report.notes.extend(displaced.notes);
        report.replaced = Some(Replaced {
            member_dir: displaced.member,
            wal_dir: displaced.wal,
        });
    } else {
        move_in(&successor, &staged, &target)?;
    }
    // It is in nobody's way.
    let _ = storage.remove_dir(&staged.data_dir);
    report.duration_ms = crate::milliseconds(started);
    Ok(report)
}

/// Says what a later [`swap_member`] would refuse about the places, for whoever wants to know that before a member is made and a server
/// stopped. In `staged` there need not be anything yet.
///
/// Nothing is changed, and no lock is taken: whether a server uses the old member is not asked.
///
/// # Errors
/// `InvalidInput` where the directories do not fit each other, or are not on one filesystem; `Unsupported` where the old `member`, or
/// `snap` in it, is a symbolic link or a mount point; `AccessDenied` where a name cannot be given; `Io`.
pub fn check_swap(staged: &MemberTarget, target: &MemberTarget) -> Result<()> {
    check_swap_with(&Disk, staged, target)
}

fn check_swap_with(
    storage: &dyn Storage,
    staged: &MemberTarget,
    target: &MemberTarget,
) -> Result<()> {
    let (staged, target) = (Home::of(staged)?, Home::of(target)?);
    target.require_fit(storage, &staged, nearest).map(drop)
}

/// What is there, of a path that is still to be made.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|it| it.exists()).unwrap_or(path)
}

/// A member's directories, without symbolic links.
#[derive(Debug)]
struct Home {
    data_dir: PathBuf,
    /// `member` in it.
    directory: PathBuf,
    /// The directory of the WAL, where that is not in `member`.
    wal: Option<PathBuf>,
}

impl Home {
    fn of(target: &MemberTarget) -> Result<Self> {
        let data_dir = resolve(target.data_dir())?;
        let directory = data_dir.join("member");
        let wal = target.wal_dir().map(resolve).transpose()?;
        Ok(Self {
            wal: wal.filter(|wal| *wal != directory.join("wal")),
            directory,
            data_dir,
        })
    }

    fn has_member(&self) -> bool {
        fs::symlink_metadata(&self.directory).is_ok()
    }

    /// Where the WAL of an old member was put by a swap that put the member itself there.
    fn kept_wal(&self, old: &Path) -> Option<PathBuf> {
        let wal = self.wal.clone().unwrap_or(self.directory.join("wal"));
        let stamp = old.file_name()?.to_string_lossy();
        let stamp = stamp.strip_prefix("member.old-")?;
        let name = wal.file_name()?.to_string_lossy();
        let beside = directory_of(&wal).join(format!("{name}.old-{stamp}"));
        let below = wal.join(format!("wal.old-{stamp}"));
        [beside, below].into_iter().find(|path| path.is_dir())
    }

    fn require_whole(&self, storage: &dyn Storage) -> Result<()> {
        let database = data_dir::database(&self.data_dir);
        if !database.is_file() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no member to put in place: {} is not there",
                    database.display()
                ),
            )
            .with_path(&database));
        }
        let inside = self.directory.join("wal");
        data_dir::segments(storage, self.wal.as_ref().unwrap_or(&inside)).map(drop)
    }

    /// All that a swap needs of the places, and how the WAL comes. Paths are looked at where `at` says that they are.
    fn require_fit(
        &self,
        storage: &dyn Storage,
        staged: &Home,
        at: fn(&Path) -> &Path,
    ) -> Result<ComingWal> {
        self.require_apart(staged)?;
        self.require_wal_stays()?;
        if self.has_member() {
            require_replaceable(storage, &self.directory)?;
        }
        let wal = self.wal_from(storage, staged)?;
        self.require_reachable(staged, &wal, at)?;
        Ok(wal)
    }

    /// Of what is in `member`, only a WAL directory directly in it stays when all else there is set aside.
    fn require_wal_stays(&self) -> Result<()> {
        let Some(wal) = &self.wal else {
            return Ok(());
        };
        let stays = wal.parent() == Some(&self.directory) && !wal.ends_with("snap");
        if stays || !wal.starts_with(&self.directory) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the WAL directory {} does not stay in its place when {} is replaced: choose one directly in that directory, or beside it",
            wal.display(),
            self.directory.display()
        ))
        .with_path(wal))
    }

    /// What is renamed must not hold what it is renamed to.
    fn require_apart(&self, staged: &Home) -> Result<()> {
        let places = |home: &Home| {
            let mut places = vec![home.directory.clone()];
            places.extend(home.wal.clone());
            places
        };
        let meet = |one: &Path, other: &Path| one.starts_with(other) || other.starts_with(one);
        // A log may be staged in the directory that it goes to, which may itself be in `member`, and stays then.
        let inside = self.directory.join("wal");
        let goes_to = self.wal.as_ref().unwrap_or(&inside);
        let is_inside = |theirs: &Path, ours: &Path| {
            staged.wal.as_deref() == Some(theirs)
                && theirs != goes_to
                && theirs.starts_with(goes_to)
                && (ours == goes_to || goes_to.parent() == Some(ours))
        };
        let ours = places(self);
        if places(staged).iter().any(|theirs| {
            ours.iter()
                .any(|ours| meet(theirs, ours) && !is_inside(theirs, ours))
        }) || self.data_dir.starts_with(&staged.data_dir)
        {
            return Err(Error::invalid(format!(
                "the member in {} cannot take a place in {}: one holds the other",
                staged.data_dir.display(),
                self.data_dir.display()
            )));
        }
        Ok(())
    }

    /// How the WAL of the staged member gets here.
    fn wal_from(&self, storage: &dyn Storage, staged: &Home) -> Result<ComingWal> {
        let inside = self.directory.join("wal");
        let own = match &self.wal {
            Some(wal) => Some(wal.clone()),
            // A filesystem of its own stays where it is.
            None => Some(inside).filter(|wal| storage.is_mount_point(wal)),
        };
        let (wal, coming) = match (own, &staged.wal) {
            (None, None) => return Ok(ComingWal::Inside),
            (Some(wal), Some(coming)) => (wal, coming.clone()),
            (Some(wal), None) => {
                return Err(Error::invalid(format!(
                    "the WAL belongs into {}, and the one of the member in {} is inside of it: restore it with a WAL directory of its \
                     own, on the filesystem of the other",
                    wal.display(),
                    staged.data_dir.display()
                )));
            }
            (None, Some(coming)) => {
                return Err(Error::invalid(format!(
                    "the WAL belongs into {}, and the one of the member in {} is in {}: restore it without a WAL directory of its own",
                    self.directory.display(),
                    staged.data_dir.display(),
                    coming.display()
                )));
            }
        };
        if wal.starts_with(&self.directory)
            || storage.is_mount_point(&wal)
            || coming.starts_with(&wal)
        {
            return Ok(ComingWal::Filled { wal, coming });
        }
        Ok(ComingWal::Renamed { wal, coming })
    }

    /// Whether names can be moved from there to here.
    fn require_reachable(
        &self,
        staged: &Home,
        wal: &ComingWal,
        at: fn(&Path) -> &Path,
    ) -> Result<()> {
        let home = if self.data_dir.is_dir() {
            &self.data_dir
        } else {
            directory_of(&self.data_dir)
        };
        let mut ways = vec![(staged.directory.as_path(), home)];
        match wal {
            ComingWal::Inside => {}
            ComingWal::Renamed { wal, coming } => ways.push((coming, directory_of(wal))),
            ComingWal::Filled { wal, coming } => ways.push((coming, wal)),
        }
        if self.has_member() {
            ways.push((&self.directory, home));
        }
        for (from, to) in ways {
            require_writable(at(to))?;
            require_writable(at(directory_of(from)))?;
            if filesystem(at(from))? != filesystem(at(to))? {
                return Err(Error::invalid(format!(
                    "{} and {} are not on the same filesystem, as it is mounted, so that nothing can be renamed from one to the \
                     other: restore the member to a directory beside its place",
                    from.display(),
                    to.display()
                ))
                .with_path(from));
            }
        }
        Ok(())
    }

    fn doubts(&self, wal: &ComingWal) -> Option<String> {
        let inside = self.directory.join("wal");
        (*wal == ComingWal::Inside && inside.is_symlink()).then(|| {
            format!(
                "{} was a symbolic link to {}, and is a directory now",
                inside.display(),
                fs::read_link(&inside).unwrap_or_default().display()
            )
        })
    }
}

/// Whether a restore, or a swap, to the place was finished.
fn settle_both(
    storage: &Arc<dyn Storage>,
    staged: &Home,
    target: &Home,
    notes: &mut Vec<String>,
) -> Result<bool> {
    let mut finished = false;
    for home in [target, staged] {
        if let Some((ended, note)) = settle(storage, &home.data_dir)? {
            finished |= ended == Ended::RestoreFinished;
            notes.push(note);
        }
    }
    Ok(finished)
}

/// An absent data directory comes whole.
fn move_in(successor: &Successor<'_>, staged: &Home, target: &Home) -> Result<()> {
    let (from, to) = if target.data_dir.is_dir() {
        (&staged.directory, &target.directory)
    } else {
        (&staged.data_dir, &target.data_dir)
    };
    if successor.wal != ComingWal::Inside {
        return successor.move_in(from, to).map(drop);
    }
    successor.remove_marker()?;
    let storage = successor.storage;
    let renamed = storage.rename_new(from, to);
    renamed.map_err(|e| Error::io("give its place to", from, e))?;
    let synced = [to, from].iter().try_for_each(|path| {
        let directory = directory_of(path);
        let synced = storage.sync_dir(directory);
        synced.map_err(|e| Error::io("sync the directory", directory, e))
    });
    synced.inspect_err(|_| {
        let _ = storage.rename_new(to, from);
    })
}

/// Names are renamed within one mount of a filesystem only.
fn filesystem(path: &Path) -> Result<(u64, Option<u64>)> {
    let there = fs::metadata(path).map_err(|e| Error::io("look at", path, e))?;
    let mount = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok();
    // Kernels before 5.8 do not say.
    let mount = mount.filter(|there| there.stx_mask & StatxFlags::MNT_ID.bits() != 0);
    Ok((there.dev(), mount.map(|there| there.stx_mnt_id)))
}

#[cfg(test)]
mod tests;
