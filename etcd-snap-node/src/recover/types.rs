//! What a recovery consists of.

use std::path::PathBuf;

use etcd_snap::{Digest, RestorePlan, Revision};
use serde::{Deserialize, Serialize};

use crate::{Etcd, Finding};

/// What is to be done on this node, decided in every detail: what a plan shows, and what the journal keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recovery {
    /// Of this form: 1.
    pub schema: u32,
    /// The snapshot, as an absolute path on this machine.
    pub snapshot: PathBuf,
    /// The digest of its database.
    pub snapshot_sha256: Digest,
    /// The revision that the restored members will have, after the bump.
    pub revision: Revision,
    /// The etcd that is brought back.
    pub etcd: Etcd,
    /// Who the new members are, the same on every node: what `--plan-file` holds.
    pub restore: RestorePlan,
    /// The name of this node's member in it.
    pub member: String,
    /// Where the member goes.
    pub target: RecoveryTarget,
    /// Whom the new member belongs to, as `UID:GID`; `None` where the data that is there tells, or nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How etcd, and what works with it, is stopped and started.
    pub stop: StopBy,
    /// What starts etcd by systemd, and configures it: when one of these has changed, the plan is no longer right. Manifests are in
    /// [`stop`](Self::stop).
    #[serde(default)]
    pub configured_by: Vec<ConfiguredBy>,
    /// Files that change, with their diffs; none where the member is swapped in place.
    pub changes: Vec<FileChange>,
    /// What is done, in this order.
    pub steps: Vec<RecoveryStep>,
    /// What speaks against it, or is worth knowing. One with [`Severity::Error`](crate::Severity::Error) keeps it from being applied.
    pub findings: Vec<Finding>,
    /// What the other nodes must do, as sentences.
    pub others: Vec<String>,
    /// What to restart afterwards, as sentences.
    pub afterwards: Vec<String>,
}

/// Where the member goes, in paths of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RecoveryTarget {
    /// `member/` is swapped inside the data directory; the old one stays there as `member.old-TIME`.
    InPlace {
        /// The data directory.
        data_dir: PathBuf,
        /// The directory of the WAL, where it is not in it.
        wal_dir: Option<PathBuf>,
        /// Where the new member is made, on the same filesystem, while etcd may still run.
        staged: PathBuf,
        /// Where its WAL is made, where that is not in it.
        staged_wal: Option<PathBuf>,
    },
    /// The member is made in another directory, and what starts etcd is changed to use it.
    NewDataDir {
        /// The directory, as the machine knows it.
        data_dir: PathBuf,
    },
}

/// How etcd is stopped and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StopBy {
    /// The manifests are moved out of kubelet's directory, and put back.
    Manifests {
        /// The directory that kubelet watches.
        directory: PathBuf,
        /// The dated directory, outside of it and on the same filesystem.
        aside: PathBuf,
        /// What is moved: etcd's manifest, and those of the API server, the controller manager and the scheduler.
        manifests: Vec<MovedManifest>,
    },
    /// `systemctl stop`, `systemctl start`.
    Unit {
        /// The unit.
        unit: String,
    },
}

/// A manifest that is moved out and put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MovedManifest {
    /// Its file in kubelet's directory.
    pub from: PathBuf,
    /// Where it is meanwhile.
    pub to: PathBuf,
    /// The name of its pod.
    pub pod: String,
    /// The SHA-256 of its content, so that nobody changes it meanwhile.
    pub sha256: Digest,
}

/// A file that was read for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfiguredBy {
    /// The file.
    pub path: PathBuf,
    /// The SHA-256 of its content; `None`: it is not there, as a file of variables may be.
    pub sha256: Option<Digest>,
}

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileChange {
    /// The file: where it is when the recovery is over. A manifest that is moved out is changed where it is meanwhile.
    pub path: PathBuf,
    /// What is in it; `None`: it is made, and so are the directories above it.
    pub before: Option<String>,
    /// What will be in it.
    pub after: String,
    /// The difference, as `diff -u` shows it.
    pub diff: String,
}

/// A step of a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecoveryStep {
    /// Its number, from 1.
    pub number: usize,
    /// What is done.
    pub action: Action,
    /// The same in words, as in `move kube-apiserver.yaml, etcd.yaml out of /etc/kubernetes/manifests`.
    pub title: String,
    /// What a person would type to do the same by hand; empty where nothing can be typed.
    pub by_hand: Vec<String>,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// The snapshot is proven, and is the one of the plan.
    Verify,
    /// The new member is made aside, while etcd may still run.
    Stage,
    /// What uses etcd and etcd itself are stopped: manifests moved out, or the unit stopped.
    Stop,
    /// Ports are closed and the lock of the database is free.
    WaitUntilStopped,
    /// The new member takes the place of the old one.
    Swap,
    /// The manifest, or a drop-in, is changed to the new data directory.
    Change,
    /// Manifests are put back, or the unit is started.
    Start,
    /// The member serves a revision at or above the restored one.
    WaitUntilServing,
    /// HashKV of the member is that of the snapshot.
    Prove,
}

/// What came of a recovery, or of taking one back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Of this form: 1.
    pub schema: u32,
    /// How many more members must come before the cluster answers; 0: it does.
    pub waiting_for_members: usize,
    /// What was done, with the milliseconds of each.
    pub steps: Vec<(RecoveryStep, u64)>,
    /// Where the old data is kept.
    pub old_data: Option<PathBuf>,
    /// What to restart afterwards, as sentences.
    pub afterwards: Vec<String>,
    /// What the person should know.
    pub notes: Vec<String>,
    /// Milliseconds it took.
    pub duration_ms: u64,
}
