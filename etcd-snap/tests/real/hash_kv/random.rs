//! Random stores, with every mixture of compactions, booted.

use anyhow::{Context as _, Result, ensure};
use etcd_snap::RestoreOptions;
use etcd_snap_testdata::cluster::Cluster as RealCluster;
use etcd_snap_testdata::database::Random;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use super::{Answers, Taken};
use crate::edits::Case;
use crate::restore_plan;

const ASKED: usize = 80;

fn is_explained(seed: u64, version: Version) -> Result<()> {
    let builder = Case::drawn(seed)?.bootable().builder;
    let plan = RealCluster::builder(version).token("random").plan()?;
    let source = plan.folder().join("source.db");
    std::fs::write(&source, builder.build())?;
    let options = RestoreOptions::default().with_skip_hash_check(true);
    restore_plan(&plan, &source, &options)?;
    let restored = plan.folder().join("restored.db");
    std::fs::copy(plan.members()[0].data_dir.join("member/snap/db"), &restored)?;
    let restored = Taken::open(restored)?;

    let mut revisions = restored.model.revisions();
    Random::new(seed).shuffle(&mut revisions);
    revisions.truncate(ASKED);
    let cluster = plan.start()?;
    let now = cluster.hash_kv(0, 0)?;
    // Where nothing lives, the answer depends on how far a compaction is.
    let lives = |revision: &i64| restored.model.live_keys_at(*revision) > 0;
    let asked = revisions.into_iter().chain([now.compact_revision.max(1)]);
    let answers = Answers::to(&cluster, 0, asked.filter(lives))?;
    ensure!(
        restored.model.current_revision() == now.revision,
        "{now:?}, and ours is {:?}",
        restored.own()?
    );
    if lives(&now.revision) {
        ensure!(
            restored.own()? == now,
            "{now:?}, and ours is {:?}",
            restored.own()?
        );
    }
    restored.explains(&answers)?;
    let booted = Taken::by_etcdctl(&cluster, 0, "booted")?;
    booted.explains(&answers).context("by a snapshot")
}

#[test]
fn servers_of_random_stores_answer_what_follows_from_the_file() -> Result<()> {
    let cases = (0..40).flat_map(|seed| Version::ALL.map(|version| (seed, version)));
    for (seed, version) in sample(cases, 4) {
        is_explained(seed, version).with_context(|| format!("seed {seed}, etcd {version}"))?;
    }
    Ok(())
}
