//! Moments, for names and for reports.

use std::time::SystemTime;

/// `20261126T011944Z`: fit for the name of a file.
pub(crate) fn compact(at: SystemTime) -> String {
    rfc3339(at).replace(['-', ':'], "")
}

/// `2026-11-26T01:19:44Z`.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
