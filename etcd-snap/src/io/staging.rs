//! A file or a tree that appears whole under its final name, or not at all.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{NewFile, Storage};
use crate::{Error, Result};

/// How names end that are staged.
const FILE_SUFFIX: &str = "part";
const TREE_SUFFIX: &str = "restoring";
/// Hexadecimal digits in them.
const RANDOM_LEN: usize = 16;

/// What happens to a file that already has the final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    #[cfg_attr(
        not(feature = "stream"),
        allow(dead_code, reason = "only a save replaces")
    )]
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

    /// The name it will have.
    #[cfg(feature = "stream")]
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
    /// Every directory that was made, parents first, to be synced before the tree gets its name.
    directories: Vec<PathBuf>,
    published: bool,
}

impl StagedTree {
    /// Makes an empty directory beside `target`, hidden and named after it.
    pub(crate) fn create(storage: Arc<dyn Storage>, target: &Path) -> Result<Self> {
        let (staged, ()) =
            with_fresh_name(target, TREE_SUFFIX, |staged| storage.create_dir(staged))
                .map_err(|e| Error::io("create a directory beside", target, e))?;
        Ok(Self {
            storage,
            directories: vec![staged.clone()],
            staged,
            target: target.to_owned(),
            published: false,
        })
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
                self.storage
                    .create_dir(&path)
                    .map_err(|e| Error::io("create the directory", &path, e))?;
                self.directories.push(path.clone());
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
            .map_err(|e| Error::io("create", &path, e))?;
        Ok((path, file))
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
    pub(crate) fn publish(&mut self) -> Result<()> {
        self.storage
            .rename_new(&self.staged, &self.target)
            .map_err(|e| Error::io("give the finished directory its name", &self.target, e))?;
        self.published = true;
        let directory = directory_of(&self.target);
        self.storage.sync_dir(directory).map_err(|e| {
            Error::io(
                "make sure that a power failure leaves the new directory in",
                directory,
                e,
            )
        })
    }

    /// Takes the final name away again, because a step that belongs to it failed.
    pub(crate) fn retract(&mut self) {
        if self.published && self.storage.rename_new(&self.target, &self.staged).is_ok() {
            self.published = false;
        }
    }
}

impl Drop for StagedTree {
    fn drop(&mut self) {
        if !self.published {
            let _ = self.storage.remove_tree(&self.staged);
        }
    }
}

/// The directory that holds `path`: `.` for a bare name.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether this is the name of something staged, `.NAME.0123456789abcdef.part` or the like: only a killed process leaves one.
pub(crate) fn is_staged_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    [FILE_SUFFIX, TREE_SUFFIX].into_iter().any(|suffix| {
        let rest = name
            .strip_suffix(suffix.as_bytes())
            .and_then(|rest| rest.strip_suffix(b"."));
        let Some((stem, random)) =
            rest.and_then(|rest| rest.split_at_checked(rest.len().checked_sub(RANDOM_LEN)?))
        else {
            return false;
        };
        let stem = stem
            .strip_prefix(b".")
            .and_then(|stem| stem.strip_suffix(b"."));
        stem.is_some_and(|stem| !stem.is_empty())
            && random
                .iter()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Names are random, so that two runs to one target do not meet; a name that is taken all the same is passed over.
fn with_fresh_name<T>(
    target: &Path,
    suffix: &str,
    mut create: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    /// Room for the dots, the random part and the suffix within the 255 bytes that filesystems allow.
    const LONGEST_STEM: usize = 200;
    const ATTEMPTS: u32 = 16;

    let name = target
        .file_name()
        .unwrap_or(OsStr::new("etcd-snap"))
        .as_bytes();
    let stem = name.get(..LONGEST_STEM).unwrap_or(name);
    let mut attempt = 0;
    loop {
        let random = RandomState::new().hash_one(attempt);
        let mut staged = OsString::from(".");
        staged.push(OsString::from_vec(stem.to_vec()));
        staged.push(format!(".{random:0width$x}.{suffix}", width = RANDOM_LEN));
        let staged = directory_of(target).join(staged);
        match create(&staged) {
            Ok(created) => return Ok((staged, created)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                attempt += 1;
            }
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
