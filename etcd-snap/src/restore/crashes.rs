//! A power failure after each step, with what was not synced kept, lost or torn: there is the old member, the new one, or something
//! that no etcd starts from; the next run works; and old data is never lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::*;
use crate::ErrorKind;
use crate::data_dir::journal_of_barrier;
use crate::io::faulty::{Fault, FaultyDisk};
use crate::io::recorder::{Recorder, Unsynced};

/// In memory, where there is such a filesystem: every step syncs.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return folder;
    }
    tempfile::tempdir().unwrap()
}

fn snapshot() -> Snapshot {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Snapshot::open(folder.join("../testdata/snapshots/3.6.db")).unwrap()
}

fn cluster(token: &str) -> NewCluster {
    let members = "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380";
    NewCluster::parse(members, token).unwrap()
}

fn sound() -> FaultyDisk {
    failing_at(u64::MAX)
}

fn failing_at(step: u64) -> FaultyDisk {
    FaultyDisk::new(step, Fault::Once).with_sparse_files()
}

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Restore,
    /// Over an old member.
    Replace,
    /// Of a replacement.
    Undo,
    /// Of what was made aside into its place, over an old member.
    Swap,
    /// The same where nothing is.
    MoveIn,
}

impl Verb {
    fn is_over_old(self) -> bool {
        !matches!(self, Self::Restore | Self::MoveIn)
    }
}

#[derive(Clone, Copy)]
struct Case {
    verb: Verb,
    existing: &'static [&'static str],
    /// Data directories and WAL directories.
    targets: &'static [(&'static str, Option<&'static str>)],
    disk: fn(FaultyDisk) -> FaultyDisk,
    /// Whether what is swapped in is made in the very directories that it goes to.
    inside: bool,
}

const NOTHING: Case = Case {
    verb: Verb::Restore,
    existing: &[],
    targets: &[("data", None)],
    disk: |disk| disk,
    inside: false,
};

impl Case {
    fn targets(&self, root: &Path) -> Vec<MemberTarget> {
        self.places(root, "")
    }

    /// Where members are made that are swapped in.
    fn staged(&self, root: &Path) -> Vec<MemberTarget> {
        self.places(root, if self.inside { "/staged" } else { "-staged" })
    }

    fn places(&self, root: &Path, suffix: &str) -> Vec<MemberTarget> {
        let names = ["m1", "m2", "m3"];
        let place = |name: &str| root.join(format!("{name}{suffix}"));
        let of = |(name, (data, wal)): (&&str, &(&str, Option<&str>))| {
            let target = MemberTarget::new(*name, place(data));
            match wal {
                Some(wal) => target.with_wal_dir(place(wal)),
                None => target,
            }
        };
        names.iter().zip(self.targets).map(of).collect()
    }

    fn restore(&self, root: &Path, storage: &Arc<dyn Storage>, token: &str) -> Result<()> {
        self.restore_to(&self.targets(root), storage, token)
    }

    fn restore_to(
        &self,
        targets: &[MemberTarget],
        storage: &Arc<dyn Storage>,
        token: &str,
    ) -> Result<()> {
        let options = RestoreOptions::default().with_replace(self.verb.is_over_old());
        restore_with(storage, &snapshot(), &cluster(token), targets, &options).map(|_| ())
    }

    fn storage(&self) -> Arc<dyn Storage> {
        Arc::new((self.disk)(sound()))
    }

    fn prepare(&self, root: &Path) {
        for directory in self.existing {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        if self.verb.is_over_old() {
            let fresh = Case {
                verb: Verb::Restore,
                ..*self
            };
            fresh.restore(root, &self.storage(), "old").unwrap();
        }
        if self.verb == Verb::Undo {
            self.restore(root, &self.storage(), "new").unwrap();
        }
        if matches!(self.verb, Verb::Swap | Verb::MoveIn) {
            self.restore_to(&self.staged(root), &self.storage(), "new")
                .unwrap();
        }
    }

    fn run(&self, root: &Path, storage: &Arc<dyn Storage>) -> Result<()> {
        if matches!(self.verb, Verb::Swap | Verb::MoveIn) {
            let options = SwapOptions::default().with_storage(Arc::clone(storage));
            for (staged, target) in self.staged(root).iter().zip(&self.targets(root)) {
                swap_member(staged, target, &options)?;
            }
            return Ok(());
        }
        if self.verb != Verb::Undo {
            return self.restore(root, storage, "new");
        }
        for target in self.targets(root) {
            let mut options = UndoOptions::default().with_storage(Arc::clone(storage));
            if let Some(wal) = target.wal_dir() {
                options = options.with_wal_dir(wal);
            }
            undo_restore(target.data_dir(), &options)?;
        }
        Ok(())
    }
}

/// Where a member's WAL is.
fn wal_dir(target: &MemberTarget) -> PathBuf {
    let own = || target.data_dir().join("member/wal");
    target.wal_dir().map_or_else(own, ToOwned::to_owned)
}

/// Bytes of a segment that tell members apart.
fn head(wal_dir: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut head = vec![0; 2048];
    let mut file = fs::File::open(wal_dir.join(wal::FIRST_SEGMENT_NAME)).ok()?;
    assert_eq!(file.metadata().unwrap().len(), wal::SEGMENT_SIZE_BYTES);
    file.read_exact(&mut head).unwrap();
    Some(head)
}

#[derive(Clone, PartialEq)]
struct Files {
    database: Vec<u8>,
    wal: Vec<u8>,
}

impl Files {
    fn of(target: &MemberTarget) -> Self {
        let database = fs::read(target.data_dir().join("member/snap/db")).unwrap();
        let wal = head(&wal_dir(target)).unwrap();
        Self { database, wal }
    }

    /// In a directory that was set aside: `member.old-…`, or the like.
    fn are_aside(&self, target: &MemberTarget, what: &str) -> bool {
        let aside = |directory: &Path, stem: &str| -> Vec<PathBuf> {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.path());
            let stem = format!("{stem}.{what}-");
            names
                .filter(|path| {
                    path.file_name()
                        .unwrap()
                        .to_string_lossy()
                        .starts_with(&stem)
                })
                .collect()
        };
        let wal = wal_dir(target);
        let name = wal.file_name().unwrap().to_string_lossy().into_owned();
        let mut wals = aside(wal.parent().unwrap(), &name);
        wals.extend(aside(&wal, "wal"));
        let members = aside(target.data_dir(), "member");
        wals.extend(members.iter().map(|member| member.join("wal")));
        members.iter().any(|member| {
            fs::read(member.join("snap/db")).is_ok_and(|database| database == self.database)
        }) && wals.iter().any(|wal| head(wal).as_ref() == Some(&self.wal))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Old,
    New,
    /// No etcd starts from it.
    Guarded,
}

fn state(target: &MemberTarget, old: Option<&Files>, new: &Files) -> State {
    if journal_of_barrier(target.data_dir()).is_some() {
        return State::Guarded;
    }
    let database = target.data_dir().join("member/snap/db");
    if !database.exists() {
        assert!(
            !target.data_dir().join("member").exists(),
            "a member without a database"
        );
        assert!(head(&wal_dir(target)).is_none(), "a WAL without a database");
        return State::Absent;
    }
    let files = Files::of(target);
    if files == *new {
        let snap = target.data_dir().join("member/snap");
        assert_eq!(fs::read_dir(snap).unwrap().count(), 2);
        return State::New;
    }
    assert!(
        old == Some(&files),
        "neither the old member nor the new one"
    );
    State::Old
}

fn hidden(root: &Path) -> Vec<PathBuf> {
    let mut paths = super::tests::paths(root);
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with('.')
    });
    paths
}

fn empty(root: &Path) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
}

fn is_full() -> bool {
    std::env::var_os("ETCD_SNAP_TEST_FULL").is_some()
}

fn seed() -> usize {
    let seed = std::env::var("ETCD_SNAP_TEST_SEED").unwrap_or_default();
    seed.bytes().map(usize::from).sum()
}

fn every_operation_may_be_the_last(case: &Case) {
    let folder = folder();
    let root = folder.path();
    case.prepare(root);
    let targets = case.targets(root);
    let before: Vec<_> = targets
        .iter()
        .map(|target| case.verb.is_over_old().then(|| Files::of(target)))
        .collect();
    let recorder = Recorder::new(root, Arc::new((case.disk)(sound())));
    let storage: Arc<dyn Storage> = Arc::new(recorder.clone());
    case.run(root, &storage).unwrap();
    let after: Vec<_> = targets.iter().map(Files::of).collect();
    let set_aside = if case.verb == Verb::Undo {
        "undone"
    } else {
        "old"
    };

    let all = recorder.operations();
    // Towards the end the names are given.
    const END: usize = 90;
    for n in 0..=all {
        let mut ways = vec![Unsynced::Kept, Unsynced::Lost, Unsynced::Torn(n as u64 + 1)];
        if !is_full() {
            let every = if n + END > all { 3 } else { 24 };
            if !(n + seed()).is_multiple_of(every) && n != all {
                continue;
            }
            ways = vec![ways[((n + seed()) / every) % 3]];
        }
        for unsynced in ways {
            empty(root);
            recorder.lay_out(n, unsynced);
            let at = format!(
                "{n} of {all}, {unsynced:?}, behind {}",
                recorder.describe(n)
            );
            let states: Vec<_> = (0..targets.len())
                .map(|i| state(&targets[i], before[i].as_ref(), &after[i]))
                .collect();
            if states.contains(&State::New) && states.iter().any(|it| *it != State::New) {
                let may_be = [State::New, State::Guarded];
                assert!(
                    states.iter().all(|it| may_be.contains(it)),
                    "{at}: {states:?}"
                );
            }
            if n == all {
                assert!(
                    states.iter().all(|it| *it == State::New),
                    "{at}: {states:?}"
                );
            }

            let again = case.run(root, &case.storage());
            match (&again, case.verb) {
                (Ok(()), _) => {}
                (Err(e), Verb::Restore) => assert_eq!(e.kind(), ErrorKind::Occupied, "{at}: {e}"),
                (Err(e), Verb::Undo | Verb::Swap | Verb::MoveIn) => {
                    assert_eq!(e.kind(), ErrorKind::NotFound, "{at}: {e}");
                }
                (Err(e), Verb::Replace) => panic!("{at}: {e}: {:?}", std::error::Error::source(e)),
            }
            for (i, target) in targets.iter().enumerate() {
                let found = state(target, before[i].as_ref(), &after[i]);
                assert_eq!(found, State::New, "{at}: {again:?}");
                if let Some(old) = &before[i] {
                    assert!(
                        old.are_aside(target, set_aside),
                        "{at}: the old data is lost, first {states:?}, then {again:?}: {:#?}",
                        super::tests::listing(root)
                    );
                }
            }
            if unsynced == Unsynced::Kept {
                assert_eq!(hidden(root), [] as [PathBuf; 0], "{at}");
            }
        }
    }
}

/// A disk that fails once, in one of several ways: all is as before, and the next run works.
fn every_operation_may_fail(case: &Case) {
    const ERRORS: [Errno; 4] = [Errno::IO, Errno::NOSPC, Errno::ROFS, Errno::INTR];
    let step_by = if is_full() { 1 } else { 6 };
    let reference = folder();
    case.prepare(reference.path());
    case.run(reference.path(), &case.storage()).unwrap();
    let after: Vec<_> = case
        .targets(reference.path())
        .iter()
        .map(Files::of)
        .collect();
    for (n, step) in (seed() as u64 % step_by..)
        .step_by(step_by as usize)
        .enumerate()
    {
        let folder = folder();
        let root = folder.path();
        case.prepare(root);
        let before = super::tests::listing(root);
        let targets = case.targets(root);
        let disk = (case.disk)(failing_at(step)).with_error(ERRORS[n % 4]);
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let done = case.run(root, &storage);
        if step >= disk.steps() {
            done.unwrap();
            break;
        }
        // Without a failure it was one of the last steps, and nothing hangs on it.
        if let Err(e) = done {
            assert_eq!(super::tests::listing(root), before, "step {step}: {e}");
            case.run(root, &case.storage()).unwrap();
        }
        for (target, after) in targets.iter().zip(&after) {
            assert_eq!(state(target, None, after), State::New, "step {step}");
        }
    }
}

macro_rules! layouts {
    ($($name:ident: $case:expr;)*) => {
        mod dies {
            use super::*;
            $(#[test] fn $name() { every_operation_may_be_the_last(&$case); })*
        }
        mod fails {
            use super::*;
            $(#[test] fn $name() { every_operation_may_fail(&$case); })*
        }
    };
}

layouts! {
    absent: NOTHING;
    absent_above: Case { targets: &[("a/b/data", None)], ..NOTHING };
    empty_directory: Case { existing: &["data"], ..NOTHING };
    wal_absent: Case { existing: &["data"], targets: &[("data", Some("x/wal"))], ..NOTHING };
    wal_empty: Case { existing: &["wal"], targets: &[("data", Some("wal"))], ..NOTHING };
    three_members: Case {
        existing: &["out/lost+found"],
        targets: &[("out/m1", None), ("out/m2", None), ("out/m3", None)],
        ..NOTHING
    };
    replaced: Case { verb: Verb::Replace, ..NOTHING };
    replaced_by_steps: Case {
        verb: Verb::Replace,
        disk: FaultyDisk::without_exchange,
        ..NOTHING
    };
    replaced_with_wal: Case { verb: Verb::Replace, targets: &[("data", Some("wal"))], ..NOTHING };
    replaced_with_mounted_wal: Case {
        verb: Verb::Replace,
        targets: &[("data", Some("wal"))],
        disk: |disk| disk.with_mount_point("wal"),
        ..NOTHING
    };
    replaced_two: Case {
        verb: Verb::Replace,
        targets: &[("m1", None), ("m2", Some("wal"))],
        ..NOTHING
    };
    undone: Case { verb: Verb::Undo, ..NOTHING };
    undone_by_steps: Case { verb: Verb::Undo, disk: FaultyDisk::without_exchange, ..NOTHING };
    undone_with_wal: Case { verb: Verb::Undo, targets: &[("data", Some("wal"))], ..NOTHING };
    undone_with_mounted_wal: Case {
        verb: Verb::Undo,
        targets: &[("data", Some("wal"))],
        disk: |disk| disk.with_mount_point("wal"),
        ..NOTHING
    };
    swapped: Case { verb: Verb::Swap, ..NOTHING };
    swapped_by_steps: Case { verb: Verb::Swap, disk: FaultyDisk::without_exchange, ..NOTHING };
    swapped_with_wal: Case { verb: Verb::Swap, targets: &[("data", Some("wal"))], ..NOTHING };
    swapped_with_mounted_wal: Case {
        verb: Verb::Swap,
        targets: &[("data", Some("wal"))],
        disk: |disk| disk.with_mount_point("wal"),
        ..NOTHING
    };
    swapped_from_within: Case { verb: Verb::Swap, inside: true, ..NOTHING };
    swapped_with_wal_from_within: Case {
        verb: Verb::Swap,
        targets: &[("data", Some("wal"))],
        inside: true,
        ..NOTHING
    };
    swapped_with_wal_in_member: Case {
        verb: Verb::Swap,
        targets: &[("data", Some("data/member/log"))],
        inside: true,
        ..NOTHING
    };
    swapped_with_wal_mounted_in_member: Case {
        verb: Verb::Swap,
        targets: &[("data", Some("data/member/wal"))],
        disk: |disk| disk.with_mount_point("wal"),
        inside: true,
        ..NOTHING
    };
    moved_in: Case { verb: Verb::MoveIn, ..NOTHING };
    moved_in_with_wal_from_within: Case {
        verb: Verb::MoveIn,
        existing: &["data", "wal"],
        targets: &[("data", Some("wal"))],
        inside: true,
        ..NOTHING
    };
    moved_into_empty: Case { verb: Verb::MoveIn, existing: &["data"], ..NOTHING };
    moved_in_with_wal: Case {
        verb: Verb::MoveIn,
        existing: &["data"],
        targets: &[("data", Some("wal"))],
        ..NOTHING
    };
}
