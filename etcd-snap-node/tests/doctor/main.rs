//! The doctor at the beds of real clusters, and in directories with backups.

mod backups;
mod members;

use anyhow::{Context as _, Result};
use etcd_snap_node::{
    DiscoverOptions, DoctorOptions, DoctorReport, Finding, Node, Root, Severity, discover, doctor,
};

/// A machine on which nothing is.
fn empty_machine() -> Result<Node> {
    let folder = tempfile::tempdir()?;
    let root = Root::new(folder.path());
    let mut node = discover(&DiscoverOptions::default().with_root(root))?;
    // What it says of a machine without etcd is not what is asked here.
    node.findings.clear();
    Ok(node)
}

fn ask(options: &DoctorOptions) -> Result<DoctorReport> {
    let folder = tempfile::tempdir()?;
    let options = options.clone().with_root(Root::new(folder.path()));
    Ok(doctor(&empty_machine()?, &options)?)
}

/// What is worse than a note: codes, the worst first.
fn troubles(report: &DoctorReport) -> Vec<(&str, Severity)> {
    report
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .map(|finding| (finding.code.as_str(), finding.severity))
        .collect()
}

fn found<'r>(report: &'r DoctorReport, code: &str) -> Result<&'r Finding> {
    report
        .findings
        .iter()
        .find(|finding| finding.code == code)
        .with_context(|| format!("{code} was not found: {report:#?}"))
}
