//! Everything that changes a disk goes through [`Storage`], so that tests can make any single step fail or be the last.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, Mode, OFlags, RenameFlags, StatVfs};
use rustix::io::Errno;

use super::ReadAt;

/// The steps that change a disk.
pub(crate) trait Storage: fmt::Debug + Send + Sync {
    /// Makes a file that did not exist, for its owner only (0600) whatever the umask, and locks it for as long as it is held,
    /// where the filesystem can. Fails with `AlreadyExists` too where somebody took it for litter at that moment.
    fn create_file(&self, path: &Path) -> io::Result<Arc<dyn NewFile>>;
    /// Makes a directory that did not exist, for its owner only (0700) whatever the umask.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Brings the names in a directory to the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file its final name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file or a directory its final name; fails with `AlreadyExists` where something has it.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Lets two names change places in one step; fails with `Unsupported` where the kernel or the filesystem cannot.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;
    /// Gives a file a second name; fails with `Unsupported` where the filesystem cannot.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file or a directory an owner, a group and an SELinux label. Follows no symbolic link.
    fn set_ownership(&self, path: &Path, ownership: &Ownership) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory, and no other.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Takes the exclusive lock of a file that is there, as etcd takes that of its database, and does not wait for it. Follows no
    /// symbolic link.
    fn lock(&self, path: &Path) -> io::Result<Lock>;
    /// Whether a filesystem is mounted at this directory, which cannot be renamed then.
    fn is_mount_point(&self, path: &Path) -> bool;
    /// What may still be written to the filesystem of a directory.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// Whom a file or a directory belongs to. What is absent stays as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ownership {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// The SELinux label, as its extended attribute has it.
    pub(crate) label: Option<Vec<u8>>,
}

impl Ownership {
    /// That of something that is there.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let there = fs::symlink_metadata(path)?;
        Ok(Self {
            uid: Some(there.uid()),
            gid: Some(there.gid()),
            label: label_of(path),
        })
    }
}

/// Without one where SELinux, or the filesystem, has none.
fn label_of(path: &Path) -> Option<Vec<u8>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        /// A label is a line of some dozen letters.
        const LONGEST: usize = 4096;
        let mut label = vec![0; LONGEST];
        let length = rustix::fs::lgetxattr(path, LABEL, label.as_mut_slice()).ok()?;
        label.truncate(length);
        Some(label)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = path;
        None
    }
}

/// Where SELinux keeps the label of a file.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LABEL: &str = "security.selinux";

/// What became of asking for a lock.
#[derive(Debug)]
pub(crate) enum Lock<F = Arc<dyn NewFile>> {
    /// Nobody else has it for as long as this is held.
    Held(F),
    /// The same; but other machines may write to the filesystem, and the lock can be one of this machine only (NFS mounted with
    /// `local_lock` or `nolock`, most FUSE filesystems).
    HeldHere(F),
    /// Somebody else has it.
    Busy,
    /// The filesystem has no locks.
    Unsupported(F),
}

impl Lock<()> {
    fn with(self, file: Arc<dyn NewFile>) -> Lock {
        match self {
            Self::Held(()) => Lock::Held(file),
            Self::HeldHere(()) => Lock::HeldHere(file),
            Self::Busy => Lock::Busy,
            Self::Unsupported(()) => Lock::Unsupported(file),
        }
    }
}

/// A file that is being made, or held. Readable too, so that what was written can be checked before it gets its name.
pub(crate) trait NewFile: ReadAt + fmt::Debug {
    fn metadata(&self) -> io::Result<Metadata>;
    /// Gives it the owner, the group and the mode of another.
    fn take_after(&self, other: &Metadata) -> io::Result<()>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the file `size_bytes` long, with its blocks allocated where the filesystem can.
    fn reserve(&self, size_bytes: u64) -> io::Result<()>;
    /// Whether a file of that size fits: what is free, if not. A filesystem that allocates nothing ahead cannot tell.
    #[cfg(feature = "client")]
    fn room_for(&self, size_bytes: u64) -> io::Result<Option<u64>>;
    /// The open file itself, for the kernel to copy from.
    fn as_file(&self) -> Option<&File>;
    /// Makes it share all blocks of another file until one of them is written to. `false`: the filesystem cannot, or they lie on
    /// two.
    fn reflink(&self, from: &dyn NewFile) -> io::Result<bool>;
    /// Copies a part of another file to the same place without bringing it here, and says how much of it it did; 0 where the
    /// kernel or the filesystem cannot.
    fn copy_range(&self, from: &dyn NewFile, offset: u64, bytes: u64) -> io::Result<u64>;
    /// Brings what has been written so far to the disk; more may be written meanwhile.
    fn flush(&self) -> io::Result<()>;
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
        // A lock that cannot be had for another reason than that somebody has it keeps nobody from writing.
        let is_taken = match try_lock(&file) {
            Ok(Lock::Busy) => true,
            Ok(Lock::Held(()) | Lock::HeldHere(())) => !is_at(&file, path)?,
            Ok(Lock::Unsupported(())) | Err(_) => false,
        };
        if is_taken {
            // Between the two steps it looked like what a killed run leaves, to somebody who may leave it all the same.
            let _ = fs::remove_file(path);
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Arc::new(DiskFile(file)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700)).inspect_err(|_| {
            let _ = fs::remove_dir(path);
        })
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
            fs::remove_file(from).inspect_err(|_| {
                let _ = fs::remove_file(to);
            })
        }
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::fs::{CWD, renameat_with};
            match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
                Ok(()) => Ok(()),
                Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
                Err(e) => Err(e.into()),
            }
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let _ = (one, other);
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to).map_err(|e| match Errno::from_io_error(&e) {
            // What filesystems without hard links say.
            Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                io::Error::new(io::ErrorKind::Unsupported, e)
            }
            _ => e,
        })
    }

    fn set_ownership(&self, path: &Path, ownership: &Ownership) -> io::Result<()> {
        let there = fs::symlink_metadata(path)?;
        let uid = ownership.uid.filter(|uid| *uid != there.uid());
        let gid = ownership.gid.filter(|gid| *gid != there.gid());
        if uid.is_some() || gid.is_some() {
            std::os::unix::fs::lchown(path, uid, gid)?;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(label) = &ownership.label
            && label_of(path).as_ref() != Some(label)
        {
            match rustix::fs::lsetxattr(path, LABEL, label, rustix::fs::XattrFlags::empty()) {
                // The label is of another filesystem: this one has none.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        // Writable, as network filesystems want it for an exclusive lock; without waiting for the reader of a pipe.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file",
            ));
        }
        let lock = try_lock(&file)?;
        if !is_at(&file, path)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(lock.with(Arc::new(DiskFile(file))))
    }

    fn is_mount_point(&self, path: &Path) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
            let there = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
            if let Ok(there) = there
                && there
                    .stx_attributes_mask
                    .contains(StatxAttributes::MOUNT_ROOT)
            {
                return there.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
            }
        }
        // Kernels before 5.8 do not say: another device is one, and the same device mounted again shows when a rename fails.
        let device = |path: &Path| fs::metadata(path).map(|there| there.dev());
        match (device(path), device(&path.join(".."))) {
            (Ok(here), Ok(above)) => here != above,
            _ => false,
        }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        Ok(free_of(&rustix::fs::statvfs(path)?))
    }
}

fn try_lock(file: &File) -> io::Result<Lock<()>> {
    match file.try_lock() {
        Ok(()) if may_be_shared(file) => Ok(Lock::HeldHere(())),
        Ok(()) => Ok(Lock::Held(())),
        Err(TryLockError::WouldBlock) => Ok(Lock::Busy),
        Err(TryLockError::Error(e)) => match Errno::from_io_error(&e) {
            Some(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {
                Ok(Lock::Unsupported(()))
            }
            _ if e.kind() == io::ErrorKind::Unsupported => Ok(Lock::Unsupported(())),
            _ => Err(e),
        },
    }
}

/// Whether a path still leads to this open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let held = file.metadata()?;
    Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
}

/// One with the lock, where the filesystem has them.
#[derive(Debug)]
struct DiskFile(File);

impl Drop for DiskFile {
    /// A process that this one is just starting has the file too, up to its exec: closing it alone would leave the lock to that one.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl ReadAt for DiskFile {
    fn size(&self) -> io::Result<u64> {
        ReadAt::size(&self.0)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        ReadAt::read_at(&self.0, buffer, offset)
    }
}

impl NewFile for DiskFile {
    fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    fn take_after(&self, other: &Metadata) -> io::Result<()> {
        let ours = self.0.metadata()?;
        if (ours.uid(), ours.gid()) != (other.uid(), other.gid()) {
            std::os::unix::fs::fchown(&self.0, Some(other.uid()), Some(other.gid()))?;
        }
        self.0
            .set_permissions(Permissions::from_mode(other.mode() & 0o7777))
    }

    /// In pieces: Linux has been seen to take six times the processor time for the same bytes in writes of a megabyte.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        const PIECE: usize = 32 << 10;
        let mut at = offset;
        for piece in bytes.chunks(PIECE) {
            self.0.write_all_at(piece, at)?;
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(())
    }

    fn reserve(&self, size_bytes: u64) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if allocate(&self.0, size_bytes)? {
            return Ok(());
        }
        self.0.set_len(size_bytes)
    }

    #[cfg(feature = "client")]
    fn room_for(&self, size_bytes: u64) -> io::Result<Option<u64>> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let free = free_bytes(&self.0)?;
            if size_bytes > free && allocates(&self.0, 1)? {
                return Ok(Some(free));
            }
        }
        Ok(None)
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.0)
    }

    fn reflink(&self, from: &dyn NewFile) -> io::Result<bool> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(from) = from.as_file() {
            return match rustix::io::retry_on_intr(|| rustix::fs::ioctl_ficlone(&self.0, from)) {
                Ok(()) => Ok(true),
                Err(e) if cannot(e) => Ok(false),
                Err(e) => Err(e.into()),
            };
        }
        let _ = from;
        Ok(false)
    }

    fn copy_range(&self, from: &dyn NewFile, offset: u64, bytes: u64) -> io::Result<u64> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(from) = from.as_file() {
            let len = usize::try_from(bytes).unwrap_or(usize::MAX);
            let copied = rustix::io::retry_on_intr(|| {
                let (mut read, mut written) = (offset, offset);
                rustix::fs::copy_file_range(from, Some(&mut read), &self.0, Some(&mut written), len)
            });
            return match copied {
                Ok(copied) => Ok(copied as u64),
                Err(e) if cannot(e) => Ok(0),
                Err(e) => Err(e.into()),
            };
        }
        let _ = (from, offset, bytes);
        Ok(0)
    }

    fn flush(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// What the kernel says where a copy has to be made by hand.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn cannot(e: Errno) -> bool {
    matches!(
        e,
        Errno::OPNOTSUPP
            | Errno::NOSYS
            | Errno::INVAL
            | Errno::XDEV
            | Errno::NOTTY
            | Errno::PERM
            | Errno::BADF
            | Errno::TXTBSY
    )
}

/// Allocates the blocks of a file; `false` where the filesystem cannot.
///
/// Filesystems notice that a file does not fit when they have given it all there is, and for that moment nobody else can
/// write: an etcd server on the same disk dies of that. So the free space is asked for first; a filesystem that compresses,
/// where it says little, allocates nothing either.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocate(file: &File, size_bytes: u64) -> io::Result<bool> {
    const PROBE_BYTES: u64 = 1;
    for bytes in [PROBE_BYTES.min(size_bytes), size_bytes] {
        if bytes > free_bytes(file)? {
            return Err(Errno::NOSPC.into());
        }
        if !allocates(file, bytes)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocates(file: &File, bytes: u64) -> io::Result<bool> {
    let allocated = rustix::io::retry_on_intr(|| {
        rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes)
    });
    match allocated {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn free_bytes(file: &File) -> io::Result<u64> {
    Ok(free_of(&rustix::fs::fstatvfs(file)?))
}

/// What the user may still write to a filesystem. Some that know no size say 0 of everything.
fn free_of(filesystem: &StatVfs) -> u64 {
    match filesystem.f_blocks {
        0 => u64::MAX,
        _ => filesystem.f_bavail.saturating_mul(filesystem.f_frsize),
    }
}

/// Whether other machines may write to the filesystem too.
fn may_be_shared(file: &File) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        /// NFS, SMB, CIFS, SMB2, FUSE, Ceph, AFS, 9P.
        const SHARED: [u32; 8] = [
            0x6969,
            0x517B,
            0xFF53_4D42,
            0xFE53_4D42,
            0x6573_5546,
            0x00C3_6400,
            0x5346_414F,
            0x0102_1997,
        ];
        rustix::fs::fstatfs(file).is_ok_and(|there| SHARED.contains(&(there.f_type as u32)))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = file;
        false
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    /// As a process has it that is being started.
    #[test]
    fn a_lock_ends_with_its_holder_whoever_has_the_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        fs::write(&path, "").unwrap();
        for _ in 0..2 {
            let Ok(Lock::Held(file)) = Disk.lock(&path) else {
                panic!("no lock");
            };
            std::mem::forget(file.as_file().unwrap().try_clone().unwrap());
            assert!(matches!(Disk.lock(&path), Ok(Lock::Busy)));
        }
    }

    #[test]
    fn a_file_that_cannot_fit_takes_no_space_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let file = Disk.create_file(&path).unwrap();
        let free = free_bytes(&File::open(&path).unwrap()).unwrap();
        let error = file.reserve(free.saturating_add(1 << 30)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        let allocated = path.metadata().unwrap().blocks() * 512;
        assert!(allocated <= 1 << 20, "{allocated} bytes were taken");

        #[cfg(feature = "client")]
        {
            let large = free.saturating_add(1 << 30);
            assert!(file.room_for(large).unwrap().unwrap() < large);
            assert_eq!(file.room_for(1).unwrap(), None);
        }

        file.reserve(100_000).unwrap();
        assert_eq!(path.metadata().unwrap().len(), 100_000);
        assert!(path.metadata().unwrap().blocks() * 512 >= 100_000);
    }
}
