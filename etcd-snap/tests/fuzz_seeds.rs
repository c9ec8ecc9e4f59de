//! The corpus of the fuzz targets: its seeds are what their names say (a target that starts from refused files finds
//! little), and what once ended badly ends well.

use std::path::{Path, PathBuf};

use etcd_snap::{ErrorKind, NewCluster, Snapshot, VerifyOptions, status, verify};

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

#[test]
fn the_snapshot_seeds_are_sound() {
    for (name, digest) in [
        ("inline-buckets", true),
        ("branches-and-overflow", true),
        ("persisted-freelist-no-digest", false),
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
fn every_snapshot_in_the_corpus_is_answered() {
    for file in std::fs::read_dir(seeds("snapshot")).unwrap() {
        let Ok(snapshot) = Snapshot::open(file.unwrap().path()) else {
            continue;
        };
        let report = verify(&snapshot, &VerifyOptions::default()).unwrap();
        assert_eq!(
            report.is_sound(),
            status(&snapshot).is_ok(),
            "{}",
            snapshot.name()
        );
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
