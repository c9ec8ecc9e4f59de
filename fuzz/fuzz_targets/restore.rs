//! The bytes of a snapshot file, behind one byte of options, through restore: it edits a database that nobody has proven
//! yet. What it lets pass must be sound, and what it refuses must leave nothing behind.
//!
//! Point `TMPDIR` at a file system in memory: every run that passes writes a whole member.
#![no_main]

use std::sync::Arc;

use etcd_snap::{
    Bump, MemberTarget, NewCluster, RestoreOptions, Revision, Snapshot, VerifyOptions, restore,
    verify,
};
use etcd_snap_fuzz::with_meta_checksums;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((options, bytes)) = input.split_first() else {
        return;
    };
    let bytes = with_meta_checksums(bytes).unwrap_or_else(|| bytes.to_vec());
    let Ok(snapshot) = Snapshot::from_source("fuzz", Arc::new(bytes)) else {
        return;
    };
    let options = match options % 3 {
        0 => RestoreOptions::default(),
        1 => RestoreOptions::default()
            .with_bump(Bump::By(1000))
            .with_mark_compacted(true),
        _ => RestoreOptions::default()
            .with_bump(Bump::Above(Revision::new(1 << 40)))
            .with_mark_compacted(true),
    };
    let cluster = NewCluster::parse("m1=http://10.0.0.1:2380", "t").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let target = MemberTarget::new("m1", &data_dir);
    match restore(
        &snapshot,
        &cluster,
        &[target],
        &options.with_skip_hash_check(true),
    ) {
        Ok(_) => {
            let restored = Snapshot::open(data_dir.join("member/snap/db")).unwrap();
            let report = verify(&restored, &VerifyOptions::default()).unwrap();
            assert!(report.is_sound(), "{:?}", report.problems);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 0, "left behind after: {error}");
        }
    }
});
