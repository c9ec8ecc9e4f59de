//! The only place of this crate that changes files and their names. Each change is on the disk when it returns.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::{Error, ErrorKind, Result};

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_directory_of(path: &Path) -> Result<()> {
    let directory = directory_of(path);
    File::open(directory)
        .and_then(|it| it.sync_all())
        .map_err(|e| Error::io("sync the directory", directory, e))
}

/// Writes a file whole: it has the old content or the new one, never a part. Keeps owner and mode of one that is replaced; a new
/// one gets `mode`.
pub(crate) fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let failed = |e: io::Error| Error::io("write", path, e);
    let mut staged = tempfile::Builder::new()
        .prefix(".etcd-snap-")
        .tempfile_in(directory_of(path))
        .map_err(failed)?;
    let old = match fs::metadata(path) {
        Ok(old) => Some(old),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(failed(e)),
    };
    let mode = old.as_ref().map_or(mode, |old| old.mode() & 0o7777);
    if let Some(old) = &old {
        chown(staged.path(), Some(old.uid()), Some(old.gid())).map_err(failed)?;
    }
    staged
        .as_file()
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| staged.write_all(content))
        .and_then(|()| staged.as_file().sync_all())
        .map_err(failed)?;
    staged.persist(path).map_err(|e| failed(e.error))?;
    sync_directory_of(path)
}

/// Renames, and never replaces anything.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // Filesystems that do not know the flag.
        Err(rustix::io::Errno::INVAL) if fs::symlink_metadata(to).is_err() => {
            fs::rename(from, to).map_err(|e| Error::io("rename", from, e))?;
        }
        Err(rustix::io::Errno::EXIST | rustix::io::Errno::INVAL) => {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("{} is there already", to.display()),
            )
            .with_path(to));
        }
        Err(e) => {
            return Err(Error::io(
                &format!("rename to {}:", to.display()),
                from,
                e.into(),
            ));
        }
    }
    sync_directory_of(to)?;
    sync_directory_of(from)
}

/// Makes a directory, and what is missing above it.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<()> {
    let failed = |e| Error::io("create the directory", path, e);
    let mut missing = Vec::new();
    let mut next = Some(path);
    while let Some(directory) = next {
        if directory.as_os_str().is_empty() || directory.is_dir() {
            break;
        }
        missing.push(directory);
        next = directory.parent();
    }
    for directory in missing.into_iter().rev() {
        fs::create_dir(directory).map_err(failed)?;
        fs::set_permissions(directory, Permissions::from_mode(mode)).map_err(failed)?;
        sync_directory_of(directory)?;
    }
    Ok(())
}

/// Removes a file that may be gone already.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory_of(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("remove", path, e)),
    }
}

/// Removes a directory with all that is in it; it may be gone already.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => sync_directory_of(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("remove", path, e)),
    }
}

/// Removes a directory if nothing is in it, and it is no mount point.
pub(crate) fn remove_empty_directory(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Ok(()) => sync_directory_of(path),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::ResourceBusy
            ) =>
        {
            Ok(())
        }
        Err(e) => Err(Error::io("remove the directory", path, e)),
    }
}

/// Where SELinux keeps the label of a file.
const LABEL: &str = "security.selinux";

/// The SELinux label of a file, a line of some dozen letters, if it has one.
pub(crate) fn label(path: &Path) -> Option<Vec<u8>> {
    const LONGEST: usize = 4096;
    let mut label = vec![0; LONGEST];
    let length = rustix::fs::getxattr(path, LABEL, label.as_mut_slice()).ok()?;
    label.truncate(length);
    Some(label)
}

/// Gives a directory the owner, the group and the SELinux label of another; only root can give things away, and for others nothing
/// changes.
pub(crate) fn own_like(path: &Path, like: &Path) -> Result<()> {
    let failed = |e: io::Error| Error::io("give its owner to", path, e);
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let there = fs::metadata(like).map_err(|e| Error::io("look at", like, e))?;
    chown(path, Some(there.uid()), Some(there.gid())).map_err(failed)?;
    if let Some(label) = label(like) {
        match rustix::fs::setxattr(path, LABEL, &label, rustix::fs::XattrFlags::empty()) {
            // The label is of another filesystem: this one has none.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(e) => return Err(failed(e.into())),
        }
    }
    Ok(())
}

/// Gives a directory to a user and a group.
pub(crate) fn own(path: &Path, uid: u32, gid: u32) -> Result<()> {
    chown(path, Some(uid), Some(gid)).map_err(|e| Error::io("give its owner to", path, e))
}

/// A file that is locked for as long as this lives, by one process of the machine.
#[derive(Debug)]
pub(crate) struct Locked(File);

/// Locks a file, which is made if it is not there; `Err` with what its holder wrote into it where somebody has the lock.
pub(crate) fn lock(path: &Path) -> Result<std::result::Result<Locked, String>> {
    let failed = |e| Error::io("lock", path, e);
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Ok(Locked(file))),
        Err(fs::TryLockError::WouldBlock) => Ok(Err(fs::read_to_string(path).unwrap_or_default())),
        Err(fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}

impl Drop for Locked {
    /// A process that this one is just starting shares the lock for a moment: closing the file alone would leave it to that one.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Locked {
    /// Says in the file who has it: for those who find it locked.
    pub(crate) fn says(&self, text: &str) -> io::Result<()> {
        self.0.set_len(0)?;
        std::os::unix::fs::FileExt::write_all_at(&self.0, text.as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etcd.yaml");
        write_whole(&path, b"one", 0o600).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write_whole(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_renamed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs::write(&one, "one").unwrap();
        fs::write(&other, "other").unwrap();
        let error = rename_new(&one, &other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert_eq!(fs::read(&other).unwrap(), b"other");
        fs::remove_file(&other).unwrap();
        rename_new(&one, &other).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"one");
        remove_file(&other).unwrap();
        remove_file(&other).unwrap();
        make_directory(&folder.path().join("a/b"), 0o700).unwrap();
        remove_tree(&folder.path().join("a")).unwrap();
        remove_tree(&folder.path().join("a")).unwrap();
    }
}
