//! What a restore changes in the database: the membership, raft's position, the revision (formats.md 5.3, 5.8).

use std::path::Path;
use std::sync::Arc;

use super::RestoreOptions;
use super::bump::bumped;
use crate::backend::{RevisionKey, bucket, meta_key};
use crate::bbolt::{Edit, Meta, Records};
use crate::io::NewFile;
use crate::membership::{ConfState, Member};
use crate::raft::{FIRST_TERM, wal};
use crate::{Error, NewCluster, NewMember, Result, Revision, Snapshot};

/// New members, raft's position, and the bump. Gives the meta that now counts, and the revision that the snapshot had.
pub(super) fn amend(
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
