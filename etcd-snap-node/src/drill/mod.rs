//! A restore that is tried out before it is needed.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;

/// How to drill.
#[derive(Debug, Clone, Default)]
pub struct DrillOptions {}

/// What came of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DrillReport {
    /// Of this form: 1.
    pub schema: u32,
}

/// Restores a snapshot aside and proves it.
///
/// # Errors
/// None yet.
pub fn drill(snapshot: &Path, options: &DrillOptions) -> Result<DrillReport> {
    let _ = (snapshot, options);
    Ok(DrillReport { schema: 1 })
}
