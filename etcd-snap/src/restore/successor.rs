//! One member takes the place of another, and both of them exist: what a swap and its undoing have in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{free_name_of, require_replaceable};
use super::replace::{BARRIER, MARKER, Steps, by_exchange};
use super::staging::latecomers;
use crate::data_dir::barrier;
use crate::io::{Change, Place, Storage, directory_of, write_file};
use crate::{Error, ErrorKind, Result};

/// A member that is somewhere, and the place that it takes.
#[derive(Debug)]
pub(super) struct Successor<'a> {
    pub(super) storage: &'a Arc<dyn Storage>,
    pub(super) journal: &'a Path,
    /// Whose `member` it becomes.
    pub(super) data_dir: &'a Path,
    /// Where it is now: what becomes `member`.
    pub(super) coming: &'a Path,
    pub(super) wal: ComingWal,
    /// What `member` becomes, and the old WAL, behind the dot: `old`, `undone`.
    pub(super) aside: &'static str,
    pub(super) now: &'a str,
    /// Whether this takes another change back.
    pub(super) undoes: bool,
}

/// Where the WAL of the one that comes is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ComingWal {
    /// In its directory.
    Inside,
    /// It is renamed to the WAL directory, which is renamed before.
    Renamed { wal: PathBuf, coming: PathBuf },
    /// Its segments are renamed into the WAL directory, which stays.
    Filled { wal: PathBuf, coming: PathBuf },
}

/// Where that is now which had the place.
#[derive(Debug)]
pub(super) struct Displaced {
    pub(super) member: PathBuf,
    pub(super) wal: Option<PathBuf>,
    /// Who still has the old database open.
    pub(super) notes: Vec<String>,
}

impl Successor<'_> {
    /// All of it, or nothing.
    ///
    /// # Errors
    /// `Unsupported` where the one in place cannot be replaced, and those of the disk. All is as it was then, or the journal stays,
    /// as the sentence says.
    pub(super) fn displace(&self) -> Result<Displaced> {
        let directory = self.data_dir.join("member");
        let name = format!("member.{}-{}", self.aside, self.now);
        let aside = free_name_of(self.data_dir, &name)?;
        require_replaceable(self.storage.as_ref(), &directory)?;
        let is_exchanged = self.wal == ComingWal::Inside && self.exchange(&directory, &aside)?;
        let wal = if is_exchanged {
            None
        } else {
            self.by_steps(&directory, &aside)?
        };
        Ok(Displaced {
            notes: latecomers(&aside.join("snap").join("db")),
            member: aside,
            wal,
        })
    }

    /// `false` where the filesystem cannot do that; nothing has changed then.
    fn exchange(&self, directory: &Path, aside: &Path) -> Result<bool> {
        let mut plan = by_exchange(self.coming, directory, aside);
        let marker = self.coming.join(MARKER);
        plan.staged.clear();
        plan.litter.push(Place(marker.clone()));
        plan.undoes = self.undoes;
        // A run that was killed may have left it.
        if std::fs::symlink_metadata(&marker).is_err() {
            write_file(self.storage.as_ref(), &marker, b"")?;
        }
        let begun = self
            .storage
            .sync_dir(self.coming)
            .map_err(|e| Error::io("sync the directory", self.coming, e))
            .and_then(|()| Change::begin(self.storage, self.journal, plan));
        let change = begun.inspect_err(|_| {
            let _ = self.storage.remove_file(&marker);
        })?;
        match change.run() {
            Err(e) if e.kind() == ErrorKind::Unsupported => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Gives the place of the WAL that was set aside.
    fn by_steps(&self, directory: &Path, aside: &Path) -> Result<Option<PathBuf>> {
        self.remove_marker()?;
        let mut steps = Steps::default();
        let staged = self.coming.join("snap").join(BARRIER);
        steps.staged.push(staged.clone());
        let stays = match &self.wal {
            ComingWal::Filled { wal, .. } | ComingWal::Renamed { wal, .. } => Some(wal.as_path()),
            ComingWal::Inside => None,
        };
        steps.replace(self.coming, directory, aside, stays)?;
        let wal_aside = self.wal_steps(&mut steps, true)?;
        self.run(steps, &staged)?;
        Ok(wal_aside)
    }

    /// Into a place that nothing has: `from` becomes `to`, with a WAL that has a directory of its own.
    pub(super) fn move_in(&self, from: &Path, to: &Path) -> Result<Option<PathBuf>> {
        self.remove_marker()?;
        let mut steps = Steps::default();
        let snap = self.coming.join("snap");
        steps.staged.push(snap.join(BARRIER));
        steps.move_in(&snap, &self.data_dir.join("member").join("snap"), from, to);
        let wal_aside = self.wal_steps(&mut steps, false)?;
        self.run(steps, &snap.join(BARRIER))?;
        Ok(wal_aside)
    }

    fn wal_steps(&self, steps: &mut Steps, has_old: bool) -> Result<Option<PathBuf>> {
        Ok(match &self.wal {
            ComingWal::Inside => None,
            ComingWal::Renamed { wal, coming } => {
                let name = wal.file_name().unwrap_or_default().to_string_lossy();
                let name = format!("{name}.{}-{}", self.aside, self.now);
                let aside = free_name_of(directory_of(wal), &name)?;
                let is_there = std::fs::symlink_metadata(wal).is_ok();
                if is_there {
                    steps.rename(wal, &aside);
                } else if has_old {
                    // So that an undoing finds what belongs to the old member.
                    steps.make(&aside);
                }
                steps.rename(coming, wal);
                (is_there || has_old).then_some(aside)
            }
            ComingWal::Filled { wal, coming } => {
                let name = format!("wal.{}-{}", self.aside, self.now);
                let aside = free_name_of(wal, &name)?;
                steps.empty(wal, &aside, Some(coming))?;
                steps.fill(wal, coming)?;
                Some(aside)
            }
        })
    }

    /// `staged` is where the text goes that stands in for a database meanwhile.
    fn run(&self, steps: Steps, staged: &Path) -> Result<()> {
        let text = barrier(self.data_dir, self.journal);
        let mut plan = steps.plan(self.journal, text.clone())?;
        plan.undoes = self.undoes;
        let change = Change::begin(self.storage, self.journal, plan)?;
        if let Err(e) = write_file(self.storage.as_ref(), staged, text.as_bytes())
            .and_then(|()| change.sync_beside(staged))
        {
            return Err(change.taken_back(0, e));
        }
        change.run()
    }

    /// A run that was killed, or cannot exchange, may have left it.
    pub(super) fn remove_marker(&self) -> Result<()> {
        let marker = self.coming.join(MARKER);
        if std::fs::symlink_metadata(&marker).is_ok() {
            let removed = self.storage.remove_file(&marker);
            removed.map_err(|e| Error::io("remove", &marker, e))?;
        }
        Ok(())
    }
}
