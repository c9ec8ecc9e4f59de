//! From which version to which there is a way (`schema.newPlan`).

use crate::backend::StorageVersion;
use crate::{Error, ErrorKind, Result};

/// The versions on the way, the target last; none where there is nothing to do.
pub(super) fn plan(
    current: StorageVersion,
    target: StorageVersion,
    newest: StorageVersion,
) -> Result<Vec<StorageVersion>> {
    let (mut at, target) = (current.trimmed(), target.trimmed());
    let refused = |why: String| {
        Error::new(
            ErrorKind::Unsupported,
            format!("there is no way from version {current} to {target}: {why}"),
        )
        .with_detail("current", current.to_string())
        .with_detail("target", target.to_string())
    };
    if at.major() != target.major() {
        let why = "the major version stays".to_owned();
        return Err(refused(why).with_detail("refusal", "other-major"));
    }
    let mut steps = Vec::new();
    while at != target {
        // What a version has brought with it is what has to be added or taken away.
        let (changes, next) = if at < target {
            (at.next(), at.next())
        } else {
            (at, at.previous())
        };
        if !(StorageVersion::V3_6..=newest).contains(&changes) {
            let why = format!("{changes} is not known here");
            return Err(refused(why)
                .with_detail("refusal", "unknown-version")
                .with_detail("version", changes.to_string()));
        }
        steps.push(next);
        at = next;
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(current: &str, target: &str, newest: &str) -> Result<String, String> {
        let [current, target, newest] = [current, target, newest].map(|text| text.parse().unwrap());
        plan(current, target, newest)
            .map(|steps| steps.iter().map(|step| format!("{step} ")).collect())
            .map_err(|e| e.detail().last().unwrap().1.to_owned())
    }

    #[test]
    fn ways_go_minor_by_minor_between_versions_that_are_known() {
        for (current, target, newest, expected) in [
            ("3.5", "3.5", "3.7", Ok("")),
            ("3.5", "3.6", "3.7", Ok("3.6.0 ")),
            ("3.5", "3.7", "3.7", Ok("3.6.0 3.7.0 ")),
            ("3.7", "3.5", "3.7", Ok("3.6.0 3.5.0 ")),
            ("3.6.1", "3.6", "3.7", Ok("")),
            ("3.5", "3.7", "3.6", Err("3.7.0")),
            ("3.7", "3.5", "3.6", Err("3.7.0")),
            ("3.7", "3.9", "3.7", Err("3.8.0")),
            ("3.9", "3.5", "3.7", Err("3.9.0")),
            ("3.4", "3.6", "3.7", Err("3.5.0")),
            ("3.6", "4.0", "3.7", Err("other-major")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(
                planned(current, target, newest),
                expected,
                "{current} to {target}"
            );
        }
    }
}
