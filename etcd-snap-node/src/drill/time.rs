//! Moments and durations, for reports.

use std::time::{Duration, Instant, SystemTime};

/// `2026-11-26T01:19:44Z`.
pub(super) fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

pub(super) fn now() -> String {
    rfc3339(SystemTime::now())
}

/// Milliseconds since then.
pub(super) fn since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// `26h`, `3days 4h`: to the second, and from a day on to the minute.
pub(super) fn words(seconds: u64) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let shown = if seconds >= DAY {
        seconds - seconds % 60
    } else {
        seconds
    };
    humantime::format_duration(Duration::from_secs(shown)).to_string()
}
