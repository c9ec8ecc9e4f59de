//! Snapshots of real servers, written as they come: nothing in them is taken for damage, and they are what a file is.

use std::fs;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    ProofKind, SaveOptions, Snapshot, VerifyOptions, fast_status, save_blocking, verify,
    verify_stream,
};
use etcd_snap_testdata::cluster::{Bulk, Cluster as RealCluster};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Room, client};

/// Large values are overwritten and deleted, and their pages used again: of many a large page only the beginning is left.
fn churn(cluster: &RealCluster) -> Result<()> {
    for round in 0..4 {
        for (keys, value_bytes) in [(40, 150_000), (400, 3_000), (200, 9_000), (800, 300)] {
            cluster.bulk(&Bulk {
                prefix: format!("churn/{value_bytes}/"),
                keys,
                value_bytes: value_bytes >> (round % 2),
                ..Bulk::default()
            })?;
        }
        cluster.etcdctl(["del", "--prefix", "churn/150000/"])?;
        cluster.etcdctl(["compact", &cluster.revision(0)?.to_string(), "--physical"])?;
        // The compaction gave the pages free that the next writes take.
        cluster.etcdctl(["put", "round", &round.to_string()])?;
    }
    Ok(())
}

#[test]
fn a_pipe_gets_a_snapshot_of_a_server_that_has_lived() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        a_pipe_gets_a_snapshot(version).with_context(|| format!("etcd {version}"))?;
    }
    Ok(())
}

fn a_pipe_gets_a_snapshot(version: Version) -> Result<()> {
    let cluster = RealCluster::builder(version).start()?;
    churn(&cluster)?;
    let room = Room::new()?;
    let pipe = room.target().with_file_name("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe)
    });
    let client = client(&cluster, cluster.endpoint(0))?;
    let saved = save_blocking(&client, &pipe, &SaveOptions::default())?;
    let bytes = reader.join().expect("it does not panic")?;
    ensure!((saved.proof, &saved.path) == (ProofKind::Stream, &Some(pipe)));
    ensure!(bytes.len() as u64 == saved.size_bytes && saved.contents.is_none());

    let streamed = verify_stream("the pipe", bytes.as_slice(), &VerifyOptions::default())?;
    ensure!(streamed.problems.is_empty(), "{:?}", streamed.problems);
    ensure!(streamed.into_proven()? == saved.digest);
    fs::write(room.target(), &bytes)?;
    let snapshot = Snapshot::open(room.target())?;
    let proven = verify(&snapshot, &VerifyOptions::default())?.into_proven()?;
    ensure!(proven.digest == saved.digest);
    ensure!(proven.contents.revision.get() == cluster.revision(0)?);
    ensure!(fast_status(&snapshot)?.revision == proven.contents.revision);
    Ok(())
}
