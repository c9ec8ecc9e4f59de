//! The database of the new members: the snapshot's, copied, proven, and with the new membership (formats.md 5.3, 5.8).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::amend::amend;
use super::bump::bumped;
use super::read_back::not_as_written;
use super::report::Made;
use super::squeezed::LeftOut;
use super::{RestoreOptions, findings};
use crate::bbolt::Meta;
use crate::io::{Flusher, NewFile, clone_from};
use crate::observe::{Event, Observer, Phase, tell};
use crate::verify::{
    Carried, Carry, Contents, Findings, Wants, examine_metas, look, look_while_copied,
    read_in_order,
};
use crate::{Digest, Error, ErrorKind, NewCluster, Problem, Result, Revision, Snapshot};

/// A database that is finished, and its copies.
pub(super) struct Restored {
    pub(super) file: Arc<dyn NewFile>,
    /// Those that are on their way to the disk.
    pub(super) unsynced: Vec<(PathBuf, Flusher)>,
    /// What is wrong with it, where that was allowed.
    pub(super) problems: Vec<Problem>,
    pub(super) more_problems: u64,
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
    require_sound(&findings, snapshot, options)
}

/// Refuses what is damaged, unless damage was allowed.
fn require_sound(found: &Findings, snapshot: &Snapshot, options: &RestoreOptions) -> Result<()> {
    if options.force_damaged {
        return Ok(());
    }
    found.require_sound(snapshot.name()).map_err(|e| {
        e.adding(
            "; --force-damaged restores it all the same, as far as it can be read: keys on the \
             damaged pages are lost, and a server may panic when it meets them",
        )
    })
}

/// Everything that a restore checks before it changes anything, and nothing written.
pub(super) fn rehearse(snapshot: &Snapshot, options: &RestoreOptions) -> Result<Made> {
    let wants = Wants {
        digest: expected_digest(snapshot, options).is_some(),
        ..Wants::default()
    };
    let mut findings = findings();
    let looked = look(snapshot, wants, &mut findings, options.observer.as_ref())?;
    require_digest(snapshot, options, looked.digest)?;
    require_sound(&findings, snapshot, options)?;
    bumped(looked.contents.revision, options.bump)?;
    let (problems, more_problems) = damage(findings, options);
    Ok(Made {
        digest: looked.digest,
        snapshot_revision: looked.contents.revision,
        database_bytes: snapshot.database_bytes(),
        contents: looked.contents,
        left_out: None,
        problems,
        more_problems,
        dry_run: true,
    })
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
    let mut found = findings();
    examine_metas(snapshot, &mut found);
    let contents = making.contents(&mut found);
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
    let edited = edited.ok_or_else(|| Error::new(ErrorKind::Io, "the database was not edited"))?;
    let (problems, more_problems) = damage(found, options);
    for problem in &problems {
        let note = format!("{} is damaged: {problem}", snapshot.name());
        tell(options.observer.as_ref(), &Event::Note(note))?;
    }
    Ok(Restored {
        file: Arc::clone(file),
        unsynced: vec![(path.to_owned(), flusher)],
        problems,
        more_problems,
        size_bytes: edited.size_bytes,
        digest: edited.digest,
        snapshot_revision: edited.snapshot_revision,
        contents,
        left_out: None,
    })
}

/// What is wrong, where that was allowed.
fn damage(found: Findings, options: &RestoreOptions) -> (Vec<Problem>, u64) {
    if options.force_damaged {
        found.into_damage()
    } else {
        Default::default()
    }
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
        expected_digest(self.snapshot, self.options).is_some()
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
        require_digest(self.snapshot, self.options, digest)?;
        let (meta, snapshot_revision) = self.amend()?;
        let built = Snapshot::from_source(self.snapshot.name(), Arc::new(Arc::clone(self.file)))?;
        if *built.meta() != meta {
            return Err(not_as_written(self.path));
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
    fn contents(&mut self, found: &mut Findings) -> Result<Contents> {
        let observer = self.options.observer.as_ref();
        let is_whole = self.snapshot.database_bytes() >= self.snapshot.meta().size_bytes();
        let carried = if is_whole {
            look_while_copied(self.snapshot, self, found, observer)?
        } else {
            Carried::Nothing
        };
        let contents = match carried {
            Carried::Sound(looked) => looked.contents,
            Carried::Edited(built) => self.look(&built, found)?,
            Carried::Nothing => {
                let digest = self.copy()?;
                let built = self.edit(digest)?;
                self.look(&built, found)?
            }
        };
        require_sound(found, self.snapshot, self.options)?;
        Ok(contents)
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
        let mut hasher = self.wants_digest().then(Sha256::new);
        read_in_order(
            self.snapshot.source().as_ref(),
            // A file that is too short keeps the holes where its pages should be.
            (self.snapshot.meta().size_bytes()).min(self.snapshot.database_bytes()),
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

/// The same database for another member, while the first one is still on its way to the disk.
pub(super) fn copy_of(
    mut first: Restored,
    name: &str,
    file: &Arc<dyn NewFile>,
    path: &Path,
    observer: &dyn Observer,
) -> Result<Restored> {
    tell(observer, &Event::Started(Phase::Copy))?;
    let mut flusher = Flusher::new(file);
    let total_bytes = first.size_bytes;
    let mut done_bytes = 0_u64;
    let cloned = clone_from(file.as_ref(), first.file.as_ref(), total_bytes, |bytes| {
        flusher.wrote(bytes);
        done_bytes = done_bytes.saturating_add(bytes);
        let phase = Phase::Copy;
        let progress = Event::Progress {
            phase,
            done_bytes,
            total_bytes,
        };
        tell(observer, &progress).map_err(Stopped::Told)
    });
    let cloned = cloned.map_err(|stopped| match stopped {
        Stopped::Told(e) => e,
        Stopped::Failed(e) => Error::io("copy the restored database to", path, e),
    })?;
    tell(
        observer,
        &Event::Note(format!("the database of {name:?} {cloned}")),
    )?;
    flusher.wrote_last();
    first.unsynced.push((path.to_owned(), flusher));
    Ok(first)
}

/// The digest that the bytes must have.
pub(super) fn expected_digest(snapshot: &Snapshot, options: &RestoreOptions) -> Option<Digest> {
    snapshot.digest().filter(|_| !options.skip_hash_check)
}

/// That the bytes have the digest that they must have, where it was computed.
pub(super) fn require_digest(
    snapshot: &Snapshot,
    options: &RestoreOptions,
    found: Option<Digest>,
) -> Result<()> {
    let (Some(expected), Some(found)) = (expected_digest(snapshot, options), found) else {
        return Ok(());
    };
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::DigestMismatch,
        format!(
            "{} is damaged: its bytes are not the ones that were saved (their SHA-256 is {found}, the digest at the end \
             says {expected}); restore another snapshot",
            snapshot.name()
        ),
    )
    .with_detail("expected", expected.to_string())
    .with_detail("found", found.to_string()))
}

/// Why a copy ended early.
enum Stopped {
    Told(Error),
    Failed(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(e: io::Error) -> Self {
        Self::Failed(e)
    }
}

impl Restored {
    /// Every database is on the disk then.
    pub(super) fn sync(&mut self) -> Result<()> {
        for (path, flusher) in self.unsynced.drain(..) {
            flusher.finish().map_err(|e| Error::io("sync", &path, e))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
