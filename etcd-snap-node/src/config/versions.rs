//! What a version of etcd knows of the settings that were made.

use super::{Configuration, flags};
use crate::{Finding, Origin, Severity, Version};

impl Configuration {
    /// What the version of etcd, once that is known, has against the settings: those that it no longer knows, or not yet.
    pub(crate) fn findings_for(&self, version: &Version) -> Vec<Finding> {
        let Some(minor) = minor(&version.text) else {
            return Vec::new();
        };
        let mut findings = Vec::new();
        for (name, setting) in &self.settings {
            let Some(flag) = flags::flag(name) else {
                continue;
            };
            if minor <= flags::NEWEST && minor > flag.until {
                findings.push(outside(
                    "setting-removed",
                    name,
                    &setting.from,
                    version,
                    "no longer knows",
                ));
            } else if minor < flag.since && minor >= 4 {
                let mut finding = outside(
                    "setting-too-new",
                    name,
                    &setting.from,
                    version,
                    "does not know",
                );
                // Late patch releases of 3.4 brought some that came with 3.5.
                if minor == 4 && finding.severity == Severity::Error {
                    finding.severity = Severity::Warning;
                }
                findings.push(finding);
            }
            if minor == 6
                && let Some(new) = flags::no_longer_experimental(name)
                && self.settings.contains_key(new)
            {
                findings.push(
                    Finding::error(
                        "setting-twice",
                        format!("{name} and {new} are the same setting under its old and its new name: etcd {} does not start with both", version.text),
                    )
                    .with_remedy(format!("take {name} out")),
                );
            }
        }
        findings.extend(self.deprecated(minor, version));
        findings
    }

    /// What the next minor version will not know.
    fn deprecated(&self, minor: u32, version: &Version) -> Option<Finding> {
        let ending: Vec<_> = self
            .settings
            .iter()
            .filter(|(name, setting)| {
                setting.from != Origin::ConfigFile
                    && minor < flags::NEWEST
                    && flags::flag(name).is_some_and(|flag| flag.until == minor)
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if ending.is_empty() {
            return None;
        }
        let next = minor + 1;
        Some(
            Finding::note(
                "setting-deprecated",
                format!(
                    "etcd 3.{next} will no longer know {}, which etcd {} still takes",
                    ending.join(", "),
                    version.text
                ),
            )
            .with_remedy(format!(
                "take them out, or use their successors, before etcd 3.{next} is installed"
            )),
        )
    }
}

fn outside(code: &str, name: &str, from: &Origin, version: &Version, knows: &str) -> Finding {
    let etcd = format!("etcd {} ({})", version.text, version.from);
    let finding = match from {
        Origin::Flag => Finding::error(
            code,
            format!("{etcd} {knows} --{name}, and does not start with it"),
        ),
        Origin::Variable { name, .. } => Finding::warning(
            code,
            format!("{etcd} {knows} {name}, and only warns of it: it has no effect"),
        ),
        Origin::ConfigFile => Finding::note(
            code,
            format!(
                "{etcd} {knows} {name} in its configuration file, and does not say so: it has no effect"
            ),
        ),
    };
    finding.with_remedy("take it out, or use its successor")
}

/// The minor version of an etcd 3, like 5 of `3.5.16-0` or `v3.5.26-k3s1`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.trim_start_matches('v').strip_prefix("3.")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}
