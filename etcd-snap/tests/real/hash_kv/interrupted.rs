//! Compactions whose server was killed in the middle.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::Snapshot;
use etcd_snap_testdata::cluster::Cluster as RealCluster;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use super::{Answers, Taken, bulk};

/// A server that takes seconds for a compaction.
fn slow(version: Version) -> Result<RealCluster> {
    let builder = RealCluster::builder(version);
    let builder = match version {
        // 3.4 cannot be told how long to rest after each batch.
        Version::V3_4 => builder.argument("--experimental-compaction-batch-limit=2"),
        Version::V3_5 => builder
            .argument("--experimental-compaction-batch-limit=100")
            .argument("--experimental-compaction-sleep-interval=5s"),
        _ => builder
            .argument("--compaction-batch-limit=100")
            .argument("--compaction-sleep-interval=5s"),
    };
    builder.start()
}

/// Nothing but the number of records tells of progress.
fn records(cluster: &RealCluster) -> Result<u64> {
    let copy = cluster.folder().join("copy.db");
    fs::copy(cluster.members()[0].database(), &copy)?;
    // While the server writes, a copy may be torn.
    let opened = Snapshot::open(&copy).and_then(|copy| etcd_snap::status(&copy));
    Ok(opened.map_or(u64::MAX, |status| status.total_records))
}

/// The compaction has begun, and is not over: by the meta bucket and by what is left.
fn is_half_done(taken: &Taken, compacted: i64, before: u64) -> Result<()> {
    let model = &taken.model;
    let at = |name: &str| {
        let revision = model.value("meta", name.as_bytes())?;
        Some(i64::from_be_bytes(*revision.first_chunk()?))
    };
    let (scheduled, finished) = (at("scheduledCompactRev"), at("finishedCompactRev"));
    ensure!(
        scheduled == Some(compacted) && finished < scheduled,
        "{finished:?} finished of {scheduled:?}"
    );
    ensure!(
        model.total_records() < before && model.obsolete_at(compacted) > 0,
        "{} records of {before}, {} obsolete",
        model.total_records(),
        model.obsolete_at(compacted)
    );
    Ok(())
}

/// Of the first compaction, or of one after another that was finished.
fn killed_in_the_middle(version: Version, is_compacted: bool) -> Result<()> {
    let mut cluster = slow(version)?;
    bulk(&cluster, "k/", 600, 1)?;
    if is_compacted {
        let early = cluster.revision(0)? - 550;
        cluster.etcdctl(["compact", &early.to_string(), "--physical"])?;
    }
    bulk(&cluster, "k/", 500, 1)?;
    cluster.etcdctl(["del", "--prefix", "k/0000000"])?;
    bulk(&cluster, "k/", 100, 20)?;
    cluster.etcdctl(["del", "k/00000300"])?;
    let whole = Taken::by_etcdctl(&cluster, 0, "whole")?;
    let before = whole.model.total_records();
    let compacted = cluster.revision(0)? - 2;
    cluster.etcdctl(["compact", &compacted.to_string()])?;

    let patience = Instant::now() + Duration::from_secs(60);
    while records(&cluster)? >= before {
        ensure!(Instant::now() < patience, "no compaction begins");
        std::thread::yield_now();
    }
    // While it works.
    let live = Taken::by_etcdctl(&cluster, 0, "live")?;
    is_half_done(&live, compacted, before)?;
    let answers = Answers::of(&cluster, 0)?;
    ensure!(answers.now.compact_revision == compacted);
    live.explains(&answers).context("while it compacts")?;
    whole
        .explains(&answers)
        .context("while it compacts, from before")?;

    cluster.kill(0);
    let left = cluster.folder().join("left.db");
    fs::copy(cluster.members()[0].database(), &left)?;
    let left = Taken::open(left)?;
    is_half_done(&left, compacted, before)?;
    ensure!(left.own()? == answers.now);
    left.explains(&answers)
        .context("from before it was killed")?;
    left.agrees_with_tools()?;

    cluster.start_member(0)?;
    let answers = Answers::of(&cluster, 0)?;
    for taken in [&whole, &live, &left] {
        taken.explains(&answers).context("after the restart")?;
    }
    Ok(())
}

#[test]
fn a_half_finished_compaction_hashes_like_a_finished_one() -> Result<()> {
    let cases = Version::ALL
        .into_iter()
        .flat_map(|version| [(version, false), (version, true)]);
    for (version, is_compacted) in sample(cases, 2) {
        killed_in_the_middle(version, is_compacted)
            .with_context(|| format!("{version}, compacted before: {is_compacted}"))?;
    }
    Ok(())
}
