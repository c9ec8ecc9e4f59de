//! A second file with the bytes of a first one, in the cheapest way that the disk has.

use std::fmt;
use std::io;

use super::NewFile;

/// Copied at a time: some tenths of a second, after which somebody may want to stop.
const PIECE: u64 = 64 << 20;
const BUFFER: usize = 1 << 20;

/// How a file got the bytes of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloned {
    /// They share their blocks.
    Reflink,
    /// The kernel copied them.
    InKernel,
    /// They were read and written.
    ByHand,
}

impl fmt::Display for Cloned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reflink => "shares its blocks with the first one (reflink)",
            Self::InKernel => "was copied from the first one by the kernel",
            Self::ByHand => "was copied from the first one",
        })
    }
}

/// Fills an empty file with the first `size_bytes` of `from`, which are all that it has. `each` is told how many more were
/// written; with an error it ends the copy.
pub(crate) fn clone_from<E: From<io::Error>>(
    to: &dyn NewFile,
    from: &dyn NewFile,
    size_bytes: u64,
    mut each: impl FnMut(u64) -> Result<(), E>,
) -> Result<Cloned, E> {
    if to.reflink(from)? {
        each(size_bytes)?;
        return Ok(Cloned::Reflink);
    }
    let mut at = 0;
    while at < size_bytes {
        let copied = to.copy_range(from, at, PIECE.min(size_bytes.saturating_sub(at)))?;
        if copied == 0 {
            by_hand(to, from, at, size_bytes, each)?;
            return Ok(Cloned::ByHand);
        }
        at = at.saturating_add(copied);
        each(copied)?;
    }
    Ok(Cloned::InKernel)
}

fn by_hand<E: From<io::Error>>(
    to: &dyn NewFile,
    from: &dyn NewFile,
    mut at: u64,
    end: u64,
    mut each: impl FnMut(u64) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = vec![0; BUFFER];
    while at < end {
        let wanted =
            usize::try_from(end.saturating_sub(at)).map_or(BUFFER, |left| left.min(BUFFER));
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        if from.read_at(piece, at)? < wanted {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        to.write_at(piece, at)?;
        at = at.saturating_add(wanted as u64);
        each(wanted as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Disk, ReadAt as _, Storage as _};

    #[test]
    fn every_way_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let create = |name: &str| Disk.create_file(&folder.path().join(name)).unwrap();
        let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n / 7) as u8).collect();
        let [first, second, third] = ["first", "second", "third"].map(create);
        first.write_at(&bytes, 0).unwrap();
        let size = bytes.len() as u64;
        let mut told = 0;
        clone_from(&*second, &*first, size, |n| {
            told += n;
            Ok::<_, io::Error>(())
        })
        .unwrap();
        assert_eq!(told, size);
        by_hand(&*third, &*first, 0, size, |_| Ok::<_, io::Error>(())).unwrap();
        for file in [second, third] {
            let mut read = vec![0; bytes.len()];
            assert_eq!(file.size().unwrap(), size);
            assert_eq!(file.read_at(&mut read, 0).unwrap(), bytes.len());
            assert!(read == bytes);
        }
    }

    const FOLDER: &str = "ETCD_SNAP_TEST_REFLINK_FOLDER";

    #[test]
    #[ignore = "run by the test below, on a filesystem that has reflinks"]
    fn shares_blocks_in_a_folder() {
        let folder = std::path::PathBuf::from(std::env::var_os(FOLDER).unwrap());
        let [first, second] = ["first", "second"].map(|name| {
            let file = Disk.create_file(&folder.join(name));
            file.unwrap()
        });
        let bytes = vec![7; 3 << 20];
        first.write_at(&bytes, 0).unwrap();
        let size = bytes.len() as u64;
        let cloned = clone_from(&*second, &*first, size, |_| Ok::<_, io::Error>(())).unwrap();
        assert_eq!(cloned, Cloned::Reflink);
        first.write_at(b"changed", 0).unwrap();
        let mut read = vec![0; bytes.len()];
        assert_eq!(second.read_at(&mut read, 0).unwrap(), bytes.len());
        assert!(read == bytes);
    }

    #[test]
    fn blocks_are_shared_where_the_filesystem_can() {
        if std::env::var_os(etcd_snap_testdata::FULL).is_none() {
            println!("skipped: only a full run makes a filesystem for it");
            return;
        }
        const SCRIPT: &str = "cd \"$1\" && truncate -s 400M image && \
            { mkfs.xfs -q -m reflink=1 image || mkfs.btrfs -q image; } && \
            mkdir mounted && mount -o loop image mounted || exit 99; \
            \"$0\" --exact io::clone::tests::shares_blocks_in_a_folder --ignored; ended=$?; \
            umount mounted; exit $ended";
        let folder = tempfile::tempdir().unwrap();
        let ended = std::process::Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "/bin/sh",
                "-c",
                SCRIPT,
            ])
            .arg(std::env::current_exe().unwrap())
            .arg(folder.path())
            .env(FOLDER, folder.path().join("mounted"))
            .output();
        match ended {
            Ok(ended) if ended.status.code() != Some(99) && ended.status.code() != Some(1) => {
                assert!(ended.status.success(), "{ended:?}");
            }
            other => {
                println!("skipped: no filesystem with reflinks can be mounted here: {other:?}");
            }
        }
    }
}
