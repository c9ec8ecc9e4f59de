//! Snapshots of every minor are restored to one, three and five members, and real servers of the same and every newer minor
//! start from them, with the same keys, revisions, leases and users, and live on as if nothing had been.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{Bump, RestoreOptions, Snapshot, VerifyOptions, verify};
use etcd_snap_testdata::cluster::{Bulk, Cluster, ClusterState, Plan, Workload};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::sample;

use super::{corruption_checks, restore_plan};

fn databases(plan: &Plan) -> Vec<PathBuf> {
    plan.members()
        .iter()
        .map(|member| member.data_dir.join("member/snap/db"))
        .collect()
}

/// A server's state, and a snapshot of it.
struct Source {
    cluster: Cluster,
    snapshot: PathBuf,
    state: ClusterState,
    hash: u32,
    compact_revision: i64,
}

impl Source {
    fn new(version: Version, workload: &Workload) -> Result<Self> {
        let cluster = Cluster::builder(version).start()?;
        cluster.write(workload)?;
        let snapshot = cluster.folder().join("snapshot.db");
        cluster.save_with_etcdctl(0, &snapshot)?;
        let agreed = cluster.agreed_hash_kv()?;
        Ok(Self {
            state: cluster.state()?,
            hash: agreed.hash,
            compact_revision: agreed.compact_revision,
            snapshot,
            cluster,
        })
    }

    fn boots_on(&self, version: Version, members: usize) -> Result<()> {
        let builder = Cluster::builder(version)
            .members(members)
            .token("restored")
            .argument(format!("--snapshot-count={SNAPSHOT_COUNT}"));
        let plan = corruption_checks(version)
            .iter()
            .fold(builder, |builder, flag| builder.argument(*flag))
            .plan()?;
        let report = restore_plan(&plan, &self.snapshot, &RestoreOptions::default())?;
        ensure!(report.snapshot_revision.get() == self.state.revision);
        let (databases, plan_members) = (databases(&plan), plan.members().to_vec());
        // Of 3.4 there is no checker: the page format is the same in all.
        let checker = Binaries::find(version.max(Version::V3_5))?;
        checker
            .check_pages(&databases)
            .context("before the first start")?;

        let mut cluster = plan.start()?;
        ensure!(
            cluster.state()? == self.state,
            "the state differs after the restore"
        );
        let agreed = cluster.agreed_hash_kv()?;
        ensure!(
            (agreed.hash, agreed.compact_revision) == (self.hash, self.compact_revision),
            "HashKV differs: {agreed:?}"
        );
        lives_on(&mut cluster)?;
        for member in 0..cluster.members().len() {
            if cluster.members()[member].is_running() {
                cluster.stop(member)?;
            }
        }
        // Each has written what it would start from next.
        for member in plan_members {
            let snap = member.data_dir.join("member/snap");
            let restored = format!("{:016x}-{members:016x}.snap", 1);
            let own = std::fs::read_dir(&snap)?
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .find(|name| name.ends_with(".snap") && *name != restored);
            ensure!(own.is_some(), "no snapshot in {}", snap.display());
        }
        checker
            .check_pages(&databases)
            .context("after the servers ran")?;
        Ok(())
    }
}

/// How many entries servers here apply until they write a snapshot of their own and let go of their log.
const SNAPSHOT_COUNT: usize = 50;

/// Everything that happens to a cluster sooner or later.
fn lives_on(cluster: &mut Cluster) -> Result<()> {
    let first = cluster.members().len();
    cluster.etcdctl(["put", "after", "the restore"])?;
    for member in 0..first {
        cluster.restart(member).context("a restart")?;
    }
    cluster.bulk(&Bulk {
        prefix: "rolled/".to_owned(),
        keys: 4 * SNAPSHOT_COUNT,
        ..Bulk::default()
    })?;
    let added = cluster.add_member()?;
    cluster
        .agreed_hash_kv()
        .context("with the member that was added")?;
    let before = cluster.revision(added)?;
    cluster.etcdctl(["compact", &before.to_string(), "--physical"])?;
    cluster.etcdctl(["put", "after", "the compaction"])?;
    cluster.etcdctl(["defrag"])?;
    let compacted = cluster.agreed_hash_kv().context("after a compaction")?;
    ensure!(compacted.compact_revision == before, "{compacted:?}");
    cluster.restart(first - 1).context("after a roll-over")?;
    cluster.remove_member(0).context("a removal")?;
    let after = cluster.etcdctl(["get", "after", "--print-value-only"])?;
    ensure!(after.trim() == "the compaction", "{after}");
    cluster.agreed_hash_kv().context("after a removal")?;
    let alarms = cluster.etcdctl(["alarm", "list"])?;
    ensure!(alarms.trim().is_empty(), "{alarms}");
    Ok(())
}

fn snapshots_boot_from(version: Version) -> Result<()> {
    let source = Source::new(version, &Workload::large())?;
    let pairs = version
        .and_newer()
        .flat_map(|newer| [(newer, 1), (newer, 3), (newer, 5)]);
    for (newer, members) in sample(pairs, 2) {
        source
            .boots_on(newer, members)
            .with_context(|| format!("a snapshot of {version}, {members} members of {newer}"))?;
    }
    drop(source.cluster);
    Ok(())
}

#[test]
fn a_snapshot_of_3_4_boots_from_3_4_to_3_7() -> Result<()> {
    snapshots_boot_from(Version::V3_4)
}

#[test]
fn a_snapshot_of_3_5_boots_from_3_5_to_3_7() -> Result<()> {
    snapshots_boot_from(Version::V3_5)
}

#[test]
fn a_snapshot_of_3_6_boots_from_3_6_to_3_7() -> Result<()> {
    snapshots_boot_from(Version::V3_6)
}

#[test]
fn a_snapshot_of_3_7_boots_from_3_7() -> Result<()> {
    snapshots_boot_from(Version::V3_7)
}

#[test]
fn a_bumped_store_cancels_old_watches_and_goes_on_above_the_bump() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        let source = Source::new(version, &Workload::default())?;
        let plan = Cluster::builder(version)
            .members(3)
            .token("bumped")
            .plan()?;
        let options = RestoreOptions::default()
            .with_bump(Bump::By(1_000_000))
            .with_mark_compacted(true);
        let report = restore_plan(&plan, &source.snapshot, &options)?;
        let bumped = source.state.revision + 1_000_000;
        ensure!(report.contents.revision.get() == bumped);
        Binaries::find(version.max(Version::V3_5))?.check_pages(databases(&plan))?;

        let cluster = plan.start()?;
        ensure!(
            cluster.state()?.keys == source.state.keys,
            "{version}: the keys differ"
        );
        cluster.etcdctl(["put", "after", "the bump"])?;
        ensure!(
            cluster.revision(0)? == bumped + 1,
            "{version}: {}",
            cluster.revision(0)?
        );
        cluster.agreed_hash_kv()?;
        let old = source.state.revision.to_string();
        let refused = cluster.try_etcdctl(["get", "after", "--rev", &old]);
        ensure!(
            refused
                .as_ref()
                .is_err_and(|e| format!("{e:#}").contains("compacted")),
            "{version}: an old revision is still served: {refused:?}"
        );
    }
    Ok(())
}

#[test]
fn what_a_member_left_behind_restores_and_boots() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        let mut source = Source::new(version, &Workload::default())?;
        source.cluster.stop(0)?;
        let raw = source.cluster.members()[0].database();
        let report = verify(&Snapshot::open(&raw)?, &VerifyOptions::default())?;
        ensure!(report.is_sound(), "{version}: {:?}", report.problems);
        let plan = Cluster::builder(version).token("raw").plan()?;
        let refused = restore_plan(&plan, &raw, &RestoreOptions::default());
        ensure!(refused.is_err_and(|e| e.to_string().contains("--skip-hash-check")));
        restore_plan(
            &plan,
            &raw,
            &RestoreOptions::default().with_skip_hash_check(true),
        )?;
        ensure!(
            plan.start()?.state()? == source.state,
            "{version}: the state differs"
        );
    }
    Ok(())
}
