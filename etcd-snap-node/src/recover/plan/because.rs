//! Why nothing can be planned: what discovery found says it better than what planning stumbles over.

use super::PlanOptions;
use super::checks::is_of_certificates;
use crate::{Error, ErrorKind, Etcd, Finding, Severity};

/// Warnings that explain it where nothing is worse: what is read from a unit is not what a person meant.
const OF_VARIABLES: [&str; 4] = [
    "variable-not-set",
    "variable-unknown",
    "variable-not-expanded",
    "specifier-not-known",
];
/// Puts what was found of an etcd in front of an error that comes of its description.
pub(super) fn of_findings(etcd: &Etcd, options: &PlanOptions, error: Error) -> Error {
    if !comes_of_description(options, &error) {
        return error;
    }
    let found = explaining(etcd);
    if found.is_empty() {
        return error;
    }
    let mut sentences: Vec<&str> = Vec::new();
    let mut remedies: Vec<&str> = Vec::new();
    for finding in &found {
        sentences.push(&finding.message);
        remedies.extend(finding.remedy.as_deref());
    }
    remedies.extend(error.remedy());
    let mut said = Vec::new();
    remedies.retain(|it| {
        let is_new = !said.contains(it);
        said.push(*it);
        is_new
    });
    let explained = Error::new(
        ErrorKind::Refused,
        format!(
            "{}; with that, nothing can be planned: {error}",
            sentences.join("; ")
        ),
    );
    let explained = match remedies.is_empty() {
        true => explained,
        false => explained.with_remedy(remedies.join("; ")),
    };
    let path = found.iter().find_map(|it| it.path.as_deref());
    match path.or(error.path()) {
        Some(path) => explained.with_path(path),
        None => explained,
    }
}

/// Not of what a person or a plan has said, nor of a snapshot or a disk.
fn comes_of_description(options: &PlanOptions, error: &Error) -> bool {
    let was_said = options.given.is_some() || options.initial_cluster.is_some();
    match error.library() {
        Some(library) => library.kind() == etcd_snap::ErrorKind::InvalidInput && !was_said,
        None => matches!(error.kind(), ErrorKind::Misconfigured | ErrorKind::Refused),
    }
}

fn explaining(etcd: &Etcd) -> Vec<&Finding> {
    // Plans live with certificates that are wrong, and with data of another owner.
    let is_in_the_way = |it: &&Finding| !is_of_certificates(&it.code) && it.code != "owner-differs";
    let errors = etcd.findings.iter().filter(is_in_the_way);
    let errors: Vec<_> = errors.filter(|it| it.severity == Severity::Error).collect();
    if !errors.is_empty() {
        return errors;
    }
    let of_variables = |it: &&Finding| {
        it.severity == Severity::Warning && OF_VARIABLES.contains(&it.code.as_str())
    };
    etcd.findings.iter().filter(of_variables).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recover::plan::plan_recovery;
    use crate::recover::plan::sample::committed_snapshot;
    use crate::{DiscoverOptions, Recovery, Result, Root, discover};

    fn planned(tree: &str, change: impl FnOnce(PlanOptions) -> PlanOptions) -> Result<Recovery> {
        let nodes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nodes");
        let root = Root::new(nodes.join(tree).join("root"));
        let node = discover(&DiscoverOptions::default().with_root(root.clone())).unwrap();
        let options = PlanOptions::default().with_root(root).with_alone(true);
        plan_recovery(&node, &committed_snapshot(), &change(options))
    }

    #[test]
    fn what_was_found_is_said_before_what_planning_stumbles_over() {
        for (tree, begins, has, has_not, remedy) in [
            (
                "config-file-absent",
                "the configuration file /etc/etcd/etcd.yml, which alone would count, is not there",
                "where the data of default (etcd.service) is cannot be told",
                "volume",
                "bring the file back",
            ),
            (
                "edited-misindented",
                "\"--initial-advertise-peer-urls=https://10.1.1.5:2380\" and",
                "; with that, nothing can be planned: ",
                "volume",
                "indent the line of the second flag",
            ),
            (
                "systemd-variable-not-set",
                "ExecStart= of etcd.service asks for ${NODE}, which nothing sets",
                "this node's etcd (etcd.service) has no name",
                "the initial cluster holds",
                "set NODE with",
            ),
            (
                "edited-data-dir-only",
                "the data directory /var/lib/etcd-restored is in no volume",
                "while /var/lib/etcd holds a member",
                "server.crt",
                "only the hostPath should ever change",
            ),
        ] {
            let error = planned(tree, |it| it).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{tree}: {error}");
            // The command line asks for the library's error first.
            assert!(error.library().is_none(), "{tree}");
            let text = error.to_string();
            assert!(text.starts_with(begins), "{tree}: {text}");
            assert!(text.contains(has), "{tree}: {text}");
            assert!(!text.contains(has_not), "{tree}: {text}");
            let told = error.remedy().unwrap();
            assert!(told.contains(remedy), "{tree}: {told}");
        }
    }

    #[test]
    fn what_a_person_has_said_is_not_laid_to_what_was_found() {
        let error = planned("edited-misindented", |options| {
            let options = options.with_alone(false);
            options.with_initial_cluster("north=not a url")
        });
        let error = error.unwrap_err();
        assert!(error.library().is_some(), "{error}");
        assert!(!error.to_string().contains("with that"), "{error}");
    }

    #[test]
    fn what_does_not_stop_planning_is_a_finding_of_the_plan() {
        let recovery = planned("config-file-force-new", |it| it).unwrap();
        let mut codes = recovery.findings.iter().map(|it| it.code.as_str());
        assert!(codes.any(|it| it == "force-new-cluster"));
        assert!(recovery.is_refused());
    }
}
