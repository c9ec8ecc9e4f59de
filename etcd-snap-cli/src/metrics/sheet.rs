//! The text of the metrics, both ways.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// All that is in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sheet {
    pub(super) saved: Option<Saved>,
    pub(super) failed: Option<Failed>,
    pub(super) failures: u64,
}

/// Of the last success.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Saved {
    /// Since 1970.
    pub(super) timestamp: Duration,
    pub(super) took: Duration,
    pub(super) size_bytes: u64,
    /// A stream does not tell.
    pub(super) revision: Option<i64>,
    pub(super) proof: String,
    pub(super) endpoint: String,
}

/// Of the last failure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Failed {
    /// Since 1970.
    pub(super) timestamp: Duration,
    pub(super) kind: String,
    pub(super) exit_code: u8,
}

const SUCCESS_TIMESTAMP: &str = "etcd_snap_save_last_success_timestamp_seconds";
const SUCCESS_DURATION: &str = "etcd_snap_save_last_success_duration_seconds";
const SUCCESS_SIZE: &str = "etcd_snap_save_last_success_size_bytes";
const SUCCESS_REVISION: &str = "etcd_snap_save_last_success_revision";
const SUCCESS_INFO: &str = "etcd_snap_save_last_success_info";
const FAILURE_TIMESTAMP: &str = "etcd_snap_save_last_failure_timestamp_seconds";
const FAILURE_INFO: &str = "etcd_snap_save_last_failure_info";
const FAILURES: &str = "etcd_snap_save_failures_total";

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(saved) = &self.saved {
            let mut gauge = |name, help, value: String| metric(f, name, "gauge", help, &[], &value);
            gauge(
                SUCCESS_TIMESTAMP,
                "When the last snapshot was complete, checked and on the disk, in seconds since 1970.",
                seconds(saved.timestamp),
            )?;
            gauge(
                SUCCESS_DURATION,
                "How long the last successful save took.",
                seconds(saved.took),
            )?;
            gauge(
                SUCCESS_SIZE,
                "Bytes of the last snapshot, its digest included.",
                saved.size_bytes.to_string(),
            )?;
            if let Some(revision) = saved.revision {
                gauge(
                    SUCCESS_REVISION,
                    "The newest revision in the last snapshot.",
                    revision.to_string(),
                )?;
            }
            metric(
                f,
                SUCCESS_INFO,
                "gauge",
                "Where the last snapshot came from, and its proof: stream, full, or attested by members.",
                &[("endpoint", &saved.endpoint), ("proof", &saved.proof)],
                "1",
            )?;
        }
        if let Some(failed) = &self.failed {
            metric(
                f,
                FAILURE_TIMESTAMP,
                "gauge",
                "When a save failed last, in seconds since 1970.",
                &[],
                &seconds(failed.timestamp),
            )?;
            let code = failed.exit_code.to_string();
            metric(
                f,
                FAILURE_INFO,
                "gauge",
                "Why a save failed last.",
                &[("exit_code", &code), ("kind", &failed.kind)],
                "1",
            )?;
        }
        metric(
            f,
            FAILURES,
            "counter",
            "Saves that failed, since this file is kept.",
            &[],
            &self.failures.to_string(),
        )
    }
}

fn metric(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    kind: &str,
    help: &str,
    labels: &[(&str, &str)],
    value: &str,
) -> fmt::Result {
    writeln!(f, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
    f.write_str(name)?;
    for (n, (label, text)) in labels.iter().enumerate() {
        let before = if n == 0 { '{' } else { ',' };
        write!(f, "{before}{label}=\"{}\"", escaped(text))?;
    }
    if !labels.is_empty() {
        f.write_str("}")?;
    }
    writeln!(f, " {value}")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

impl FromStr for Sheet {
    type Err = String;

    /// Takes what [`Display`](fmt::Display) writes, in any order.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut sheet = Self::default();
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in samples {
            sheet
                .take(line)
                .ok_or_else(|| format!("etcd-snap did not write the line {line:?}"))?;
        }
        let is_whole = |saved: &Saved| !saved.timestamp.is_zero() && !saved.proof.is_empty();
        if sheet.saved.as_ref().is_some_and(|saved| !is_whole(saved)) {
            return Err("it is not whole".to_owned());
        }
        Ok(sheet)
    }
}

impl Sheet {
    fn take(&mut self, line: &str) -> Option<()> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, parse_labels(labels)?),
            None => (series, Vec::new()),
        };
        let label = |wanted: &str| {
            let found = labels.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, text)| text.clone())
        };
        match name {
            FAILURES => self.failures = value.parse().ok()?,
            FAILURE_TIMESTAMP => self.failed_mut().timestamp = parse_seconds(value)?,
            FAILURE_INFO => {
                self.failed_mut().kind = label("kind")?;
                self.failed_mut().exit_code = label("exit_code")?.parse().ok()?;
            }
            SUCCESS_TIMESTAMP => self.saved_mut().timestamp = parse_seconds(value)?,
            SUCCESS_DURATION => self.saved_mut().took = parse_seconds(value)?,
            SUCCESS_SIZE => self.saved_mut().size_bytes = value.parse().ok()?,
            SUCCESS_REVISION => self.saved_mut().revision = Some(value.parse().ok()?),
            SUCCESS_INFO => {
                self.saved_mut().endpoint = label("endpoint")?;
                self.saved_mut().proof = label("proof")?;
            }
            _ => return None,
        }
        Some(())
    }

    fn saved_mut(&mut self) -> &mut Saved {
        self.saved.get_or_insert_default()
    }

    fn failed_mut(&mut self) -> &mut Failed {
        self.failed.get_or_insert_default()
    }
}

fn parse_seconds(text: &str) -> Option<Duration> {
    let (seconds, thousandths) = text.split_once('.')?;
    let milliseconds: u32 = thousandths
        .parse()
        .ok()
        .filter(|_| thousandths.len() == 3)?;
    Some(Duration::from_secs(seconds.parse().ok()?) + Duration::from_millis(milliseconds.into()))
}

/// What follows the opening brace.
fn parse_labels(text: &str) -> Option<Vec<(&str, String)>> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = after.chars();
        loop {
            match letters.next()? {
                '"' => break,
                '\\' => value.push(match letters.next()? {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.push((name, value));
        match letters.next()? {
            ',' => rest = letters.as_str(),
            '}' if letters.as_str().is_empty() => return Some(labels),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Sheet {
        Sheet {
            saved: Some(Saved {
                timestamp: Duration::from_millis(1_795_642_639_123),
                took: Duration::from_millis(1_500),
                size_bytes: 2_000_000_032,
                revision: Some(215),
                proof: "full".to_owned(),
                endpoint: "https://[fe80::1%25eth0]:2379/\\\"\n},x=".to_owned(),
            }),
            failed: Some(Failed {
                timestamp: Duration::from_millis(1_795_000_000_005),
                kind: "connection".to_owned(),
                exit_code: 4,
            }),
            failures: 7,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let only_saved = Sheet {
            failed: None,
            ..full()
        };
        let only_failed = Sheet {
            saved: None,
            ..full()
        };
        for sheet in [full(), only_saved, only_failed, Sheet::default()] {
            assert_eq!(sheet.to_string().parse(), Ok(sheet));
        }
    }

    #[test]
    fn what_we_did_not_write_is_not_taken_for_ours() {
        let text = full().to_string();
        for (from, to) in [
            ("failures_total 7", "failures_total -7"),
            ("failures_total 7", "failures_total"),
            ("save_last_success_size", "save_last_success_weight"),
            ("_timestamp_seconds 1", "_timestamp_seconds NaN1"),
            ("proof=\"full\"}", "proof=\"full}"),
            ("proof=\"full\"}", "proof=\"full\"} x"),
            (
                "success_timestamp_seconds 1795642639.123",
                "success_timestamp_seconds 0.000",
            ),
            ("exit_code=\"4\"", "exit_code=\"400\""),
        ] {
            let damaged = text.replace(from, to);
            assert_ne!(damaged, text);
            assert!(damaged.parse::<Sheet>().is_err(), "{to}");
        }
    }
}
