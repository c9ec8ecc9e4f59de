//! Several steps that count as one: a journal says what is under way, so that whoever comes after a crash finishes it or takes it
//! back.
//!
//! The journal is written and synced before the first step. One of the steps is the one that decides: before it is done, all is
//! taken back, and afterwards all is finished. Whether a step is done shows in what is there, and nothing is kept about it:
//! a journal is right even if it was written for another mount, or by a run that died before it could say how far it came.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod plan;

pub(crate) use plan::{Place, Plan, Step};

use super::staged_names::is_old;
use super::staging::abandon;
use super::{Lock, NewFile, Replace, StagedFile, Storage, directory_of};
use crate::{Error, ErrorKind, Result};

/// A change with its journal, which is locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Change {
    storage: Arc<dyn Storage>,
    journal: PathBuf,
    plan: Plan,
    _lock: Arc<dyn NewFile>,
}

impl Change {
    /// Writes the journal. Nothing else has been done then.
    ///
    /// # Errors
    /// `Occupied` where there is a journal already.
    pub(crate) fn begin(storage: &Arc<dyn Storage>, journal: &Path, plan: Plan) -> Result<Self> {
        let failed = |e| Error::io("write the journal", journal, e);
        let base = directory_of(journal).to_owned();
        let relative = |path: &Path| path.strip_prefix(&base).unwrap_or(path).to_owned();
        let text = serde_json::to_vec_pretty(&plan.clone().with_places(&relative));
        let text = text.map_err(|e| failed(e.into()))?;
        let mut staged = StagedFile::create(Arc::clone(storage), journal)?;
        staged.file().write_at(&text, 0).map_err(failed)?;
        staged.file().sync().map_err(failed)?;
        if let Err(e) = staged.publish(Replace::No) {
            staged.retract();
            return Err(e);
        }
        Ok(Self {
            storage: Arc::clone(storage),
            journal: journal.to_owned(),
            plan,
            _lock: Arc::clone(staged.file()),
        })
    }

    /// The change that a run began which has died.
    ///
    /// # Errors
    /// `Busy` where the run lives, or nothing tells whether it does; `Unsupported` or `Damaged` where the journal is none that this
    /// version can follow.
    pub(crate) fn find(storage: &Arc<dyn Storage>, journal: &Path) -> Result<Option<Self>> {
        let busy = |why: &str| {
            let message = format!(
                "another run is changing the same directories, as {} says: {why}",
                journal.display()
            );
            Error::new(ErrorKind::Busy, message).with_path(journal)
        };
        let lock = match storage.lock(journal) {
            Ok(Lock::Held(file)) => file,
            Ok(Lock::HeldHere(file) | Lock::Unsupported(file)) if is_old(file.as_ref()) => file,
            Ok(Lock::HeldHere(_) | Lock::Unsupported(_)) => {
                return Err(busy(
                    "its filesystem has no locks that reach other machines, so nothing tells whether that run lives until a day \
                     has passed; when it has surely died, set the file's time back (touch -d '2 days ago')",
                ));
            }
            Ok(Lock::Busy) => return Err(busy("wait for it")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            Err(e) => return Err(Error::io("open the journal", journal, e)),
        };
        let owner = lock.metadata().map(|there| there.uid());
        let owner = owner.map_err(|e| Error::io("look at the journal", journal, e))?;
        let ours = rustix::process::geteuid().as_raw();
        if owner != ours {
            return Err(Error::new(
                ErrorKind::AccessDenied,
                format!(
                    "the journal {} belongs to the user {owner}, and nobody else may say what this one renames: run as that user",
                    journal.display()
                ),
            )
            .with_path(journal));
        }
        let plan = plan::read(lock.as_ref(), journal)?;
        let base = directory_of(journal).to_owned();
        Ok(Some(Self {
            storage: Arc::clone(storage),
            journal: journal.to_owned(),
            plan: plan.with_places(&|path| base.join(path)),
            _lock: lock,
        }))
    }

    /// Whether it takes back another.
    pub(crate) fn undoes(&self) -> bool {
        self.plan.undoes
    }

    /// Whether the step that decides was done.
    pub(crate) fn is_decided(&self) -> Result<bool> {
        self.is_done(&self.plan.commit)
    }

    /// Does every step and removes the journal.
    ///
    /// # Errors
    /// What failed. Everything is taken back then, and the journal is gone; where that fails too, the journal stays, and the sentence
    /// says what to do.
    pub(crate) fn run(self) -> Result<()> {
        for (n, step) in self.plan.steps().enumerate() {
            if let Err(e) = self.perform(step) {
                return Err(self.taken_back(n.saturating_add(1), e));
            }
        }
        match self.remove_journal() {
            Ok(()) => Ok(()),
            Err(e) => {
                let all = self.plan.steps().count();
                Err(self.taken_back(all, e))
            }
        }
    }

    /// Takes back what was begun because something failed: the error, or a larger one.
    pub(crate) fn taken_back(&self, begun: usize, error: Error) -> Error {
        let steps: Vec<_> = self.plan.steps().take(begun).collect();
        match self.undo_all(&steps) {
            Ok(()) => error,
            Err(e) => Error::new(
                e.kind(),
                format!(
                    "{error}, and what was begun could not be taken back ({e}): nothing is lost, {} says what is where; before any etcd \
                     is started, run the same command again, or `etcd-snap restore --undo DIR`",
                    self.journal.display()
                ),
            )
            .with_path(&self.journal)
            .with_source(error),
        }
    }

    /// Finishes what a run began that has died.
    pub(crate) fn finish(&self) -> Result<()> {
        // What comes before the step that decides was done and synced before it.
        for step in &self.plan.after {
            if !self.is_done(step)? {
                self.perform(step)?;
            }
        }
        self.remove_journal()
    }

    /// Takes back what a run began that has died before it was decided.
    pub(crate) fn take_back(&self) -> Result<()> {
        let steps: Vec<_> = self.plan.before.iter().collect();
        self.undo_all(&steps)
    }

    fn undo_all(&self, steps: &[&Step]) -> Result<()> {
        for step in steps.iter().rev() {
            self.undo(step)?;
        }
        let mut trees = Vec::new();
        for Place(staged) in &self.plan.staged {
            match kind(staged)? {
                Kind::Absent => {}
                Kind::Directory => trees.push(abandon(&self.storage, staged)?),
                Kind::Other => {
                    let removed = self.storage.remove_file(staged);
                    removed.map_err(|e| Error::io("remove", staged, e))?;
                }
            }
        }
        // A tree that is half removed tells nothing any more, so the journal goes first.
        self.remove_journal()?;
        drop(trees);
        Ok(())
    }

    fn remove_journal(&self) -> Result<()> {
        // Twice, because a journal that stays has to be put in order by somebody.
        let removed = self.storage.remove_file(&self.journal);
        match removed.or_else(|_| self.storage.remove_file(&self.journal)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove the journal", &self.journal, e));
            }
            _ => {}
        }
        // A journal that a power failure brings back is followed once more, and finds all done.
        let _ = self.storage.sync_dir(directory_of(&self.journal));
        for Place(path) in &self.plan.litter {
            self.remove_litter(path);
        }
        Ok(())
    }

    /// It is in nobody's way; but a signal may come between, and so this asks twice.
    fn remove_litter(&self, path: &Path) {
        let remove = || match kind(path) {
            Ok(Kind::Directory) => self.storage.remove_dir(path),
            Ok(Kind::Other) => self.storage.remove_file(path),
            Ok(Kind::Absent) | Err(_) => Ok(()),
        };
        let _ = remove().or_else(|_| remove());
    }

    /// Brings the names beside a file to the disk.
    pub(crate) fn sync_beside(&self, path: &Path) -> Result<()> {
        self.sync(&[&Place(path.to_owned())])
    }

    fn sync(&self, paths: &[&Place]) -> Result<()> {
        let mut synced: Vec<&Path> = Vec::new();
        for Place(path) in paths {
            let directory = directory_of(path);
            if synced.contains(&directory) {
                continue;
            }
            self.storage.sync_dir(directory).map_err(|e| {
                Error::io(
                    "make sure that a power failure leaves what is in",
                    directory,
                    e,
                )
            })?;
            synced.push(directory);
        }
        Ok(())
    }

    fn perform(&self, step: &Step) -> Result<()> {
        let storage = &self.storage;
        match step {
            Step::MakeDir { path } => {
                let made = storage.create_dir(&path.0);
                made.map_err(|e| Error::io("create the directory", &path.0, e))?;
                self.sync(&[path])
            }
            Step::RemoveDir { path } => {
                let removed = storage.remove_dir(&path.0);
                removed.map_err(|e| Error::io("remove the empty directory", &path.0, e))?;
                self.sync(&[path])
            }
            Step::RemoveFile { path } => {
                let removed = storage.remove_file(&path.0);
                removed.map_err(|e| Error::io("remove", &path.0, e))?;
                self.sync(&[path])
            }
            Step::Rename { from, to } => {
                self.rename(from, to)?;
                self.sync(&[to, from])
            }
            Step::Exchange { one, other, .. } => {
                self.exchange(one, other)?;
                self.sync(&[other, one])
            }
            Step::Cover {
                database,
                barrier,
                kept,
            } => self.cover(database, barrier, kept.as_ref()),
            Step::Uncover { from, to, .. } => {
                let renamed = storage.rename(&from.0, &to.0);
                renamed.map_err(|e| Error::io("give the database its name", &to.0, e))?;
                self.sync(&[to, from])
            }
        }
    }

    fn rename(&self, from: &Place, to: &Place) -> Result<()> {
        let renamed = self.storage.rename_new(&from.0, &to.0);
        renamed.map_err(|e| Error::io("rename what has to become", &to.0, e))
    }

    fn exchange(&self, one: &Place, other: &Place) -> Result<()> {
        match self.storage.exchange(&one.0, &other.0) {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Err(Error::new(
                ErrorKind::Unsupported,
                "the filesystem cannot exchange two names in one step",
            )
            .with_path(&other.0)
            .with_source(e)),
            result => result.map_err(|e| Error::io("exchange the old and the new", &other.0, e)),
        }
    }

    fn cover(&self, database: &Place, barrier: &Place, kept: Option<&Place>) -> Result<()> {
        if let Some(kept) = kept
            && !exists(&kept.0)?
        {
            self.storage.hard_link(&database.0, &kept.0).map_err(|e| {
                if e.kind() == io::ErrorKind::Unsupported {
                    Error::new(
                        ErrorKind::Unsupported,
                        "the filesystem has neither exchange nor hard links, so that a crash could leave something that etcd \
                         starts from; restore into another directory and move the old one by hand",
                    )
                    .with_path(&database.0)
                    .with_source(e)
                } else {
                    Error::io("keep the old database as", &kept.0, e)
                }
            })?;
            self.sync(&[kept])?;
        }
        let renamed = self.storage.rename(&barrier.0, &database.0);
        renamed.map_err(|e| Error::io("put a note in the place of", &database.0, e))?;
        self.sync(&[database, barrier])
    }

    fn undo(&self, step: &Step) -> Result<()> {
        let storage = &self.storage;
        match step {
            Step::MakeDir { path } => match storage.remove_dir(&path.0) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                // Somebody has put something there: it is not ours to remove.
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                result => result.map_err(|e| Error::io("remove the directory", &path.0, e)),
            },
            Step::RemoveDir { path } => match storage.create_dir(&path.0) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                result => result.map_err(|e| Error::io("create the directory", &path.0, e)),
            },
            Step::RemoveFile { path } => match storage.create_file(&path.0) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(e) => Err(Error::io("create", &path.0, e)),
                Ok(_) => Ok(()),
            },
            Step::Rename { from, to } => {
                if exists(&from.0)? || !exists(&to.0)? {
                    return Ok(());
                }
                self.rename(to, from)?;
                self.sync(&[from, to])
            }
            Step::Exchange { one, other, .. } => {
                if !self.is_done(step)? {
                    return Ok(());
                }
                self.exchange(one, other)?;
                self.sync(&[one, other])
            }
            Step::Cover {
                database,
                barrier,
                kept,
            } => self.undo_cover(database, barrier, kept.as_ref()),
            Step::Uncover { from, to, barrier } => {
                if !self.is_done(step)? {
                    return Ok(());
                }
                if !exists(&barrier.0)? {
                    write_file(storage.as_ref(), &barrier.0, self.plan.barrier.as_bytes())?;
                }
                self.cover(to, barrier, Some(from))
            }
        }
    }

    fn undo_cover(&self, database: &Place, barrier: &Place, kept: Option<&Place>) -> Result<()> {
        let storage = &self.storage;
        let Some(kept) = kept else {
            if !exists(&barrier.0)? && exists(&database.0)? {
                let removed = storage.remove_file(&database.0);
                removed
                    .map_err(|e| Error::io("remove the note in the place of", &database.0, e))?;
                self.sync(&[database])?;
            }
            return Ok(());
        };
        if !exists(&kept.0)? {
            return Ok(());
        }
        // A rename of one name of a file onto another does nothing.
        if is_same_file(&kept.0, &database.0)? {
            let removed = storage.remove_file(&kept.0);
            return removed.map_err(|e| Error::io("remove the second name", &kept.0, e));
        }
        let renamed = storage.rename(&kept.0, &database.0);
        renamed.map_err(|e| Error::io("put back the old database", &database.0, e))?;
        self.sync(&[database, kept])
    }

    /// Whether a step was done, by what is there.
    fn is_done(&self, step: &Step) -> Result<bool> {
        match step {
            Step::MakeDir { path } => exists(&path.0),
            Step::RemoveDir { path } | Step::RemoveFile { path } => Ok(!exists(&path.0)?),
            Step::Rename { from, to } => match (exists(&from.0)?, exists(&to.0)?) {
                (true, false) => Ok(false),
                (false, true) => Ok(true),
                (true, true) => Err(self.confused("both are there", &from.0, &to.0)),
                (false, false) => Err(self.confused("neither is there", &from.0, &to.0)),
            },
            Step::Exchange { one, other, marker } => {
                if exists(&other.0.join(marker))? || !exists(&one.0)? {
                    return Ok(true);
                }
                if exists(&one.0.join(marker))? {
                    return Ok(false);
                }
                Err(self.confused("nothing tells which is which", &one.0, &other.0))
            }
            Step::Cover { barrier, .. } => Ok(!exists(&barrier.0)?),
            Step::Uncover { from, to, .. } => Ok(!exists(&from.0)? && exists(&to.0)?),
        }
    }

    fn confused(&self, why: &str, one: &Path, other: &Path) -> Error {
        Error::new(
            ErrorKind::Occupied,
            format!(
                "cannot follow the journal {}, because somebody has changed what it is about: of {} and {}, {why}; look at them, \
                 and remove the journal when all is as you want it",
                self.journal.display(),
                one.display(),
                other.display()
            ),
        )
        .with_path(&self.journal)
    }
}

/// Writes a small file, synced; leaves none where that fails.
pub(crate) fn write_file(storage: &dyn Storage, path: &Path, text: &[u8]) -> Result<()> {
    let file = storage
        .create_file(path)
        .map_err(|e| Error::io("create", path, e))?;
    let written = file.write_at(text, 0).and_then(|()| file.sync());
    written.map_err(|e| {
        let _ = storage.remove_file(path);
        Error::io("write", path, e)
    })
}

enum Kind {
    Absent,
    Directory,
    Other,
}

fn kind(path: &Path) -> Result<Kind> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => Ok(Kind::Directory),
        Ok(_) => Ok(Kind::Other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Kind::Absent),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(Kind::Absent),
        Err(e) => Err(Error::io("look at", path, e)),
    }
}

fn exists(path: &Path) -> Result<bool> {
    Ok(!matches!(kind(path)?, Kind::Absent))
}

fn is_same_file(one: &Path, other: &Path) -> Result<bool> {
    let look = |path: &Path| match fs::symlink_metadata(path) {
        Ok(there) => Ok(Some((there.dev(), there.ino()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("look at", path, e)),
    };
    let one = look(one)?;
    Ok(one.is_some() && one == look(other)?)
}
