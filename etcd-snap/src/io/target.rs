//! The path that a snapshot file is to have: what may be there, and the file that is staged beside it.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use super::{Replace, StagedFile, Storage, directory_of, remove_dead};
use crate::observe::{Event, Observer, tell};
use crate::{Error, ErrorKind, Result};

/// Makes an empty file beside `path`, and removes what runs left there that were killed; `verb` says what they did.
pub(crate) fn stage_file(
    storage: Arc<dyn Storage>,
    path: &Path,
    verb: &str,
    observer: &dyn Observer,
) -> Result<StagedFile> {
    for removed in remove_dead(storage.as_ref(), path) {
        let note = format!(
            "removed {}, left by a {verb} that was killed",
            removed.display()
        );
        tell(observer, &Event::Note(note))?;
    }
    StagedFile::create(storage, path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            let directory = directory_of(path);
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "the directory {} does not exist: make it, or name another target",
                    directory.display()
                ),
            )
            .with_path(directory)
        }
        _ => e,
    })
}

/// What is there that is written directly; `None` for a file, or where nothing is there yet.
pub(crate) fn look_at(path: &Path, replace: Replace) -> Result<Option<FileType>> {
    let refuse = |kind, why: &str| {
        Err(Error::new(kind, format!("{} {why}", path.display())).with_path(path))
    };
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("the target has no name"));
    }
    // `file_name` passes over a final slash, and so would turn the name of a directory into that of a file.
    if path.file_name().is_none() || path.as_os_str().as_bytes().ends_with(b"/") {
        return refuse(
            ErrorKind::InvalidInput,
            "names a directory: name the file in it",
        );
    }
    let kind = fs::metadata(path).map(|there| there.file_type());
    if let Ok(kind) = kind
        && (kind.is_fifo() || kind.is_char_device())
    {
        // Nothing of them is replaced.
        return Ok(Some(kind));
    }
    match fs::symlink_metadata(path) {
        Ok(_) if replace == Replace::No => {
            return refuse(
                ErrorKind::Occupied,
                "is already there, and is not to be replaced",
            );
        }
        // A rename would put a file in the place of /dev/stdout.
        Ok(link) if link.is_symlink() && stands_for_a_descriptor(path) => {
            return refuse(
                ErrorKind::InvalidInput,
                "stands for a file that is open already: name the file itself",
            );
        }
        Ok(_) => {}
        // What cannot be looked at can perhaps be written; the staged file will tell.
        Err(_) => return Ok(None),
    }
    match kind {
        Ok(kind) if kind.is_dir() => refuse(
            ErrorKind::InvalidInput,
            "is a directory: name the file in it",
        ),
        Ok(kind) if kind.is_socket() => refuse(
            ErrorKind::InvalidInput,
            "is a socket, which cannot be written like a file: name a file or a pipe",
        ),
        Ok(kind) if kind.is_block_device() => Ok(Some(kind)),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Ok(None),
        _ => Ok(None),
    }
}

/// `/dev/stdout`, `/dev/fd/1`, `/proc/self/fd/1`.
fn stands_for_a_descriptor(link: &Path) -> bool {
    let in_proc = |path: &Path| {
        let directory = path.parent().and_then(|parent| parent.canonicalize().ok());
        directory.is_some_and(|directory| directory.starts_with("/proc"))
    };
    in_proc(link) || fs::read_link(link).is_ok_and(|to| in_proc(&to))
}
