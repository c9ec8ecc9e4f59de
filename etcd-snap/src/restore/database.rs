//! The database of the new members: the snapshot's, copied, proven, and with the new membership (formats.md 5.3, 5.8).

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{Bump, RestoreOptions, findings};
use crate::backend::{RevisionKey, bucket, meta_key};
use crate::bbolt::{Edit, Meta, Records};
use crate::io::{Flusher, NewFile};
use crate::membership::{ConfState, Member};
use crate::observe::{Observer, Phase};
use crate::raft::{FIRST_TERM, wal};
use crate::verify::{Contents, Wants, examine_metas, look, read_in_order};
use crate::{Digest, Error, ErrorKind, NewCluster, NewMember, Result, Revision, Snapshot};

/// Upstream adds the bump without looking; beyond this bound later additions could overflow.
const HIGHEST_REVISION: i64 = 1 << 62;

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
    let (meta, snapshot_revision) = match edit(snapshot, cluster, options, file, path) {
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
    if found == expected {
        return Ok(Some(found));
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

/// New members, raft's position, and the bump. Gives the meta that now counts, and the revision that the snapshot had.
fn edit(
    snapshot: &Snapshot,
    cluster: &NewCluster,
    options: &RestoreOptions,
    file: &Arc<dyn NewFile>,
    path: &Path,
) -> Result<(Meta, Revision)> {
    let mut edit = Edit::begin(file.as_ref(), path, *snapshot.meta())?;
    // The edit would make them, and nothing would tell that they were lost.
    for name in [bucket::KEY, bucket::META] {
        if !edit.has(name) {
            return Err(Error::damaged(format!(
                "{} is damaged: the bucket {:?} is missing",
                snapshot.name(),
                String::from_utf8_lossy(name)
            )));
        }
    }

    let member = |member: &NewMember| -> Result<_> {
        Ok((
            member.id().to_string().into_bytes(),
            Member::from(member).to_json()?,
        ))
    };
    edit.replace(
        bucket::MEMBERS,
        cluster
            .members()
            .iter()
            .map(member)
            .collect::<Result<_>>()?,
    )?;
    edit.replace(bucket::MEMBERS_REMOVED, Records::new())?;

    let mut settings = edit.bucket(bucket::META)?;
    let index = wal::last_index(cluster);
    settings.insert(
        meta_key::CONSISTENT_INDEX.to_vec(),
        index.to_be_bytes().to_vec(),
    );
    settings.insert(meta_key::TERM.to_vec(), FIRST_TERM.to_be_bytes().to_vec());
    // No server reads it when it starts; the old one would be a lie in the file (formats.md 5.3).
    settings.insert(
        meta_key::CONF_STATE.to_vec(),
        ConfState::of(cluster.members()).to_json()?,
    );

    // A downgrade that was under way keeps 3.5 from starting (formats.md 6.1); the new cluster has none.
    let mut versions = edit.bucket(bucket::CLUSTER)?;
    if versions.remove(meta_key::DOWNGRADE).is_some() {
        edit.replace(bucket::CLUSTER, versions)?;
    }

    let last = match edit.last_key(bucket::KEY)? {
        Some(key) => {
            RevisionKey::parse(&key)
                .map_err(|why| {
                    Error::damaged(format!("the database is damaged: the last revision {why}"))
                })?
                .main
        }
        None => Revision::default(),
    };
    // Where all that was written last is compacted away, the store is ahead of its last record (`store.restore`).
    let current = last.max(compacted(&settings)?);
    if let Some(bumped) = bumped(current, options.bump)? {
        let key = RevisionKey::to_bytes(bumped, 0).to_vec();
        edit.append(bucket::KEY, key.clone(), Vec::new())?;
        settings.insert(meta_key::SCHEDULED_COMPACT.to_vec(), key);
    }
    edit.replace(bucket::META, settings)?;
    Ok((edit.commit()?, last))
}

/// The revision that the store is compacted at, or will be at its next start; 0 without one.
fn compacted(settings: &Records) -> Result<Revision> {
    let mut greatest = Revision::default();
    for name in [meta_key::FINISHED_COMPACT, meta_key::SCHEDULED_COMPACT] {
        let Some(value) = settings.get(name) else {
            continue;
        };
        let revision = RevisionKey::parse(value).map_err(|why| {
            Error::damaged(format!(
                "the database is damaged: {} {why}",
                String::from_utf8_lossy(name)
            ))
        })?;
        greatest = greatest.max(revision.main);
    }
    Ok(greatest)
}

/// The revision that the store is moved to, if any.
fn bumped(last: Revision, bump: Bump) -> Result<Option<Revision>> {
    let bumped = match bump {
        Bump::None | Bump::By(0) => return Ok(None),
        Bump::By(by) => i64::try_from(by)
            .ok()
            .and_then(|by| last.get().checked_add(by)),
        Bump::Above(seen) => seen.max(last).get().checked_add(1),
    };
    match bumped.filter(|bumped| *bumped <= HIGHEST_REVISION) {
        Some(bumped) => Ok(Some(Revision::new(bumped))),
        None => Err(Error::invalid(format!(
            "the bump would move the store from revision {last} beyond {HIGHEST_REVISION}: choose a smaller one"
        ))),
    }
}
