//! The names of what is staged, and what is left under them by runs that did not live to tidy up.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Lock, NewFile, Storage};
use crate::{Error, Result};

/// How names end that are staged.
pub(super) const FILE_SUFFIX: &str = "part";
pub(super) const TREE_SUFFIX: &str = "restoring";
/// Of the file beside a tree that is locked while the run lives that makes the tree.
pub(super) const LOCK_SUFFIX: &str = "lock";
/// Hexadecimal digits in them.
const RANDOM_LEN: usize = 16;

/// The name of a directory beside `path` that nothing has and that counts as staged.
pub(crate) fn fresh_directory_name(path: &Path) -> Result<PathBuf> {
    let free = |name: &Path| match std::fs::symlink_metadata(name) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    };
    let named = with_fresh_name(path, FILE_SUFFIX, free);
    Ok(named.map_err(|e| Error::io("look beside", path, e))?.0)
}

/// What has such a name.
pub(crate) fn fresh_directories(storage: &dyn Storage, path: &Path) -> Vec<PathBuf> {
    let names = storage.list(directory_of(path)).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| staged_stem(name, FILE_SUFFIX) == Some(stem_of(path)))
        .map(|name| path.with_file_name(name))
        .filter(|path| path.is_dir())
        .collect()
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
    [FILE_SUFFIX, TREE_SUFFIX, LOCK_SUFFIX]
        .into_iter()
        .any(|suffix| staged_stem(name, suffix).is_some())
}

/// The `NAME` of such a name.
fn staged_stem<'n>(name: &'n OsStr, suffix: &str) -> Option<&'n [u8]> {
    let rest = name.as_bytes().strip_suffix(suffix.as_bytes())?;
    let rest = rest.strip_suffix(b".")?;
    let (stem, random) = rest.split_at_checked(rest.len().checked_sub(RANDOM_LEN)?)?;
    let stem = stem.strip_prefix(b".")?.strip_suffix(b".")?;
    let is_random = random
        .iter()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    (is_random && !stem.is_empty()).then_some(stem)
}

/// What staged names of this target begin with, behind the dot.
fn stem_of(target: &Path) -> &[u8] {
    /// Room for the dots, the random part and the suffix within the 255 bytes that filesystems allow.
    const LONGEST_STEM: usize = 200;
    let name = target
        .file_name()
        .unwrap_or(OsStr::new("etcd-snap"))
        .as_bytes();
    name.get(..LONGEST_STEM).unwrap_or(name)
}

/// Removes the files that runs to the same target staged beside it and did not live to tidy up, and says which. A run that lives
/// holds the lock of its file.
///
/// Where the filesystem has no locks, and where a lock may not reach the other machines that write there, only what nobody has
/// written to for a day is taken for dead. What cannot be looked at or removed stays: it is in nobody's way.
pub(crate) fn remove_dead(storage: &dyn Storage, target: &Path) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for name in storage.list(directory_of(target)).unwrap_or_default() {
        if staged_stem(&name, FILE_SUFFIX) != Some(stem_of(target)) {
            continue;
        }
        let path = target.with_file_name(name);
        // Held until it is removed, so that nobody else begins to use it.
        let (_held, is_dead) = match storage.lock(&path) {
            Ok(Lock::Held(file)) => (file, true),
            Ok(Lock::HeldHere(file) | Lock::Unsupported(file)) => {
                let is_old = is_old(file.as_ref());
                (file, is_old)
            }
            Ok(Lock::Busy) | Err(_) => continue,
        };
        if is_dead && storage.remove_file(&path).is_ok() {
            removed.push(path);
        }
    }
    removed
}

/// The same with trees: one is taken for dead where the lock beside it can be had. A tree without a lock file stays: a journal may
/// name it, and it may hold old data.
pub(crate) fn remove_dead_trees(storage: &dyn Storage, target: &Path) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for name in storage.list(directory_of(target)).unwrap_or_default() {
        if staged_stem(&name, LOCK_SUFFIX) != Some(stem_of(target)) {
            continue;
        }
        let lock = target.with_file_name(name);
        let tree = lock.with_extension(TREE_SUFFIX);
        let (_held, is_dead) = match storage.lock(&lock) {
            Ok(Lock::Held(file)) => (file, true),
            Ok(Lock::HeldHere(file) | Lock::Unsupported(file)) => {
                let is_old = is_old(file.as_ref());
                (file, is_old)
            }
            Ok(Lock::Busy) | Err(_) => continue,
        };
        if !is_dead {
            continue;
        }
        match storage.remove_tree(&tree) {
            Ok(()) => removed.push(tree),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(_) => continue,
        }
        let _ = storage.remove_file(&lock);
    }
    removed
}

/// No save goes a day without writing: every silence has its limit, and no file takes that long to check.
pub(super) fn is_old(file: &dyn NewFile) -> bool {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let written = file.metadata().and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age > DAY))
}

/// Names are random, so that two runs to one target do not meet; a name that is taken all the same is passed over.
pub(super) fn with_fresh_name<T>(
    target: &Path,
    suffix: &str,
    mut create: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    const ATTEMPTS: u32 = 16;

    let stem = stem_of(target);
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
