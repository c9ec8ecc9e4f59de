//! Moments and durations, for reports.

use std::time::{Instant, SystemTime};

/// `2026-11-26T01:19:44Z`.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

pub(crate) fn now() -> String {
    rfc3339(SystemTime::now())
}

/// `20261126T011944Z`: fit for the name of a file, and in the order of time.
pub(crate) fn stamp(at: SystemTime) -> String {
    rfc3339(at).replace(['-', ':'], "")
}

/// Milliseconds since then.
pub(crate) fn since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The two largest units: `45 s`, `5 min 3 s`, `26 h 10 min`, `3 days 4 h`.
pub(crate) fn words(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let two = |unit: u64, name: &str, smaller: u64, smaller_name: &str| {
        let (large, small) = (seconds / unit, seconds % unit / smaller);
        match small {
            0 => format!("{large} {name}"),
            _ => format!("{large} {name} {small} {smaller_name}"),
        }
    };
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => two(MINUTE, "min", 1, "s"),
        // As in the usual limit of 26 hours.
        HOUR.. if seconds < 2 * DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "days", HOUR, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_no_signs_that_a_file_name_minds() {
        assert_eq!(stamp(SystemTime::UNIX_EPOCH), "19700101T000000Z");
    }

    #[test]
    fn ages_have_the_digits_that_matter() {
        for (seconds, text) in [
            (0, "0 s"),
            (303, "5 min 3 s"),
            (26 * 3600, "26 h"),
            (30 * 3600 + 61, "30 h 1 min"),
            (76 * 3600 + 5, "3 days 4 h"),
        ] {
            assert_eq!(words(seconds), text);
        }
    }
}
