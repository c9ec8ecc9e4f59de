//! What a restore did.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::database::Restored;
use super::layout::Layout;
use crate::{ClusterId, Contents, Digest, MemberId, NewCluster, Problem, Revision, Snapshot};

/// What a restore made, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// The snapshot file.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub snapshot: Option<PathBuf>,
    /// The SHA-256 of its database; `None` where it was not compared.
    pub digest: Option<Digest>,
    /// The snapshot's revision.
    pub snapshot_revision: Revision,
    /// The id of the new cluster.
    pub cluster_id: ClusterId,
    /// What the ids were derived with, beside the peer URLs.
    pub initial_cluster_token: String,
    /// All members of the new cluster, as `--initial-cluster` has them.
    pub initial_cluster: String,
    /// The members that were made.
    pub members: Vec<RestoredMember>,
    /// Bytes of each member's database.
    pub database_bytes: u64,
    /// What the new database holds; its revision is the bumped one.
    pub contents: Contents,
    /// What is damaged in it, the first problems; none unless [`with_force_damaged`](crate::RestoreOptions::with_force_damaged)
    /// allowed that.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Problems beyond those.
    #[serde(default)]
    pub more_problems: u64,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

/// A member that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RestoredMember {
    /// Its name.
    pub name: String,
    /// Its id in the new cluster.
    pub member_id: MemberId,
    /// Where its data is, as an absolute path.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub data_dir: PathBuf,
    /// Where its WAL is, as an absolute path.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub wal_dir: PathBuf,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
}

pub(super) fn report(
    snapshot: &Snapshot,
    cluster: &NewCluster,
    layout: &Layout<'_>,
    restored: Restored,
    duration_ms: u64,
) -> RestoreReport {
    let members = layout
        .members
        .iter()
        .map(|member| RestoredMember {
            name: member.member.name().to_owned(),
            member_id: member.member.id(),
            data_dir: member.data_dir.clone(),
            wal_dir: member.wal_dir().to_owned(),
            peer_urls: member
                .member
                .peer_urls()
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
        .collect();
    RestoreReport {
        schema: 1,
        snapshot: snapshot.path().map(ToOwned::to_owned),
        digest: restored.digest,
        snapshot_revision: restored.snapshot_revision,
        cluster_id: cluster.id(),
        initial_cluster_token: cluster.token().to_owned(),
        initial_cluster: cluster.to_string(),
        members,
        database_bytes: restored.size_bytes,
        contents: restored.contents,
        problems: restored.problems,
        more_problems: restored.more_problems,
        duration_ms,
    }
}
