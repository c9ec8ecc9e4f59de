//! What a restore did.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::RestoreOptions;
use super::bump::Bumped;
use super::database::Restored;
use super::inventory::{Dropped, Inventory};
use super::layout::Layout;
use super::notes::notes as notes_on;
use super::squeezed::LeftOut;
use crate::io::{Disk, Replace, Storage, write_whole};
use crate::path_text;
use crate::{
    ClusterId, Contents, Digest, MemberId, NewCluster, Problem, Result, Revision, Snapshot,
};

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
    /// What the new database holds; its revision is the bumped one. After a dry run: what the snapshot holds.
    pub contents: Contents,
    /// Whether nothing was written: the rest says what would be.
    #[serde(default)]
    pub dry_run: bool,
    /// How far the revision was moved ahead; `None` where it was not.
    #[serde(default)]
    pub bump: Option<Bumped>,
    /// What a person should know: what is probably not meant, and what could not be looked at.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What else was in the snapshot.
    #[serde(default)]
    pub found: Inventory,
    /// What of it is not in the new database.
    #[serde(default)]
    pub dropped: Dropped,
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
    /// What had its place, and where that is now.
    #[serde(default)]
    pub replaced: Option<Replaced>,
}

/// Where the data of a member that was replaced is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Replaced {
    /// What was `member/`.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub member_dir: PathBuf,
    /// The old segments, if they were not in `member/`.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub wal_dir: Option<PathBuf>,
}

/// What is in each new member, or would be.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) digest: Option<Digest>,
    pub(super) snapshot_revision: Revision,
    pub(super) database_bytes: u64,
    pub(super) contents: Contents,
    pub(super) left_out: Option<LeftOut>,
    pub(super) problems: Vec<Problem>,
    pub(super) more_problems: u64,
    pub(super) dry_run: bool,
}

impl From<&Restored> for Made {
    fn from(restored: &Restored) -> Self {
        Self {
            digest: restored.digest,
            snapshot_revision: restored.snapshot_revision,
            database_bytes: restored.size_bytes,
            contents: restored.contents.clone(),
            left_out: restored.left_out,
            problems: restored.problems.clone(),
            more_problems: restored.more_problems,
            dry_run: false,
        }
    }
}

/// What there is to say beside.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) bump: Option<Bumped>,
    pub(super) notes: Vec<String>,
    pub(super) found: Inventory,
    pub(super) dropped: Dropped,
}

impl Told {
    pub(super) fn of(
        snapshot: &Snapshot,
        made: &Made,
        bump: Option<Bumped>,
        mut notes: Vec<String>,
        options: &RestoreOptions,
    ) -> Result<Self> {
        let (found, dropped) = Inventory::take(snapshot, made, options)?;
        notes.extend(notes_on(&found, options));
        Ok(Self {
            bump,
            notes,
            found,
            dropped,
        })
    }
}

impl RestoreReport {
    /// Writes the report as JSON to a file, which appears whole, and takes the place of one that is there. Not into a data
    /// directory: etcd warns of what it does not know there.
    ///
    /// # Errors
    /// Those of the disk. What was there before stays.
    pub fn write_to(&self, path: impl AsRef<Path>) -> Result<()> {
        let disk: Arc<dyn Storage> = Arc::new(Disk);
        let text = path_text::text(self)?;
        write_whole(&disk, path.as_ref(), text.as_bytes(), Replace::Yes).map(drop)
    }
}

pub(super) fn report(
    snapshot: &Snapshot,
    cluster: &NewCluster,
    layout: &Layout<'_>,
    made: Made,
    told: Told,
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
            replaced: member.kept.as_ref().map(|kept| Replaced {
                member_dir: kept.clone(),
                wal_dir: member.kept_wal().map(ToOwned::to_owned),
            }),
        })
        .collect();
    RestoreReport {
        schema: 1,
        snapshot: snapshot.path().map(ToOwned::to_owned),
        digest: made.digest,
        snapshot_revision: made.snapshot_revision,
        cluster_id: cluster.id(),
        initial_cluster_token: cluster.token().to_owned(),
        initial_cluster: cluster.to_string(),
        members,
        database_bytes: made.database_bytes,
        contents: made.contents,
        dry_run: made.dry_run,
        bump: told.bump,
        notes: told.notes,
        found: told.found,
        dropped: told.dropped,
        problems: made.problems,
        more_problems: made.more_problems,
        duration_ms,
    }
}
