//! The disk with faults: step `n` of those that change it fails, once or for good.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::{Disk, Lock, NewFile, Ownership, ReadAt, Storage};

/// What happens at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This step alone fails: a full disk, a refused rename.
    Once,
    /// This step and all after it fail: the process was killed, nothing tidies up behind it.
    Dead,
}

#[derive(Debug, Clone)]
pub(crate) struct FaultyDisk {
    steps: Arc<AtomicU64>,
    failing: u64,
    fault: Fault,
    has_locks: bool,
    has_exchange: bool,
    has_hard_links: bool,
    is_sparse: bool,
    mount_point: Option<OsString>,
    free: Option<u64>,
    error: Errno,
}

impl FaultyDisk {
    pub(crate) fn new(failing: u64, fault: Fault) -> Self {
        Self {
            steps: Arc::default(),
            failing,
            fault,
            has_locks: true,
            has_exchange: true,
            has_hard_links: true,
            is_sparse: false,
            mount_point: None,
            free: None,
            error: Errno::NOSPC,
        }
    }

    /// As some network filesystems are.
    pub(crate) fn without_locks(mut self) -> Self {
        self.has_locks = false;
        self
    }

    /// As old kernels and some filesystems are.
    pub(crate) fn without_exchange(mut self) -> Self {
        self.has_exchange = false;
        self
    }

    /// As exFAT and some FUSE filesystems are.
    pub(crate) fn without_hard_links(mut self) -> Self {
        self.has_hard_links = false;
        self
    }

    /// That allocates nothing ahead, as some network filesystems do.
    pub(crate) fn with_sparse_files(mut self) -> Self {
        self.is_sparse = true;
        self
    }

    /// Where directories of this name look like mount points.
    pub(crate) fn with_mount_point(mut self, name: &str) -> Self {
        self.mount_point = Some(name.into());
        self
    }

    /// What the failing step says; that the disk is full, if nothing is chosen.
    pub(crate) fn with_error(mut self, error: Errno) -> Self {
        self.error = error;
        self
    }

    /// With so much space left, as far as anybody asks.
    pub(crate) fn with_free_bytes(mut self, bytes: u64) -> Self {
        self.free = Some(bytes);
        self
    }

    /// Steps tried so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    fn step(&self) -> io::Result<()> {
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        let fails = match self.fault {
            Fault::Once => step == self.failing,
            Fault::Dead => step >= self.failing,
        };
        if fails {
            Err(self.error.into())
        } else {
            Ok(())
        }
    }
}

impl Storage for FaultyDisk {
    fn create_file(&self, path: &Path) -> io::Result<Arc<dyn NewFile>> {
        self.step()?;
        Ok(Arc::new(FaultyFile {
            file: Disk.create_file(path)?,
            disk: self.clone(),
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.sync_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Disk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Disk.rename_new(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        if !self.has_exchange {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.step()?;
        Disk.exchange(one, other)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.has_hard_links {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.step()?;
        Disk.hard_link(from, to)
    }

    fn set_ownership(&self, path: &Path, ownership: &Ownership) -> io::Result<()> {
        self.step()?;
        Disk.set_ownership(path, ownership)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.remove_dir(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.remove_tree(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        Disk.list(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let faulty = |file| -> Arc<dyn NewFile> {
            Arc::new(FaultyFile {
                file,
                disk: self.clone(),
            })
        };
        Ok(match Disk.lock(path)? {
            Lock::Held(file) if self.has_locks => Lock::Held(faulty(file)),
            Lock::HeldHere(file) if self.has_locks => Lock::HeldHere(faulty(file)),
            Lock::Held(file) | Lock::HeldHere(file) | Lock::Unsupported(file) => {
                Lock::Unsupported(faulty(file))
            }
            Lock::Busy => Lock::Busy,
        })
    }

    fn is_mount_point(&self, path: &Path) -> bool {
        (self.mount_point.is_some() && self.mount_point.as_deref() == path.file_name())
            || Disk.is_mount_point(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.free.map_or_else(|| Disk.free_bytes(path), Ok)
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn NewFile>,
    disk: FaultyDisk,
}

impl ReadAt for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

impl NewFile for FaultyFile {
    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    fn take_after(&self, other: &Metadata) -> io::Result<()> {
        self.disk.step()?;
        self.file.take_after(other)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(e) = self.disk.step() {
            // A write that fails has often done half of its work.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(e);
        }
        self.file.write_at(bytes, offset)
    }

    #[cfg(feature = "client")]
    fn room_for(&self, size_bytes: u64) -> io::Result<Option<u64>> {
        self.file.room_for(size_bytes)
    }

    fn reserve(&self, size_bytes: u64) -> io::Result<()> {
        self.disk.step()?;
        if self.disk.is_sparse && size_bytes > self.file.size()? {
            return self.file.write_at(&[0], size_bytes - 1);
        }
        self.file.reserve(size_bytes)
    }

    fn as_file(&self) -> Option<&File> {
        self.file.as_file()
    }

    fn reflink(&self, from: &dyn NewFile) -> io::Result<bool> {
        self.disk.step()?;
        self.file.reflink(from)
    }

    fn copy_range(&self, from: &dyn NewFile, offset: u64, bytes: u64) -> io::Result<u64> {
        if let Err(e) = self.disk.step() {
            self.file.copy_range(from, offset, bytes / 2)?;
            return Err(e);
        }
        self.file.copy_range(from, offset, bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.disk.step()?;
        self.file.flush()
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step()?;
        self.file.sync()
    }
}
