//! Members that answer, and that do not.

use anyhow::{Result, ensure};
use etcd_snap::{Cluster, MemberTarget, NewCluster, RestoreOptions, Snapshot, Tls};
use etcd_snap_node::{DoctorOptions, Severity};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Security};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use crate::{ask, found, troubles};

fn options(cluster: &RealCluster) -> Result<DoctorOptions> {
    let files = cluster.tls();
    let tls = Tls::builder()
        .ca_file(&files.authority)
        .identity_files(&files.client.certificate, &files.client.key)
        .build()?;
    let client = Cluster::new(cluster.endpoints())?.with_tls(tls);
    Ok(DoctorOptions::default().with_cluster(client))
}

#[test]
fn a_cluster_is_sound_until_its_members_go() -> Result<()> {
    let version = sample(Version::ALL, 1)[0];
    let mut cluster = RealCluster::builder(version)
        .members(3)
        .security(Security::MutualTls)
        .start()?;
    cluster.etcdctl(["put", "key", "value"])?;
    let report = ask(&options(&cluster)?)?;
    ensure!(troubles(&report).is_empty(), "{version}: {report:#?}");
    let seen = report.looked_at.join("\n");
    ensure!(seen.contains("3 of 3 members answer"), "{seen}");
    ensure!(seen.contains("the hashes of 3 members"), "{seen}");

    cluster.stop(1)?;
    cluster.wait_until_healthy()?;
    let report = ask(&options(&cluster)?)?;
    ensure!(
        troubles(&report) == [("member-unreachable", Severity::Warning)],
        "{version}: {report:#?}"
    );
    let finding = found(&report, "member-unreachable")?;
    ensure!(
        finding.message.starts_with("m2 does not answer"),
        "{finding:?}"
    );

    cluster.stop(2)?;
    let report = ask(&options(&cluster)?)?;
    ensure!(report.worst() == Some(Severity::Error), "{report:#?}");
    found(&report, "member-unreachable")?;
    cluster.stop(0)?;
    let report = ask(&options(&cluster)?)?;
    let finding = found(&report, "no-answer")?;
    ensure!(finding.severity == Severity::Error, "{finding:?}");
    Ok(())
}

#[test]
fn a_full_database_and_its_alarm_are_named() -> Result<()> {
    let version = sample([Version::V3_6, Version::V3_7], 1)[0];
    let cluster = RealCluster::builder(version)
        .security(Security::MutualTls)
        .argument("--quota-backend-bytes=100000")
        .start()?;
    let refused = cluster.try_etcdctl(["put", "heap", &"x".repeat(100_000)]);
    ensure!(refused.is_err(), "there was space");
    let report = ask(&options(&cluster)?)?;
    let finding = found(&report, "alarm-nospace")?;
    ensure!(finding.message.contains("m1"), "{finding:?}");
    // Once with the worst first.
    ensure!(report.findings[0].severity == Severity::Error);
    let report = ask(&options(&cluster)?.with_asking(false))?;
    ensure!(report.findings.is_empty(), "{report:#?}");
    Ok(())
}

/// Two histories of the same length, restored as if they were one.
#[test]
fn members_that_hold_different_data_are_found() -> Result<()> {
    let version = sample(Version::ALL, 1)[0];
    let folder = tempfile::tempdir()?;
    let mut files = Vec::new();
    for word in ["one", "other"] {
        let cluster = RealCluster::builder(version).start()?;
        cluster.etcdctl(["put", "key", word])?;
        let file = folder.path().join(word);
        cluster.save_with_etcdctl(0, &file)?;
        files.push(file);
    }
    let plan = RealCluster::builder(version)
        .members(3)
        .security(Security::MutualTls)
        .plan()?;
    let new = NewCluster::parse(&plan.initial_cluster(), plan.token())?;
    for (member, file) in plan.members().iter().zip([&files[0], &files[0], &files[1]]) {
        let target = MemberTarget::new(&member.name, &member.data_dir);
        let snapshot = Snapshot::open(file)?;
        etcd_snap::restore(&snapshot, &new, &[target], &RestoreOptions::default())?;
    }
    let cluster = plan.start()?;
    let report = ask(&options(&cluster)?)?;
    let finding = found(&report, "members-differ")?;
    ensure!(finding.severity == Severity::Error, "{finding:?}");
    ensure!(
        finding.message.contains("(m1, m2)") && finding.message.contains("(m3)"),
        "{finding:?}"
    );
    let report = ask(&options(&cluster)?.with_comparing(false))?;
    ensure!(found(&report, "members-differ").is_err(), "{report:#?}");
    Ok(())
}
