//! Every step that changes the disk may fail, and every one may be the last. (What a power failure leaves: crashes.rs.)

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::data_dir::journal_of_barrier;
use crate::io::faulty::{Fault, FaultyDisk};
use crate::{Bump, ErrorKind};

fn snapshot() -> Snapshot {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Snapshot::open(folder.join("../testdata/snapshots/3.6.db")).unwrap()
}

fn cluster() -> NewCluster {
    NewCluster::parse("m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380", "token").unwrap()
}

fn real() -> Arc<dyn Storage> {
    Arc::new(Disk)
}

fn faulty(disk: &FaultyDisk) -> Arc<dyn Storage> {
    Arc::new(disk.clone())
}

/// A way to ask for a restore, with what must be there before.
struct Case {
    name: &'static str,
    existing: &'static [&'static str],
    targets: fn(&Path) -> Vec<MemberTarget>,
}

const CASES: [Case; 6] = [
    Case {
        name: "a data directory that is absent",
        existing: &[],
        targets: |root| vec![MemberTarget::new("m1", root.join("data"))],
    },
    Case {
        name: "directories that are absent above it",
        existing: &[],
        targets: |root| vec![MemberTarget::new("m1", root.join("a/b/data"))],
    },
    Case {
        name: "an empty data directory",
        existing: &["data"],
        targets: |root| vec![MemberTarget::new("m1", root.join("data"))],
    },
    Case {
        name: "a WAL directory of its own that is absent",
        existing: &["data"],
        targets: |root| {
            vec![MemberTarget::new("m1", root.join("data")).with_wal_dir(root.join("x/wal"))]
        },
    },
    Case {
        name: "an empty WAL directory",
        existing: &["wal"],
        targets: |root| {
            vec![MemberTarget::new("m1", root.join("data")).with_wal_dir(root.join("wal"))]
        },
    },
    Case {
        name: "two members, one with a WAL directory inside its data directory",
        existing: &[],
        targets: |root| {
            let m1 = MemberTarget::new("m1", root.join("out/m1"));
            let m2 = MemberTarget::new("m2", root.join("out/m2"));
            vec![m1.with_wal_dir(root.join("out/m1/log")), m2]
        },
    },
];

/// All paths below, with their sizes.
pub(super) fn listing(root: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let size = if metadata.is_dir() { 0 } else { metadata.len() };
            found.push((entry.path().strip_prefix(root).unwrap().to_owned(), size));
            if metadata.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

pub(super) fn paths(root: &Path) -> Vec<PathBuf> {
    listing(root).into_iter().map(|(path, _)| path).collect()
}

/// Without what a killed run may leave under names of its own.
fn visible(root: &Path) -> Vec<(PathBuf, u64)> {
    let is_hidden = |path: &Path| {
        path.components()
            .any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
    };
    let mut found = listing(root);
    found.retain(|(path, _)| !is_hidden(path));
    found
}

fn restore_case(case: &Case, root: &Path, storage: &Arc<dyn Storage>) -> Result<RestoreReport> {
    let options = RestoreOptions::default()
        .with_bump(Bump::By(1000))
        .with_mark_compacted(true);
    restore_with(
        storage,
        &snapshot(),
        &cluster(),
        &(case.targets)(root),
        &options,
    )
}

fn prepare(case: &Case) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for directory in case.existing {
        fs::create_dir(root.path().join(directory)).unwrap();
    }
    root
}

#[test]
fn a_step_that_fails_leaves_everything_as_it_was() {
    for case in &CASES {
        for step in 0.. {
            let root = prepare(case);
            let before = listing(root.path());
            let disk = FaultyDisk::new(step, Fault::Once);
            match restore_case(case, root.path(), &faulty(&disk)) {
                Ok(_) if step >= disk.steps() => break,
                // Nothing is lost behind the removal of the journal, which is tried twice: it could only be followed once more.
                Ok(_) => {
                    let reference = prepare(case);
                    restore_case(case, reference.path(), &real()).unwrap();
                    assert_eq!(
                        visible(root.path()),
                        listing(reference.path()),
                        "{}: step {step} was ignored",
                        case.name
                    );
                    assert!(step + 3 >= disk.steps(), "{}: {step}", case.name);
                }
                Err(e) => {
                    assert_eq!(
                        e.kind(),
                        ErrorKind::NoSpace,
                        "{}: step {step}: {e}",
                        case.name
                    );
                    assert_eq!(
                        listing(root.path()),
                        before,
                        "{}: step {step}: {e}",
                        case.name
                    );
                    restore_case(case, root.path(), &real()).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_process_that_is_killed_leaves_a_whole_member_or_none_or_one_that_no_etcd_starts() {
    for case in &CASES {
        let reference = prepare(case);
        restore_case(case, reference.path(), &real()).unwrap();
        let whole = listing(reference.path());
        for step in 0.. {
            let root = prepare(case);
            let disk = FaultyDisk::new(step, Fault::Dead);
            if restore_case(case, root.path(), &faulty(&disk)).is_ok() {
                break;
            }
            // Each member that is there at all has all its files, or something in the place of its database that is none.
            for target in (case.targets)(root.path()) {
                let member = target.data_dir().join("member");
                if member.exists() && journal_of_barrier(target.data_dir()).is_none() {
                    let relative = member.strip_prefix(root.path()).unwrap();
                    let files = |listing: &[(PathBuf, u64)]| -> Vec<_> {
                        listing
                            .iter()
                            .filter(|(path, _)| path.starts_with(relative))
                            .cloned()
                            .collect()
                    };
                    assert_eq!(
                        files(&listing(root.path())),
                        files(&whole),
                        "{}: step {step}",
                        case.name
                    );
                    if let Some(wal) = target.wal_dir() {
                        assert!(
                            wal.join(wal::FIRST_SEGMENT_NAME).exists(),
                            "{}: step {step}",
                            case.name
                        );
                    }
                }
            }
            // And the next run makes it whole, whatever is there.
            if let Err(e) = restore_case(case, root.path(), &real()) {
                assert_eq!(
                    e.kind(),
                    ErrorKind::Occupied,
                    "{}: step {step}: {e}",
                    case.name
                );
            }
            assert_eq!(visible(root.path()), whole, "{}: step {step}", case.name);
        }
    }
}

#[test]
fn the_bumped_database_is_sound_and_has_the_new_revision() {
    let root = prepare(&CASES[0]);
    let report = restore_case(&CASES[0], root.path(), &real()).unwrap();
    let expected = report.snapshot_revision.get() + 1000;
    assert_eq!(report.contents.revision.get(), expected);
    assert_eq!(
        report.contents.compact_revision.map(crate::Revision::get),
        Some(expected)
    );
    assert_eq!(report.contents.members, 2);

    let database = Snapshot::open(root.path().join("data/member/snap/db")).unwrap();
    let verified = crate::verify(&database, &crate::VerifyOptions::default()).unwrap();
    assert_eq!(verified.problems, []);
    assert_eq!(verified.contents, report.contents);
    assert_eq!(
        verified.into_proven().unwrap_err().kind(),
        ErrorKind::NoDigest
    );
}

#[test]
fn targets_that_do_not_fit_are_refused_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir(path("occupied")).unwrap();
    fs::write(path("occupied/file"), "old").unwrap();
    fs::write(path("file"), "old").unwrap();
    let before = listing(root.path());
    let m1 = |data: &str| MemberTarget::new("m1", path(data));
    let m2 = |data: &str| MemberTarget::new("m2", path(data));

    for (targets, kind) in [
        (vec![m1("occupied")], ErrorKind::Occupied),
        (vec![m1("file")], ErrorKind::Occupied),
        (vec![m1("file/data")], ErrorKind::Occupied),
        (
            vec![m1("data").with_wal_dir(path("occupied"))],
            ErrorKind::Occupied,
        ),
        (
            vec![m1("data/x").with_wal_dir(path("data"))],
            ErrorKind::InvalidInput,
        ),
        (vec![m1("data"), m2("data")], ErrorKind::InvalidInput),
        (
            vec![m1("data"), m2("data/member/x")],
            ErrorKind::InvalidInput,
        ),
        (vec![m1("a"), m1("b")], ErrorKind::InvalidInput),
        (
            vec![MemberTarget::new("m9", path("data"))],
            ErrorKind::InvalidInput,
        ),
        (
            vec![m1("data").with_advertised_peer_urls(
                crate::PeerUrls::parse("http://10.0.0.9:2380").unwrap(),
            )],
            ErrorKind::InvalidInput,
        ),
        (vec![], ErrorKind::InvalidInput),
    ] {
        let error = restore(
            &snapshot(),
            &cluster(),
            &targets,
            &RestoreOptions::default(),
        )
        .expect_err(&format!("{targets:?}"));
        assert_eq!(error.kind(), kind, "{targets:?}: {error}");
        assert_eq!(listing(root.path()), before, "{targets:?}");
    }
    for options in [
        RestoreOptions::default().with_bump(Bump::By(5)),
        RestoreOptions::default().with_mark_compacted(true),
        RestoreOptions::default()
            .with_bump(Bump::By(u64::MAX))
            .with_mark_compacted(true),
        RestoreOptions::default()
            .with_bump(Bump::By(1 << 62))
            .with_mark_compacted(true),
    ] {
        let error = restore(&snapshot(), &cluster(), &[m1("data")], &options).unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::InvalidInput,
            "{options:?}: {error}"
        );
        assert_eq!(listing(root.path()), before);
    }
}

/// Asks to stop at the `n`th event.
struct StopAt {
    events: std::sync::atomic::AtomicUsize,
    stop_at: usize,
}

impl crate::Observer for StopAt {
    fn event(&self, _: &Event) -> std::ops::ControlFlow<()> {
        let n = self
            .events
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if n == self.stop_at {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    }
}

#[test]
fn a_wish_to_stop_at_any_event_leaves_everything_as_it_was() {
    for case in &CASES {
        for stop_at in 0.. {
            let root = prepare(case);
            let before = listing(root.path());
            let observer = Arc::new(StopAt {
                events: 0.into(),
                stop_at,
            });
            let options = RestoreOptions::default().with_observer(observer);
            let targets = (case.targets)(root.path());
            match restore(&snapshot(), &cluster(), &targets, &options) {
                Ok(_) => {
                    assert!(stop_at > 4, "{}: only {stop_at} events", case.name);
                    break;
                }
                Err(e) => {
                    assert_eq!(
                        e.kind(),
                        ErrorKind::Cancelled,
                        "{}: {stop_at}: {e}",
                        case.name
                    );
                    assert_eq!(listing(root.path()), before, "{}: {stop_at}", case.name);
                }
            }
        }
    }
}

#[test]
fn of_runs_to_one_target_at_a_time_one_makes_the_member_and_the_others_leave_nothing() {
    for case in &CASES {
        let reference = prepare(case);
        restore_case(case, reference.path(), &real()).unwrap();
        let root = prepare(case);
        let start = std::sync::Barrier::new(3);
        let results: Vec<_> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        restore_case(case, root.path(), &real())
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1, "{}: {refused:?}", case.name);
        for error in refused.into_iter().filter_map(Result::err) {
            // Busy where it was at that very moment changing names.
            let kinds = [ErrorKind::Occupied, ErrorKind::Busy];
            assert!(kinds.contains(&error.kind()), "{}: {error}", case.name);
        }
        assert_eq!(
            listing(root.path()),
            listing(reference.path()),
            "{}",
            case.name
        );
    }
}

#[test]
fn what_a_killed_run_staged_inside_an_empty_directory_is_no_obstacle_to_the_next() {
    for (step, case) in (0..12).flat_map(|step| [(step, &CASES[2]), (step, &CASES[4])]) {
        let root = prepare(case);
        let disk = FaultyDisk::new(step, Fault::Dead);
        restore_case(case, root.path(), &faulty(&disk)).unwrap_err();
        restore_case(case, root.path(), &real())
            .unwrap_or_else(|e| panic!("{}: killed at {step}: {e}", case.name));
    }
}

#[test]
fn a_path_may_go_up_from_what_exists_but_not_from_what_does_not() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir(path("here")).unwrap();
    let go = |data_dir: PathBuf| {
        let target = MemberTarget::new("m1", data_dir);
        restore(
            &snapshot(),
            &cluster(),
            &[target],
            &RestoreOptions::default(),
        )
    };
    let report = go(path("here/../new.etcd/")).unwrap();
    let expected = root.path().canonicalize().unwrap().join("new.etcd");
    assert_eq!(report.members[0].data_dir, expected);
    assert!(expected.join("member/snap/db").exists());
    for name in ["absent/../other", "absent/..", "absent/x/../../y"] {
        let error = go(path(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}: {error}");
    }
    let error = go(PathBuf::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(!path("other").exists());
}

#[test]
fn directories_within_each_other_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir(path("empty")).unwrap();
    let before = listing(root.path());
    let m1 = |data: &str| MemberTarget::new("m1", path(data));
    let m2 = |data: &str| MemberTarget::new("m2", path(data));
    for targets in [
        vec![m1("data").with_wal_dir(path("data"))],
        vec![m1("data").with_wal_dir(path("data/member"))],
        vec![m1("data").with_wal_dir(path("data/member/snap"))],
        vec![m1("data").with_wal_dir(path("data/member/snap/db"))],
        vec![m1("data").with_wal_dir(path("data/member/snap/db/wal"))],
        vec![m1("data").with_wal_dir(path("empty")), m2("empty")],
        vec![m1("data").with_wal_dir(path("empty")), m2("empty/m2")],
        vec![m1("data").with_wal_dir(path("wal")), m2("wal/m2")],
        vec![m1("data").with_wal_dir(path("m2/member/snap")), m2("m2")],
        vec![
            m1("data").with_wal_dir(path("wal")),
            m2("m2").with_wal_dir(path("wal/m2")),
        ],
    ] {
        let error = restore(
            &snapshot(),
            &cluster(),
            &targets,
            &RestoreOptions::default(),
        )
        .expect_err(&format!("{targets:?}"));
        assert_eq!(
            error.kind(),
            ErrorKind::InvalidInput,
            "{targets:?}: {error}"
        );
        assert_eq!(listing(root.path()), before, "{targets:?}");
    }
}

#[test]
fn directories_that_are_symbolic_links_get_the_member_behind_them() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for name in ["disk", "log", "volume"] {
        fs::create_dir(path(name)).unwrap();
        std::os::unix::fs::symlink(name, path(&format!("{name}-link"))).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
    let go = |target: MemberTarget| {
        restore(
            &snapshot(),
            &cluster(),
            &[target],
            &RestoreOptions::default(),
        )
    };
    go(MemberTarget::new("m1", path("disk-link")).with_wal_dir(path("log-link/"))).unwrap();
    assert!(path("disk/member/snap/db").exists());
    assert!(path("log").join(wal::FIRST_SEGMENT_NAME).exists());
    go(MemberTarget::new("m1", path("volume-link/a/b"))).unwrap();
    assert!(path("volume/a/b/member/wal").exists());
    let before = listing(root.path());
    go(MemberTarget::new("m1", path("dangling"))).unwrap_err();
    go(MemberTarget::new("m1", path("dangling/data"))).unwrap_err();
    assert_eq!(listing(root.path()), before);
}
