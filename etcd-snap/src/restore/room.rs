//! Whether there is room, asked before anything is made: a disk that is filled to its last byte takes others down with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::io::Storage;
use crate::{Error, ErrorKind, Result};

/// The directories exist, and each needs so many bytes. Those on one filesystem share what is free.
pub(super) fn require_room(storage: &dyn Storage, needs: &[(PathBuf, u64)]) -> Result<()> {
    let mut filesystems: Vec<(u64, &PathBuf, u64)> = Vec::new();
    for (directory, bytes) in needs {
        let there = fs::metadata(directory).map_err(|e| Error::io("look at", directory, e))?;
        match filesystems
            .iter_mut()
            .find(|(device, ..)| *device == there.dev())
        {
            Some((_, _, sum)) => *sum = sum.saturating_add(*bytes),
            None => filesystems.push((there.dev(), directory, *bytes)),
        }
    }
    for (_, directory, needed) in filesystems {
        let free = storage
            .free_bytes(directory)
            .map_err(|e| Error::io("ask for the free space of", directory, e))?;
        if needed > free {
            return Err(Error::new(
                ErrorKind::NoSpace,
                format!(
                    "the restore needs about {needed} bytes in {}, and there are {free} left: make room, or name another place",
                    directory.display()
                ),
            )
            .with_path(directory)
            .with_detail("needed_bytes", needed.to_string())
            .with_detail("free_bytes", free.to_string()));
        }
    }
    Ok(())
}
