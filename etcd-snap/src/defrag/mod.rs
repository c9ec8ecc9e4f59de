//! The database of a stopped member, written anew without the pages that nobody uses.

mod options;
mod report;
#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use options::DefragOptions;
pub use report::DefragReport;

use crate::bbolt::Same;
use crate::data_dir::HeldDatabase;
use crate::io::{Flusher, Replace, StagedFile, directory_of, remove_dead};
use crate::observe::{Event, Phase, tell};
use crate::rewritten::{in_use_bytes, prove, require_same, require_space, rewrite};
use crate::verify::Wants;
use crate::{Error, Result, Snapshot};

/// Writes the database of a stopped member anew, so that the file has no page that nobody uses: `etcdutl defrag`, without a server.
///
/// The old file is proven first, as [`verify`](crate::verify) does, and locked as a server locks it. The new one is written beside it, with
/// its mode and owner, walked in the same way, and holds what the old one held, by etcd's own hashes, before it takes its place in
/// one step. Nothing else in the data directory is touched.
///
/// A server that was started meanwhile waits for the lock of the old file, and would then run on a file without a name. So that
/// it ends instead, and finds the new file at its next start, the meta pages of the old one are wiped when nothing leads to it any
/// more; where there is another name for it, a hard link, it stays as it is.
///
/// Blocks until it is done. Memory stays within a few megabytes beside what the proof takes.
///
/// # Errors
/// `NotFound`, `AccessDenied`, `NotASnapshot` or `Unsupported` where there is no database that can be used; `Busy` where a server has
/// the lock; `Damaged` where pages or records are, which a new file would hide; `NoSpace` where the disk cannot hold both, or is
/// full; `Io` and `Cancelled`. After any of them the old file is as it was, and nothing lies beside it; only where the very last
/// step fails, the sync of the directory, the new one has taken its place, is whole, and may lose it in a power failure. A
/// process that is killed leaves `.db.0123456789abcdef.part`, which the next run removes.
pub fn defrag(data_dir: impl AsRef<Path>, options: &DefragOptions) -> Result<DefragReport> {
    let started = Instant::now();
    let (data_dir, observer) = (data_dir.as_ref(), options.observer());

    tell(observer, &Event::Started(Phase::Lock))?;
    let old = HeldDatabase::take(options.storage().as_ref(), data_dir)?;
    let before = prove(&old.snapshot, Wants::default(), observer)?.contents;
    let size_before_bytes = before.total_size_bytes;
    let in_use_before_bytes = in_use_bytes(&old.snapshot, &before);
    let measured = Event::Measured {
        size_bytes: size_before_bytes,
        in_use_bytes: in_use_before_bytes,
    };
    tell(observer, &measured)?;

    let directory = directory_of(&old.path);
    require_space(options.storage().as_ref(), directory, in_use_before_bytes)?;
    let mut new = stage(&old, options)?;
    let mut flusher = Flusher::new(new.file());
    rewrite(
        &old.snapshot,
        in_use_before_bytes,
        &mut Same,
        (new.file(), &old.path),
        &mut flusher,
        observer,
    )?;
    let source = Arc::new(Arc::clone(new.file()));
    let rewritten = Snapshot::from_source("the new file", source)?;
    let after = prove(&rewritten, Wants::default(), observer)?.contents;
    require_same(&before, &after)?;
    let failed = |e| Error::io("sync the new file for", &old.path, e);
    flusher.finish().map_err(failed)?;

    tell(observer, &Event::Started(Phase::Publish))?;
    new.publish(Replace::Yes)?;
    wipe(&old);
    Ok(DefragReport {
        schema: 1,
        data_dir: data_dir.to_owned(),
        file_before_bytes: old.snapshot.size_bytes(),
        size_before_bytes,
        in_use_before_bytes,
        size_after_bytes: rewritten.size_bytes(),
        contents: after,
        duration_ms: crate::milliseconds(started),
    })
}

fn stage(old: &HeldDatabase, options: &DefragOptions) -> Result<StagedFile> {
    for removed in remove_dead(options.storage().as_ref(), &old.path) {
        let note = format!(
            "removed {}, left by a run that was killed",
            removed.display()
        );
        tell(options.observer(), &Event::Note(note))?;
    }
    let new = StagedFile::create(Arc::clone(options.storage()), &old.path)?;
    let like = old.file.metadata();
    like.and_then(|like| new.file().take_after(&like))
        .map_err(|e| Error::io("give the new file the owner and the mode of", &old.path, e))?;
    Ok(new)
}

/// A failure takes nothing from the new file.
fn wipe(old: &HeldDatabase) {
    const META: [u8; 128] = [0; 128];
    if old
        .file
        .metadata()
        .is_ok_and(|metadata| metadata.nlink() == 0)
    {
        for page in 0..2_u64 {
            let offset = page.saturating_mul(u64::from(old.snapshot.page_size_bytes()));
            let _ = old.file.write_at(&META, offset);
        }
    }
}
