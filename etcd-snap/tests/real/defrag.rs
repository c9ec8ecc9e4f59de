//! What a defragmentation makes of members' databases, held against what etcd's own makes, bbolt's check and real servers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{DefragOptions, DefragReport, ErrorKind, Snapshot, defrag, status};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Security, Workload};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::sample;

use crate::edits::Case;
use crate::meanwhile::{Gate, start, wait_until_open};

fn defragmented(data_dir: &Path) -> Result<DefragReport> {
    Ok(defrag(data_dir, &DefragOptions::default())?)
}

/// A data directory of nothing but this database.
fn data_dir(folder: &Path, name: &str, database: &[u8]) -> Result<PathBuf> {
    let data_dir = folder.join(name);
    fs::create_dir_all(data_dir.join("member/snap"))?;
    fs::write(data_dir.join("member/snap/db"), database)?;
    Ok(data_dir)
}

/// etcd's own defragmentation of the same database is as large but for the pages that its transactions leave behind.
#[test]
fn random_databases_become_what_etcd_makes_of_them_and_pass_bbolts_check() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let theirs = Binaries::find(Version::NEWEST)?;
    let etcdutl = theirs.etcdutl.as_ref().context("no etcdutl")?;
    let mut databases = Vec::new();
    for seed in sample(0..2000, 24) {
        let what = || format!("seed {seed}");
        let builder = Case::drawn(seed)?.builder;
        let database = builder.build();
        let ours = data_dir(folder.path(), &format!("{seed}.ours"), &database)?;
        let report = defragmented(&ours).with_context(what)?;
        let ours = ours.join("member/snap/db");
        let held = status(&Snapshot::open(&ours)?)?;
        ensure!(held.hash == builder.model().status_hash(), "{}", what());
        crate::agrees_with_status(&held, &ours).with_context(what)?;
        databases.push(ours);

        // Theirs has the page size of the machine.
        if builder.page_size() != 4096 {
            continue;
        }
        let other = data_dir(folder.path(), &format!("{seed}.theirs"), &database)?;
        let output = etcd_snap_testdata::stoppable(etcdutl)
            .args(["defrag", "--data-dir"])
            .arg(&other)
            .output()?;
        ensure!(output.status.success(), "{}: {output:?}", what());
        let other = Snapshot::open(other.join("member/snap/db"))?;
        let told = status(&other)?;
        ensure!(told.hash == held.hash, "{}", what());
        let (ours, theirs) = (report.size_after_bytes, told.total_size_bytes);
        ensure!(
            ours <= theirs && theirs - ours <= 8 * 4096,
            "{}: {ours} bytes here and {theirs} there",
            what()
        );
    }
    for version in [Version::V3_5, Version::NEWEST] {
        Binaries::find(version)?.check_pages(&databases)?;
    }
    Ok(())
}

#[test]
fn real_members_start_from_what_is_left_of_their_databases() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        let mut cluster = RealCluster::builder(version).start()?;
        cluster.write(&Workload::default())?;
        cluster.etcdctl(["put", "large", &"x".repeat(100_000)])?;
        cluster.etcdctl(["del", "large"])?;
        let compacted = cluster.revision(0)?.to_string();
        cluster.etcdctl(["compact", "--physical", &compacted])?;
        // A hash that was asked for before a compaction can be one that the member has kept.
        cluster.etcdctl(["put", "behind", "the compaction"])?;
        let (revision, keys) = cluster.keys_at(0)?;
        let data_dir = cluster.members()[0].data_dir().to_owned();

        let error = defrag(&data_dir, &DefragOptions::default())
            .err()
            .context("it runs")?;
        ensure!(error.kind() == ErrorKind::Busy, "{error}");

        let before = cluster.hash_kv(0, revision)?;
        cluster.stop(0)?;
        let report = defragmented(&data_dir)?;
        ensure!(
            report.size_after_bytes < report.size_before_bytes,
            "{report:?}"
        );
        let database = cluster.members()[0].database();
        cluster.binaries().check_pages([&database])?;
        cluster.start_member(0)?;
        cluster.wait_until_healthy()?;
        let (now, found) = cluster.keys_at(0)?;
        ensure!(
            now == revision,
            "{version}: revision {now} instead of {revision}"
        );
        ensure!(found == keys, "{version}: other keys");
        let after = cluster.hash_kv(0, revision)?;
        ensure!(after == before, "{version}: {before:?} became {after:?}");
        cluster.etcdctl(["put", "after", "it"])?;
        cluster.restart(0)?;
        cluster.stop(0)?;
        cluster.binaries().check_pages([&database])?;
    }
    Ok(())
}

/// Its lock is one of the old file, which has no name by then: whatever it would write is lost when it ends.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_was_started_meanwhile_ends_and_finds_the_new_file_next_time() -> Result<()> {
    let version = sample(Version::ALL, 1)[0];
    let mut cluster = RealCluster::builder(version)
        .security(Security::Plain)
        .start()?;
    cluster.write(&Workload::default())?;
    let (revision, keys) = cluster.keys_at(0)?;
    cluster.stop(0)?;
    let member = &cluster.members()[0];
    let data_dir = member.data_dir().to_owned();

    let (gate, arrives, go_on) = Gate::new();
    let options = DefragOptions::default().with_observer(std::sync::Arc::new(gate));
    let output = std::thread::scope(|scope| -> Result<_> {
        let defrag = scope.spawn(|| defrag(&data_dir, &options));
        arrives.recv()?;
        let etcd = start(&cluster)?;
        let waits = wait_until_open(etcd.id(), &member.database());
        go_on.send(())?;
        let report = defrag.join().expect("it does not panic")?;
        ensure!(report.size_after_bytes > 0);
        waits?;
        Ok(etcd.wait_with_output()?)
    })?;
    ensure!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("invalid database"), "{said}");

    cluster.start_member(0)?;
    cluster.wait_until_healthy()?;
    ensure!(cluster.keys_at(0)? == (revision, keys));
    Ok(())
}
