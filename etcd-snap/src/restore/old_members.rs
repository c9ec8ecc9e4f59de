//! The members that a snapshot names: those of the cluster that it was taken from.

use serde::{Deserialize, Serialize};

use crate::backend::bucket;
use crate::bbolt::{Budget, Glance, PageError, Record};
use crate::membership::Member;
use crate::problem::{Problem, ProblemCode};
use crate::{Error, MemberId, Result, Snapshot};

/// More than any cluster's members take.
const MEMBERS_BYTES: u64 = 16 << 20;

/// A member of the cluster that a snapshot was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SnapshotMember {
    /// Its name; empty of one that was added and never started.
    pub name: String,
    /// Its id in that cluster.
    pub member_id: MemberId,
    /// Its peer URLs, as the cluster knew them.
    pub peer_urls: Vec<String>,
    /// Where it said that clients reach it; none of one that never started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_urls: Vec<String>,
    /// Whether it had no vote.
    pub is_learner: bool,
}

/// The members of the cluster that a snapshot was taken from, ascending by id. Reads a few pages.
///
/// A cluster that was restored by the tools of etcd 3.4 may have the members of the one before it there (formats.md 5.3).
///
/// # Errors
/// `Damaged` where the pages are that have to be read, or a member is not readable; and where the file cannot be read.
pub fn snapshot_members(snapshot: &Snapshot) -> Result<Vec<SnapshotMember>> {
    let mut members = read(snapshot).map_err(|error| match error {
        PageError::Failed(error) => error,
        PageError::Damaged(problem) => (*problem).into(),
    })?;
    members.sort_by_key(|member| member.member_id);
    Ok(members)
}

fn read(snapshot: &Snapshot) -> Result<Vec<SnapshotMember>, PageError> {
    let mut budget = Budget::of_bytes(MEMBERS_BYTES);
    let (source, meta) = (snapshot.source().as_ref(), snapshot.meta());
    let too_much = || Error::damaged("the database names more members than any cluster has");
    let glance =
        Glance::open(source, meta, snapshot.database_bytes(), &mut budget)?.ok_or_else(too_much)?;
    let mut members = Vec::new();
    let all = glance.records(bucket::MEMBERS, &mut budget, |record| {
        members.push(member(record)?);
        Ok(())
    })?;
    match all {
        true => Ok(members),
        false => Err(too_much().into()),
    }
}

fn member(record: &mut Record<'_, '_>) -> Result<SnapshotMember, PageError> {
    let len = record.value_len() as usize;
    let value = match len {
        0..=Record::AT_ONCE => record.value_part(0, len)?.to_vec(),
        _ => Vec::new(),
    };
    let member = Member::from_json(&value).map_err(|e| -> Problem {
        record.damaged(ProblemCode::Member, format!("it is not a member: {e}"))
    })?;
    Ok(SnapshotMember {
        name: member.name,
        member_id: member.id,
        peer_urls: member.peer_urls,
        client_urls: member.client_urls,
        is_learner: member.is_learner,
    })
}
