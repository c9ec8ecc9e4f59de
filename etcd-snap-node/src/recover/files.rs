//! What is in the files that a recovery was planned with.

use std::path::Path;

use etcd_snap::Digest;
use sha2::{Digest as _, Sha256};

use crate::{ErrorKind, Result, Root};

pub(super) fn digest_of(content: impl AsRef<[u8]>) -> Digest {
    Digest::new(Sha256::digest(content).into())
}

/// The SHA-256 of a file of the machine; `None` where there is none.
pub(super) fn sha256(root: &Root, path: &Path) -> Result<Option<Digest>> {
    Ok(present(root.read(path))?.map(digest_of))
}

/// What is in a file of the machine; `None` where there is none.
pub(super) fn text(root: &Root, path: &Path) -> Result<Option<String>> {
    present(root.read_text(path))
}

fn present<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
