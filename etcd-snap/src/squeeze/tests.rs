//! Every step on the disk may fail, or be the last.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{SqueezeOptions, SqueezeReport, squeeze};
use crate::io::faulty::{Fault, FaultyDisk};
use crate::{ErrorKind, Result, Snapshot, VerifyOptions, verify};

/// A folder with a snapshot that has free pages, and perhaps a target.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        fs::write(room.path("in.db"), fs::read(snapshot()).unwrap()).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<OsString> {
        let entries = self.0.path().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    fn squeeze(&self, target: &str, disk: FaultyDisk) -> Result<SqueezeReport> {
        let options = SqueezeOptions::default().with_storage(Arc::new(disk));
        let snapshot = Snapshot::open(self.path("in.db"))?;
        squeeze(&snapshot, self.path(target), &options)
    }
}

fn snapshot() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db")
}

fn whole() -> FaultyDisk {
    FaultyDisk::new(u64::MAX, Fault::Once)
}

fn is_whole(path: &Path) {
    let report = verify(&Snapshot::open(path).unwrap(), &VerifyOptions::default()).unwrap();
    assert_eq!(report.contents.free_pages, 0);
    report.into_proven().unwrap();
}

#[test]
fn the_new_file_is_smaller_sealed_and_holds_the_same() {
    let room = Room::new();
    let report = room.squeeze("out.db", whole()).unwrap();
    is_whole(&room.path("out.db"));
    let old = Snapshot::open(snapshot()).unwrap();
    assert_eq!(report.snapshot_digest, old.digest());
    assert_eq!(report.file_before_bytes, old.size_bytes());
    assert_eq!(
        report.file_after_bytes,
        room.path("out.db").metadata().unwrap().len()
    );
    assert!(
        report.file_after_bytes < report.file_before_bytes,
        "{report:?}"
    );
    let before = verify(&old, &VerifyOptions::default()).unwrap().contents;
    assert_eq!(report.contents.hash, before.hash);
    assert_eq!(report.contents.hash_kv, before.hash_kv);
    assert_eq!(room.names(), ["in.db", "out.db"]);
    assert_eq!(
        fs::read(room.path("in.db")).unwrap(),
        fs::read(snapshot()).unwrap()
    );
}

#[test]
fn a_snapshot_can_be_replaced_by_its_squeezed_self() {
    let room = Room::new();
    let report = room.squeeze("in.db", whole()).unwrap();
    is_whole(&room.path("in.db"));
    assert_eq!(room.names(), ["in.db"]);
    // There is nothing left to gain.
    let again = room.squeeze("in.db", whole()).unwrap();
    assert_eq!(again.file_after_bytes, report.file_after_bytes);
    assert_eq!(again.contents, report.contents);
}

#[test]
fn whatever_step_fails_or_is_the_last_the_target_is_the_old_file_or_the_new_one() {
    let disk = whole();
    Room::new().squeeze("in.db", disk.clone()).unwrap();
    let steps = disk.steps();
    assert!(steps > 4, "{steps}");
    for failing in 0..steps {
        for fault in [Fault::Once, Fault::Dead] {
            let room = Room::new();
            let error = room
                .squeeze("in.db", FaultyDisk::new(failing, fault))
                .unwrap_err();
            let is_old = fs::read(room.path("in.db")).unwrap() == fs::read(snapshot()).unwrap();
            if !is_old {
                is_whole(&room.path("in.db"));
            }
            if fault == Fault::Once {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{failing}: {error}");
                assert_eq!(room.names(), ["in.db"]);
                // It is the sync of the directory that may fail behind the rename.
                assert_eq!(is_old, failing + 1 < steps, "{failing}: {error}");
            }
            // The next run works, and removes what that one left.
            room.squeeze("in.db", whole()).unwrap();
            is_whole(&room.path("in.db"));
            assert_eq!(room.names(), ["in.db"]);
        }
    }
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_is_written() {
    let room = Room::new();
    fs::write(room.path("there.db"), "something").unwrap();
    let refused = |target: &str, options: SqueezeOptions, kind| {
        let before = room.names();
        let disk = whole().with_free_bytes(30_000);
        let options = options.with_storage(Arc::new(disk));
        let snapshot = Snapshot::open(room.path("in.db")).unwrap();
        let error = squeeze(&snapshot, room.path(target), &options).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(room.names(), before);
    };
    let default = SqueezeOptions::default;
    refused("out.db", default(), ErrorKind::NoSpace);
    refused(
        "there.db",
        default().with_no_clobber(true),
        ErrorKind::Occupied,
    );
    refused("none/out.db", default(), ErrorKind::NotFound);
    refused(".", default(), ErrorKind::InvalidInput);
    assert_eq!(fs::read(room.path("there.db")).unwrap(), b"something");

    let mut bytes = fs::read(snapshot()).unwrap();
    let len = bytes.len();
    bytes[len - 1] ^= 1;
    fs::write(room.path("in.db"), &bytes).unwrap();
    refused("out.db", default(), ErrorKind::DigestMismatch);
    fs::write(room.path("in.db"), &bytes[..len - 32]).unwrap();
    refused("out.db", default(), ErrorKind::NoDigest);
    let options = default().with_skip_hash_check(true);
    let raw = Snapshot::open(room.path("in.db")).unwrap();
    let report = squeeze(&raw, room.path("out.db"), &options).unwrap();
    assert_eq!(report.snapshot_digest, None);
    is_whole(&room.path("out.db"));

    bytes.truncate(len - 32);
    bytes[5 * 4096] ^= 1;
    fs::write(room.path("in.db"), &bytes).unwrap();
    refused("out.db", options, ErrorKind::Damaged);
}
