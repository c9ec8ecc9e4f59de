//! What came of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::verify::Contents;

/// What a squeeze did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SqueezeReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// The snapshot file.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub snapshot: Option<PathBuf>,
    /// The SHA-256 of its database, where it was compared.
    pub snapshot_digest: Option<Digest>,
    /// The new file.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub target: PathBuf,
    /// The SHA-256 of its database, which stands at its end.
    pub digest: Digest,
    /// Bytes of the old file.
    pub file_before_bytes: u64,
    /// Bytes of the pages in it that were in use.
    pub in_use_before_bytes: u64,
    /// Bytes of the new file, digest included.
    pub file_after_bytes: u64,
    /// What the database holds: hashes and numbers are those of the old one.
    pub contents: Contents,
    /// Milliseconds it took.
    pub duration_ms: u64,
}
