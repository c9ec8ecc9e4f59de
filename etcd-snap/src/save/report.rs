//! What a save has to say.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Arrived, SaveOptions};
use crate::attest::AttestReport;
use crate::io::{Replace, write_whole};
use crate::path_text::text;
use crate::stream::{Arrivals, PassedOver};
use crate::verify::Contents;
use crate::{ClusterId, Digest, Error, Manifest, MemberId, ProofKind, Result, utc};

/// What was saved, from where, and what it holds.
///
/// It serialises both ways, to lie beside the snapshot as its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SaveReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// [`ProofKind::Full`] of a file; [`ProofKind::Stream`] of what was written directly.
    pub proof: ProofKind,
    /// The file, pipe or device; `None` of what has no path.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub path: Option<PathBuf>,
    /// The endpoint that gave it; `None` where only a stream was given.
    pub endpoint: Option<String>,
    /// The member behind the endpoint.
    pub member_id: Option<MemberId>,
    /// Its cluster.
    pub cluster_id: Option<ClusterId>,
    /// The version of the server, like `3.6.14`.
    pub etcd_version: Option<String>,
    /// The other endpoints that were given, in that order, and why they did not give the snapshot. One that was tried in vain
    /// is among them.
    #[serde(default)]
    pub passed_over: Vec<PassedOver>,
    /// Since etcd 3.6, for example `3.6.0`.
    pub storage_version: Option<String>,
    /// When the last byte had come and was proven, as `2026-11-26T01:19:44Z`.
    #[serde(default)]
    pub saved_at: Option<String>,
    /// Bytes of the file: the database and its digest.
    pub size_bytes: u64,
    /// The SHA-256 of the database, which ends the file.
    pub digest: Digest,
    /// What the database holds; `None` of what was written directly, since a stream does not show which of the pages that
    /// pass are in use.
    pub contents: Option<Contents>,
    /// What the members of the cluster say, where they were asked.
    pub attest: Option<AttestReport>,
    /// What took how long.
    pub durations: SaveDurations,
}

/// How long the parts of a save took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SaveDurations {
    /// Milliseconds to find a member, connect, log in and ask for its status.
    pub connect_ms: u64,
    /// Milliseconds of the stream, from asking to its end.
    pub receive_ms: u64,
    /// Milliseconds to look through the file and bring it to the disk.
    pub check_ms: u64,
    /// Milliseconds to give it its name.
    pub publish_ms: u64,
}

/// Whom the chunks come from.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    pub(crate) endpoint: Option<String>,
    pub(crate) member_id: Option<MemberId>,
    pub(crate) cluster_id: Option<ClusterId>,
    pub(crate) etcd_version: Option<String>,
    pub(crate) passed_over: Vec<PassedOver>,
    pub(crate) connect_ms: u64,
    /// Bytes below the messages, where the client can see them.
    pub(crate) arrivals: Option<Arrivals>,
}

impl Origin {
    /// What stands for the snapshot in sentences.
    pub(crate) fn name(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("the snapshot that {endpoint} sent"),
            None => "the snapshot that was sent".to_owned(),
        }
    }

    pub(crate) fn last_arrival(&self) -> Option<Instant> {
        self.arrivals.as_ref().map(Arrivals::last)
    }
}

impl SaveReport {
    /// Writes the report beside the snapshot, where that is wanted, or where one lies that is of the snapshot before.
    pub(super) fn write_manifest(&self, options: &SaveOptions) -> Result<()> {
        let Some(snapshot) = &self.path else {
            return Ok(());
        };
        let path = Manifest::path_for(snapshot);
        if !options.manifest() && !path.is_file() {
            return Ok(());
        }
        let storage = &options.storage();
        let written = text(self)
            .and_then(|text| write_whole(storage, &path, text.as_bytes(), Replace::Yes).map(drop));
        written.map_err(|e| {
            // What lies there speaks of the file that was here before.
            let _ = storage.remove_file(&path);
            let message = format!(
                "the snapshot is saved as {} and proven, and its manifest is missing",
                snapshot.display()
            );
            Error::new(e.kind(), message)
                .with_path(&path)
                .with_source(e)
        })
    }

    pub(crate) fn new(
        path: Option<PathBuf>,
        origin: Origin,
        arrived: Arrived,
        attest: Option<AttestReport>,
        at: SystemTime,
        publish_ms: u64,
    ) -> Self {
        let Arrived {
            received,
            checked,
            receive_ms,
            check_ms,
        } = arrived;
        let from_stream = Some(received.storage_version).filter(|version| !version.is_empty());
        let contents = checked.contents;
        let in_file = contents
            .as_ref()
            .and_then(|contents| contents.storage_version.clone());
        Self {
            schema: 1,
            proof: checked.proof,
            path,
            endpoint: origin.endpoint,
            member_id: origin.member_id,
            cluster_id: origin.cluster_id,
            etcd_version: origin.etcd_version,
            passed_over: origin.passed_over,
            storage_version: in_file.or(from_stream),
            saved_at: Some(utc::rfc3339(at)),
            size_bytes: received.database_bytes.saturating_add(Digest::LEN as u64),
            digest: received.digest,
            contents,
            attest,
            durations: SaveDurations {
                connect_ms: origin.connect_ms,
                receive_ms,
                check_ms,
                publish_ms,
            },
        }
    }
}
