//! A save whose every step on the disk may fail, or be the last.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{SaveOptions, SaveReport, save_chunks};
use crate::io::faulty::{Fault, FaultyDisk};
use crate::stream::Chunk;
use crate::{ErrorKind, Result, Snapshot, VerifyOptions, verify};

fn original() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db");
    std::fs::read(path).unwrap()
}

/// Chunks as large as the whole, so that there are few steps.
fn save(disk: FaultyDisk, target: &Path, no_clobber: bool) -> Result<SaveReport> {
    let bytes = original();
    let (database, digest) = bytes.split_at(bytes.len() - 32);
    let chunks: [Result<Chunk, Infallible>; 2] = [
        Ok(Chunk::new(database.to_vec(), 0)),
        Ok(Chunk::new(digest.to_vec(), 0)),
    ];
    let options = SaveOptions::default()
        .with_no_clobber(no_clobber)
        .with_storage(Arc::new(disk));
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(save_chunks(tokio_stream::iter(chunks), target, &options))
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
