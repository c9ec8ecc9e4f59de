//! The corpus of the fuzz targets: its seeds are what their names say (a target that starts from refused files finds
//! little), and what once ended badly ends well.
#![allow(
    unreachable_pub,
    reason = "what the targets do is public in their own crate"
)]

use std::path::{Path, PathBuf};

use etcd_snap::{ErrorKind, NewCluster, Snapshot, VerifyOptions, status, verify};
use etcd_snap_testdata::database;
use etcd_snap_testdata::fuzz::replay;

#[path = "../../fuzz/src/initial_cluster.rs"]
mod initial_cluster;
#[path = "../../fuzz/src/input.rs"]
mod input;
#[path = "../../fuzz/src/judge.rs"]
mod judge;
#[path = "../../fuzz/src/pages.rs"]
mod pages;
#[path = "../../fuzz/src/records.rs"]
mod records;
#[path = "../../fuzz/src/restore.rs"]
mod restore;
#[path = "../../fuzz/src/snapshot.rs"]
mod snapshot;
#[path = "../../fuzz/src/squeeze.rs"]
mod squeeze;

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

#[test]
fn what_the_fuzzer_knows_of_snapshots_ends_well() {
    replay("snapshot", snapshot::run);
}

#[test]
fn what_the_fuzzer_knows_of_pages_ends_well() {
    replay("pages", pages::run);
}

#[test]
fn what_the_fuzzer_knows_of_records_ends_well() {
    replay("records", records::run);
}

#[test]
fn what_the_fuzzer_knows_of_restores_ends_well() {
    replay("restore", restore::run);
}

#[test]
fn what_the_fuzzer_knows_of_squeezes_ends_well() {
    for target in ["squeeze", "snapshot"] {
        replay(target, squeeze::run);
    }
}

#[test]
fn what_the_fuzzer_knows_of_clusters_ends_well() {
    replay("initial_cluster", initial_cluster::run);
}

#[test]
fn the_snapshot_seeds_are_sound() {
    for (name, digest) in [
        ("inline-buckets", true),
        ("branches-and-overflow", true),
        ("persisted-freelist-no-digest", false),
        ("etcd-3.4", true),
        ("etcd-3.5", true),
        ("etcd-3.6", true),
        ("etcd-3.7", true),
    ] {
        let snapshot = Snapshot::open(seeds("snapshot").join(name)).unwrap();
        let report = verify(&snapshot, &VerifyOptions::default()).unwrap();
        assert!(report.is_sound(), "{name}: {:?}", report.problems);
        assert!(status(&snapshot).unwrap().live_keys > 0);
        match report.into_proven() {
            Ok(_) => assert!(digest, "{name}"),
            Err(e) => assert_eq!((e.kind(), digest), (ErrorKind::NoDigest, false), "{name}"),
        }
    }
}

#[test]
fn the_initial_cluster_seeds_are_read_or_refused_as_named() {
    for (name, read) in [
        ("defaults", true),
        ("three-members", true),
        ("every-form", true),
        ("same-id", false),
        ("refused", false),
    ] {
        let text = std::fs::read_to_string(seeds("initial_cluster").join(name)).unwrap();
        let mut lines = text.splitn(3, '\n');
        let (initial_cluster, token) = (lines.next().unwrap(), lines.next().unwrap());
        assert_eq!(
            NewCluster::parse(initial_cluster, token).is_ok(),
            read,
            "{name}"
        );
    }
}
