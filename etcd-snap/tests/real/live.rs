//! Snapshots that are taken while the cluster writes, compacts and defragments.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{Contents, RestoreOptions};
use etcd_snap_testdata::cluster::{Bulk, Cluster as RealCluster, HashKv};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::relay::Relay;
use etcd_snap_testdata::sample;

use crate::{Room, client, contents, restore_plan, saved};

/// A saved file, and what the cluster said of its revision.
struct Taken {
    room: Room,
    contents: Contents,
    keys: Vec<String>,
    hash: HashKv,
}

impl Taken {
    /// Saves, and asks for the state at the revision of the file, which must not be compacted yet.
    fn from_member(cluster: &RealCluster, member: usize) -> Result<Self> {
        let room = Room::new()?;
        let report = saved(&client(cluster, cluster.endpoint(member))?, &room)?;
        let contents = contents(&report)?.clone();
        let (_, keys) = cluster.keys_at(contents.revision.get())?;
        let hash = cluster.hash_kv(member, contents.revision.get())?;
        Ok(Taken {
            room,
            contents,
            keys,
            hash,
        })
    }

    /// Boots from the file, and compares.
    fn is_the_state_at_its_revision(&self, version: Version) -> Result<()> {
        let revision = self.contents.revision.get();
        let plan = RealCluster::builder(version).token("taken").plan()?;
        restore_plan(&plan, &self.room.target(), &RestoreOptions::default())?;
        let cluster = plan.start()?;
        let (found, keys) = cluster.keys_at(0)?;
        ensure!(
            found == revision,
            "the server is at {found}, the report said {revision}"
        );
        ensure!(keys == self.keys, "the keys at revision {revision} differ");
        // HashKV depends on how far the store is compacted, and the source may have gone on with that.
        let compacted = self.hash.compact_revision;
        if compacted
            > self
                .contents
                .compact_revision
                .map_or(-1, |revision| revision.get())
        {
            cluster.etcdctl(["compact", &compacted.to_string()])?;
        }
        let hash = cluster.hash_kv(0, revision)?;
        ensure!(
            (hash.hash, hash.compact_revision) == (self.hash.hash, compacted),
            "HashKV at {revision}: {hash:?} and not {:?}",
            self.hash
        );
        Ok(())
    }
}

/// Compacts up to what the test is done with, and defragments every member, over and over.
fn disturb(
    cluster: &RealCluster,
    done_with: &AtomicI64,
    stop: &AtomicBool,
) -> Result<(usize, usize)> {
    let (mut compactions, mut defragmentations, mut compacted) = (0, 0, 0);
    while !stop.load(Ordering::Relaxed) {
        let up_to = done_with.load(Ordering::Relaxed);
        if up_to > compacted {
            cluster.etcdctl(["compact", &up_to.to_string()])?;
            (compacted, compactions) = (up_to, compactions + 1);
        }
        for member in 0..cluster.members().len() {
            cluster.etcdctl_at(member, ["defrag"])?;
            defragmentations += 1;
        }
    }
    Ok((compactions, defragmentations))
}

/// Waits until the background writer, which a slow disk may hold up, has come further.
fn wait_until_beyond(cluster: &RealCluster, member: usize, revision: i64) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(60);
    while cluster.revision(member)? <= revision {
        ensure!(Instant::now() < patience, "nothing is written any more");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn are_taken_from_a_busy_cluster(version: Version, members: usize) -> Result<()> {
    let cluster = RealCluster::builder(version).members(members).start()?;
    let busy = Bulk {
        prefix: "busy/".to_owned(),
        keys: 300,
        value_bytes: 2_000,
        puts_per_transaction: 3,
    };
    cluster.bulk(&busy)?;
    let writer = cluster.write_in_background(&busy)?;
    let done_with = AtomicI64::new(0);
    let stop = AtomicBool::new(false);
    let taken = thread::scope(|scope| -> Result<_> {
        let disturber = scope.spawn(|| disturb(&cluster, &done_with, &stop));
        let taken = (0..4)
            .map(|round| {
                let member = round % members;
                // What is compacted is not asked for: the next snapshot has to be a later one.
                wait_until_beyond(&cluster, member, done_with.load(Ordering::Relaxed))?;
                let taken = Taken::from_member(&cluster, member)?;
                done_with.store(taken.contents.revision.get(), Ordering::Relaxed);
                Ok(taken)
            })
            .collect::<Result<Vec<_>>>();
        stop.store(true, Ordering::Relaxed);
        let (compactions, defragmentations) = disturber.join().expect("it does not panic")?;
        ensure!(compactions > 0 && defragmentations > 0);
        taken
    })?;
    writer.stop()?;
    let mut before = 0;
    for taken in &taken {
        ensure!(
            taken.contents.revision.get() > before,
            "nothing was written in between"
        );
        before = taken.contents.revision.get();
        taken.is_the_state_at_its_revision(version)?;
    }
    Ok(())
}

#[test]
fn each_snapshot_of_a_busy_member_is_the_state_at_its_revision() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        are_taken_from_a_busy_cluster(version, 1).with_context(|| format!("etcd {version}"))?;
    }
    Ok(())
}

#[test]
fn each_snapshot_of_three_busy_members_is_the_state_at_its_revision() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        are_taken_from_a_busy_cluster(version, 3).with_context(|| format!("etcd {version}"))?;
    }
    Ok(())
}

/// The stream is held in the middle, longer than all windows and buffers are, while everything that it is about is
/// overwritten, deleted, compacted away and, as soon as the server lets go of the old file, defragmented.
#[test]
fn what_happens_in_the_middle_of_a_transfer_is_not_in_the_snapshot() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let cluster = RealCluster::builder(version).start()?;
        let load = Bulk {
            prefix: "before/".to_owned(),
            keys: 80,
            value_bytes: 500_000,
            ..Bulk::default()
        };
        cluster.bulk(&load)?;
        cluster.etcdctl(["put", "small", "before"])?;
        let (revision, keys) = cluster.keys_at(0)?;
        let hash = cluster.hash_kv(0, 0)?;

        let relay = Relay::to(cluster.members()[0].client_address())?;
        let client = client(&cluster, &format!("https://{}", relay.address()))?;
        let room = Room::new()?;
        relay.hold_after(256 << 10);
        let report = thread::scope(|scope| -> Result<_> {
            let save = scope.spawn(|| saved(&client, &room));
            relay.wait_until_holding()?;
            cluster.bulk(&load)?;
            cluster.etcdctl(["put", "small", "after"])?;
            cluster.etcdctl(["del", "--prefix", "before/0000000"])?;
            cluster.etcdctl(["compact", &cluster.revision(0)?.to_string(), "--physical"])?;
            // It waits for the transfer that is under way.
            let defragmentation = scope.spawn(|| cluster.etcdctl(["defrag"]));
            relay.release();
            let saved = save.join().expect("it does not panic")?;
            defragmentation.join().expect("it does not panic")?;
            Ok(saved)
        })?;
        let contents = contents(&report)?.clone();
        ensure!(contents.revision.get() == revision, "{report:?}");
        ensure!(contents.compact_revision.is_none(), "{report:?}");
        let taken = Taken {
            room,
            contents,
            keys,
            hash,
        };
        taken.is_the_state_at_its_revision(version)?;
    }
    Ok(())
}
