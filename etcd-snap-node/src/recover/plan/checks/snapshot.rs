//! The snapshot: how old it is, and which etcd can start on it.

use std::fs;
use std::time::{Duration, SystemTime};

use etcd_snap::{Manifest, Snapshot, StorageVersion};

use super::Planned;
use crate::{Finding, Result};

pub(super) fn look(planned: &Planned<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Some(taken) = taken(planned.snapshot) {
        let age = planned.options.now.duration_since(taken);
        findings.extend(age.ok().and_then(|age| old(age, planned.options.old)));
    }
    let runs = planned.etcd.version.as_ref().map(|it| it.text.as_str());
    let target = planned.restore.target_version.as_deref();
    findings.extend(runs.and_then(|runs| too_old(runs, target, planned.versions)));
    Ok(findings)
}

/// As its manifest says; without one, or with one of another file, which is not this check's business, as its file says.
fn taken(snapshot: &Snapshot) -> Option<SystemTime> {
    let manifest = Manifest::beside(snapshot).ok().flatten();
    let said = manifest
        .and_then(|it| it.saved_at)
        .and_then(|at| humantime::parse_rfc3339(&at).ok());
    said.or_else(|| fs::metadata(snapshot.path()?).ok()?.modified().ok())
}

fn old(age: Duration, limit: Duration) -> Option<Finding> {
    let seconds = Duration::from_secs(age.as_secs());
    (age > limit).then(|| {
        Finding::warning(
            "snapshot-is-old",
            format!(
                "the snapshot is {} old: all that was written since is lost",
                humantime::format_duration(seconds)
            ),
        )
        .with_remedy("look whether there is a newer one; that of the data directory may be newer too, if it is whole")
    })
}

/// etcd 3.6 and newer refuse to start on data of a newer minor, and older ones serve it without a word.
fn too_old(runs: &str, target: Option<&str>, versions: &[String]) -> Option<Finding> {
    let parsed = |text: &str| -> Option<StorageVersion> { text.parse().ok() };
    let minor = |it: StorageVersion| (it.major(), it.minor());
    let needed = match target {
        Some(target) => parsed(target),
        None => versions.iter().filter_map(|text| parsed(text)).max(),
    }?;
    // `3.6.4-0`, `3.6.0-rc.1`.
    let own = parsed(runs.split(['-', '+']).next()?.trim_start_matches('v'))?;
    (minor(own) < minor(needed)).then(|| {
        Finding::error(
            "etcd-too-old",
            format!(
                "etcd {runs} runs here, and the restored data would be of etcd {}.{}",
                needed.major(),
                needed.minor()
            ),
        )
        .with_remedy(format!(
            "install an etcd {}.{} first, or have the data prepared for this one with --target-version {}.{}",
            needed.major(),
            needed.minor(),
            own.major(),
            own.minor()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etcd_of_an_older_minor_does_not_get_newer_data() {
        let newer = ["3.6.0".to_owned(), "3.7.0".to_owned()];
        let found = too_old("3.6.4", None, &newer).unwrap();
        assert_eq!(found.code, "etcd-too-old");
        assert!(found.remedy.unwrap().contains("--target-version 3.6"));
        for runs in ["3.7.0", "v3.7.0-rc.1", "3.10.0", "latest"] {
            assert_eq!(too_old(runs, None, &newer), None, "{runs}");
        }
        assert_eq!(too_old("3.6.4", Some("3.6"), &newer), None);
        assert!(too_old("3.5.4", Some("3.6"), &[]).is_some());
        assert_eq!(too_old("3.5.4", None, &[]), None);
    }

    #[test]
    fn a_day_is_old_enough_to_be_told() {
        let day = Duration::from_secs(86_400);
        assert_eq!(old(day, day), None);
        let found = old(day * 2, day).unwrap();
        assert!(found.message.contains("2days"), "{}", found.message);
    }
}
