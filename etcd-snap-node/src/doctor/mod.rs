//! Everything that would make tonight's backup or tomorrow's restore fail.

use serde::{Deserialize, Serialize};

use crate::{Finding, Node, Result, Root};

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct DoctorOptions {
    pub(crate) root: Root,
}

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DoctorReport {
    /// Of this form: 1.
    pub schema: u32,
    /// The worst first.
    pub findings: Vec<Finding>,
}

/// Looks.
///
/// # Errors
/// None yet.
pub fn doctor(node: &Node, options: &DoctorOptions) -> Result<DoctorReport> {
    let _ = (node, &options.root);
    Ok(DoctorReport {
        schema: 1,
        findings: Vec::new(),
    })
}
