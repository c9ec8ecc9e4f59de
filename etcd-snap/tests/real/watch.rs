//! What a restore does to a client that watches, and has seen more than the snapshot holds: as Kubernetes' own clients do, it
//! goes on by itself from where it was.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use etcd_snap::{
    Bump, MemberTarget, NewCluster, RestoreOptions, Revision, Seen, Snapshot, restore,
};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

/// How long a watch may take until it says something, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// `etcdctl watch`, which connects again and goes on where it was when its server comes back.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Watches all keys below `seen/`, from a revision on or from now on.
    fn start(cluster: &Cluster, from: Option<i64>) -> Result<Self> {
        let mut command = cluster.etcdctl_command(&[cluster.endpoint(0)]);
        command.args(["watch", "--prefix", "seen/"]);
        if let Some(from) = from {
            command.arg(format!("--rev={from}"));
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("it was piped")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// The next key that was put. An event is three lines: what was done, the key, the value.
    fn next(&self) -> Result<String> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE)?;
            if line.starts_with("seen/") {
                return Ok(line);
            }
        }
    }

    /// What it says when its server ends it.
    fn end(mut self) -> Result<String> {
        // Standard output is closed when it ends.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => ensure!(!line.starts_with("seen/"), "it was told of {line}"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("it goes on, and says nothing"),
            }
        }
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        self.child.wait()?;
        Ok(said)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A cluster that has gone on after its snapshot was taken, and somebody who watched it doing so.
struct Scene {
    cluster: Cluster,
    watch: Watch,
    /// The snapshot's revision.
    saved: i64,
    /// What the watch has seen.
    seen: i64,
}

impl Scene {
    /// So many revisions are lost.
    const AHEAD: i64 = 6;

    fn new(version: Version) -> Result<Self> {
        let cluster = Cluster::builder(version).start()?;
        for n in 0..5 {
            cluster.etcdctl(["put", "before", &n.to_string()])?;
        }
        cluster.save_with_etcdctl(0, &cluster.folder().join("snapshot.db"))?;
        let saved = cluster.revision(0)?;
        let watch = Watch::start(&cluster, Some(saved + 1))?;
        for n in 0..Self::AHEAD {
            let key = format!("seen/lost-{n}");
            cluster.etcdctl(["put", &key, "v"])?;
            ensure!(watch.next()? == key);
        }
        let seen = cluster.revision(0)?;
        ensure!(seen == saved + Self::AHEAD);
        Ok(Self {
            cluster,
            watch,
            saved,
            seen,
        })
    }

    /// The server comes back at the same address with the restored data.
    fn restore(&mut self, options: RestoreOptions) -> Result<i64> {
        self.cluster.stop(0)?;
        let data_dir = self.cluster.members()[0].data_dir().to_owned();
        let lost = data_dir.with_extension("lost");
        fs::rename(&data_dir, &lost)?;
        let options = options.with_seen(Seen::of_data_dir(&lost)?);
        let new = NewCluster::parse(&self.cluster.initial_cluster(), "restored")?;
        let snapshot = Snapshot::open(self.cluster.folder().join("snapshot.db"))?;
        let target = MemberTarget::new("m1", data_dir);
        let report = restore(&snapshot, &new, &[target], &options)?;
        self.cluster.start_member(0)?;
        Ok(report.contents.revision.get())
    }

    fn put(&self, key: &str) -> Result<i64> {
        self.cluster.etcdctl(["put", key, "v"])?;
        self.cluster.revision(0)
    }
}

/// The trouble: nobody tells the client that its past never happened.
#[test]
fn after_a_plain_restore_a_watch_misses_every_write_up_to_where_it_was() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let mut scene = Scene::new(version)?;
        let restored = scene.restore(RestoreOptions::default())?;
        ensure!(restored == scene.saved, "{version}");
        let fresh = Watch::start(&scene.cluster, Some(restored + 1))?;
        let missed: Vec<_> = (0..Scene::AHEAD).map(|n| format!("seen/new-{n}")).collect();
        for key in &missed {
            scene.put(key)?;
            ensure!(&fresh.next()? == key, "{version}");
        }
        // The first that the old watch hears of is the first above what it has seen: all before passed it by.
        let revision = scene.put("seen/above")?;
        ensure!(revision == scene.seen + 1, "{version}: {revision}");
        ensure!(fresh.next()? == "seen/above", "{version}");
        let heard = scene.watch.next()?;
        ensure!(heard == "seen/above", "{version}: it heard of {heard}");
    }
    Ok(())
}

fn is_cancelled_after(bump: fn(i64) -> Bump, version: Version) -> Result<()> {
    let mut scene = Scene::new(version)?;
    let options = RestoreOptions::default()
        .with_bump(bump(scene.seen))
        .with_mark_compacted(true);
    let restored = scene.restore(options)?;
    ensure!(restored > scene.seen, "{restored}");
    let revision = scene.put("seen/after")?;
    ensure!(revision == restored + 1, "{revision}");
    let said = scene.watch.end()?;
    ensure!(said.contains("compacted"), "it said {said:?}");

    // What the client does then: it lists, and watches from there.
    let fresh = Watch::start(&scene.cluster, Some(revision))?;
    ensure!(fresh.next()? == "seen/after");
    let (listed, keys) = scene.cluster.keys_at(0)?;
    ensure!(listed == revision && keys.len() == 2, "{keys:?}");
    Ok(())
}

/// By hand, just above what was seen, and as for Kubernetes: above what the data directory that is replaced has seen.
#[test]
fn after_a_bump_a_watch_is_cancelled_and_the_next_write_is_above_all_that_was_seen() -> Result<()> {
    let bumps: [fn(i64) -> Bump; 3] = [
        |_| Bump::By(1_000_000),
        |seen| Bump::Above(Revision::new(seen)),
        |_| Bump::Automatic,
    ];
    let cases = (Version::ALL.into_iter()).flat_map(|version| bumps.map(|bump| (bump, version)));
    for (bump, version) in sample(cases, 2) {
        is_cancelled_after(bump, version).with_context(|| format!("{version}, {:?}", bump(0)))?;
    }
    Ok(())
}
