//! HashKV from a snapshot is what living servers answer, at every revision, whatever the history.

mod bumped;
mod history;
mod interrupted;
mod kubernetes;
mod random;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    ErrorKind, HashKvOptions, Revision, Severity, Snapshot, VerifyOptions, hash_kv, status, verify,
};
use etcd_snap_testdata::cluster::{Bulk, Cluster as RealCluster, HashKv};
use etcd_snap_testdata::database::{Image, Model};
use etcd_snap_testdata::etcd::{Binaries, Version};
use serde_json::Value;

use crate::{agrees_with_status, number};

/// What a member answered at each revision, and at one more than it has.
struct Answers {
    version: Version,
    now: HashKv,
    all: Vec<(i64, Result<HashKv, String>)>,
}

impl Answers {
    fn of(cluster: &RealCluster, member: usize) -> Result<Self> {
        let now = cluster.hash_kv(member, 0)?;
        Self::from(cluster, member, now.compact_revision.max(1) - 1)
    }

    /// From this revision on, and at the newest.
    fn from(cluster: &RealCluster, member: usize, first: i64) -> Result<Self> {
        let last = cluster.revision(member)? + 1;
        Self::to(cluster, member, first.max(1)..=last)
    }

    /// To these questions, and at the newest revision.
    fn to(
        cluster: &RealCluster,
        member: usize,
        revisions: impl IntoIterator<Item = i64>,
    ) -> Result<Self> {
        let now = cluster.hash_kv(member, 0)?;
        let all = cluster.hash_kvs(member, std::iter::once(0).chain(revisions))?;
        Ok(Self {
            version: cluster.version(),
            now,
            all,
        })
    }
}

/// A file, and what it holds.
struct Taken {
    path: PathBuf,
    snapshot: Snapshot,
    model: Model,
}

impl Taken {
    fn by_etcdctl(cluster: &RealCluster, member: usize, name: &str) -> Result<Self> {
        let path = cluster.folder().join(format!("{name}.db"));
        cluster.save_with_etcdctl(member, &path)?;
        Self::open(path)
    }

    fn open(path: PathBuf) -> Result<Self> {
        let snapshot = Snapshot::open(&path)?;
        let bytes = fs::read(&path)?;
        let image = match snapshot.digest() {
            Some(_) => Image::of_snapshot(bytes),
            None => Image::new(bytes, snapshot.page_size_bytes() as usize),
        };
        let model = image.model();
        Ok(Self {
            path,
            snapshot,
            model,
        })
    }

    fn hash(&self, revision: i64, compact_revision: i64) -> etcd_snap::Result<u32> {
        let options = HashKvOptions::default()
            .with_revision(Revision::new(revision))
            .with_compact_revision(Revision::new(compact_revision));
        let ours = hash_kv(&self.snapshot, &options)?.hash;
        assert_eq!(ours, self.model.hash_kv(revision, compact_revision));
        Ok(ours)
    }

    /// At the newest revision.
    fn own(&self) -> Result<HashKv> {
        let own = hash_kv(&self.snapshot, &HashKvOptions::default())?;
        let verified = verify(&self.snapshot, &VerifyOptions::default())?;
        // An empty store of 3.4 has not yet noted what it has applied.
        let is_empty = own.revision.get() == 1;
        ensure!(
            verified.worst() < Some(Severity::Suspicious) || is_empty && verified.is_sound(),
            "{:?}",
            verified.problems
        );
        ensure!(verified.contents.hash_kv.as_ref() == Some(&own));
        Ok(HashKv {
            hash: own.hash,
            revision: own.revision.get(),
            compact_revision: own.compact_revision.map_or(-1, Revision::get),
        })
    }

    /// What was answered follows from the file. The member may have written and compacted since.
    fn explains(&self, answers: &Answers) -> Result<()> {
        let (own, now) = (self.own()?, answers.now);
        if (own.revision, own.compact_revision) == (now.revision, now.compact_revision) {
            ensure!(own == now, "{own:?}, and not {now:?}");
        }
        for (asked, answer) in &answers.all {
            let revision = if *asked == 0 { now.revision } else { *asked };
            let what = format!("asked for {asked}: {answer:?}");
            let (compacted, fails) = match answer {
                Ok(answer) => {
                    // From before the newest compaction.
                    let remembered = answer.compact_revision < now.compact_revision;
                    if remembered && revision == own.revision && self.model.live_keys() == 0 {
                        // Nothing lives, and servers answer otherwise after the compaction than before.
                        continue;
                    }
                    let fails =
                        revision > own.revision || answer.compact_revision < own.compact_revision;
                    (answer.compact_revision, fails)
                }
                Err(words) if revision > now.revision => {
                    ensure!(words.contains("future"), "{what}");
                    (own.compact_revision, revision > own.revision)
                }
                Err(words) => {
                    ensure!(words.contains("compacted"), "{what}");
                    // 3.4 refuses the compaction's own revision too.
                    let answers = i64::from(answers.version > Version::V3_4);
                    ensure!(revision <= now.compact_revision - answers, "{what}");
                    if revision == now.compact_revision {
                        continue;
                    }
                    (now.compact_revision, true)
                }
            };
            match (self.hash(revision, compacted), answer) {
                (Ok(ours), Ok(theirs)) => {
                    ensure!(!fails && ours == theirs.hash, "{what}, and ours is {ours}");
                }
                (Ok(ours), Err(_)) => ensure!(!fails, "{what}, and ours is {ours}"),
                (Err(e), _) => {
                    ensure!(fails && e.kind() == ErrorKind::InvalidInput, "{what}: {e}");
                }
            }
        }
        Ok(())
    }

    /// What etcd's own tools of every minor say of the file.
    fn agrees_with_tools(&self) -> Result<()> {
        let own = status(&self.snapshot)?;
        agrees_with_status(&own, &self.path)?;
        let newest = self.own()?;
        let leases = verify(&self.snapshot, &VerifyOptions::default())?
            .contents
            .leases;
        for version in [Version::V3_6, Version::V3_7] {
            // 3.6 panics at a key with a lease.
            if version == Version::V3_6 && leases > 0 {
                continue;
            }
            let first = newest.compact_revision.max(1);
            for revision in [0, first, (first + newest.revision) / 2] {
                let expected = if revision == 0 {
                    newest.hash
                } else {
                    self.hash(revision, newest.compact_revision)?
                };
                let told = etcdutl_hashkv(version, &self.path, revision)?;
                ensure!(
                    number(&told["hash"])? == u64::from(expected)
                        && told["compactRevision"].as_i64() == Some(newest.compact_revision),
                    "{version} at {revision}: {told}, and ours is {expected} of {newest:?}"
                );
            }
        }
        Ok(())
    }
}

/// On a copy, which it changes.
fn etcdutl_hashkv(version: Version, path: &Path, revision: i64) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("copy.db");
    fs::copy(path, &copy)?;
    let copy = copy.to_str().context("a path in UTF-8")?;
    let revision = format!("--rev={revision}");
    let told = Binaries::find(version)?.offline(["hashkv", copy, "-w", "json", &revision])?;
    Ok(serde_json::from_str(&told)?)
}

fn bulk(cluster: &RealCluster, prefix: &str, keys: usize, in_transaction: usize) -> Result<()> {
    let bulk = Bulk {
        prefix: prefix.to_owned(),
        keys,
        puts_per_transaction: in_transaction,
        ..Bulk::default()
    };
    cluster.bulk(&bulk).map(drop)
}

/// At the newest revision, or so many before it.
fn compact(cluster: &RealCluster, before: i64) -> Result<()> {
    let revision = cluster.revision(0)? - before;
    cluster
        .etcdctl(["compact", &revision.to_string(), "--physical"])
        .map(drop)
}
