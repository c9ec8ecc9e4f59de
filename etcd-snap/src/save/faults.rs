//! A save whose every step on the disk may fail, or be the last.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    Arrived, Attest, Origin, SaveOptions, SaveReport, Target, arrive, conclude, save_chunks,
};
use crate::io::faulty::{Fault, FaultyDisk};
use crate::stream::Chunk;
use crate::{
    AttestReport, AttestVerdict, ErrorKind, Manifest, Result, Revision, Snapshot, Unproven,
    VerifyOptions, verify,
};

fn original() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db");
    std::fs::read(path).unwrap()
}

/// As large as the whole, so that there are few steps.
fn chunks() -> [Result<Chunk, Infallible>; 2] {
    let bytes = original();
    let (database, digest) = bytes.split_at(bytes.len() - 32);
    [
        Ok(Chunk::new(database.to_vec(), 0)),
        Ok(Chunk::new(digest.to_vec(), 0)),
    ]
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(work)
}

fn save(disk: FaultyDisk, target: &Path, no_clobber: bool) -> Result<SaveReport> {
    let options = SaveOptions::default()
        .with_no_clobber(no_clobber)
        .with_storage(Arc::new(disk));
    block_on(save_chunks(tokio_stream::iter(chunks()), target, &options))
}

/// The same with members that say this; `options` say what is made of it.
fn save_attested(
    disk: FaultyDisk,
    target: &Path,
    verdict: AttestVerdict,
    options: SaveOptions,
) -> Result<SaveReport> {
    let options = options
        .with_attest(Attest::Required)
        .with_storage(Arc::new(disk));
    let attest = AttestReport {
        schema: 1,
        verdict,
        revision: Revision::new(1),
        compact_revision: None,
        cluster_id: None,
        known_members: None,
        listed: false,
        members: Vec::new(),
        duration_ms: 0,
    };
    block_on(async {
        let (outlet, sink) = Target::from(target).open(&options).await?;
        let origin = Origin::default();
        let chunks = tokio_stream::iter(chunks());
        let arrived: Arrived = arrive(chunks, sink, &origin, &options).await?;
        conclude(outlet, origin, arrived, Some(attest), &options)
    })
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn is_whole(target: &Path) -> bool {
    let report = verify(&Snapshot::open(target).unwrap(), &VerifyOptions::default()).unwrap();
    report.into_proven().is_ok()
}

/// All steps of one save.
fn steps() -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new(u64::MAX, Fault::Once);
    save(disk.clone(), &directory.path().join("new.db"), false).unwrap();
    disk.steps()
}

#[test]
fn a_step_that_fails_leaves_the_old_file_and_no_litter() {
    let steps = steps();
    assert!(steps > 6, "{steps}");
    for failing in 0..steps {
        for no_clobber in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let target = directory.path().join("backup.db");
            if !no_clobber {
                std::fs::write(&target, "old").unwrap();
            }
            let before = names(directory.path());
            let error =
                save(FaultyDisk::new(failing, Fault::Once), &target, no_clobber).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{failing}: {error}");
            if failing == steps - 1 {
                // The very last: it has its name, and only a power failure could take that away again.
                assert!(is_whole(&target));
                continue;
            }
            assert_eq!(names(directory.path()), before, "{failing}: {error}");
            if !no_clobber {
                assert_eq!(std::fs::read(&target).unwrap(), b"old", "{failing}");
            }
        }
    }
}

#[test]
fn a_step_that_is_the_last_leaves_the_old_file_or_the_whole_new_one() {
    for last in 0..steps() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("backup.db");
        std::fs::write(&target, "old").unwrap();
        save(FaultyDisk::new(last, Fault::Dead), &target, false).unwrap_err();
        assert!(
            std::fs::read(&target).unwrap() == b"old" || is_whole(&target),
            "{last}"
        );
        // What a killed run left behind is in nobody's way.
        save(FaultyDisk::new(u64::MAX, Fault::Once), &target, false).unwrap();
        assert!(is_whole(&target));
    }
}

#[test]
fn a_manifest_is_that_of_the_snapshot_beside_it_or_missing() {
    let run = |disk: FaultyDisk, target: &Path, manifest: bool| {
        let options = SaveOptions::default()
            .with_manifest(manifest)
            .with_storage(Arc::new(disk));
        block_on(save_chunks(tokio_stream::iter(chunks()), target, &options))
    };
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("backup.db");
    let beside = directory.path().join("backup.db.manifest.json");
    let whole = FaultyDisk::new(u64::MAX, Fault::Once);
    let report = run(whole.clone(), &target, true).unwrap();
    let snapshot = Snapshot::open(&target).unwrap();
    let read = || Manifest::beside(&Snapshot::open(&target).unwrap());
    let manifest = read().unwrap().unwrap();
    assert_eq!(Some(manifest.digest), snapshot.digest());
    assert_eq!(manifest.saved_at, report.saved_at);
    let text = std::fs::read(&beside).unwrap();
    assert_eq!(serde_json::from_slice::<SaveReport>(&text).unwrap(), report);

    let unmanifested = steps();
    for failing in unmanifested..whole.steps() {
        for wanted in [true, false] {
            std::fs::write(&beside, "of another snapshot").unwrap();
            let saved = run(FaultyDisk::new(failing, Fault::Once), &target, wanted);
            assert!(is_whole(&target));
            assert_eq!(saved.is_err(), wanted, "{failing}");
            if let Err(e) = saved {
                assert!(e.to_string().contains("its manifest is missing"), "{e}");
            }
            assert_eq!(read().unwrap(), None, "{failing}");
        }
    }
    run(whole.clone(), &target, false).unwrap();
    assert!(!beside.exists());
    std::fs::write(&beside, "of another snapshot").unwrap();
    run(whole, &target, false).unwrap();
    assert!(read().unwrap().is_some());
}

fn kept(error: &crate::Error) -> Option<PathBuf> {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<Unproven>().unwrap().kept.clone()
}

#[test]
fn what_the_members_do_not_bear_out_is_kept_whole_or_not_at_all() {
    let keeping = || SaveOptions::default().with_keep_unproven(true);
    let (differs, cannot_tell) = (AttestVerdict::Differs, AttestVerdict::CannotTell);
    for (n, verdict) in [differs, cannot_tell].into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let (target, beside) = (
            directory.path().join("backup.db"),
            directory.path().join("backup.db.unproven"),
        );
        std::fs::write(&target, "old").unwrap();
        std::fs::write(&beside, "older").unwrap();
        let before = names(directory.path());

        let disk = FaultyDisk::new(u64::MAX, Fault::Once);
        let plain = SaveOptions::default();
        let error = save_attested(disk, &target, verdict, plain).unwrap_err();
        assert_eq!((error.kind(), kept(&error)), (ErrorKind::Unproven, None));
        assert_eq!(std::fs::read(&beside).unwrap(), b"older");

        let whole = FaultyDisk::new(u64::MAX, Fault::Once);
        let error = save_attested(whole.clone(), &target, verdict, keeping()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unproven, "{error}");
        assert_eq!(kept(&error), Some(beside.clone()), "{error}");
        assert!(is_whole(&beside));

        // The last two steps are the rename and the sync of the directory.
        for failing in whole.steps() - 2..whole.steps() {
            std::fs::write(&beside, "older").unwrap();
            let disk = FaultyDisk::new(failing, Fault::Once);
            let error = save_attested(disk, &target, verdict, keeping()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unproven, "{n}: {error}");
            assert!(error.to_string().contains("keeping it failed"), "{error}");
            let renamed = failing + 1 == whole.steps();
            assert_eq!(kept(&error).is_some(), renamed, "{error}");
            assert_eq!(is_whole_or_older(&beside), renamed);
        }
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(names(directory.path()), before);
    }
}

fn is_whole_or_older(beside: &Path) -> bool {
    match std::fs::read(beside).unwrap().as_slice() {
        b"older" => false,
        _ => {
            assert!(is_whole(beside));
            true
        }
    }
}

#[test]
fn a_save_that_is_borne_out_removes_what_an_earlier_one_kept_if_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let (target, beside) = (
        directory.path().join("backup.db"),
        directory.path().join("backup.db.unproven"),
    );
    let equal = |disk, keep| {
        let options = SaveOptions::default().with_keep_unproven(keep);
        save_attested(disk, &target, AttestVerdict::Equal, options).unwrap()
    };
    std::fs::write(&beside, "older").unwrap();
    equal(FaultyDisk::new(u64::MAX, Fault::Once), false);
    assert!(
        beside.exists(),
        "only a save that was asked to keep such files removes one"
    );

    let whole = FaultyDisk::new(u64::MAX, Fault::Once);
    equal(whole.clone(), true);
    assert!(!beside.exists());

    std::fs::write(&beside, "older").unwrap();
    let report = equal(FaultyDisk::new(whole.steps() - 1, Fault::Once), true);
    assert!(report.attest.is_some() && beside.exists());
    assert!(is_whole(&target));
}
