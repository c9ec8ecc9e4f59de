//! What is said of the finished database without reading it again must be what reading it again says.

use std::fs;
use std::path::{Path, PathBuf};

use etcd_snap_testdata::bulk::{Bulk, History, Profile};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed};

use super::*;
use crate::Bump;
use crate::io::{Disk, Storage as _};

fn cluster() -> NewCluster {
    NewCluster::parse("m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380", "token").unwrap()
}

fn options(bump: u64) -> RestoreOptions {
    RestoreOptions::default()
        .with_skip_hash_check(true)
        .with_bump(Bump::By(bump))
        .with_mark_compacted(bump > 0)
}

fn testdata() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots");
    let files = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
        .collect()
}

/// Whether one pass was enough; then it says what a look over the result says.
fn in_one_pass(snapshot: &Snapshot, bump: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let file = Disk.create_file(&path).unwrap();
    let (cluster, options) = (cluster(), options(bump));
    let mut making = Making {
        snapshot,
        cluster: &cluster,
        options: &options,
        file: &file,
        path: &path,
        flusher: Flusher::new(&file),
        edited: None,
    };
    let mut found = findings();
    let observer = options.observer.as_ref();
    let Ok(Carried::Sound(carried)) =
        look_while_copied(snapshot, &mut making, &mut found, observer)
    else {
        return false;
    };
    let built = Snapshot::open(&path).unwrap();
    let mut again = findings();
    let looked = look(&built, Wants::default(), &mut again, observer).unwrap();
    assert_eq!(carried.contents, looked.contents);
    assert_eq!(found.into_parts(), again.into_parts());
    true
}

#[test]
fn real_snapshots_are_restored_in_one_pass() {
    let all = testdata();
    assert!(all.len() >= 5);
    for path in all {
        for bump in [0, 1, 1_000_000_000] {
            let snapshot = Snapshot::open(&path).unwrap();
            assert!(in_one_pass(&snapshot, bump), "{} {bump}", path.display());
        }
    }
}

fn bulk() -> impl Strategy<Value = (Bulk, u64, bool)> {
    let profile = select(Profile::ALL.to_vec());
    let history = select(vec![
        History::Compacted,
        History::Interrupted,
        History::NeverCompacted,
    ]);
    let bump = prop_oneof![Just(0_u64), 1..3_000_000_000_u64];
    (profile, 200_000..4_000_000_u64, any::<u64>(), history, bump).prop_map(
        |(profile, bytes, seed, history, bump)| {
            let interrupted = matches!(history, History::Interrupted);
            (
                Bulk::new(profile, bytes).seed(seed).history(history),
                bump,
                interrupted,
            )
        },
    )
}

fn config() -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 24;
        config.rng_seed = RngSeed::Fixed(20_261_126);
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn one_pass_says_what_a_look_over_the_result_says((bulk, bump, interrupted) in bulk()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source");
        bulk.write(&path).unwrap();
        let snapshot = Snapshot::open(&path).unwrap();
        // What was compacted half-way may need a closer look.
        prop_assert!(in_one_pass(&snapshot, bump) || interrupted);
    }
}

/// Flips a byte behind the reader's back, once it has gone by.
#[test]
fn a_source_that_is_written_to_while_it_is_read_is_no_source() {
    struct Touches(PathBuf);
    impl crate::Observer for Touches {
        fn event(&self, event: &crate::Event) -> std::ops::ControlFlow<()> {
            if *event == crate::Event::Started(Phase::Check) {
                let bytes = fs::read(&self.0).unwrap();
                fs::write(&self.0, bytes).unwrap();
                let file = fs::File::options().write(true).open(&self.0).unwrap();
                let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
                file.set_modified(later).unwrap();
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::copy(&testdata()[0], &source).unwrap();
    let path = folder.path().join("db");
    let file = Disk.create_file(&path).unwrap();
    let options = options(0).with_observer(Arc::new(Touches(source.clone())));
    let snapshot = Snapshot::open(&source).unwrap();
    let error = build(&snapshot, &cluster(), &options, &file, &path)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(
        error.to_string().contains("written to while it was read"),
        "{error}"
    );
}

/// Each page in turn, and the end of the file.
#[test]
fn damage_is_refused_and_allowed_by_one_word() {
    let whole = fs::read(&testdata()[0]).unwrap();
    let page_bytes = 4096;
    let mut damaged: Vec<Vec<u8>> = (2..whole.len() / page_bytes)
        .map(|page| {
            let mut bytes = whole.clone();
            bytes[page * page_bytes..][..page_bytes].fill(0xa5);
            bytes
        })
        .collect();
    // Without its last page, and so without its digest.
    damaged.push(whole[..(whole.len() / page_bytes - 1) * page_bytes].to_vec());
    let (mut allowed, mut offered) = (0, 0);
    for bytes in damaged {
        let snapshot = Snapshot::from_source("the file", Arc::new(bytes)).unwrap();
        let restore = |force: bool| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("db");
            let file = Disk.create_file(&path).unwrap();
            let options = options(0).with_force_damaged(force);
            require_restorable(&snapshot, &options)?;
            let restored = build(&snapshot, &cluster(), &options, &file, &path)?;
            let report = crate::verify(&Snapshot::open(&path)?, &crate::VerifyOptions::default())?;
            Ok::<_, Error>((restored.problems, restored.contents, report))
        };
        let refused = restore(false).map(|(problems, ..)| problems);
        match (refused, restore(true)) {
            // A page that nobody uses.
            (Ok(none), Ok((problems, ..))) => assert_eq!((none, problems), (vec![], vec![])),
            (Err(e), Ok((problems, contents, report))) => {
                assert_eq!(e.kind(), ErrorKind::Damaged);
                assert!(e.to_string().contains("--force-damaged"), "{e}");
                assert!(!problems.is_empty());
                let too_short =
                    |problem: &Problem| problem.code == crate::ProblemCode::FileTooShort;
                // Nothing may have stood on the page that is missing.
                assert!(
                    !report.is_sound() || problems.iter().any(too_short),
                    "{problems:?}"
                );
                assert_eq!(contents, report.contents);
                allowed += 1;
            }
            (Err(e), Err(_)) => {
                assert_eq!(e.kind(), ErrorKind::Damaged);
                offered += usize::from(e.to_string().contains("--force-damaged"));
            }
            (Ok(_), Err(e)) => panic!("{e}"),
        }
    }
    assert!(allowed >= 2, "{allowed}");
    assert_eq!(offered, 0, "it would not have helped");
}

#[test]
fn a_digest_that_does_not_match_is_no_damage_that_may_be_allowed() {
    let mut bytes = fs::read(&testdata()[0]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let snapshot = Snapshot::from_source("the file", Arc::new(bytes)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let file = Disk.create_file(&path).unwrap();
    let options = RestoreOptions::default().with_force_damaged(true);
    let error = build(&snapshot, &cluster(), &options, &file, &path)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
}
