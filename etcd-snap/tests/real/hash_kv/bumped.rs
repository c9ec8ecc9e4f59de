//! Stores that were restored with a bump of the revision.

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{Bump, RestoreOptions};
use etcd_snap_testdata::cluster::Cluster as RealCluster;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use super::{Answers, Taken, bulk, compact};
use crate::restore_plan;

const BY: u64 = 1000;

/// Restored with etcd's own tool, or by us; before the first start, after it, after more writes, and with another bump.
fn is_explained(version: Version, is_compacted: bool) -> Result<()> {
    let source = RealCluster::builder(version).start()?;
    bulk(&source, "a/", 60, 1)?;
    bulk(&source, "a/", 30, 10)?;
    source.etcdctl(["del", "a/00000007"])?;
    if is_compacted {
        compact(&source, 4)?;
    }
    let mut snapshot = Taken::by_etcdctl(&source, 0, "source")?;
    for round in ["once", "twice"] {
        let plan = RealCluster::builder(version).token(round).plan()?;
        let before = snapshot.own()?.revision;
        // 3.4.23 knows no bump yet.
        if version == Version::V3_4 {
            let options = RestoreOptions::default()
                .with_bump(Bump::By(BY))
                .with_mark_compacted(true);
            restore_plan(&plan, &snapshot.path, &options)?;
        } else {
            let by = format!("--bump-revision={BY}");
            plan.restore_with_etcd(&snapshot.path, &[&by, "--mark-compacted"])?;
        }
        let restored = plan.folder().join("restored.db");
        std::fs::copy(plan.members()[0].data_dir.join("member/snap/db"), &restored)?;
        let restored = Taken::open(restored)?;
        restored.agrees_with_tools()?;
        let own = restored.own()?;
        ensure!((own.revision, own.compact_revision) == (before + 1000, before + 1000));

        let cluster = plan.start()?;
        let booted = Taken::by_etcdctl(&cluster, 0, "booted")?;
        let answers = Answers::of(&cluster, 0)?;
        ensure!(answers.now == own, "{:?}, and not {own:?}", answers.now);
        for taken in [&restored, &booted] {
            taken.explains(&answers).with_context(|| round.to_owned())?;
        }
        bulk(&cluster, "a/", 20, 1)?;
        cluster.etcdctl(["del", "a/00000011"])?;
        let written = Taken::by_etcdctl(&cluster, 0, "written")?;
        let answers = Answers::of(&cluster, 0)?;
        for taken in [&restored, &booted, &written] {
            taken.explains(&answers).context("after more writes")?;
        }
        compact(&cluster, 3)?;
        let later = Taken::by_etcdctl(&cluster, 0, "later")?;
        let answers = Answers::of(&cluster, 0)?;
        for taken in [&booted, &written, &later] {
            taken.explains(&answers).context("after a compaction")?;
        }
        let path = source.folder().join(format!("{round}.db"));
        std::fs::copy(&later.path, &path)?;
        snapshot = Taken::open(path)?;
    }
    Ok(())
}

#[test]
fn a_bumped_store_hashes_as_its_server_does() -> Result<()> {
    let cases = Version::ALL
        .into_iter()
        .flat_map(|version| [(version, false), (version, true)]);
    for (version, is_compacted) in sample(cases, 2) {
        is_explained(version, is_compacted)
            .with_context(|| format!("{version}, compacted before: {is_compacted}"))?;
    }
    Ok(())
}
