//! A history of one cluster, step by step.

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::cluster::Cluster as RealCluster;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use super::{Answers, Taken, bulk, compact};

type Step = (&'static str, fn(&RealCluster) -> Result<()>);

const HISTORY: [Step; 11] = [
    ("nothing", |_| Ok(())),
    ("puts", |cluster| bulk(cluster, "a/", 40, 1)),
    ("overwrites", |cluster| {
        bulk(cluster, "a/", 20, 1)?;
        bulk(cluster, "a/", 10, 1)
    }),
    ("deletes", |cluster| {
        cluster.etcdctl(["del", "a/00000001"])?;
        cluster.etcdctl(["del", "--prefix", "a/0000001"])?;
        cluster.etcdctl(["put", "a/00000001", "again"]).map(drop)
    }),
    ("transactions of several operations", |cluster| {
        bulk(cluster, "t/", 30, 10)?;
        let several = b"\nput t/x 1\ndel t/00000003\nput t/y 2\ndel a/00000002\n\n\n";
        cluster.etcdctl_with_input(["txn"], several).map(drop)
    }),
    ("a compaction", |cluster| compact(cluster, 12)),
    ("more writes", |cluster| {
        bulk(cluster, "a/", 25, 1)?;
        cluster.etcdctl(["del", "t/00000004"]).map(drop)
    }),
    ("a second compaction", |cluster| compact(cluster, 9)),
    ("a compaction on a delete", |cluster| {
        cluster.etcdctl(["del", "a/00000003"])?;
        compact(cluster, 0)
    }),
    ("the deleted key again", |cluster| {
        cluster.etcdctl(["put", "a/00000003", "again"])?;
        bulk(cluster, "a/", 5, 1)
    }),
    ("a lease", |cluster| {
        let granted = cluster.etcdctl(["lease", "grant", "3600"])?;
        let lease = granted.split_whitespace().nth(1).context("no lease")?;
        let lease = format!("--lease={lease}");
        cluster
            .etcdctl(["put", "leased", "value", &lease])
            .map(drop)
    }),
];

/// Where nothing lives, a hash depends on what a member has taken away already, which differs between members for a while.
const END_OF_ALONE: [Step; 5] = [
    ("no key lives", |cluster| {
        cluster.etcdctl(["del", "", "--from-key"]).map(drop)
    }),
    ("a compaction when no key lives", |cluster| {
        compact(cluster, 0)
    }),
    ("a key again", |cluster| {
        cluster.etcdctl(["put", "b", "c"]).map(drop)
    }),
    ("no key lives again", |cluster| {
        bulk(cluster, "a/", 8, 1)?;
        bulk(cluster, "a/", 4, 1)?;
        cluster.etcdctl(["del", "", "--from-key"]).map(drop)
    }),
    ("a compaction when some keys lived", |cluster| {
        compact(cluster, 2)
    }),
];

/// After each step every member answers what follows from the snapshot taken then, from one of another member too, and what
/// it answers for older revisions follows from the snapshots taken before.
fn is_explained_after_every_step(version: Version, members: usize) -> Result<()> {
    let mut cluster = RealCluster::builder(version).members(members).start()?;
    let end = if members == 1 { &END_OF_ALONE[..] } else { &[] };
    let judged: Vec<_> = sample(0..HISTORY.len() + end.len(), 2);
    let mut taken: Vec<(&str, Taken)> = Vec::new();
    for (n, (name, step)) in HISTORY.iter().chain(end).enumerate() {
        step(&cluster).with_context(|| (*name).to_owned())?;
        cluster.agreed_hash_kv()?;
        let new = Taken::by_etcdctl(&cluster, n % members, &n.to_string())?;
        if n == 0 {
            let empty = new.own()?;
            ensure!((empty.hash, empty.revision) == (1_084_519_789, 1));
        }
        if judged.contains(&n) {
            new.agrees_with_tools()
                .with_context(|| (*name).to_owned())?;
        }
        taken.push((name, new));
        for member in 0..members {
            all_explain(&taken, &cluster, member).with_context(|| format!("after {name}"))?;
        }
    }
    // Then it has forgotten what it answered before.
    cluster.restart(0)?;
    all_explain(&taken, &cluster, 0).context("after a restart")
}

fn all_explain(taken: &[(&str, Taken)], cluster: &RealCluster, member: usize) -> Result<()> {
    let answers = Answers::from(cluster, member, 1)?;
    for (name, taken) in taken {
        taken
            .explains(&answers)
            .with_context(|| format!("member {member} by the snapshot after {name}"))?;
    }
    Ok(())
}

#[test]
fn a_server_answers_what_follows_from_a_snapshot_after_every_step_of_a_history() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        is_explained_after_every_step(version, 1).with_context(|| version.to_string())?;
    }
    Ok(())
}

#[test]
fn three_members_answer_what_follows_from_a_snapshot_of_any_of_them() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        is_explained_after_every_step(version, 3).with_context(|| version.to_string())?;
    }
    Ok(())
}
