//! Where in history a snapshot stands: a few pages tell.

use crate::backend::{RevisionKey, bucket};
use crate::bbolt::Top;
use crate::membership::Member;
use crate::verify::Compactions;
use crate::{Error, MemberId, Result, Revision, Snapshot};

/// What the members are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// The store's own: that of the last record, or of the compaction where that went beyond it.
    pub(super) revision: Revision,
    pub(super) compact_revision: Option<Revision>,
    /// The members of the cluster that the snapshot is from.
    pub(super) members: Vec<MemberId>,
}

impl Position {
    pub(super) fn of(snapshot: &Snapshot) -> Result<Self> {
        let top = Top::read(snapshot.source().as_ref(), *snapshot.meta())?;
        let compact_revision = Compactions::read(snapshot)?.compact_revision();
        let last = match top.last_key(bucket::KEY)? {
            Some(key) => {
                let key = RevisionKey::parse(&key).map_err(|why| {
                    Error::damaged(format!(
                        "{} is damaged: the last revision {why}",
                        snapshot.name()
                    ))
                })?;
                key.main
            }
            // What an empty store is at.
            None => Revision::new(1),
        };
        let members = top.small_bucket(bucket::MEMBERS)?;
        let members = members
            .values()
            .filter_map(|json| Member::from_json(json).ok());
        Ok(Self {
            revision: last.max(compact_revision.unwrap_or_default()),
            compact_revision,
            members: members.map(|member| member.id).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{VerifyOptions, verify};

    #[test]
    fn a_few_pages_tell_what_the_whole_walk_tells() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots");
        let mut seen = 0;
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "db") {
                continue;
            }
            let snapshot = Snapshot::open(&path).unwrap();
            let contents = verify(&snapshot, &VerifyOptions::default())
                .unwrap()
                .contents;
            let position = Position::of(&snapshot).unwrap();
            assert_eq!(position.revision, contents.revision, "{}", path.display());
            assert_eq!(position.compact_revision, contents.compact_revision);
            assert_eq!(position.members.len() as u64, contents.members);
            seen += 1;
        }
        assert!(seen > 3);
    }
}
