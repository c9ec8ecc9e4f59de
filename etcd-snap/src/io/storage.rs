//! Everything that changes a disk goes through [`Storage`], so that tests can make any single step fail or be the last.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, RenameFlags};
use rustix::io::Errno;

use super::ReadAt;

/// The steps that change a disk.
pub(crate) trait Storage: fmt::Debug + Send + Sync {
    /// Makes a file that did not exist, for its owner only (0600) whatever the umask.
    fn create_file(&self, path: &Path) -> io::Result<Arc<dyn NewFile>>;
    /// Makes a directory that did not exist, for its owner only (0700) whatever the umask.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Brings the names in a directory to the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file its final name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file or a directory its final name; fails with `AlreadyExists` where something has it.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being made. Readable too, so that what was written can be checked before it gets its name.
pub(crate) trait NewFile: ReadAt + fmt::Debug {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the file `size_bytes` long, with its blocks allocated where the filesystem can.
    fn reserve(&self, size_bytes: u64) -> io::Result<()>;
    /// Brings content and size to the disk.
    fn sync(&self) -> io::Result<()>;
}

/// The real disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk;

impl Storage for Disk {
    fn create_file(&self, path: &Path) -> io::Result<Arc<dyn NewFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        // A umask can take bits away that the owner needs.
        if let Err(e) = file.set_permissions(Permissions::from_mode(0o600)) {
            let _ = fs::remove_file(path);
            return Err(e);
        }
        Ok(Arc::new(DiskFile(file)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match File::open(path)?.sync_all() {
            // Some network and FUSE filesystems cannot sync a directory; there is nothing more that could be done.
            Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            result => result,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::fs::{CWD, renameat_with};
            match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(()),
                // The kernel or the filesystem does not know the flag.
                Err(Errno::INVAL | Errno::NOSYS) => {}
                Err(e) => return Err(e.into()),
            }
        }
        if fs::symlink_metadata(from)?.is_dir() {
            match fs::symlink_metadata(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
                Err(e) => Err(e),
            }
        } else {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl ReadAt for DiskFile {
    fn size(&self) -> io::Result<u64> {
        ReadAt::size(&self.0)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        ReadAt::read_at(&self.0, buffer, offset)
    }
}

impl NewFile for DiskFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn reserve(&self, size_bytes: u64) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, size_bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(e) => return Err(e.into()),
        }
        self.0.set_len(size_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
