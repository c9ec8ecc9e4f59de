//! Every step on the disk may fail, or be the last.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DefragOptions, DefragReport, defrag};
use crate::io::faulty::{Fault, FaultyDisk};
use crate::{ErrorKind, Result, Snapshot, status};

/// The data directory of a member whose database has free pages.
struct Member(tempfile::TempDir);

impl Member {
    fn new() -> Self {
        let member = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(member.folder()).unwrap();
        fs::write(member.database(), old()).unwrap();
        fs::set_permissions(member.database(), fs::Permissions::from_mode(0o640)).unwrap();
        member
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("member/snap")
    }

    fn database(&self) -> PathBuf {
        self.folder().join("db")
    }

    fn names(&self) -> Vec<OsString> {
        let entries = self.folder().read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    fn defrag(&self, disk: FaultyDisk) -> Result<DefragReport> {
        let options = DefragOptions::default().with_storage(Arc::new(disk));
        defrag(self.0.path(), &options)
    }

    /// The new file, or the old one to the last byte.
    fn is_new(&self) -> bool {
        if fs::read(self.database()).unwrap() == old() {
            return false;
        }
        assert_eq!(hash(&self.database()), hash(&snapshot()));
        true
    }
}

fn snapshot() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db")
}

/// Without the digest, as a member has it.
fn old() -> Vec<u8> {
    let mut bytes = fs::read(snapshot()).unwrap();
    bytes.truncate(bytes.len() - 32);
    bytes
}

fn hash(path: &Path) -> u32 {
    status(&Snapshot::open(path).unwrap()).unwrap().hash
}

fn whole() -> FaultyDisk {
    FaultyDisk::new(u64::MAX, Fault::Once)
}

#[test]
fn the_new_file_is_smaller_and_has_the_mode_of_the_old_one() {
    let member = Member::new();
    let before = member.database().metadata().unwrap();
    let report = member.defrag(whole()).unwrap();
    assert!(member.is_new());
    let after = member.database().metadata().unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
    assert_eq!(report.file_before_bytes, before.len());
    assert_eq!(report.size_after_bytes, after.len());
    assert!(
        report.in_use_before_bytes < report.size_before_bytes,
        "{report:?}"
    );
    assert!(
        report.size_after_bytes < report.size_before_bytes,
        "{report:?}"
    );
    assert_eq!(report.contents.free_pages, 0);
    assert_eq!(member.names(), ["db"]);

    // There is nothing left to gain, and what there is stays.
    let again = member.defrag(whole()).unwrap();
    assert_eq!(again.size_before_bytes, report.size_after_bytes);
    assert_eq!(again.size_after_bytes, report.size_after_bytes);
    assert_eq!(again.contents, report.contents);
}

#[test]
fn a_step_that_fails_leaves_the_old_file_and_no_litter() {
    let disk = whole();
    Member::new().defrag(disk.clone()).unwrap();
    // The last two wipe what has no name any more.
    let steps = disk.steps() - 2;
    assert!(steps > 6, "{steps}");
    for failing in 0..disk.steps() {
        let member = Member::new();
        let result = member.defrag(FaultyDisk::new(failing, Fault::Once));
        assert_eq!(member.names(), ["db"]);
        if failing >= steps {
            result.unwrap();
            assert!(member.is_new());
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{failing}: {error}");
        // It is the sync of the directory that may fail behind the rename.
        assert_eq!(member.is_new(), failing + 1 == steps, "{failing}: {error}");
    }
}

#[test]
fn a_step_that_is_the_last_leaves_the_old_file_or_the_whole_new_one() {
    let disk = whole();
    Member::new().defrag(disk.clone()).unwrap();
    for last in 0..disk.steps() {
        let member = Member::new();
        let _ = member.defrag(FaultyDisk::new(last, Fault::Dead));
        member.is_new();
        // The next run removes what that one left.
        member.defrag(whole()).unwrap();
        assert!(member.is_new());
        assert_eq!(member.names(), ["db"]);
    }
}

#[test]
fn what_cannot_be_used_is_refused_and_stays() {
    let member = Member::new();
    let refused = |disk: FaultyDisk, kind, words: &str| {
        let before = fs::read(member.database()).unwrap();
        let error = member.defrag(disk.clone()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(disk.steps(), 0, "{error}");
        assert_eq!(fs::read(member.database()).unwrap(), before);
        assert_eq!(member.names(), ["db"]);
    };
    refused(
        whole().with_free_bytes(30_000),
        ErrorKind::NoSpace,
        "30000 left",
    );
    refused(whole().without_locks(), ErrorKind::Unsupported, "no locks");
    let lock = fs::File::open(member.database()).unwrap();
    lock.lock().unwrap();
    refused(whole(), ErrorKind::Busy, "is in use");
    lock.unlock().unwrap();

    // The page that both metas call the root.
    let mut damaged = old();
    let root = u64::from_le_bytes(damaged[32..40].try_into().unwrap());
    damaged[root as usize * 4096 + 16] ^= 0x40;
    fs::write(member.database(), damaged).unwrap();
    refused(whole(), ErrorKind::Damaged, "damaged");
    fs::write(member.database(), "no database").unwrap();
    refused(whole(), ErrorKind::NotASnapshot, "");
}

#[test]
fn a_directory_that_is_not_a_members_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (path, words) in [
        (folder.path().to_owned(), "no member/snap/db in it"),
        (folder.path().join("none"), "does not exist"),
    ] {
        let error = defrag(&path, &DefragOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// A server that has waited for the lock must not run on a file without a name; but what has another name is somebody's.
#[test]
fn the_old_file_is_wiped_where_nothing_leads_to_it() {
    for linked in [false, true] {
        let member = Member::new();
        let other = member.0.path().join("other");
        if linked {
            fs::hard_link(member.database(), &other).unwrap();
        }
        let waiting = fs::File::open(member.database()).unwrap();
        member.defrag(whole()).unwrap();
        let source: Arc<dyn crate::ReadAt> = Arc::new(waiting);
        let opened = Snapshot::from_source("it", source);
        assert_eq!(opened.is_ok(), linked);
        if linked {
            assert_eq!(fs::read(other).unwrap(), old());
        }
    }
}

#[test]
fn a_symbolic_link_stays_and_what_it_leads_to_is_written_anew() {
    let member = Member::new();
    let real = member.0.path().join("real");
    fs::rename(member.database(), &real).unwrap();
    std::os::unix::fs::symlink(&real, member.database()).unwrap();
    member.defrag(whole()).unwrap();
    assert!(member.database().is_symlink());
    assert!(member.is_new());
    assert_eq!(member.names(), ["db"]);
}
