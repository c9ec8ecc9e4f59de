//! Paths in reports. A path need not be text, and JSON is: what is none is written as U+FFFD, as a terminal shows it. A report
//! that could not be written after the work was done would make a success look like a failure.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::{Error, ErrorKind, Result};

/// A report as a file: JSON to read, with an end of line.
pub(crate) fn text(report: &impl Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(report)
        .map_err(|e| Error::new(ErrorKind::Io, "cannot write the report as JSON").with_source(e))?;
    text.push('\n');
    Ok(text)
}

pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

pub(crate) fn serialize_option<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.serialize_some(&path.to_string_lossy()),
        None => serializer.serialize_none(),
    }
}
