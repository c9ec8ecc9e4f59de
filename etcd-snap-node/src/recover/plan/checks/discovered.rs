//! What discovery found: here it counts as far as etcd would not start, or nobody could prove that it serves.

use super::Planned;
use crate::description::is_of_guesses;
use crate::{Etcd, Finding, Severity};

/// Judged by the plan itself, which knows more: who the new members are, where the data goes, whom it belongs to.
const JUDGED_HERE: [&str; 6] = [
    "peer-url-is-loopback",
    "owner-differs",
    "data-outside-volumes",
    "data-dir-absent",
    "data-dir-link-broken",
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
        .filter(|it| it.severity == Severity::Error || is_of_guesses(&it.code))
        .filter(|it| !JUDGED_HERE.contains(&it.code.as_str()) && !is_known(it))
        .cloned()
        .map(|mut finding| {
            if is_of_guesses(&finding.code) {
                finding.severity = Severity::Error;
            }
            if is_of_certificates(&finding.code) && !is_in_the_way(planned.etcd, &finding) {
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
            .with_remedy("mend what is said of its certificates: the API server needs the same"),
        );
    }
    findings
}

/// Without its own files etcd does not start, and with an expired certificate nobody is let in who checks it.
fn is_in_the_way(etcd: &Etcd, finding: &Finding) -> bool {
    let stops = [
        "-absent",
        "-invalid",
        "-mismatch",
        "-is-key",
        "-is-certificate",
    ];
    if stops.iter().any(|end| finding.code.ends_with(end)) {
        return true;
    }
    let server = etcd.client_tls.certificate.as_ref();
    let server = server.and_then(|place| place.host.as_ref());
    let identity = etcd.client_identity.as_ref();
    let client = identity.and_then(|identity| identity.certificate.as_ref());
    let is_used = finding.path.is_some() && [server, client].contains(&finding.path.as_ref());
    is_used && ["certificate-expired", "certificate-not-yet-valid"].contains(&finding.code.as_str())
}

/// Whoever takes a certificate, it was so before: an etcd that ran with them starts again.
pub(in crate::recover::plan) fn is_of_certificates(code: &str) -> bool {
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
