//! A small file that appears whole.

use std::path::Path;
use std::sync::Arc;

use super::{Replace, StagedFile, Storage, remove_dead};
use crate::{Error, Result};

/// Writes, syncs, and then gives the name. What a run that was killed has left of the same file goes.
pub(crate) fn write_whole(
    storage: &Arc<dyn Storage>,
    path: &Path,
    bytes: &[u8],
    replace: Replace,
) -> Result<StagedFile> {
    remove_dead(storage.as_ref(), path);
    let mut staged = StagedFile::create(Arc::clone(storage), path)?;
    let file = Arc::clone(staged.file());
    file.write_at(bytes, 0)
        .map_err(|e| Error::io("write", path, e))?;
    file.sync().map_err(|e| Error::io("sync", path, e))?;
    staged.publish(replace)?;
    Ok(staged)
}
