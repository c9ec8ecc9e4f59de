//! Against real servers that start from the file and read everything.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::{golden, sample};

use crate::counts::Counts;
use crate::regions::Region;
use crate::{BITS, Subject, full, is_found, kubernetes};

/// What a client sees of a server that started from the file, restored by etcd's own tool.
fn keys(version: Version, snapshot: &Path, auth: bool) -> Result<Vec<String>> {
    // A folder of its own: one that fails is kept otherwise.
    let folder = tempfile::tempdir()?;
    let mut plan = Cluster::builder(version)
        .folder(folder.path())
        .token("flipped")
        .plan()?;
    plan.restore_with_etcd(snapshot, &["--skip-hash-check"])?;
    if auth {
        plan = plan.with_restored_auth();
    }
    let cluster = plan.start()?;
    Ok(cluster.keys_at(0)?.1)
}

/// Of the bits that we do not find: what we find needs no server to tell.
#[test]
fn whatever_a_server_stumbles_over_is_found() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("flipped.db");
    // Servers a file, and bits among which there are enough.
    let (of_each, every) = if full() { (80, BITS) } else { (1, 60) };
    let mut subjects: Vec<_> = [Version::V3_4, Version::V3_6]
        .map(|version| (version, golden::snapshot(version), true))
        .into();
    subjects.extend(
        kubernetes()
            .into_iter()
            .take(1)
            .map(|file| (Version::V3_6, file, false)),
    );
    for (version, snapshot, auth) in subjects {
        let subject = Subject::new(&snapshot)?;
        let before = keys(version, &snapshot, auth).context("before anything was flipped")?;
        let mut counts = Counts::new();
        let mut started = 0;
        // Of values and free pages, which most of a file is, a few will do.
        let bits = sample(subject.bits.iter().copied(), every);
        let (exempt, rest): (Vec<_>, Vec<_>) = bits
            .into_iter()
            .partition(|bit| subject.region(*bit).is_exempt());
        let step = exempt.len().div_ceil(of_each).max(1);
        for bit in rest.into_iter().chain(exempt.into_iter().step_by(step)) {
            let Some(file) = subject.resealed(bit) else {
                continue;
            };
            if is_found(&file)? || started == of_each {
                continue;
            }
            let newer: Vec<_> = version.and_newer().collect();
            let newer = newer[started % newer.len()];
            started += 1;
            let region = subject.region(bit);
            std::fs::write(&path, &file)?;
            counts.add(region, "started");
            match keys(newer, &path, auth) {
                Ok(after) if after == before => counts.add(region, "same keys"),
                // A tag that became one of a field that no etcd has yet is decoded by all, and takes its field along.
                Ok(_) => {
                    counts.add(region, "other keys");
                    ensure!(
                        region.is_exempt() || region == Region::RecordField,
                        "{}: not found, and {newer} sees other keys",
                        subject.what(bit)
                    );
                    println!("{newer} sees other keys: {}", subject.what(bit));
                }
                Err(error) => {
                    counts.add(region, "stumbled");
                    ensure!(
                        region.is_exempt(),
                        "{}: not found, and {newer} says: {error:#}",
                        subject.what(bit)
                    );
                    println!("{newer} stumbles over {}: {error:.300}", subject.what(bit));
                }
            }
        }
        println!("{}, {started} servers\n{counts}", subject.name);
    }
    Ok(())
}
