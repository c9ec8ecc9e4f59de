//! No etcd starts from what stands in for a database while a restore changes names one by one; and why that is needed.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{MemberTarget, NewCluster, RestoreOptions, Snapshot, UndoOptions, undo_restore};
use etcd_snap_testdata::cluster::{Cluster, Plan};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;

use super::restore_plan;

/// As `data_dir.rs` begins it; its own tests hold the two together.
const BARRIER: &str = "This is not a database. etcd-snap is changing this data directory, or was stopped while it did.\n";

const SNAP: &str = "snap/0000000000000001-0000000000000001.snap";

fn plan(version: Version, folder: &Path) -> Result<Plan> {
    Cluster::builder(version)
        .folder(folder)
        .token("guarded")
        .plan()
}

/// Restores a member and then makes of it what a restore that died could leave: with the barrier, and without these.
fn refuses(version: Version, missing: &[&str], with_barrier: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let plan = plan(version, folder.path())?;
    restore_plan(
        &plan,
        &golden::snapshot(Version::V3_4),
        &RestoreOptions::default(),
    )?;
    let member = plan.members()[0].data_dir.join("member");
    let database = member.join("snap/db");
    fs::remove_file(&database)?;
    if with_barrier {
        fs::write(&database, BARRIER)?;
    }
    for name in missing {
        let path = member.join(name);
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    let started = plan.start();
    if with_barrier {
        ensure!(started.is_err(), "it started");
        ensure!(
            fs::read_to_string(&database)? == BARRIER,
            "the barrier has changed"
        );
    } else {
        let keys = started?.keys_at(0)?.1;
        ensure!(
            keys.is_empty(),
            "it has {} keys without a database",
            keys.len()
        );
    }
    Ok(())
}

#[test]
fn no_etcd_starts_while_a_barrier_has_the_name_of_the_database() -> Result<()> {
    for version in Version::ALL {
        for missing in [&[][..], &["wal"], &["wal", SNAP], &[SNAP]] {
            refuses(version, missing, true)
                .with_context(|| format!("{version}, without {missing:?}"))?;
        }
    }
    Ok(())
}

/// A WAL of the new member, before its data directory has its name: 3.4 to 3.6 start, and are empty.
#[test]
fn without_a_barrier_etcd_starts_empty() -> Result<()> {
    for version in [Version::V3_4, Version::V3_5, Version::V3_6] {
        refuses(version, &[SNAP], false).with_context(|| version.to_string())?;
    }
    Ok(())
}

#[test]
fn a_member_that_was_replaced_boots_again_after_undo() -> Result<()> {
    let version = Version::V3_6;
    let cluster = Cluster::builder(version).start()?;
    cluster.etcdctl(["put", "who", "the old one"])?;
    let mut cluster = cluster;
    let data_dir = cluster.members()[0].data_dir().to_owned();
    let snapshot = Snapshot::open(golden::snapshot(Version::V3_4))?;
    let new = NewCluster::parse(&cluster.initial_cluster(), "replaced")?;
    let target = [MemberTarget::new(cluster.members()[0].name(), &data_dir)];
    let options = RestoreOptions::default().with_replace(true);
    let busy = etcd_snap::restore(&snapshot, &new, &target, &options);
    let said = busy
        .err()
        .context("a running etcd was replaced")?
        .to_string();
    let process = cluster.members()[0].process_id().context("it runs")?;
    ensure!(
        said.contains(&format!("process {process} (etcd)")),
        "{said}"
    );

    cluster.stop(0)?;
    let report = etcd_snap::restore(&snapshot, &new, &target, &options)?;
    ensure!(report.members[0].replaced.is_some());
    cluster.start_member(0)?;
    ensure!(cluster.etcdctl(["get", "who"])?.trim().is_empty());
    cluster.stop(0)?;

    let undone = undo_restore(&data_dir, &UndoOptions::default())?;
    ensure!(
        undone
            .set_aside
            .is_some_and(|path| path.join("snap/db").exists())
    );
    cluster.start_member(0)?;
    ensure!(cluster.etcdctl(["get", "who"])?.contains("the old one"));
    Ok(())
}
