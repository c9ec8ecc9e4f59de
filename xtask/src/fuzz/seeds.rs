//! Small snapshots of real servers of every minor: where the targets `snapshot` and `restore` begin.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use etcd_snap_testdata::cluster::{Cluster, Security};
use etcd_snap_testdata::database::Image;
use etcd_snap_testdata::etcd::{Binaries, Version};

use crate::workspace;

/// Pages of this size keep a whole database within a few kilobytes.
const PAGE_SIZE: u32 = 1024;

pub(super) fn make() -> Result<()> {
    let corpus = workspace().join("fuzz/corpus");
    for binaries in crate::etcd::get(&Version::ALL)? {
        let folder = tempfile::tempdir()?;
        let snapshot = snapshot(&binaries, folder.path())?;
        let name = format!("etcd-{}", binaries.version);
        fs::write(corpus.join("snapshot").join(&name), &snapshot)?;
        // One byte of options comes first.
        let restored = [&[0], snapshot.as_slice()].concat();
        fs::write(corpus.join("restore").join(&name), restored)?;
        println!("{name}: {} bytes", snapshot.len());
    }
    Ok(())
}

/// A little of everything.
fn snapshot(binaries: &Binaries, folder: &Path) -> Result<Vec<u8>> {
    let cluster = Cluster::builder(binaries.version)
        .security(Security::Plain)
        .start()?;
    for number in 0..6 {
        cluster.etcdctl(["put", &format!("key-{number}"), "value"])?;
    }
    cluster.etcdctl(["del", "key-3"])?;
    cluster.etcdctl_with_input(["txn"], b"\nput a 1\nput b 2\ndel key-4\n\n\n")?;
    let granted = cluster.etcdctl(["lease", "grant", "86400"])?;
    let lease = granted.split_whitespace().nth(1).context("no lease")?;
    cluster.etcdctl(["put", "leased", "value", &format!("--lease={lease}")])?;
    cluster.etcdctl(["user", "add", "guest:guest"])?;
    cluster.etcdctl(["compact", "5", "--physical"])?;
    cluster.etcdctl(["put", "last", "written"])?;
    cluster.wait_for_storage_version()?;

    let (whole, small) = (folder.join("whole.db"), folder.join("small.db"));
    cluster.save_with_etcdctl(0, &whole)?;
    binaries.copy_database(&whole, &small, PAGE_SIZE, false)?;
    let mut database = fs::read(&small)?;
    let page_size = PAGE_SIZE as usize;
    let mark = Image::new(database.clone(), page_size)
        .current()
        .high_water_mark;
    // bbolt takes room in advance, which no stream has.
    database.truncate(mark as usize * page_size);
    let mut image = Image::new(database, page_size);
    as_streamed(&mut image);
    Ok(image.sealed())
}

/// Both metas as in a stream: the newer one first, the other one transaction older.
fn as_streamed(image: &mut Image) {
    let current = image.current();
    image.set_meta(0, |meta| *meta = current);
    image.set_meta(1, |meta| {
        *meta = current;
        meta.transaction_id -= 1;
    });
}
