//! Data that is made fit for another minor, before real servers and beside the real tool.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    MigrateOptions, MigrateReport, RestoreOptions, Snapshot, StorageVersion, migrate, status,
};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Workload};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::golden;

fn migrated(data_dir: &Path, target: StorageVersion) -> Result<MigrateReport> {
    Ok(migrate(data_dir, target, &MigrateOptions::default())?)
}

/// Up and down the ladder, and then the server that it was made fit for.
#[test]
fn servers_of_the_target_start() -> Result<()> {
    use StorageVersion as To;
    for (from, ladder, server) in [
        (Version::V3_5, &[To::V3_6][..], Version::V3_6),
        (Version::V3_5, &[To::V3_7, To::V3_5], Version::V3_5),
        (Version::V3_6, &[To::V3_7], Version::V3_7),
    ] {
        let plan = RealCluster::builder(server).plan()?;
        crate::restore_plan(&plan, &golden::snapshot(from), &RestoreOptions::default())?;
        let data_dir = plan.members()[0].data_dir.clone();
        for target in ladder {
            migrated(&data_dir, *target)?;
        }
        let database = data_dir.join("member/snap/db");
        Binaries::find(server)?.check_pages([&database])?;
        let before = status(&Snapshot::open(&database)?)?;
        let mut cluster = plan.start()?;
        let (_, keys) = cluster.keys_at(0)?;
        ensure!(keys.len() as u64 == before.live_keys, "{server}");
        cluster.etcdctl(["put", "after", "the migration"])?;
        cluster.restart(0)?;
        cluster.stop(0)?;
        cluster.binaries().check_pages([&database])?;
    }
    Ok(())
}

/// With a log of several snapshots of raft, its last record perhaps torn.
#[test]
fn a_member_that_has_lived_goes_the_way_that_etcdutl_goes() -> Result<()> {
    let etcdutl = Binaries::find(Version::NEWEST)?;
    let etcdutl = etcdutl.etcdutl.as_ref().context("no etcdutl")?;
    for (version, gently) in [(Version::V3_5, false), (Version::V3_6, true)] {
        let mut cluster = RealCluster::builder(version)
            .argument("--snapshot-count=50")
            .start()?;
        cluster.write(&Workload::default())?;
        let (revision, keys) = cluster.keys_at(0)?;
        if version == Version::V3_6 {
            cluster.wait_for_storage_version()?;
        }
        match gently {
            true => cluster.stop(0)?,
            false => cluster.kill(0),
        }
        let ours = cluster.members()[0].data_dir().to_owned();
        let theirs = cluster.folder().join("theirs");
        copy(&ours, &theirs)?;
        // And back to where it was, so that the server takes it again.
        let own = match version {
            Version::V3_5 => "3.5",
            _ => "3.6",
        };
        for target in ["3.7", "3.6", "3.5", "3.6", own] {
            migrated(&ours, target.parse()?)?;
            let output = etcd_snap_testdata::stoppable(etcdutl)
                .args(["migrate", "--target-version", target, "--data-dir"])
                .arg(&theirs)
                .output()?;
            ensure!(output.status.success(), "{target}: {output:?}");
            let told = |data_dir: &Path| -> Result<_> {
                let told = status(&Snapshot::open(data_dir.join("member/snap/db"))?)?;
                Ok((told.hash, told.storage_version))
            };
            let (ours, theirs) = (told(&ours)?, told(&theirs)?);
            ensure!(
                ours == theirs,
                "{version} to {target}: {ours:?} and {theirs:?}"
            );
        }
        cluster
            .binaries()
            .check_pages([cluster.members()[0].database()])?;
        // What a server has not written into its database before it was killed is in its log.
        cluster.start_member(0)?;
        ensure!(cluster.keys_at(0)? == (revision, keys), "{version}");
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
