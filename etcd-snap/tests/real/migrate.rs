//! Data that is made fit for another minor, before real servers and beside the real tool.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    MemberTarget, MigrateOptions, MigrateReport, NewCluster, RestoreOptions, Snapshot,
    StorageVersion, migrate, status,
};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Workload};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::{golden, sample};

use crate::edits::Case;

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

/// The change is made in place, whatever there was: bbolt's check and the model judge.
#[test]
fn random_databases_stay_sound_and_change_in_nothing_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let restored = folder.path().join("restored");
    etcd_snap::restore(
        &Snapshot::open(golden::snapshot(Version::V3_5))?,
        &NewCluster::parse("m1=http://localhost:2380", "token")?,
        &[MemberTarget::new("m1", &restored)],
        &RestoreOptions::default(),
    )?;
    let options = MigrateOptions::default().with_wal_dir(restored.join("member/wal"));
    let mut databases = Vec::new();
    for seed in sample(0..2000, 24) {
        let builder = Case::drawn(seed)?
            .with_honest_inline_buckets()
            .builder
            .record("meta", "consistent_index", 7_u64.to_be_bytes())
            .record("meta", "term", 2_u64.to_be_bytes());
        let data_dir = folder.path().join(seed.to_string());
        let database = data_dir.join("member/snap/db");
        fs::create_dir_all(data_dir.join("member/snap"))?;
        fs::write(&database, builder.build())?;
        let has_version = builder.model().value("meta", b"storageVersion").is_some();
        // Up and down, so that both metas have been written.
        for version in ["3.6", "3.7", "3.5", "3.6"] {
            let what = || format!("seed {seed} to {version}");
            migrate(&data_dir, version.parse()?, &options).with_context(what)?;
            let builder = match version {
                "3.5" if has_version => builder.clone().remove("meta", "storageVersion"),
                "3.5" => builder.clone(),
                _ => builder
                    .clone()
                    .record("meta", "storageVersion", format!("{version}.0")),
            };
            let told = status(&Snapshot::open(&database)?).with_context(what)?;
            ensure!(told.hash == builder.model().status_hash(), "{}", what());
        }
        databases.push(database);
    }
    for version in [Version::V3_5, Version::NEWEST] {
        Binaries::find(version)?.check_pages(&databases)?;
    }
    Ok(())
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
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
