//! Members that change places, on a disk that works and on one that does not.

use super::*;
use crate::io::Lock;
use crate::io::faulty::{Fault, FaultyDisk};
use crate::{NewCluster, RestoreOptions, Snapshot, UndoOptions, restore, undo_restore};

fn made(place: &MemberTarget, token: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let snapshot = Snapshot::open(folder.join("../testdata/snapshots/3.6.db")).unwrap();
    let cluster = NewCluster::parse("m1=http://10.0.0.1:2380", token).unwrap();
    restore(
        &snapshot,
        &cluster,
        std::slice::from_ref(place),
        &RestoreOptions::default(),
    )
    .unwrap();
}

fn database(place: &MemberTarget) -> Vec<u8> {
    fs::read(data_dir::database(place.data_dir())).unwrap()
}

fn places(root: &Path) -> [MemberTarget; 2] {
    ["staged", "data"].map(|name| MemberTarget::new("m1", root.join(name)))
}

#[test]
fn a_swap_is_taken_back_like_a_restore() {
    let folder = tempfile::tempdir().unwrap();
    let [staged, target] = places(folder.path());
    made(&target, "old");
    made(&staged, "new");
    let (old, new) = (database(&target), database(&staged));
    assert_ne!(old, new);

    let report = swap_member(&staged, &target, &SwapOptions::default()).unwrap();
    assert_eq!(database(&target), new);
    let kept = report.replaced.unwrap().member_dir;
    assert_eq!(fs::read(kept.join("snap/db")).unwrap(), old);
    assert!(!staged.data_dir().exists());

    let undone = undo_restore(target.data_dir(), &UndoOptions::default()).unwrap();
    assert_eq!(undone.put_back, Some(kept));
    assert_eq!(database(&target), old);
    let aside = undone.set_aside.unwrap();
    assert_eq!(fs::read(aside.join("snap/db")).unwrap(), new);
}

#[test]
fn what_had_the_place_comes_back_even_without_a_database_and_not_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let [staged, target] = places(folder.path());
    made(&target, "old");
    made(&staged, "new");
    let member = target.data_dir().join("member");
    fs::remove_dir_all(member.join("snap")).unwrap();
    fs::remove_dir_all(member.join("wal")).unwrap();
    fs::write(member.join("mark"), "").unwrap();
    // Sorts behind all that this program makes.
    let earlier = target.data_dir().join("member.old-of-hand");
    fs::create_dir_all(earlier.join("snap")).unwrap();
    fs::write(earlier.join("snap/db"), "").unwrap();

    let report = swap_member(&staged, &target, &SwapOptions::default()).unwrap();
    let options = UndoOptions::default().with_earlier(["member.old-of-hand".into()]);
    let undone = undo_restore(target.data_dir(), &options).unwrap();
    assert_eq!(undone.put_back, Some(report.replaced.unwrap().member_dir));
    assert!(member.join("mark").exists() && earlier.join("snap/db").exists());
}

#[test]
fn a_log_of_its_own_goes_and_comes_with_its_member_even_where_none_was() {
    let folder = tempfile::tempdir().unwrap();
    let [staged, target] = places(folder.path());
    let wal = folder.path().join("wal");
    let staged = staged.with_wal_dir(folder.path().join("wal-staged"));
    let target = target.with_wal_dir(&wal);
    made(&target, "old");
    made(&staged, "new");
    fs::remove_dir_all(&wal).unwrap();
    let old = database(&target);

    let report = swap_member(&staged, &target, &SwapOptions::default()).unwrap();
    assert_eq!(fs::read_dir(&wal).unwrap().count(), 1);
    assert!(report.replaced.unwrap().wal_dir.unwrap().is_dir());
    let options = UndoOptions::default().with_wal_dir(&wal);
    undo_restore(target.data_dir(), &options).unwrap();
    assert_eq!(database(&target), old);
    assert_eq!(fs::read_dir(&wal).unwrap().count(), 0);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_changes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let [staged, target] = places(root);
    made(&target, "old");
    made(&staged, "new");
    let listing = || super::super::tests::listing(root);
    let before = listing();
    let nothing = MemberTarget::new("m1", root.join("nothing"));
    let with_wal = target.clone().with_wal_dir(root.join("wal"));
    let inside = MemberTarget::new("m1", staged.data_dir().join("member/deep"));
    for (from, to, kind, words) in [
        (
            &nothing,
            &target,
            ErrorKind::NotFound,
            "no member to put in place",
        ),
        (
            &staged,
            &with_wal,
            ErrorKind::InvalidInput,
            "with a WAL directory",
        ),
        (
            &staged,
            &staged,
            ErrorKind::InvalidInput,
            "one holds the other",
        ),
        (
            &staged,
            &inside,
            ErrorKind::InvalidInput,
            "one holds the other",
        ),
    ] {
        let error = swap_member(from, to, &SwapOptions::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(listing(), before, "{error}");
    }
    for held in [&staged, &target] {
        let path = data_dir::database(held.data_dir());
        let Ok(Lock::Held(_server)) = Disk.lock(&path) else {
            panic!("no lock");
        };
        let error = swap_member(&staged, &target, &SwapOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert_eq!(listing(), before, "{error}");
        let error = crate::require_stopped(held.data_dir(), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    }
    crate::require_stopped(target.data_dir(), None).unwrap();
    crate::require_stopped(root.join("nothing"), None).unwrap();
}

/// Asked of a member that is not made yet, in the words of the swap itself.
#[test]
fn what_a_swap_would_refuse_is_known_before_anything_is_made() {
    let disk = |mounted| -> Arc<dyn Storage> {
        let disk = FaultyDisk::new(u64::MAX, Fault::Once);
        Arc::new(match mounted {
            Some(name) => disk.with_mount_point(name),
            None => disk,
        })
    };
    for (mounted, wal, staged_wal, words) in [
        (None, None, None, None),
        (None, Some("wal"), Some("wal/new"), None),
        (
            None,
            Some("data/member/log"),
            Some("data/member/log/new"),
            None,
        ),
        (Some("wal"), None, Some("data/member/wal/new"), None),
        (
            Some("wal"),
            Some("data/member/wal"),
            Some("data/member/wal/new"),
            None,
        ),
        (
            Some("wal"),
            None,
            None,
            Some("restore it with a WAL directory of its own"),
        ),
        (
            None,
            None,
            Some("data/member/wal/new"),
            Some("restore it without a WAL directory"),
        ),
        (
            None,
            Some("data/member/a/log"),
            Some("data/member/a/log/new"),
            Some("one holds the other"),
        ),
        (
            None,
            Some("data/member/a/log"),
            Some("log"),
            Some("does not stay in its place"),
        ),
        (
            None,
            Some("data/member/snap"),
            Some("log"),
            Some("does not stay in its place"),
        ),
        (Some("member"), None, None, Some("is a mount point")),
        (Some("snap"), None, None, Some("is a mount point")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        made(&MemberTarget::new("m1", root.join("data")), "old");
        let place = |data: &str, wal: Option<&str>| {
            let place = MemberTarget::new("m1", root.join(data));
            match wal {
                Some(wal) => place.with_wal_dir(root.join(wal)),
                None => place,
            }
        };
        let (staged, target) = (place("data/new", staged_wal), place("data", wal));
        if let Some(wal) = wal {
            fs::create_dir_all(root.join(wal)).unwrap();
        }
        let before = super::super::tests::listing(root);
        let known = check_swap_with(disk(mounted).as_ref(), &staged, &target);
        assert_eq!(super::super::tests::listing(root), before);

        let at = format!("{mounted:?} {wal:?} {staged_wal:?}: {known:?}");
        let options = SwapOptions::default().with_storage(disk(mounted));
        made(&staged, "new");
        let swapped = swap_member(&staged, &target, &options);
        match words {
            None => {
                known.expect(&at);
                let kept = swapped.expect(&at).replaced.unwrap();
                let mut options = UndoOptions::default().with_storage(disk(mounted));
                if let Some(wal) = wal {
                    options = options.with_wal_dir(root.join(wal));
                }
                let undone = undo_restore(target.data_dir(), &options);
                assert_eq!(undone.expect(&at).put_back, Some(kept.member_dir));
            }
            Some(words) => {
                let known = known.expect_err(&at).to_string();
                assert!(known.contains(words), "{at}");
                assert_eq!(swapped.expect_err(&at).to_string(), known, "{at}");
            }
        }
    }
}

#[test]
fn a_link_in_the_place_of_a_member_is_known_before() {
    let folder = tempfile::tempdir().unwrap();
    let [elsewhere, target] = places(folder.path());
    made(&elsewhere, "old");
    fs::create_dir(target.data_dir()).unwrap();
    std::os::unix::fs::symlink(
        elsewhere.data_dir().join("member"),
        target.data_dir().join("member"),
    )
    .unwrap();
    let staged = MemberTarget::new("m1", target.data_dir().join("new"));
    let known = check_swap(&staged, &target).unwrap_err();
    assert_eq!(known.kind(), ErrorKind::Unsupported);
    assert!(known.to_string().contains("symbolic link"), "{known}");
    made(&staged, "new");
    let error = swap_member(&staged, &target, &SwapOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), known.to_string());
}

#[test]
fn two_filesystems_are_told_apart_before_anything_changes() {
    let memory = Path::new("/dev/shm");
    let folder = tempfile::tempdir().unwrap();
    let Ok(elsewhere) = tempfile::tempdir_in(memory) else {
        return;
    };
    if filesystem(folder.path()).unwrap() == filesystem(elsewhere.path()).unwrap() {
        return;
    }
    let staged = MemberTarget::new("m1", elsewhere.path().join("staged"));
    let [_, target] = places(folder.path());
    made(&target, "old");
    made(&staged, "new");
    let before = super::super::tests::listing(folder.path());
    let known = check_swap(&staged, &target).unwrap_err();
    let error = swap_member(&staged, &target, &SwapOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), known.to_string());
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("the same filesystem"), "{error}");
    assert_eq!(super::super::tests::listing(folder.path()), before);
}
