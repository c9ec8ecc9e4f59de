//! The database of the new members: the snapshot's, copied, proven, and with the new membership (formats.md 5.3, 5.8).

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::amend::amend;
use super::bump::bumped;
use super::report::Made;
use super::squeezed::LeftOut;
use super::{RestoreOptions, findings};
use crate::io::{Flusher, NewFile};
use crate::observe::{Observer, Phase};
use crate::verify::{Contents, Wants, examine_metas, look, read_in_order};
use crate::{Digest, Error, ErrorKind, NewCluster, Result, Revision, Snapshot};

/// A database that is finished and synced.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) file: Arc<dyn NewFile>,
    pub(super) size_bytes: u64,
    /// The SHA-256 of the snapshot's database, where it was computed.
    pub(super) digest: Option<Digest>,
    pub(super) snapshot_revision: Revision,
    pub(super) contents: Contents,
    /// Where it was written anew and not copied.
    pub(super) left_out: Option<LeftOut>,
}

/// What can be said before anything is written: there is a digest, and the file is as long as its meta pages want it.
pub(super) fn require_restorable(snapshot: &Snapshot, options: &RestoreOptions) -> Result<()> {
    if snapshot.digest().is_none() && !options.skip_hash_check {
        return Err(Error::new(
            ErrorKind::NoDigest,
            format!(
                "{} has no digest, so nothing proves that its bytes are the ones a server sent: if it is the copy of a \
                 stopped member's db, restore it with --skip-hash-check",
                snapshot.name()
            ),
        ));
    }
    let mut findings = findings();
    examine_metas(snapshot, &mut findings);
    findings.require_sound(snapshot.name())
}

/// Everything that a restore checks before it changes anything, and nothing written.
pub(super) fn rehearse(snapshot: &Snapshot, options: &RestoreOptions) -> Result<Made> {
    let expected = snapshot.digest().filter(|_| !options.skip_hash_check);
    let wants = Wants {
        digest: expected.is_some(),
        ..Wants::default()
    };
    let mut findings = findings();
    let looked = look(snapshot, wants, &mut findings, options.observer.as_ref())?;
    if let (Some(expected), Some(found)) = (expected, looked.digest)
        && expected != found
    {
        return Err(digest_mismatch(snapshot, found, expected));
    }
    findings.require_sound(snapshot.name())?;
    bumped(looked.contents.revision, options.bump)?;
    Ok(Made {
        digest: looked.digest,
        snapshot_revision: looked.contents.revision,
        database_bytes: snapshot.database_bytes(),
        contents: looked.contents,
        left_out: None,
        dry_run: true,
    })
}

/// Copies, compares the digest, edits, checks pages and records, and syncs.
pub(super) fn build(
    snapshot: &Snapshot,
    cluster: &NewCluster,
    options: &RestoreOptions,
    file: &Arc<dyn NewFile>,
    path: &Path,
) -> Result<Restored> {
    let observer = options.observer.as_ref();
    let mut flusher = Flusher::new(file);
    let digest = copy(snapshot, options, file, path, &mut flusher)?;
    let (meta, snapshot_revision) = match amend(snapshot, cluster, options, file, path) {
        Err(e) if e.kind() == ErrorKind::Damaged => {
            // The edit stops at the first thing that it cannot use; the check names all that is wrong.
            let mut found = findings();
            look(snapshot, Wants::default(), &mut found, observer)?;
            found.require_sound(snapshot.name())?;
            return Err(e);
        }
        edited => edited?,
    };

    let built = Snapshot::from_source(snapshot.name(), Arc::new(Arc::clone(file)))?;
    if *built.meta() != meta {
        return Err(Error::damaged(format!(
            "{} does not read back as it was written",
            path.display()
        ))
        .with_path(path));
    }
    flusher.wrote_last();
    let mut findings = findings();
    let looked = look(&built, Wants::default(), &mut findings, observer)?;
    findings.require_sound(snapshot.name())?;
    flusher.finish().map_err(|e| Error::io("sync", path, e))?;
    Ok(Restored {
        file: Arc::clone(file),
        size_bytes: built.size_bytes(),
        digest,
        snapshot_revision,
        contents: looked.contents,
        left_out: None,
    })
}

/// The same database for another member.
pub(super) fn copy_of(
    first: Restored,
    file: &Arc<dyn NewFile>,
    path: &Path,
    observer: &dyn Observer,
) -> Result<Restored> {
    let name = "the restored database";
    let mut flusher = Flusher::new(file);
    read_in_order(
        &first.file,
        first.size_bytes,
        name,
        Phase::Copy,
        observer,
        |at, bytes| {
            file.write_at(bytes, at)
                .map_err(|e| Error::io("write", path, e))?;
            flusher.wrote(bytes.len() as u64);
            Ok(())
        },
    )?;
    flusher.finish().map_err(|e| Error::io("sync", path, e))?;
    Ok(first)
}

/// The database without what may follow it: the digest, or the preallocated tail of a raw copy.
fn copy(
    snapshot: &Snapshot,
    options: &RestoreOptions,
    file: &Arc<dyn NewFile>,
    path: &Path,
    flusher: &mut Flusher,
) -> Result<Option<Digest>> {
    let expected = snapshot.digest().filter(|_| !options.skip_hash_check);
    let mut hasher = expected.map(|_| Sha256::new());
    read_in_order(
        snapshot.source().as_ref(),
        snapshot.meta().size_bytes(),
        snapshot.name(),
        Phase::Copy,
        options.observer.as_ref(),
        |at, bytes| {
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            file.write_at(bytes, at)
                .map_err(|e| Error::io("write", path, e))?;
            flusher.wrote(bytes.len() as u64);
            Ok(())
        },
    )?;
    let (Some(expected), Some(hasher)) = (expected, hasher) else {
        return Ok(None);
    };
    let found = Digest::new(hasher.finalize().into());
    require_digest(snapshot, expected, found)?;
    Ok(Some(found))
}

pub(super) fn require_digest(snapshot: &Snapshot, expected: Digest, found: Digest) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(digest_mismatch(snapshot, found, expected))
}

fn digest_mismatch(snapshot: &Snapshot, found: Digest, expected: Digest) -> Error {
    Error::new(
        ErrorKind::DigestMismatch,
        format!(
            "{} is damaged: its bytes are not the ones that were saved (their SHA-256 is {found}, the digest at the end \
             says {expected}); restore another snapshot",
            snapshot.name()
        ),
    )
    .with_detail("expected", expected.to_string())
    .with_detail("found", found.to_string())
}
