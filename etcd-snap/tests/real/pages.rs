//! Databases with pages that are larger than this machine's, and with their freelist in the file, as servers on other
//! platforms have them.

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{DigestCheck, ErrorKind, RestoreOptions, Snapshot, VerifyOptions, status, verify};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Workload};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::sample;

use crate::{Room, client, restore_plan, saved};

fn database_of(plan: &etcd_snap_testdata::cluster::Plan) -> std::path::PathBuf {
    plan.members()[0].data_dir.join("member/snap/db")
}

/// A copy with other pages is verified, restored and booted; then it is saved from the server that runs on it, and that
/// file is verified, restored and booted again.
fn work_all_the_way(version: Version, page_size: u32, freelist: bool) -> Result<()> {
    let source = RealCluster::builder(version).start()?;
    source.write(&Workload::default())?;
    let (state, hash) = (source.state()?, source.agreed_hash_kv()?.hash);
    let room = Room::new()?;
    saved(&client(&source, source.endpoint(0))?, &room)?;
    let original = status(&Snapshot::open(room.target())?)?;

    let judge = Binaries::find(version.max(Version::V3_5))?;
    let copy = source.folder().join("copy.db");
    judge.copy_database(&room.target(), &copy, page_size, freelist)?;
    let snapshot = Snapshot::open(&copy)?;
    ensure!(snapshot.page_size_bytes() == page_size);
    let report = verify(&snapshot, &VerifyOptions::default())?;
    ensure!(report.is_sound(), "{:?}", report.problems);
    ensure!(
        matches!(report.digest, DigestCheck::Missing { .. }),
        "{:?}",
        report.digest
    );
    ensure!(
        (
            report.contents.hash,
            report.contents.revision,
            report.contents.live_keys
        ) == (original.hash, original.revision, original.live_keys),
        "{:?}",
        report.contents
    );

    let plan = RealCluster::builder(version).token("copied").plan()?;
    let refused = restore_plan(&plan, &copy, &RestoreOptions::default());
    let refused = refused.err().context("it was restored without a digest")?;
    let refused = refused.downcast::<etcd_snap::Error>()?;
    ensure!(refused.kind() == ErrorKind::NoDigest, "{refused}");
    let skip = RestoreOptions::default().with_skip_hash_check(true);
    restore_plan(&plan, &copy, &skip)?;
    judge.check_pages([database_of(&plan)])?;
    let cluster = plan.start()?;
    ensure!(
        cluster.state()? == state,
        "the state differs after the first restore"
    );
    ensure!(cluster.agreed_hash_kv()?.hash == hash);

    // The server has put its own pages among those of the copy and of the restore.
    cluster.write(&Workload {
        users: false,
        ..Workload::default()
    })?;
    let (state, hash) = (cluster.state()?, cluster.agreed_hash_kv()?.hash);
    let room = Room::new()?;
    saved(&client(&cluster, cluster.endpoint(0))?, &room)?;
    ensure!(Snapshot::open(room.target())?.page_size_bytes() == page_size);
    judge.check_pages([room.target()])?;
    let plan = RealCluster::builder(version)
        .members(3)
        .token("again")
        .plan()?;
    restore_plan(&plan, &room.target(), &RestoreOptions::default())?;
    judge.check_pages([database_of(&plan)])?;
    let mut cluster = plan.start()?;
    ensure!(
        cluster.state()? == state,
        "the state differs after the second restore"
    );
    ensure!(cluster.agreed_hash_kv()?.hash == hash);
    cluster.etcdctl(["put", "after", "all"])?;
    for member in 0..3 {
        cluster.restart(member)?;
        cluster.stop(member)?;
        judge.check_pages([cluster.members()[member].database()])?;
        cluster.start_member(member)?;
    }
    Ok(())
}

#[test]
fn pages_of_16_and_64_kib_and_freelists_in_the_file_work_all_the_way() -> Result<()> {
    let kinds = [
        (4096, true),
        (16_384, false),
        (16_384, true),
        (65_536, false),
        (65_536, true),
    ];
    let all = Version::ALL
        .into_iter()
        .flat_map(|version| kinds.map(|(size, freelist)| (version, size, freelist)));
    for (version, page_size, freelist) in sample(all, 2) {
        work_all_the_way(version, page_size, freelist).with_context(|| {
            format!("etcd {version}, pages of {page_size} bytes, freelist in the file: {freelist}")
        })?;
    }
    Ok(())
}
