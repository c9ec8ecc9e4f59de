//! A file or a tree that appears whole under its final name, or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::staged_names::{FILE_SUFFIX, LOCK_SUFFIX, TREE_SUFFIX, directory_of, with_fresh_name};
use super::{NewFile, Ownership, Storage};
#[cfg(feature = "client")]
use crate::ErrorKind;
use crate::{Error, Result};

/// What happens to a file that already has the final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    Yes,
    No,
}

/// A file beside its target. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct StagedFile {
    storage: Arc<dyn Storage>,
    file: Arc<dyn NewFile>,
    staged: PathBuf,
    target: PathBuf,
    published: bool,
}

impl StagedFile {
    /// Makes an empty file in the directory of `target`, hidden and named after it.
    pub(crate) fn create(storage: Arc<dyn Storage>, target: &Path) -> Result<Self> {
        let (staged, file) =
            with_fresh_name(target, FILE_SUFFIX, |staged| storage.create_file(staged))
                .map_err(|e| Error::io("create a file beside", target, e))?;
        Ok(Self {
            storage,
            file,
            staged,
            target: target.to_owned(),
            published: false,
        })
    }

    pub(crate) fn file(&self) -> &Arc<dyn NewFile> {
        &self.file
    }

    /// Makes sure that so many bytes fit, before anybody sends them. Filesystems that cannot tell are believed at the end.
    #[cfg(feature = "client")]
    pub(crate) fn require_room(&self, bytes: u64) -> Result<()> {
        let room = self.file.room_for(bytes);
        match room.map_err(|e| Error::io("ask for the free space of", &self.target, e))? {
            None => Ok(()),
            Some(free) => Err(Error::new(
                ErrorKind::NoSpace,
                format!(
                    "the snapshot has {bytes} bytes, and where {} goes only {free} are free",
                    self.target.display()
                ),
            )
            .with_path(&self.target)
            .with_detail("required", bytes.to_string())
            .with_detail("free", free.to_string())),
        }
    }

    /// The name it will have.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Decides on another final name than the one it was made for, in the same directory.
    #[cfg(feature = "stream")]
    pub(crate) fn will_be(&mut self, target: PathBuf) {
        self.target = target;
    }

    /// Whether the file has its final name, even if the directory could not be synced.
    #[cfg(feature = "stream")]
    pub(crate) fn is_published(&self) -> bool {
        self.published
    }

    /// Gives the file another final name than the one it was meant for, in the same directory. Replaces what has it.
    #[cfg(feature = "stream")]
    pub(crate) fn publish_as(&mut self, target: &Path) -> Result<()> {
        self.will_be(target.to_owned());
        self.publish(Replace::Yes)
    }

    /// Gives the file its final name. Its content must have been synced.
    ///
    /// When only the last step fails, the sync of the directory, the file has its name, is whole, and may lose that name in
    /// a power failure: the error says so.
    pub(crate) fn publish(&mut self, replace: Replace) -> Result<()> {
        let renamed = match replace {
            Replace::Yes => self.storage.rename(&self.staged, &self.target),
            Replace::No => self.storage.rename_new(&self.staged, &self.target),
        };
        renamed.map_err(|e| Error::io("give the finished file its name", &self.target, e))?;
        self.published = true;
        let directory = directory_of(&self.target);
        self.storage.sync_dir(directory).map_err(|e| {
            Error::io(
                "make sure that a power failure leaves the new file in",
                directory,
                e,
            )
        })
    }
}

impl StagedFile {
    /// Gives it an owner, a group and a label.
    pub(crate) fn own(&self, ownership: &Ownership) -> Result<()> {
        if *ownership == Ownership::default() {
            return Ok(());
        }
        self.storage
            .set_ownership(&self.staged, ownership)
            .map_err(|e| Error::io("give its owner to", &self.staged, e))
    }

    /// Where it is.
    pub(crate) fn staged(&self) -> &Path {
        &self.staged
    }

    /// Brings its name to the disk.
    pub(crate) fn sync_name(&self) -> Result<()> {
        let directory = directory_of(&self.staged);
        self.storage
            .sync_dir(directory)
            .map_err(|e| Error::io("sync the directory", directory, e))
    }

    /// The file is in the care of a journal from now on: dropping this removes nothing.
    pub(crate) fn hand_over(&mut self) {
        self.published = true;
    }

    /// Takes the final name away again, because a step that belongs to it failed. Only after `Replace::No`: what was
    /// replaced is gone.
    pub(crate) fn retract(&mut self) {
        if self.published && self.storage.rename_new(&self.target, &self.staged).is_ok() {
            self.published = false;
        }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.published {
            let _ = self.storage.remove_file(&self.staged);
        }
    }
}

/// A directory beside, or inside, its target. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub(crate) struct StagedTree {
    storage: Arc<dyn Storage>,
    staged: PathBuf,
    target: PathBuf,
    /// Whom all in it belongs to.
    ownership: Ownership,
    /// Tells other runs that this one lives.
    lock: Option<(PathBuf, Arc<dyn NewFile>)>,
    /// Every directory that was made, parents first, to be synced before the tree gets its name.
    directories: Vec<PathBuf>,
    published: bool,
}

impl StagedTree {
    /// Makes an empty directory beside `target`, hidden and named after it. All in it will belong to `ownership`.
    pub(crate) fn create(
        storage: Arc<dyn Storage>,
        target: &Path,
        ownership: Ownership,
    ) -> Result<Self> {
        let failed = |e| Error::io("create a directory beside", target, e);
        let (lock, file) = with_fresh_name(target, LOCK_SUFFIX, |lock| storage.create_file(lock))
            .map_err(failed)?;
        let mut new = Self {
            storage,
            directories: Vec::new(),
            staged: lock.with_extension(TREE_SUFFIX),
            target: target.to_owned(),
            ownership,
            lock: Some((lock, file)),
            published: false,
        };
        new.make_dir(new.staged.clone()).map_err(failed)?;
        Ok(new)
    }

    fn make_dir(&mut self, path: PathBuf) -> io::Result<()> {
        self.storage.create_dir(&path)?;
        self.own(&path)?;
        self.directories.push(path);
        Ok(())
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        if self.ownership == Ownership::default() {
            return Ok(());
        }
        self.storage.set_ownership(path, &self.ownership)
    }

    /// Where the tree is.
    pub(crate) fn staged(&self) -> &Path {
        &self.staged
    }

    /// The tree is in the care of a journal from now on, and dropping this removes nothing: what has the staged name may soon be
    /// something else.
    pub(crate) fn hand_over(&mut self) -> Result<()> {
        self.unlock()?;
        self.published = true;
        Ok(())
    }

    /// Only what has no lock file can be in the care of a journal, or hold old data: see [`remove_dead_trees`].
    fn unlock(&mut self) -> Result<()> {
        if let Some((path, _)) = &self.lock {
            let removed = self.storage.remove_file(path);
            removed.map_err(|e| Error::io("remove the lock file", path, e))?;
            self.lock = None;
        }
        Ok(())
    }

    /// Where the tree will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Makes `relative` and what is missing above it.
    pub(crate) fn create_dir(&mut self, relative: &Path) -> Result<()> {
        let mut path = self.staged.clone();
        for part in relative.components() {
            path.push(part);
            if !self.directories.contains(&path) {
                self.make_dir(path.clone())
                    .map_err(|e| Error::io("create the directory", &path, e))?;
            }
        }
        Ok(())
    }

    /// Makes the empty file `relative`; its directory must have been made.
    pub(crate) fn create_file(&self, relative: &Path) -> Result<(PathBuf, Arc<dyn NewFile>)> {
        let path = self.staged.join(relative);
        let file = self
            .storage
            .create_file(&path)
            .and_then(|file| self.own(&path).map(|()| file))
            .map_err(|e| Error::io("create", &path, e))?;
        Ok((path, file))
    }

    /// Makes a small file, synced.
    pub(crate) fn write_file(&self, relative: &Path, text: &[u8]) -> Result<PathBuf> {
        let (path, file) = self.create_file(relative)?;
        let written = file.write_at(text, 0).and_then(|()| file.sync());
        written.map_err(|e| Error::io("write", &path, e))?;
        Ok(path)
    }

    /// Gives a file in the tree another name in it.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let to = self.staged.join(to);
        self.storage
            .rename_new(&self.staged.join(from), &to)
            .map_err(|e| Error::io("give a file the name", &to, e))
    }

    /// Brings its own name to the disk.
    pub(crate) fn sync_name(&self) -> Result<()> {
        let directory = directory_of(&self.staged);
        self.storage
            .sync_dir(directory)
            .map_err(|e| Error::io("sync the directory", directory, e))
    }

    /// Brings all names in the tree to the disk. The files in it sync themselves.
    pub(crate) fn sync_dirs(&self) -> Result<()> {
        for directory in self.directories.iter().rev() {
            self.storage
                .sync_dir(directory)
                .map_err(|e| Error::io("sync the directory", directory, e))?;
        }
        Ok(())
    }

    /// Gives the tree its final name, which nothing may have yet.
    ///
    /// When a later step fails, the name is taken back.
    pub(crate) fn publish(&mut self) -> Result<()> {
        self.storage
            .rename_new(&self.staged, &self.target)
            .map_err(|e| Error::io("give the finished directory its name", &self.target, e))?;
        self.published = true;
        let directory = directory_of(&self.target);
        let finished = self
            .storage
            .sync_dir(directory)
            .map_err(|e| {
                Error::io(
                    "make sure that a power failure leaves the new directory in",
                    directory,
                    e,
                )
            })
            .and_then(|()| self.unlock());
        if finished.is_err() && self.storage.rename_new(&self.target, &self.staged).is_ok() {
            self.published = false;
        }
        finished
    }
}

impl Drop for StagedTree {
    fn drop(&mut self) {
        if !self.published {
            let is_gone = match self.storage.remove_tree(&self.staged) {
                Ok(()) => true,
                Err(e) => e.kind() == io::ErrorKind::NotFound,
            };
            // What is left of a tree is found again by its lock.
            if is_gone {
                let _ = self.unlock();
            }
        }
    }
}

/// A staged tree that nobody needs any more: removed when the result is dropped, or by the next run, which finds its lock file.
pub(super) fn abandon(storage: &Arc<dyn Storage>, staged: &Path) -> Result<StagedTree> {
    let lock = staged.with_extension(LOCK_SUFFIX);
    let file = match storage.create_file(&lock) {
        Ok(file) => Some((lock, file)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => None,
        Err(e) => return Err(Error::io("create the lock file", &lock, e)),
    };
    Ok(StagedTree {
        storage: Arc::clone(storage),
        staged: staged.to_owned(),
        target: PathBuf::new(),
        ownership: Ownership::default(),
        lock: file,
        directories: Vec::new(),
        published: false,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::io::faulty::{Fault, FaultyDisk};
    use crate::io::{Disk, is_staged_name, remove_dead};

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names = Disk.list(folder).unwrap();
        names.sort();
        names
    }

    /// What a run leaves that is killed before its end.
    fn litter(storage: &Arc<dyn Storage>, target: &Path) -> PathBuf {
        let mut staged = StagedFile::create(Arc::clone(storage), target).unwrap();
        staged.published = true;
        staged.staged.clone()
    }

    #[test]
    fn only_what_dead_runs_to_the_same_target_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Storage> = Arc::new(Disk);
        let target = folder.path().join("backup.db");
        let living = StagedFile::create(Arc::clone(&disk), &target).unwrap();
        let mut dead = [litter(&disk, &target), litter(&disk, &target)];
        dead.sort();
        let of_another = litter(&disk, &folder.path().join("backup.db.old"));
        let others = [
            "backup.db",
            "backup.db.part",
            ".backup.db.part",
            ".backup.db.0123456789abcdef.restoring",
            "backup.db.0123456789abcdef.part",
        ];
        for name in others {
            std::fs::write(folder.path().join(name), "another's").unwrap();
        }
        let directory = ".backup.db.1123456789abcdef.part";
        std::fs::create_dir(folder.path().join(directory)).unwrap();
        let link = ".backup.db.2123456789abcdef.part";
        std::os::unix::fs::symlink("backup.db", folder.path().join(link)).unwrap();

        let mut removed = remove_dead(&Disk, &target);
        removed.sort();
        assert_eq!(removed, dead);
        let mut expected: Vec<_> = others.into_iter().map(OsString::from).collect();
        expected.extend([directory.into(), link.into()]);
        for path in [&living.staged, &of_another] {
            expected.push(path.file_name().unwrap().to_owned());
        }
        expected.sort();
        assert_eq!(names(folder.path()), expected);
        assert_eq!(remove_dead(&Disk, &target), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_file_with_its_final_name_is_nobodys_litter() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("backup.db");
        let mut staged = StagedFile::create(Arc::new(Disk), &target).unwrap();
        staged.publish(Replace::Yes).unwrap();
        assert_eq!(remove_dead(&Disk, &target), [] as [PathBuf; 0]);
        drop(staged);
        assert_eq!(names(folder.path()), ["backup.db"]);
    }

    #[test]
    fn without_locks_only_what_is_old_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(u64::MAX, Fault::Once).without_locks();
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let target = folder.path().join("backup.db");
        let (old, young) = (litter(&storage, &target), litter(&storage, &target));
        let hours = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
        let written = |path: &Path, at| File::options().write(true).open(path)?.set_modified(at);
        written(&old, hours(25)).unwrap();
        written(&young, hours(23)).unwrap();
        assert_eq!(remove_dead(&disk, &target), [old]);
        assert_eq!(names(folder.path()), [young.file_name().unwrap()]);
        // The clock of a file server may be ahead.
        written(&young, SystemTime::now() + Duration::from_secs(3600)).unwrap();
        assert_eq!(remove_dead(&disk, &target), [] as [PathBuf; 0]);
    }

    #[test]
    fn what_cannot_be_removed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        let target = folder.path().join("backup.db");
        let staged = litter(&storage, &target);
        let full = FaultyDisk::new(0, Fault::Dead);
        assert_eq!(remove_dead(&full, &target), [] as [PathBuf; 0]);
        assert_eq!(full.steps(), 1);
        assert_eq!(names(folder.path()), [staged.file_name().unwrap()]);
    }

    /// Two runs make a file and two take all that they can get for litter, as fast as they can.
    #[test]
    fn nobody_loses_a_file_to_one_who_tidies_up() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("backup.db");
        std::thread::scope(|scope| {
            for n in 0..4 {
                let target = &target;
                scope.spawn(move || {
                    for round in 0..300 {
                        if n % 2 == 0 {
                            remove_dead(&Disk, target);
                            continue;
                        }
                        let staged = StagedFile::create(Arc::new(Disk), target).unwrap();
                        let text = format!("{n} {round}");
                        staged.file().write_at(text.as_bytes(), 0).unwrap();
                        assert_eq!(std::fs::read_to_string(&staged.staged).unwrap(), text);
                    }
                });
            }
        });
        assert_eq!(remove_dead(&Disk, &target), [] as [PathBuf; 0]);
        assert_eq!(names(folder.path()), [] as [OsString; 0]);
    }

    #[test]
    fn staged_names_are_known_again_and_no_others() {
        let made = |suffix| {
            let target = Path::new("/x/the.name");
            let (path, ()) = with_fresh_name(target, suffix, |_| Ok(())).unwrap();
            path.file_name().unwrap().to_owned()
        };
        assert!(is_staged_name(&made(FILE_SUFFIX)));
        assert!(is_staged_name(&made(TREE_SUFFIX)));
        for other in [
            "member",
            ".part",
            ".restoring",
            ".name.part",
            "name.0123456789abcdef.part",
            ".name.0123456789abcdeg.part",
            ".0123456789abcdef.part",
            ".name.0123456789abcdef.parts",
            ".name.0123456789ABCDEF.part",
        ] {
            assert!(!is_staged_name(OsStr::new(other)), "{other}");
        }
    }
}
