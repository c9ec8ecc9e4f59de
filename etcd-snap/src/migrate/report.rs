//! What came of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MigrateReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// The data directory.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub data_dir: PathBuf,
    /// The version that the database had, for example `3.5.0`.
    pub version_before: String,
    /// The version that it has.
    pub version_after: String,
    /// The versions on the way, the last one included; none where there was nothing to do, or it was forced.
    pub steps: Vec<String>,
    /// Why there was no way, where [`with_force`](crate::MigrateOptions::with_force) went on all the same.
    pub forced: Option<String>,
    /// Milliseconds it took.
    pub duration_ms: u64,
}
