//! Mistakes in who a member is, or which snapshot it was made from, and what real servers make of them: why a fresh token
//! is a good one, what a wrong peer URL leads to, and what is only noticed when data is compared.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use etcd_snap::{
    CompareOptions, MemberTarget, NewCluster, RestoreOptions, RestoreReport, Snapshot,
    compare_restored, restore,
};
use etcd_snap_testdata::cluster::{Cluster, Plan};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use crate::corruption_checks;

/// Makes one member of the plan, as a run on its own node would.
fn restore_one(plan: &Plan, member: usize, token: &str, snapshot: &Path) -> Result<RestoreReport> {
    let member = &plan.members()[member];
    Ok(restore(
        &Snapshot::open(snapshot)?,
        &NewCluster::parse(&plan.initial_cluster(), token)?,
        &[MemberTarget::new(&member.name, &member.data_dir)],
        &RestoreOptions::default(),
    )?)
}

/// What `restore --compare` says of the members before any of them is started.
fn belong_together(plan: &Plan, expected: bool) -> Result<()> {
    let directories: Vec<_> = plan.members().iter().map(|it| &it.data_dir).collect();
    let compared = compare_restored(&directories, &CompareOptions::default())?;
    ensure!(compared.belong_together == expected, "{compared:?}");
    Ok(())
}

/// The snapshot of a cluster that holds one key with this value.
fn snapshot_with(value: &str, version: Version, folder: &Path) -> Result<PathBuf> {
    let cluster = Cluster::builder(version).start()?;
    let snapshot = folder.join(format!("{value}.db"));
    cluster.etcdctl(["put", "key", value])?;
    cluster.save_with_etcdctl(0, &snapshot)?;
    Ok(snapshot)
}

/// An old member that was forgotten finds nobody who talks to it: the ids of a new token are others.
#[test]
fn with_a_fresh_token_no_old_member_gets_in() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let mut cluster = Cluster::builder(version).members(3).start()?;
        cluster.etcdctl(["put", "key", "value"])?;
        let snapshot = cluster.folder().join("snapshot.db");
        cluster.save_with_etcdctl(0, &snapshot)?;
        cluster.etcdctl(["put", "lost", "value"])?;
        for member in 0..3 {
            cluster.stop(member)?;
        }
        let new = NewCluster::parse(&cluster.initial_cluster(), "fresh")?;
        let mut targets = Vec::new();
        for member in &cluster.members()[..2] {
            fs::remove_dir_all(member.data_dir())?;
            targets.push(MemberTarget::new(member.name(), member.data_dir()));
        }
        restore(
            &Snapshot::open(&snapshot)?,
            &new,
            &targets,
            &RestoreOptions::default(),
        )?;
        cluster.start_without_waiting(0)?;
        cluster.start_without_waiting(1)?;
        cluster.wait_until_healthy()?;
        // The third runs on what it had.
        cluster.start_without_waiting(2)?;
        cluster.wait_for_log(2, "cluster ID mismatch")?;
        cluster.etcdctl_at(0, ["put", "new", "value"])?;
        ensure!(!cluster.is_healthy(2)?, "{version}");
        let lost = cluster.etcdctl_at(0, ["get", "lost", "--print-value-only"])?;
        ensure!(lost.is_empty(), "{version}: {lost}");
    }
    Ok(())
}

/// It has other ids, so it is nobody that the two others know.
#[test]
fn a_member_with_another_token_stays_alone() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let plan = Cluster::builder(version).members(3).plan()?;
        let snapshot = snapshot_with("value", version, plan.folder())?;
        let one = restore_one(&plan, 0, "one", &snapshot)?;
        restore_one(&plan, 1, "one", &snapshot)?;
        let other = restore_one(&plan, 2, "other", &snapshot)?;
        ensure!(one.cluster_id != other.cluster_id);
        belong_together(&plan, false)?;

        let mut cluster = plan.stopped();
        cluster.start_without_waiting(0)?;
        cluster.start_without_waiting(1)?;
        cluster.wait_until_healthy()?;
        cluster.start_without_waiting(2)?;
        cluster.wait_for_log(2, "cluster ID mismatch")?;
        ensure!(!cluster.is_healthy(2)?, "{version}");
    }
    Ok(())
}

/// Three members of which the last is from another snapshot.
fn made_from_two(plan: &Plan, version: Version) -> Result<()> {
    let one = snapshot_with("one", version, plan.folder())?;
    let other = snapshot_with("other", version, plan.folder())?;
    for (member, snapshot) in [&one, &one, &other].into_iter().enumerate() {
        restore_one(plan, member, "same", snapshot)?;
    }
    belong_together(plan, false)
}

/// The ids are the same and the logs agree, so nothing is noticed until somebody compares.
#[test]
fn a_member_from_another_snapshot_is_let_in_with_other_data() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let plan = Cluster::builder(version).members(3).plan()?;
        made_from_two(&plan, version)?;
        let cluster = plan.start()?;
        let read = |member| {
            let told = cluster.etcdctl_at(member, ["get", "key", "--print-value-only"])?;
            Ok::<_, anyhow::Error>(told.trim().to_owned())
        };
        ensure!((read(0)?, read(2)?) == ("one".to_owned(), "other".to_owned()));
        let hashes = [0, 2].map(|member| cluster.hash_kv(member, 0));
        let [Ok(one), Ok(other)] = hashes else {
            anyhow::bail!("{version}: {hashes:?}");
        };
        ensure!(one.hash != other.hash, "{version}: {one:?}");
    }
    Ok(())
}

/// And a server that is told to compare does not start.
#[test]
fn servers_that_compare_first_refuse_a_member_from_another_snapshot() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let builder = corruption_checks(version)
            .iter()
            .fold(Cluster::builder(version).members(3), |builder, flag| {
                builder.argument(*flag)
            });
        let plan = builder.plan()?;
        made_from_two(&plan, version)?;
        let mut cluster = plan.stopped();
        cluster.start_without_waiting(0)?;
        cluster.start_without_waiting(1)?;
        cluster.wait_until_healthy()?;
        cluster.start_without_waiting(2)?;
        cluster.wait_for_log(2, "found data inconsistency with peers")?;
        ensure!(!cluster.is_healthy(2)?, "{version}");
    }
    Ok(())
}

/// The default of a restore is a peer URL that leads every other member to itself; what servers are told later changes nothing.
#[test]
fn a_peer_url_of_localhost_stays_whatever_the_server_is_told() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let elsewhere = Cluster::builder(version).plan()?;
        let snapshot = snapshot_with("value", version, elsewhere.folder())?;
        restore(
            &Snapshot::open(&snapshot)?,
            &NewCluster::parse("m1=https://10.0.0.1:2380", "elsewhere")?,
            &[MemberTarget::new("m1", &elsewhere.members()[0].data_dir)],
            &RestoreOptions::default(),
        )?;
        let old = elsewhere.start()?;
        let snapshot = old.folder().join("elsewhere.db");
        old.save_with_etcdctl(0, &snapshot)?;

        let plan = Cluster::builder(version).plan()?;
        let member = &plan.members()[0];
        let report = restore(
            &Snapshot::open(&snapshot)?,
            &NewCluster::parse("m1=http://localhost:2380", "default")?,
            &[MemberTarget::new("m1", &member.data_dir)],
            &RestoreOptions::default(),
        )?;
        let warned = report.notes.iter().any(|note| {
            note.contains("from this machine only") && note.contains("https://10.0.0.1:2380")
        });
        ensure!(warned, "{:?}", report.notes);
        let (advertised, cluster) = (member.peer_url.clone(), plan.start()?);
        let listed = cluster.etcdctl(["member", "list"])?;
        ensure!(
            listed.contains("http://localhost:2380") && !listed.contains(&advertised),
            "{version}: {listed}"
        );
    }
    Ok(())
}
