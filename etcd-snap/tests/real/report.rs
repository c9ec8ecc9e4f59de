//! The report and the file of a save over mutual TLS, against what etcd itself says and takes.

use std::fs;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{Event, Observer, Revision, SaveOptions, Snapshot, save_blocking, status};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Workload};
use etcd_snap_testdata::etcd::Version;
use serde_json::Value;

use crate::{Room, agrees_with_status, client, contents, number, saved};

/// Saves from one member of a cluster at rest and compares everything that etcd has a word for.
fn is_reported_as_etcd_does(version: Version, members: usize, member: usize) -> Result<()> {
    let cluster = RealCluster::builder(version).members(members).start()?;
    cluster.write(&Workload::default())?;
    cluster.wait_for_storage_version()?;
    let agreed = cluster.agreed_hash_kv()?;

    let room = Room::new()?;
    let endpoint = cluster.endpoint(member);
    let saved = saved(&client(&cluster, endpoint)?, &room)?;

    // What the running member says.
    let told = cluster.etcdctl_at(member, ["endpoint", "status", "-w", "json"])?;
    let told: Value = serde_json::from_str(&told)?;
    let told = told
        .get(0)
        .and_then(|one| one.get("Status"))
        .context("no status")?;
    let hexadecimal =
        |id: &str| Ok::<_, anyhow::Error>(format!("{:x}", number(&told["header"][id])?));
    ensure!(saved.endpoint.as_deref() == Some(endpoint));
    ensure!(saved.member_id.map(|id| id.to_string()) == Some(hexadecimal("member_id")?));
    ensure!(saved.cluster_id.map(|id| id.to_string()) == Some(hexadecimal("cluster_id")?));
    ensure!(saved.etcd_version.as_deref() == told["version"].as_str());
    ensure!(
        saved
            .etcd_version
            .as_ref()
            .context("none")?
            .starts_with(version.minor())
    );
    let found = contents(&saved)?;
    ensure!(found.revision.get() == agreed.revision);
    ensure!(found.compact_revision.map(Revision::get) == Some(agreed.compact_revision));
    ensure!(found.live_keys as usize == cluster.keys_at(0)?.1.len());
    let storage = (version >= Version::V3_6).then(|| format!("{version}.0"));
    ensure!(
        saved.storage_version == storage,
        "{:?}",
        saved.storage_version
    );

    let file = room.target();
    let own = status(&Snapshot::open(&file)?)?;
    ensure!((found.hash, found.revision) == (own.hash, own.revision));
    agrees_with_status(&own, &file)?;
    cluster.binaries().check_pages([&file])?;

    let theirs = cluster.folder().join("etcdctl.db");
    cluster.save_with_etcdctl(member, &theirs)?;
    let (ours, theirs) = (fs::read(&file)?, fs::read(theirs)?);
    ensure!(ours.len() as u64 == saved.size_bytes);
    ensure!(ours.ends_with(saved.digest.as_bytes()));
    is_what_etcdctl_takes(version, &ours, &theirs)
}

/// Nothing was written between the two, so 3.4 gives the same bytes, transaction ids and digest included. From 3.5 on a
/// server writes the consistent index again for every snapshot: a commit, which moves the root page to a free one and
/// counts the transaction. Everything that it holds stays the same.
fn is_what_etcdctl_takes(version: Version, ours: &[u8], theirs: &[u8]) -> Result<()> {
    const PAGE: usize = 4096;
    const TRANSACTION: std::ops::Range<usize> = 64..72;
    if version == Version::V3_4 {
        ensure!(ours == theirs, "not the bytes that etcdctl gets");
        return Ok(());
    }
    let contents = |file: &[u8]| {
        let status = status(&Snapshot::from_source("file", Arc::new(file.to_vec()))?)?;
        Ok::<_, etcd_snap::Error>(status)
    };
    let (our, their) = (contents(ours)?, contents(theirs)?);
    ensure!(our == their, "{our:?}, and etcdctl gets {their:?}");
    let transaction =
        |file: &[u8]| Ok::<_, anyhow::Error>(u64::from_le_bytes(file[TRANSACTION].try_into()?));
    ensure!(transaction(ours)? < transaction(theirs)?);
    let digest = ours.len() - 32;
    let pages = ours[..digest]
        .chunks(PAGE)
        .zip(theirs[..digest].chunks(PAGE));
    let differ: Vec<_> = pages
        .enumerate()
        .filter(|(_, (our, their))| our != their)
        .map(|(page, _)| page)
        .collect();
    ensure!(
        differ.starts_with(&[0, 1]) && differ.len() <= 8,
        "the pages {differ:?} differ"
    );
    Ok(())
}

#[test]
fn a_member_of_3_4_is_saved_and_reported_as_etcd_does() -> Result<()> {
    is_reported_as_etcd_does(Version::V3_4, 1, 0)
}

#[test]
fn a_member_of_3_5_is_saved_and_reported_as_etcd_does() -> Result<()> {
    is_reported_as_etcd_does(Version::V3_5, 1, 0)
}

#[test]
fn a_member_of_3_6_is_saved_and_reported_as_etcd_does() -> Result<()> {
    is_reported_as_etcd_does(Version::V3_6, 1, 0)
}

#[test]
fn a_member_of_3_7_is_saved_and_reported_as_etcd_does() -> Result<()> {
    is_reported_as_etcd_does(Version::V3_7, 1, 0)
}

#[test]
fn one_of_three_members_is_saved_and_reported_as_etcd_does() -> Result<()> {
    for version in etcd_snap_testdata::sample(Version::ALL, 1) {
        is_reported_as_etcd_does(version, 3, 2)?;
    }
    Ok(())
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if let Event::Note(note) = event {
            self.0.lock().expect("nobody panics").push(note.clone());
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_member_without_a_leader_gives_its_snapshot_and_says_so() -> Result<()> {
    let mut cluster = RealCluster::builder(Version::NEWEST).members(3).start()?;
    cluster.write(&Workload::default())?;
    let revision = cluster.agreed_hash_kv()?.revision;
    cluster.kill(1);
    cluster.kill(2);
    let client = client(&cluster, cluster.endpoint(0))?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let notes = Arc::new(Notes::default());
        let options = SaveOptions::default().with_observer(notes.clone());
        let room = Room::new()?;
        let saved = save_blocking(&client, room.target(), &options)?;
        ensure!(contents(&saved)?.revision.get() == revision, "{saved:?}");
        let notes = notes.0.lock().expect("nobody panics");
        if notes.iter().any(|note| note.contains("knows no leader")) {
            return Ok(());
        }
        // It takes some heartbeats until the last member knows that it is alone.
        ensure!(Instant::now() < deadline, "{notes:?}");
    }
}
