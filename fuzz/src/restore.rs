//! The bytes of a snapshot file, behind one byte of options, through restore: it edits a database that nobody has proven
//! yet. What it lets pass must be sound, what is sound must pass, and what it refuses must leave nothing behind.
//!
//! Point `TMPDIR` at a file system in memory: every run that passes writes a whole member.

use std::sync::Arc;

use etcd_snap::{
    Bump, ErrorKind, MemberTarget, NewCluster, RestoreOptions, Revision, Snapshot, StorageVersion,
    VerifyOptions, restore, verify,
};

use crate::snapshot::with_meta_checksums;

pub fn run(input: &[u8]) {
    let Some((options, bytes)) = input.split_first() else {
        return;
    };
    let bytes = with_meta_checksums(bytes).unwrap_or_else(|| bytes.to_vec());
    restored(*options, bytes);
}

/// Restores without a look at the digest.
pub fn restored(options: u8, bytes: Vec<u8>) {
    let Ok(snapshot) = Snapshot::from_source("fuzz", Arc::new(bytes)) else {
        return;
    };
    let mut rest = options;
    let mut choose = |of: u8| {
        let chosen = rest % of;
        rest /= of;
        chosen
    };
    let options = match choose(3) {
        0 => RestoreOptions::default(),
        1 => RestoreOptions::default()
            .with_bump(Bump::By(1000))
            .with_mark_compacted(true),
        _ => RestoreOptions::default()
            .with_bump(Bump::Above(Revision::new(1 << 40)))
            .with_mark_compacted(true),
    };
    let [squeeze, drop_leases, drop_alarms] = [(); 3].map(|()| choose(2) == 1);
    let version = match choose(5) {
        0 => None,
        minor => Some(StorageVersion::new(3, 3 + u64::from(minor))),
    };
    let options = options
        .with_squeeze(squeeze)
        .with_drop_leases(drop_leases)
        .with_drop_alarms(drop_alarms);
    let options = version
        .into_iter()
        .fold(options, RestoreOptions::with_target_version);
    let cluster = NewCluster::parse("m1=http://10.0.0.1:2380", "t").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let target = MemberTarget::new("m1", &data_dir);
    let options = options.with_skip_hash_check(true);
    match restore(&snapshot, &cluster, &[target], &options) {
        Ok(restored) => {
            let json = serde_json::to_vec(&restored).unwrap();
            let again: etcd_snap::RestoreReport = serde_json::from_slice(&json).unwrap();
            assert_eq!(again, restored);
            assert!(!drop_leases || restored.contents.leases == 0);
            assert!(!drop_alarms || restored.contents.alarms.is_empty());
            if squeeze || drop_leases {
                assert_eq!(restored.contents.free_pages, 0);
            }
            let restored = Snapshot::open(data_dir.join("member/snap/db")).unwrap();
            let report = verify(&restored, &VerifyOptions::default()).unwrap();
            assert!(report.is_sound(), "{:?}", report.problems);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 0, "left behind after: {error}");
            let report = verify(&snapshot, &VerifyOptions::default()).unwrap();
            let damaged = report.problems.iter().any(|problem| {
                problem.severity == etcd_snap::Severity::Damaged
                    && problem.code != etcd_snap::ProblemCode::DigestMismatch
            });
            // A bump beyond the highest revision is refused of a sound file too.
            let too_far = error.kind() == ErrorKind::InvalidInput;
            // Of a newer etcd than is known, or with records that no etcd makes so large.
            let asked_too_much = error.kind() == ErrorKind::Unsupported
                && (squeeze || drop_leases || version.is_some());
            assert!(
                damaged || too_far || asked_too_much,
                "sound, and refused: {error}"
            );
        }
    }
}
