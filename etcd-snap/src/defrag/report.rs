//! What came of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::verify::Contents;

/// What a defragmentation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DefragReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// The data directory.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub data_dir: PathBuf,
    /// Bytes of the old file.
    pub file_before_bytes: u64,
    /// Bytes of the old database up to its high-water mark: what servers call its size.
    pub size_before_bytes: u64,
    /// Bytes of its pages that were in use.
    pub in_use_before_bytes: u64,
    /// Bytes of the new file, all of them in use.
    pub size_after_bytes: u64,
    /// What the database holds: hashes and numbers are those of the old one.
    pub contents: Contents,
    /// Milliseconds it took.
    pub duration_ms: u64,
}
