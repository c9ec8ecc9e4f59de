//! A database that has lived: two sizes of values, keys written again, a compaction, and free pages that came of it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use etcd_snap_testdata::cluster::{Bulk, Cluster, Security};
use etcd_snap_testdata::etcd::Version;

const LARGE_VALUE_BYTES: usize = 4096;
const SMALL_VALUE_BYTES: usize = 300;
/// What a record takes of the file. bbolt puts two keys into a leaf at least, so two large values are three pages.
const LARGE_RECORD_BYTES: u64 = 6144;
const SMALL_RECORD_BYTES: u64 = 420;

/// The harness gives every command a minute, which is little for some gigabytes.
const NO_HURRY: &str = "--command-timeout=1h";

/// How much is written.
pub(super) struct Load {
    size_bytes: u64,
    large: Bulk,
    small: Bulk,
}

impl Load {
    /// Half of the file large values, half small ones. Each key in four is written a second time.
    pub(super) fn of_mib(mib: u64) -> Self {
        let size_bytes = mib << 20;
        let keys = |record_bytes: u64| (size_bytes / 2 * 4 / 5 / record_bytes) as usize;
        let bulk = |prefix: &str, record_bytes, value_bytes| Bulk {
            prefix: prefix.to_owned(),
            keys: keys(record_bytes),
            value_bytes,
            puts_per_transaction: 8,
        };
        Self {
            size_bytes,
            large: bulk("large/", LARGE_RECORD_BYTES, LARGE_VALUE_BYTES),
            small: bulk("small/", SMALL_RECORD_BYTES, SMALL_VALUE_BYTES),
        }
    }
}

/// Starts a server of the newest minor and fills it.
pub(super) fn fill(load: &Load, folder: &Path) -> Result<Cluster> {
    eprintln!("filling a database of about {} MiB", load.size_bytes >> 20);
    let cluster = Cluster::builder(Version::NEWEST)
        .security(Security::Plain)
        .argument(quota(load.size_bytes))
        .folder(folder_of(folder, "filled")?)
        .start()?;
    let all = [&load.large, &load.small];
    for bulk in all {
        cluster.bulk(bulk)?;
    }
    for bulk in all {
        cluster.bulk(&part(bulk, 4))?;
    }
    let revision = cluster.revision(0)?.to_string();
    cluster.etcdctl(["compact", &revision, "--physical", NO_HURRY])?;
    // Some of the freed pages are used again, out of order.
    for bulk in all {
        cluster.bulk(&part(bulk, 16))?;
    }
    cluster.wait_for_storage_version()?;
    Ok(cluster)
}

/// Takes the snapshot that the offline work is about.
pub(super) fn snapshot(cluster: &Cluster, path: &Path) -> Result<()> {
    let arguments = ["snapshot", "save", NO_HURRY].map(OsStr::new);
    cluster.etcdctl_at(0, arguments.into_iter().chain([path.as_os_str()]))?;
    Ok(())
}

/// Starts a server on what was restored from a snapshot.
pub(super) fn serve(snapshot: &Path, security: Security, folder: &Path) -> Result<Cluster> {
    let plan = Cluster::builder(Version::NEWEST)
        .security(security)
        .argument(quota(snapshot.metadata()?.len()))
        .folder(folder_of(folder, &format!("{security:?}").to_lowercase())?)
        .plan()?;
    plan.restore_with_etcd(snapshot, &[])?;
    plan.start()
}

fn quota(size_bytes: u64) -> String {
    format!("--quota-backend-bytes={}", (size_bytes * 4).max(2 << 30))
}

/// The first of every `parts` keys.
fn part(bulk: &Bulk, parts: usize) -> Bulk {
    Bulk {
        keys: bulk.keys / parts,
        ..bulk.clone()
    }
}

fn folder_of(parent: &Path, name: &str) -> Result<PathBuf> {
    let folder = parent.join(name);
    fs::create_dir(&folder)?;
    Ok(folder)
}
