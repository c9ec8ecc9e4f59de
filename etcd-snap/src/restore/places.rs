//! What is looked at before anything is written, and whom the result belongs to.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tests::{listing, paths};
use super::*;
use crate::ErrorKind;
use crate::data_dir::{barrier, journal_of_barrier};
use crate::io::faulty::{Fault, FaultyDisk};
use crate::io::{Lock, Ownership, StagedTree, remove_dead_trees};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db")
}

fn snapshot() -> Snapshot {
    Snapshot::open(sample()).unwrap()
}

fn cluster() -> NewCluster {
    NewCluster::parse("m1=http://10.0.0.1:2380", "token").unwrap()
}

fn go_on(
    disk: &FaultyDisk,
    snapshot: &Snapshot,
    target: MemberTarget,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    restore_with(&storage, snapshot, &cluster(), &[target], options)
}

fn sound() -> FaultyDisk {
    FaultyDisk::new(u64::MAX, Fault::Once).with_sparse_files()
}

fn go(target: MemberTarget, options: &RestoreOptions) -> Result<RestoreReport> {
    go_on(&sound(), &snapshot(), target, options)
}

fn m1(data_dir: impl Into<PathBuf>) -> MemberTarget {
    MemberTarget::new("m1", data_dir)
}

fn replacing() -> RestoreOptions {
    RestoreOptions::default().with_replace(true)
}

#[test]
fn a_disk_that_is_too_small_is_refused_before_anything_is_made() {
    let root = tempfile::tempdir().unwrap();
    let target = m1(root.path().join("data"));
    let disk = sound().with_free_bytes(64_000_000);
    for dry_run in [false, true] {
        let options = RestoreOptions::default().with_dry_run(dry_run);
        let error = go_on(&disk, &snapshot(), target.clone(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        assert!(error.to_string().contains("64000000 left"), "{error}");
        assert_eq!(disk.steps(), 0);
    }
}

#[test]
fn a_dry_run_checks_everything_and_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    go(m1(&data), &RestoreOptions::default()).unwrap();
    let before = listing(root.path());
    let disk = sound();
    let options = replacing().with_dry_run(true);
    let dry = go_on(&disk, &snapshot(), m1(&data), &options).unwrap();
    assert!(dry.dry_run);
    assert!(dry.digest.is_some());
    assert!(dry.members[0].replaced.is_some());
    assert_eq!(disk.steps(), 0);
    assert_eq!(listing(root.path()), before);

    let mut bytes = fs::read(sample()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let flipped = root.path().join("flipped.db");
    fs::write(&flipped, bytes).unwrap();
    let flipped = Snapshot::open(&flipped).unwrap();
    let error = go_on(&disk, &flipped, m1(&data), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    let error = go(m1(&data), &RestoreOptions::default().with_dry_run(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Occupied, "{error}");
    let too_far = options
        .with_bump(Bump::By(1 << 62))
        .with_mark_compacted(true);
    let error = go(m1(&data), &too_far).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[test]
fn a_database_that_is_in_use_is_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    go(m1(&data), &RestoreOptions::default()).unwrap();
    let before = listing(root.path());
    let held = Disk.lock(&data.join("member/snap/db")).unwrap();
    assert!(matches!(held, Lock::Held(_)), "{held:?}");
    for error in [
        go(m1(&data), &replacing()).unwrap_err(),
        go(m1(&data), &replacing().with_dry_run(true)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    }
    assert_eq!(listing(root.path()), before);
    drop(held);
    go(m1(&data), &replacing()).unwrap();
    let held = Disk.lock(&data.join("member/snap/db")).unwrap();
    let error = undo_restore(&data, &UndoOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    drop(held);
    undo_restore(&data, &UndoOptions::default()).unwrap();
    let error = undo_restore(&data, &UndoOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn a_snapshot_in_the_old_member_is_refused_unless_it_is_its_database() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    go(m1(&data), &RestoreOptions::default()).unwrap();
    let inside = data.join("member/backup.db");
    fs::copy(sample(), &inside).unwrap();
    let inside = Snapshot::open(&inside).unwrap();
    let error = go_on(&sound(), &inside, m1(&data), &replacing()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");

    let own = Snapshot::open(data.join("member/snap/db")).unwrap();
    let options = replacing().with_skip_hash_check(true);
    let report = go_on(&sound(), &own, m1(&data), &options).unwrap();
    let kept = report.members[0].replaced.clone().unwrap().member_dir;
    assert!(kept.join("snap/db").exists());
}

#[test]
fn a_directory_without_a_member_is_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("letter"), "dear").unwrap();
    let error = go(m1(root.path()), &replacing()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Occupied, "{error}");
    fs::create_dir(root.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", root.path().join("member")).unwrap();
    let error = go(m1(root.path()), &replacing()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[test]
fn an_old_member_without_a_sound_database_is_replaced_all_the_same() {
    for disk in [sound(), sound().without_exchange()] {
        for text in [None, Some("no database"), Some("")] {
            let root = tempfile::tempdir().unwrap();
            let snap = root.path().join("member/snap");
            fs::create_dir_all(&snap).unwrap();
            if let Some(text) = text {
                fs::write(snap.join("db"), text).unwrap();
            }
            let report = go_on(&disk, &snapshot(), m1(root.path()), &replacing()).unwrap();
            let kept = report.members[0].replaced.clone().unwrap().member_dir;
            assert_eq!(
                fs::read_to_string(kept.join("snap/db")).ok().as_deref(),
                text
            );
            assert!(root.path().join("member/wal").exists());
            assert!(Snapshot::open(snap.join("db")).is_ok());
        }
    }
}

#[test]
fn where_nothing_can_be_exchanged_or_linked_nothing_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    go(m1(&data), &RestoreOptions::default()).unwrap();
    let before = listing(root.path());
    let disk = sound().without_exchange().without_hard_links();
    let error = go_on(&disk, &snapshot(), m1(&data), &replacing()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(listing(root.path()), before);
}

/// All that was made has an owner, and modes that no umask changes.
#[test]
fn everything_belongs_to_whom_it_shall_and_to_nobody_else() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can give files away: then they stay one's own, whoever owned what they replace.
        let us = rustix::process::geteuid().as_raw();
        let root = tempfile::tempdir().unwrap();
        go(m1(root.path().join("data")), &RestoreOptions::default()).unwrap();
        assert!(
            paths(root.path())
                .iter()
                .all(|path| { fs::metadata(root.path().join(path)).unwrap().uid() == us })
        );
        return;
    }
    let all_belong_to = |root: &Path, owner: (u32, u32)| {
        for path in paths(root) {
            let there = fs::symlink_metadata(root.join(&path)).unwrap();
            assert_eq!((there.uid(), there.gid()), owner, "{}", path.display());
            let mode = if there.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(
                there.permissions().mode() & 0o7777,
                mode,
                "{}",
                path.display()
            );
        }
    };
    for disk in [sound(), sound().without_exchange()] {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        let options = RestoreOptions::default().with_owner(Owner::new(4321, 1234));
        let target = || m1(&data).with_wal_dir(root.path().join("data/log"));
        go_on(&disk, &snapshot(), target(), &options).unwrap();
        all_belong_to(root.path(), (4321, 1234));
        // The next one takes after the first, root at work or not.
        go_on(&disk, &snapshot(), target(), &replacing()).unwrap();
        all_belong_to(&data.join("member"), (4321, 1234));
        all_belong_to(&data.join("log"), (4321, 1234));
    }
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(root.path(), Some(4321), Some(1234)).unwrap();
    go(m1(root.path()), &RestoreOptions::default()).unwrap();
    all_belong_to(root.path(), (4321, 1234));
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(root.path(), Some(4321), Some(1234)).unwrap();
    let report = go(m1(root.path().join("new")), &RestoreOptions::default()).unwrap();
    let said = report.notes.join("\n");
    assert!(said.contains("4321") && said.contains("--owner"), "{said}");
}

#[test]
fn a_tree_is_removed_only_when_its_run_is_dead() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("data");
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let living = StagedTree::create(Arc::clone(&storage), &target, Ownership::default()).unwrap();
    assert_eq!(remove_dead_trees(&Disk, &target), [] as [PathBuf; 0]);
    assert!(living.staged().is_dir());

    let dying: Arc<dyn Storage> = Arc::new(FaultyDisk::new(2, Fault::Dead));
    let mut dead = StagedTree::create(dying, &target, Ownership::default()).unwrap();
    let staged = dead.staged().to_owned();
    dead.create_dir(Path::new("member")).unwrap_err();
    drop(dead);
    assert!(staged.is_dir());
    // What has no lock file may hold old data.
    let strange = root.path().join(".data.0123456789abcdef.restoring");
    fs::create_dir(&strange).unwrap();
    assert_eq!(remove_dead_trees(&Disk, &target), [staged]);
    assert!(strange.is_dir());
    drop(living);
    assert_eq!(
        paths(root.path()),
        [PathBuf::from(".data.0123456789abcdef.restoring")]
    );
}

#[test]
fn a_barrier_leads_to_the_journal() {
    let root = tempfile::tempdir().unwrap();
    let journal = root.path().join(".data.etcd-snap-restore.json");
    fs::create_dir_all(root.path().join("member/snap")).unwrap();
    let database = root.path().join("member/snap/db");
    let text = barrier(root.path(), &journal);
    // As the tests with real servers have it.
    let begin = "This is not a database. etcd-snap is changing this data directory, or was stopped while it did.\n";
    assert!(text.starts_with(begin), "{text}");
    fs::write(&database, text).unwrap();
    assert_eq!(journal_of_barrier(root.path()), Some(journal));
    fs::copy(sample(), &database).unwrap();
    assert_eq!(journal_of_barrier(root.path()), None);
    fs::write(&database, "short").unwrap();
    assert_eq!(journal_of_barrier(root.path()), None);
}

#[test]
fn a_journal_of_somebody_who_lives_is_left_alone_and_a_strange_one_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let journal = root.path().join(".data.etcd-snap-restore.json");
    let held = Disk.create_file(&journal).unwrap();
    held.write_at(b"{\"schema\": 1}", 0).unwrap();
    let options = RestoreOptions::default();
    let error = go(m1(&data), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    drop(held);
    let error = go(m1(&data), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(!data.exists());
    fs::remove_file(&journal).unwrap();
    go(m1(&data), &options).unwrap();
}
