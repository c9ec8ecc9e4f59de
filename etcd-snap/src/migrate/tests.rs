//! Every step on the disk may fail, or be the last.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{MigrateOptions, MigrateReport, migrate};
use crate::io::faulty::{Fault, FaultyDisk};
use crate::{
    ErrorKind, MemberTarget, NewCluster, RestoreOptions, Result, Snapshot, StorageVersion,
    VerifyOptions, restore, verify,
};

/// A restored member.
struct Member(tempfile::TempDir);

impl Member {
    fn of(minor: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let snapshot =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/snapshots/{minor}.db"));
        let cluster = NewCluster::parse("m1=http://localhost:2380", "token").unwrap();
        let target = MemberTarget::new("m1", folder.path().join("d"));
        let snapshot = Snapshot::open(snapshot).unwrap();
        restore(&snapshot, &cluster, &[target], &RestoreOptions::default()).unwrap();
        Self(folder)
    }

    fn data_dir(&self) -> PathBuf {
        self.0.path().join("d")
    }

    fn database(&self) -> PathBuf {
        self.data_dir().join("member/snap/db")
    }

    fn migrate(&self, target: &str, disk: FaultyDisk) -> Result<MigrateReport> {
        let options = MigrateOptions::default().with_storage(Arc::new(disk));
        migrate(self.data_dir(), target.parse()?, &options)
    }

    /// What a sound database says.
    fn version(&self) -> Option<String> {
        let snapshot = Snapshot::open(self.database()).unwrap();
        let report = verify(&snapshot, &VerifyOptions::default()).unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
        report.contents.storage_version
    }
}

fn whole() -> FaultyDisk {
    FaultyDisk::new(u64::MAX, Fault::Once)
}

#[test]
fn up_and_down_again_nothing_changes_but_the_version() {
    let member = Member::of("3.5");
    let content = |member: &Member| {
        let snapshot = Snapshot::open(member.database()).unwrap();
        crate::status(&snapshot).unwrap()
    };
    let before = content(&member);
    for (target, version, steps) in [
        ("3.5", None, &[][..]),
        ("3.6", Some("3.6.0"), &["3.6.0"]),
        ("3.6", Some("3.6.0"), &[]),
        ("3.7", Some("3.7.0"), &["3.7.0"]),
        ("3.5", None, &["3.6.0", "3.5.0"]),
        ("3.7", Some("3.7.0"), &["3.6.0", "3.7.0"]),
        ("3.6", Some("3.6.0"), &["3.6.0"]),
        ("3.5", None, &["3.5.0"]),
    ] {
        let disk = whole();
        let report = member.migrate(target, disk.clone()).unwrap();
        assert_eq!(report.steps, steps);
        assert_eq!(report.version_after, format!("{target}.0"));
        assert_eq!(member.version().as_deref(), version);
        assert_eq!(disk.steps() > 0, !steps.is_empty());
    }
    let after = content(&member);
    assert_eq!(
        (before.hash, before.live_keys),
        (after.hash, after.live_keys)
    );
    assert_eq!(before.total_records, after.total_records);
}

#[test]
fn whatever_step_fails_or_is_the_last_the_database_is_whole() {
    let disk = whole();
    Member::of("3.5").migrate("3.6", disk.clone()).unwrap();
    assert!(disk.steps() >= 4, "{}", disk.steps());
    for fault in [Fault::Once, Fault::Dead] {
        for failing in 0..disk.steps() {
            let member = Member::of("3.5");
            let error = member
                .migrate("3.6", FaultyDisk::new(failing, fault))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            // Only a sync that fails behind the meta page leaves the new one.
            let is_new = member.version().is_some();
            assert!(!is_new || failing + 1 == disk.steps(), "{failing}");
            member.migrate("3.6", whole()).unwrap();
            assert_eq!(member.version().as_deref(), Some("3.6.0"));
        }
    }
}

/// The meta page may have been written in part: its checksum tells, and the other one leads to the old state.
#[test]
fn a_meta_page_that_was_torn_leaves_the_old_version() {
    let member = Member::of("3.5");
    let before = fs::read(member.database()).unwrap();
    member.migrate("3.6", whole()).unwrap();
    let after = fs::read(member.database()).unwrap();
    let written: Vec<_> = [0, 1]
        .into_iter()
        .filter(|page| before[page * 4096..][..80] != after[page * 4096..][..80])
        .collect();
    let [page] = written[..] else {
        panic!("{written:?} were written")
    };
    for bytes in [20, 40, 64, 72, 79] {
        let mut torn = after.clone();
        torn[page * 4096..][bytes..80].copy_from_slice(&before[page * 4096..][bytes..80]);
        fs::write(member.database(), &torn).unwrap();
        assert_eq!(member.version(), None, "{bytes}");
    }
}

#[test]
fn what_cannot_be_migrated_is_refused_and_stays() {
    let member = Member::of("3.6");
    let before = fs::read(member.database()).unwrap();
    let refused = |target: &str, kind, detail: Option<&str>| {
        let disk = whole();
        let error = member.migrate(target, disk.clone()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let found = error
            .detail()
            .find(|(name, _)| ["refusal", "wal"].contains(name));
        assert_eq!(found.map(|(_, value)| value), detail, "{error}");
        assert_eq!(disk.steps(), 0);
        assert!(fs::read(member.database()).unwrap() == before);
    };
    refused("3.4", ErrorKind::InvalidInput, None);
    refused("3.8", ErrorKind::Unsupported, Some("unknown-version"));
    refused("4.0", ErrorKind::Unsupported, Some("other-major"));
    let lock = fs::File::open(member.database()).unwrap();
    lock.lock().unwrap();
    refused("3.7", ErrorKind::Busy, None);
    lock.unlock().unwrap();

    let wal = member.data_dir().join("member/wal");
    let segment = wal.join(crate::raft::wal::FIRST_SEGMENT_NAME);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[30] ^= 1;
    fs::write(&segment, bytes).unwrap();
    refused("3.7", ErrorKind::Damaged, Some("scan"));
    fs::remove_file(&segment).unwrap();
    refused("3.7", ErrorKind::NotFound, Some("none"));
    fs::remove_dir(&wal).unwrap();
    refused("3.7", ErrorKind::NotFound, Some("list"));
    // Nobody asks for a WAL where there is nothing to do.
    member.migrate("3.6", whole()).unwrap();
}

#[test]
fn force_sets_the_version_where_there_is_no_way() {
    let member = Member::of("3.6");
    let force = |target: &str| {
        let options = MigrateOptions::default()
            .with_force(true)
            .with_newest(StorageVersion::V3_6);
        migrate(member.data_dir(), target.parse().unwrap(), &options).unwrap()
    };
    let report = force("3.7");
    assert!(report.forced.unwrap().contains("3.7.0 is not known here"));
    assert_eq!(report.steps, [""; 0]);
    assert_eq!(member.version().as_deref(), Some("3.7.0"));
    assert!(force("3.5").forced.is_some());
    assert_eq!(member.version(), None);
    // Where there is a way, nothing is forced.
    assert_eq!(force("3.6").forced, None);
    assert_eq!(member.version().as_deref(), Some("3.6.0"));
}
