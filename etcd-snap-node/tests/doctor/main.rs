//! The doctor at the beds of real clusters, and in directories with backups.

mod backups;
mod members;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::Cluster;
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
    let mut report = doctor(&empty_machine()?, &options)?;
    // Nor what the doctor says of it.
    report.findings.retain(|finding| finding.code != "no-etcd");
    Ok(report)
}

/// The way back of a recovery leads over the old member.
#[test]
fn old_members_are_not_to_be_removed_while_a_recovery_is_under_way() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let on_disk = |path: &str| folder.path().join(path);
    for directory in [
        "etc/systemd/system",
        "var/lib/etcd/member.old-20261126T070625Z",
        "var/lib/etcd-snap",
    ] {
        fs::create_dir_all(on_disk(directory))?;
    }
    fs::write(
        on_disk("etc/systemd/system/etcd.service"),
        "[Service]\nExecStart=/usr/bin/etcd --name m1 --data-dir /var/lib/etcd\n",
    )?;
    let root = Root::new(folder.path());
    let options = DoctorOptions::default()
        .with_root(root.clone())
        .with_asking(false);
    let node = discover(&DiscoverOptions::default().with_root(root))?;
    found(&doctor(&node, &options)?, "old-members-kept")?;

    fs::write(on_disk("var/lib/etcd-snap/recovery.json"), "{}")?;
    let report = doctor(&node, &options)?;
    found(&report, "recovery-under-way")?;
    ensure!(found(&report, "old-members-kept").is_err(), "{report:#?}");
    // Nor is what starts etcd to be brought back by hand: the recovery itself has put it aside.
    fs::remove_dir_all(on_disk("etc"))?;
    let node = discover(&DiscoverOptions::default().with_root(Root::new(folder.path())))?;
    let report = doctor(&node, &options)?;
    found(&report, "recovery-under-way")?;
    ensure!(found(&report, "no-etcd").is_err(), "{report:#?}");
    Ok(())
}

/// A manifest that somebody removed must not turn the light green.
#[test]
fn a_machine_without_etcd_is_an_error_unless_a_cluster_is_asked() -> Result<()> {
    let machine = empty_machine()?;
    let options = DoctorOptions::default().with_timeout(Duration::from_millis(100));
    for options in [options.clone(), options.clone().with_asking(false)] {
        let report = doctor(&machine, &options)?;
        ensure!(
            troubles(&report) == [("no-etcd", Severity::Error)],
            "{report:#?}"
        );
        ensure!(found(&report, "no-etcd")?.remedy.is_some());
    }
    let nobody = Cluster::new(["http://127.0.0.1:1"])?;
    let report = doctor(&machine, &options.clone().with_cluster(nobody.clone()))?;
    ensure!(found(&report, "no-etcd").is_err(), "{report:#?}");
    // A cluster that is not asked says nothing either.
    let options = options.with_asking(false);
    let report = doctor(&machine, &options.clone().with_cluster(nobody))?;
    found(&report, "no-etcd")?;
    // Where only backups are.
    let backups = tempfile::tempdir()?;
    let report = doctor(&machine, &options.with_backups(backups.path()))?;
    ensure!(found(&report, "no-etcd")?.severity == Severity::Note);
    Ok(())
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
