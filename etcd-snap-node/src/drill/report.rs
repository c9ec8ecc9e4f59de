//! What came of a drill.

use std::path::{Path, PathBuf};

use etcd_snap::{AttestReport, ClusterId, Digest, MemberId, Revision};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, disk};

/// What came of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "what does not hold is in the report: look at the verdict"]
#[non_exhaustive]
pub struct DrillReport {
    /// Of this form: 1.
    pub schema: u32,
    /// What it comes to.
    pub verdict: DrillVerdict,
    /// Why it has not passed, as a sentence; `None` where it has.
    pub reason: Option<String>,
    /// What to do about it, where that is known.
    pub remedy: Option<String>,
    /// When it began, as `2026-11-26T01:19:44Z`.
    pub started_at: String,
    /// The machine that it ran on, as its caller calls it.
    pub host: Option<String>,
    /// What is known of the snapshot.
    pub snapshot: DrillFacts,
    /// The etcd that was booted, or was to be.
    pub etcd: Option<DrillEtcd>,
    /// The members that were restored, and what they said.
    pub members: Vec<DrillMember>,
    /// What was done, in this order.
    pub steps: Vec<DrillStep>,
    /// The caller's own conditions.
    pub conditions: Vec<DrillCondition>,
    /// What the living members of the snapshot's cluster say, where they were asked.
    pub attest: Option<AttestReport>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Milliseconds from the beginning until the restored members served: verified, restored, started. `None` where they did not.
    pub serving_ms: Option<u64>,
    /// Milliseconds of the whole drill, with all of its proofs, but without taking the snapshot and asking the cluster that it is
    /// from: the recovery time objective that can be promised.
    pub total_ms: u64,
}

/// What a drill comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DrillVerdict {
    /// A real etcd served the snapshot, and all holds.
    Passed,
    /// All that can be looked at without an etcd holds; none was there to boot.
    NotBooted,
    /// Something does not hold.
    Failed,
}

impl DrillVerdict {
    /// `passed`, `not booted`, `failed`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::NotBooted => "not booted",
            Self::Failed => "failed",
        }
    }
}

/// What is known of the snapshot; `None` of what could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DrillFacts {
    /// The file.
    pub path: String,
    /// Bytes of the file.
    pub size_bytes: Option<u64>,
    /// The digest of its database, where that was compared and matches.
    pub digest: Option<Digest>,
    /// The revision of the store.
    pub revision: Option<Revision>,
    /// Its compaction; `None`: never compacted.
    pub compact_revision: Option<Revision>,
    /// Keys that live.
    pub keys: Option<u64>,
    /// Leases.
    pub leases: Option<u64>,
    /// The names of the members of the cluster that it is from.
    pub members: Vec<String>,
    /// The version of that cluster, like `3.6.0`.
    pub cluster_version: Option<String>,
    /// The version of its storage, since etcd 3.6.
    pub storage_version: Option<String>,
    /// Whether users must log in.
    pub auth_enabled: Option<bool>,
    /// Alarms in force, each as `NOSPACE of member 8e9e05c52164694d`.
    pub alarms: Vec<String>,
    /// The cluster that it is from, as its manifest says.
    pub cluster_id: Option<ClusterId>,
    /// When it was taken, as `2026-11-26T01:19:44Z`.
    pub taken_at: Option<String>,
    /// Seconds since then, at the beginning of the drill.
    pub age_seconds: Option<u64>,
    /// Where that is from.
    pub age_from: Option<AgeFrom>,
}

/// Where the age of a snapshot is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AgeFrom {
    /// The manifest that its save left beside it.
    Manifest,
    /// The time of the last change of the file, which a copy may have made younger.
    FileTime,
}

/// The etcd of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DrillEtcd {
    /// Its executable.
    pub path: PathBuf,
    /// What it calls itself, like `3.6.16`; `None` where it does not say.
    pub version: Option<String>,
}

/// A restored member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DrillMember {
    /// Its name.
    pub name: String,
    /// Its id in the new cluster.
    pub member_id: MemberId,
    /// Where it took its peers, on loopback.
    pub peer_url: String,
    /// Where it took clients, on loopback.
    pub client_url: String,
    /// The hash of its keys at the snapshot's revision; `None` where it was not asked or did not say.
    pub hash_kv: Option<DrillHash>,
}

/// HashKV of a member, and what the file gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DrillHash {
    /// What the file gives.
    pub expected: u32,
    /// What the member says.
    pub found: u32,
    /// The revision of both.
    pub revision: Revision,
    /// The compaction that both take for done; `None`: none.
    pub compact_revision: Option<Revision>,
}

/// How something turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DrillOutcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It was not looked at; the detail says why.
    Skipped,
}

/// A step of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DrillStep {
    /// A stable word for programs: `verify`, `restore`, `start`, `hash-kv`.
    pub code: String,
    /// What is done, in words.
    pub title: String,
    /// How it turned out.
    pub outcome: DrillOutcome,
    /// What was found, in words.
    pub detail: String,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

/// A condition of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DrillCondition {
    /// The condition, in words.
    pub condition: String,
    /// How it turned out.
    pub outcome: DrillOutcome,
    /// What was found, in words.
    pub detail: String,
}

impl DrillReport {
    pub(super) fn begin(snapshot: &Path, started_at: String) -> Self {
        Self {
            schema: 1,
            verdict: DrillVerdict::Failed,
            reason: None,
            remedy: None,
            started_at,
            host: None,
            snapshot: DrillFacts {
                path: snapshot.display().to_string(),
                ..DrillFacts::default()
            },
            etcd: None,
            members: Vec::new(),
            steps: Vec::new(),
            conditions: Vec::new(),
            attest: None,
            notes: Vec::new(),
            serving_ms: None,
            total_ms: 0,
        }
    }

    /// The report of a drill that could not be done, so that whoever reads only reports does not go on with the one before.
    pub fn not_done(snapshot: &Path, error: &Error) -> Self {
        let mut report = Self::begin(snapshot, super::time::now());
        report.reason = Some(format!("the drill could not be done: {error}"));
        report.remedy = error.remedy().map(ToOwned::to_owned);
        report
    }

    /// Writes it as JSON: the file has the old report or the new one, never a part.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(|e| {
            Error::new(ErrorKind::Io, "cannot write the report as JSON").with_source(e)
        })?;
        text.push('\n');
        disk::write_whole(path, text.as_bytes(), 0o644)
    }

    /// Writes it as a page for people, which needs nothing beside it, in the same way.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_page(&self, path: &Path) -> Result<()> {
        disk::write_whole(path, super::page::page(self).as_bytes(), 0o644)
    }
}
