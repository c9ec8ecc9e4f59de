//! What a restore changes in the database: the membership, raft's position, the revision (formats.md 5.3, 5.8), and what else was
//! asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::bump::bumped;
use super::{RestoreOptions, version};
use crate::backend::{RevisionKey, bucket, meta_key};
use crate::bbolt::{Edit, Meta, Records, Top};
use crate::io::NewFile;
use crate::membership::{ConfState, Member};
use crate::raft::{FIRST_TERM, wal};
use crate::{Error, NewCluster, NewMember, Result, Revision, Snapshot};

/// What is to be different, whichever way the database is written.
#[derive(Debug)]
pub(super) struct Changes {
    /// Buckets that hold these records and nothing else.
    pub(super) replaced: BTreeMap<Vec<u8>, Records>,
    /// The key of the placeholder of a bump, behind all records of `key`.
    pub(super) placeholder: Option<Vec<u8>>,
    /// The revision that the snapshot had.
    pub(super) last: Revision,
}

/// Makes the changes in a copy of the snapshot's database. Gives the meta that now counts, and the revision that the snapshot had.
pub(super) fn amend(
    snapshot: &Snapshot,
    cluster: &NewCluster,
    options: &RestoreOptions,
    file: &Arc<dyn NewFile>,
    path: &Path,
) -> Result<(Meta, Revision)> {
    let mut edit = Edit::begin(file.as_ref(), path, *snapshot.meta())?;
    let changes = Changes::of(snapshot.name(), edit.top(), cluster, options)?;
    for (name, records) in changes.replaced {
        edit.replace(&name, records)?;
    }
    if let Some(key) = changes.placeholder {
        edit.append(bucket::KEY, key, Vec::new())?;
    }
    Ok((edit.commit()?, changes.last))
}

impl Changes {
    pub(super) fn of(
        name: &str,
        top: &Top<'_>,
        cluster: &NewCluster,
        options: &RestoreOptions,
    ) -> Result<Self> {
        // They would be made, and nothing would tell that they were lost.
        for bucket in [bucket::KEY, bucket::META] {
            if !top.has(bucket) {
                return Err(Error::damaged(format!(
                    "{name} is damaged: the bucket {:?} is missing",
                    String::from_utf8_lossy(bucket)
                )));
            }
        }
        let mut replaced = BTreeMap::new();
        let mut replace = |name: &[u8], records| replaced.insert(name.to_vec(), records);

        let member = |member: &NewMember| -> Result<_> {
            Ok((
                member.id().to_string().into_bytes(),
                Member::from(member).to_json()?,
            ))
        };
        let members = cluster.members().iter().map(member);
        replace(bucket::MEMBERS, members.collect::<Result<_>>()?);
        replace(bucket::MEMBERS_REMOVED, Records::new());

        let mut settings = top.small_bucket(bucket::META)?;
        let old_versions = top.small_bucket(bucket::CLUSTER)?;
        let mut versions = old_versions.clone();
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
        versions.remove(meta_key::DOWNGRADE);
        if let Some(target) = options.target_version {
            version::prepare(target, &mut settings, &mut versions);
        }
        if versions != old_versions {
            replace(bucket::CLUSTER, versions);
        }

        let last = match top.last_key(bucket::KEY)? {
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
        let mut placeholder = None;
        if let Some(bumped) = bumped(current, options.bump)? {
            let key = RevisionKey::to_bytes(bumped, 0).to_vec();
            settings.insert(meta_key::SCHEDULED_COMPACT.to_vec(), key.clone());
            placeholder = Some(key);
        }
        replace(bucket::META, settings);
        if options.drop_alarms {
            replace(bucket::ALARM, Records::new());
        }
        if options.drop_leases {
            replace(bucket::LEASE, Records::new());
        }
        Ok(Self {
            replaced,
            placeholder,
            last,
        })
    }
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
