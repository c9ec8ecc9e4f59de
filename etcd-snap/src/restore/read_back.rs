//! What was written, read with the library's reading code: the database of a new member says who the members are, and how far raft is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::backend::{bucket, meta_key};
use crate::bbolt::Edit;
use crate::io::NewFile;
use crate::membership::Member;
use crate::raft::{FIRST_TERM, wal};
use crate::{Error, NewCluster, Result, Snapshot};

/// # Errors
/// `Damaged` where anything is not as it was meant: a fault of etcd-snap, or of the disk.
pub(super) fn require_written(
    cluster: &NewCluster,
    file: &Arc<dyn NewFile>,
    path: &Path,
) -> Result<()> {
    let wrong = |what: &str| not_as_written(path).adding(&format!(": {what}"));
    let name = path.display().to_string();
    let written = Snapshot::from_source(name, Arc::new(Arc::clone(file)))?;
    // Nothing is committed.
    let database = Edit::begin(file.as_ref(), path, *written.meta())?;

    let mut members = BTreeMap::new();
    for (id, json) in database.bucket(bucket::MEMBERS)? {
        let member = Member::from_json(&json)
            .map_err(|e| wrong("a member cannot be read").with_source(e))?;
        if member.id.to_string().into_bytes() != id {
            return Err(wrong("a member has another id than its own"));
        }
        members.insert(member.id, member);
    }
    let expected = cluster
        .members()
        .iter()
        .map(|member| (member.id(), member.into()));
    if members != expected.collect() {
        return Err(wrong("the members are others"));
    }
    if !database.bucket(bucket::MEMBERS_REMOVED)?.is_empty() {
        return Err(wrong("it has removed members"));
    }
    let settings = database.bucket(bucket::META)?;
    let index = wal::last_index(cluster).to_be_bytes();
    if settings.get(meta_key::CONSISTENT_INDEX).map(Vec::as_slice) != Some(&index[..]) {
        return Err(wrong("the consistent index is another"));
    }
    // Data for 3.4 has no term.
    let term = settings.get(meta_key::TERM);
    if term.is_some_and(|term| *term != FIRST_TERM.to_be_bytes()) {
        return Err(wrong("the term is another"));
    }
    Ok(())
}

/// A fault of etcd-snap, or of the disk.
pub(super) fn not_as_written(path: &Path) -> Error {
    let message = format!("{} does not read back as it was written", path.display());
    Error::damaged(message).with_path(path)
}
