//! The database of the new members: the snapshot's, copied, proven, and with the new membership (formats.md 5.3, 5.8).

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::amend::amend;
use super::bump::bumped;
use super::{RestoreOptions, findings};
use crate::bbolt::Meta;
use crate::io::{Flusher, NewFile};
use crate::observe::{Observer, Phase};
use crate::verify::{
    Carried, Carry, Contents, Findings, Wants, examine_metas, look, look_while_copied,
    read_in_order,
};
use crate::{Digest, Error, ErrorKind, NewCluster, Result, Revision, Snapshot};

/// A database that is finished and synced.
#[derive(Debug)]
pub(super) struct Restored {
    file: Arc<dyn NewFile>,
    pub(super) size_bytes: u64,
    /// The SHA-256 of the snapshot's database, where it was computed.
    pub(super) digest: Option<Digest>,
    pub(super) snapshot_revision: Revision,
    pub(super) contents: Contents,
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

/// Copies, compares the digest, edits, checks pages and records, and syncs.
///
/// The source is read once: what is judged is what is written. What the edit wrote is read back.
pub(super) fn build(
    snapshot: &Snapshot,
    cluster: &NewCluster,
    options: &RestoreOptions,
    file: &Arc<dyn NewFile>,
    path: &Path,
) -> Result<Restored> {
    let mut making = Making {
        snapshot,
        cluster,
        options,
        file,
        path,
        flusher: Flusher::new(file),
        edited: None,
    };
    let contents = making.contents();
    // Bytes of two times look like damage, too.
    let is_of_the_source = |kind| matches!(kind, ErrorKind::Damaged | ErrorKind::DigestMismatch);
    if contents
        .as_ref()
        .err()
        .is_none_or(|e| is_of_the_source(e.kind()))
    {
        snapshot.require_unchanged()?;
    }
    let contents = contents?;
    let Making {
        flusher, edited, ..
    } = making;
    flusher.finish().map_err(|e| Error::io("sync", path, e))?;
    let edited = edited.ok_or_else(|| Error::new(ErrorKind::Io, "the database was not edited"))?;
    Ok(Restored {
        file: Arc::clone(file),
        size_bytes: edited.size_bytes,
        digest: edited.digest,
        snapshot_revision: edited.snapshot_revision,
        contents,
    })
}

/// A database that is being made.
struct Making<'a> {
    snapshot: &'a Snapshot,
    cluster: &'a NewCluster,
    options: &'a RestoreOptions,
    file: &'a Arc<dyn NewFile>,
    path: &'a Path,
    flusher: Flusher,
    /// Once that is done.
    edited: Option<Edited>,
}

struct Edited {
    size_bytes: u64,
    digest: Option<Digest>,
    snapshot_revision: Revision,
}

impl Carry for Making<'_> {
    fn wants_digest(&self) -> bool {
        self.expected().is_some()
    }

    fn appended(&self, last: Revision, compacted: Option<Revision>) -> Option<Revision> {
        let current = last.max(compacted.unwrap_or_default());
        // The edit says what is wrong with it.
        bumped(current, self.options.bump).ok().flatten()
    }

    fn write(&mut self, at: u64, block: &[u8]) -> Result<()> {
        self.file
            .write_at(block, at)
            .map_err(|e| Error::io("write", self.path, e))?;
        self.flusher.wrote(block.len() as u64);
        Ok(())
    }

    fn edit(&mut self, digest: Option<Digest>) -> Result<Snapshot> {
        let digest = self.compare(digest)?;
        let (meta, snapshot_revision) = self.amend()?;
        let built = Snapshot::from_source(self.snapshot.name(), Arc::new(Arc::clone(self.file)))?;
        if *built.meta() != meta {
            return Err(Error::damaged(format!(
                "{} does not read back as it was written",
                self.path.display()
            ))
            .with_path(self.path));
        }
        self.flusher.wrote_last();
        self.edited = Some(Edited {
            size_bytes: built.size_bytes(),
            digest,
            snapshot_revision,
        });
        Ok(built)
    }
}

impl Making<'_> {
    /// Makes it, all but the last sync, and says what it holds.
    fn contents(&mut self) -> Result<Contents> {
        let observer = self.options.observer.as_ref();
        let mut found = findings();
        let contents = match look_while_copied(self.snapshot, self, &mut found, observer)? {
            Carried::Sound(looked) => looked.contents,
            Carried::Edited(built) => self.look(&built, &mut found)?,
            Carried::Nothing => {
                let digest = self.copy()?;
                let built = self.edit(digest)?;
                self.look(&built, &mut found)?
            }
        };
        found.require_sound(self.snapshot.name())?;
        Ok(contents)
    }

    /// The digest that the bytes must have.
    fn expected(&self) -> Option<Digest> {
        self.snapshot
            .digest()
            .filter(|_| !self.options.skip_hash_check)
    }

    fn compare(&self, found: Option<Digest>) -> Result<Option<Digest>> {
        match (self.expected(), found) {
            (Some(expected), Some(found)) if expected != found => Err(Error::new(
                ErrorKind::DigestMismatch,
                format!(
                    "{} is damaged: its bytes are not the ones that were saved (their SHA-256 is {found}, the digest at the \
                     end says {expected}); restore another snapshot",
                    self.snapshot.name()
                ),
            )
            .with_detail("expected", expected.to_string())
            .with_detail("found", found.to_string())),
            (_, found) => Ok(found),
        }
    }

    fn amend(&self) -> Result<(Meta, Revision)> {
        let amended = amend(
            self.snapshot,
            self.cluster,
            self.options,
            self.file,
            self.path,
        );
        match amended {
            Err(e) if e.kind() == ErrorKind::Damaged => {
                // The edit stops at the first thing that it cannot use; the check names all that is wrong.
                let mut found = findings();
                let observer = self.options.observer.as_ref();
                look(self.snapshot, Wants::default(), &mut found, observer)?;
                found.require_sound(self.snapshot.name())?;
                Err(e)
            }
            amended => amended,
        }
    }

    /// Checks the whole result.
    fn look(&self, built: &Snapshot, found: &mut Findings) -> Result<Contents> {
        let observer = self.options.observer.as_ref();
        Ok(look(built, Wants::default(), found, observer)?.contents)
    }

    /// The database without what may follow it: the digest, or the preallocated tail of a raw copy.
    fn copy(&mut self) -> Result<Option<Digest>> {
        let mut hasher = self.expected().map(|_| Sha256::new());
        read_in_order(
            self.snapshot.source().as_ref(),
            self.snapshot.meta().size_bytes(),
            self.snapshot.name(),
            Phase::Copy,
            self.options.observer.as_ref(),
            |at, bytes| {
                if let Some(hasher) = &mut hasher {
                    hasher.update(bytes);
                }
                self.write(at, bytes)
            },
        )?;
        Ok(hasher.map(|hasher| Digest::new(hasher.finalize().into())))
    }
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

#[cfg(test)]
mod tests;
