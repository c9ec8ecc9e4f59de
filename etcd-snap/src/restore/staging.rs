//! What will appear, still under other names: made, synced, and then given its names, all of them or none.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::RestoreOptions;
use super::layout::{Layout, Member, Wal};
use super::replace::{self, MARKER};
use super::unfinished::tidy;
use crate::data_dir::{lock_database, users_of};
use crate::io::{Change, NewFile, StagedFile, StagedTree, Storage, remove_dead, remove_dead_trees};
use crate::observe::{Event, tell};
use crate::raft::wal;
use crate::{Error, ErrorKind, Result};

/// Dropping it removes what was staged.
#[derive(Debug)]
pub(super) struct Staging<'l, 'a> {
    storage: Arc<dyn Storage>,
    layout: &'l Layout<'a>,
    pub(super) trees: Vec<StagedTree>,
    /// WAL segments for directories that exist.
    pub(super) segments: Vec<StagedFile>,
    /// The new databases, with their locks: no server gets one before all is done.
    databases: Vec<(PathBuf, Arc<dyn NewFile>)>,
    /// The locks of the databases that are replaced.
    _old: Vec<Arc<dyn NewFile>>,
}

/// The locks of the databases that would be replaced.
pub(super) fn lock_old(
    storage: &dyn Storage,
    layout: &Layout<'_>,
) -> Result<Vec<Arc<dyn NewFile>>> {
    let mut locks = Vec::new();
    for member in layout.members.iter().filter(|member| member.kept.is_some()) {
        locks.extend(lock_database(storage, &member.data_dir)?);
    }
    Ok(locks)
}

impl<'l, 'a> Staging<'l, 'a> {
    /// Makes the staging directories, and removes those of runs that have died.
    pub(super) fn create(
        storage: &Arc<dyn Storage>,
        layout: &'l Layout<'a>,
        old: Vec<Arc<dyn NewFile>>,
        options: &RestoreOptions,
    ) -> Result<Self> {
        let mut removed = tidy(storage.as_ref(), &layout.journal);
        for tree in &layout.trees {
            removed.extend(remove_dead_trees(storage.as_ref(), &tree.target));
        }
        for member in layout
            .members
            .iter()
            .filter(|member| member.is_wal_inside())
        {
            let segment = member.wal_dir().join(wal::FIRST_SEGMENT_NAME);
            removed.extend(remove_dead(storage.as_ref(), &segment));
        }
        for removed in removed {
            let note = format!(
                "removed {}, left by a run that was killed",
                removed.display()
            );
            tell(options.observer.as_ref(), &Event::Note(note))?;
        }
        let mut staging = Self {
            storage: Arc::clone(storage),
            layout,
            trees: Vec::new(),
            segments: Vec::new(),
            databases: Vec::new(),
            _old: old,
        };
        for tree in &layout.trees {
            let ownership = tree.ownership.clone();
            staging.trees.push(StagedTree::create(
                Arc::clone(storage),
                &tree.target,
                ownership,
            )?);
        }
        for member in &layout.members {
            staging.create_dir(&member.directory.join("snap"))?;
            if let Wal::New(wal) | Wal::Renamed { path: wal, .. } = &member.wal {
                staging.create_dir(wal)?;
            }
        }
        Ok(staging)
    }

    fn tree(&mut self, path: &Path) -> Result<(&mut StagedTree, PathBuf)> {
        self.trees
            .iter_mut()
            .find_map(|tree| {
                let relative = path.strip_prefix(tree.target()).ok()?.to_owned();
                Some((tree, relative))
            })
            .ok_or_else(|| {
                Error::invalid(format!(
                    "{} belongs to no directory that is made",
                    path.display()
                ))
            })
    }

    fn create_dir(&mut self, path: &Path) -> Result<()> {
        let (tree, relative) = self.tree(path)?;
        tree.create_dir(&relative)
    }

    /// Makes the file that will have this path.
    pub(super) fn create_file(&mut self, path: &Path) -> Result<(PathBuf, Arc<dyn NewFile>)> {
        let (tree, relative) = self.tree(path)?;
        tree.create_file(&relative)
    }

    /// Makes the database of a member.
    pub(super) fn create_database(
        &mut self,
        member: &Member<'_>,
    ) -> Result<(PathBuf, Arc<dyn NewFile>)> {
        let (path, file) = self.create_file(&member.database())?;
        self.databases.push((path.clone(), Arc::clone(&file)));
        Ok((path, file))
    }

    /// The new databases, where they are now.
    pub(super) fn databases(&self) -> &[(PathBuf, Arc<dyn NewFile>)] {
        &self.databases
    }

    /// Makes the first segment of a member's WAL.
    pub(super) fn create_wal(
        &mut self,
        member: &Member<'_>,
        options: &RestoreOptions,
    ) -> Result<(PathBuf, Arc<dyn NewFile>)> {
        let segment = member.wal_dir().join(wal::FIRST_SEGMENT_NAME);
        if !member.is_wal_inside() {
            return self.create_file(&segment);
        }
        let staged = StagedFile::create(Arc::clone(&self.storage), &segment)?;
        staged.own(&self.layout.segment_ownership(member, options)?)?;
        let file = Arc::clone(staged.file());
        self.segments.push(staged);
        Ok((segment, file))
    }

    /// Gives the final names: all of them, or none. Says what the person should know.
    pub(super) fn publish(mut self) -> Result<Vec<String>> {
        let published = self.publish_all();
        if published.is_err() {
            self.wipe();
        }
        published.map(|()| self.latecomers())
    }

    fn publish_all(&mut self) -> Result<()> {
        self.require_unused()?;
        let replaces = self
            .layout
            .members
            .iter()
            .any(|member| member.kept.is_some());
        if let ([tree], [], false) = (&mut *self.trees, &*self.segments, replaces) {
            tree.sync_dirs()?;
            return tree.publish();
        }
        let layout = self.layout;
        let plan = match self.exchangeable()? {
            Some((kept, directory)) => {
                let [tree] = &mut *self.trees else {
                    return Err(Error::invalid("more than one directory is to be exchanged"));
                };
                tree.write_file(Path::new(MARKER), b"")?;
                replace::by_exchange(tree.staged(), &directory, &kept)
            }
            None => replace::by_steps(layout, &mut self.trees, &mut self.segments)?,
        };
        for tree in &self.trees {
            tree.sync_dirs()?;
            tree.sync_name()?;
        }
        for segment in &self.segments {
            segment.sync_name()?;
        }
        let change = Change::begin(&self.storage, &layout.journal, plan)?;
        for tree in &mut self.trees {
            if let Err(e) = tree.hand_over() {
                return Err(change.taken_back(0, e));
            }
        }
        self.segments.iter_mut().for_each(StagedFile::hand_over);
        change.run()
    }

    /// One old `member` with all that belongs to it, on a filesystem that can exchange names.
    fn exchangeable(&mut self) -> Result<Option<(PathBuf, PathBuf)>> {
        let ([member], [tree], []) = (&*self.layout.members, &*self.trees, &*self.segments) else {
            return Ok(None);
        };
        let Some(kept) = &member.kept else {
            return Ok(None);
        };
        // Tried with two directories that nobody knows.
        let (one, other) = (tree.staged().join("snap"), tree.staged().join("wal"));
        if !one.is_dir() || !other.is_dir() {
            return Ok(None);
        }
        for _ in 0..2 {
            match self.storage.exchange(&one, &other) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Unsupported => return Ok(None),
                Err(e) => return Err(Error::io("exchange two directories in", &one, e)),
            }
        }
        Ok(Some((kept.clone(), member.directory.clone())))
    }

    /// Who has opened an old database while it was locked waits for it, and would run on it once it is free.
    fn require_unused(&self) -> Result<()> {
        for member in self
            .layout
            .members
            .iter()
            .filter(|member| member.kept.is_some())
        {
            require_unused(&member.database())?;
        }
        Ok(())
    }

    /// The same at the end, when it can only be said.
    fn latecomers(&self) -> Vec<String> {
        let kept = self
            .layout
            .members
            .iter()
            .filter_map(|member| member.kept.as_ref());
        kept.flat_map(|kept| latecomers(&kept.join("snap").join("db")))
            .collect()
    }

    /// A server that waits for the lock of a database that was there for a moment ends at damaged metas, instead of running on a file
    /// without a name.
    fn wipe(&self) {
        /// Of pages of up to 64 KiB.
        static BOTH_METAS: [u8; 128 << 10] = [0; 128 << 10];
        for (_, file) in &self.databases {
            if file.metadata().is_ok_and(|there| there.nlink() == 0) {
                let _ = file.write_at(&BOTH_METAS, 0);
            }
        }
    }
}

pub(super) fn require_unused(database: &Path) -> Result<()> {
    /// A process that this one is just starting has all its files until it becomes another program, which takes it some milliseconds, and
    /// more on a busy machine. Who waits for the lock stays.
    const LOOKS: u32 = 50;
    const BETWEEN: Duration = Duration::from_millis(10);
    let mut users = users_of(database);
    for _ in 1..LOOKS {
        if !users.is_empty() {
            std::thread::sleep(BETWEEN);
            users = users_of(database);
        }
    }
    match users.first() {
        None => Ok(()),
        Some(user) => Err(Error::new(
            ErrorKind::Busy,
            format!(
                "{} was opened by {user} meanwhile, which waits for it: stop that process, and try again",
                database.display()
            ),
        )
        .with_path(database)),
    }
}

pub(super) fn latecomers(old_database: &Path) -> Vec<String> {
    let said = |user: &String| {
        format!(
            "{user} has the old database open, which is {} now: stop it, it would run on the old data",
            old_database.display()
        )
    };
    users_of(old_database).iter().map(said).collect()
}
