//! What discovery found: here it counts as far as etcd would not start, or nobody could prove that it serves.

use super::Planned;
use crate::{Finding, Severity};

/// Judged by the plan itself, which knows more: who the new members are, where the data goes, whom it belongs to.
const JUDGED_HERE: [&str; 5] = [
    "peer-url-is-loopback",
    "owner-differs",
    "data-outside-volumes",
    "data-dir-absent",
    "configuration-not-loaded",
];

pub(super) fn look(planned: &Planned<'_>) -> Vec<Finding> {
    let is_known = |finding: &Finding| {
        planned
            .known
            .iter()
            .any(|it| it.code == finding.code && it.path == finding.path)
    };
    let mut findings: Vec<Finding> = planned
        .etcd
        .findings
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .filter(|it| !JUDGED_HERE.contains(&it.code.as_str()) && !is_known(it))
        .cloned()
        .map(|mut finding| {
            if is_of_certificates(&finding.code) {
                finding.severity = Severity::Warning;
            }
            finding
        })
        .collect();
    if let Err(e) = planned.etcd.cluster(&planned.options.root) {
        findings.push(
            Finding::error(
                "cannot-prove",
                format!("whether etcd serves afterwards could not be asked: {e}"),
            )
            .with_remedy(
                e.remedy().unwrap_or(
                    "mend what is said of its certificates: the API server needs the same",
                ),
            ),
        );
    }
    findings
}

/// They were as they are before: of an etcd that ran with them it is known that it starts.
fn is_of_certificates(code: &str) -> bool {
    ["certificate", "client-certificate", "authority", "key-"]
        .iter()
        .any(|beginning| code.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::is_of_certificates;

    #[test]
    fn certificates_are_told_from_settings() {
        for code in [
            "certificate-expired",
            "client-certificate-missing",
            "authority-absent",
            "key-is-certificate",
        ] {
            assert!(is_of_certificates(code), "{code}");
        }
        for code in [
            "unknown-flag",
            "https-without-certificate",
            "extra-manifest",
        ] {
            assert!(!is_of_certificates(code), "{code}");
        }
    }
}
