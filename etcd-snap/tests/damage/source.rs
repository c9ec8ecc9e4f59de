//! Files that fail, shrink or change while they are read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use etcd_snap::{ErrorKind, ReadAt, Snapshot, VerifyOptions, status, verify};

use crate::subject::tall_builder;

/// What happens from some read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The disk gives an error.
    Fails,
    /// There is nothing behind the middle of the file.
    IsCut,
    /// Every read gives half of what it is asked for: more than the contract allows.
    IsShort,
    /// A byte of every read is another one.
    Changes,
}

struct Troubled {
    bytes: Vec<u8>,
    trouble: Trouble,
    good_reads: u64,
    reads: AtomicU64,
    /// Reads that gave something else than the file holds.
    harmed: AtomicU64,
}

impl Troubled {
    fn new(trouble: Trouble, good_reads: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes: tall_builder().build(),
            trouble,
            good_reads,
            reads: AtomicU64::new(0),
            harmed: AtomicU64::new(0),
        })
    }
}

impl ReadAt for Troubled {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.reads.fetch_add(1, Ordering::Relaxed) < self.good_reads {
            return self.bytes.read_at(buffer, offset);
        }
        let middle = self.bytes.len() / 2;
        let reaches_behind = offset + buffer.len() as u64 > middle as u64;
        if self.trouble != Trouble::IsCut || reaches_behind {
            self.harmed.fetch_add(1, Ordering::Relaxed);
        }
        match self.trouble {
            Trouble::Fails => Err(io::Error::other("the disk is on fire")),
            Trouble::IsCut => self.bytes[..middle].to_vec().read_at(buffer, offset),
            Trouble::IsShort => {
                let half = buffer.len() / 2;
                self.bytes.read_at(&mut buffer[..half], offset)
            }
            Trouble::Changes => {
                let n = self.bytes.read_at(buffer, offset)?;
                if let Some(byte) = buffer[..n].last_mut() {
                    *byte ^= 0x55;
                }
                Ok(n)
            }
        }
    }
}

/// How many reads it takes to look at the file in peace.
fn reads_of_all() -> u64 {
    let source = Troubled::new(Trouble::Fails, u64::MAX);
    let snapshot = Snapshot::from_source("the file", source.clone()).expect("opens");
    let report = verify(&snapshot, &VerifyOptions::default()).expect("reads");
    assert_eq!(report.problems, []);
    source.reads.load(Ordering::Relaxed)
}

#[test]
fn trouble_at_any_read_is_an_error_or_a_problem() {
    let all = reads_of_all();
    assert!(all > 50, "{all} reads");
    for trouble in [
        Trouble::Fails,
        Trouble::IsCut,
        Trouble::IsShort,
        Trouble::Changes,
    ] {
        for good_reads in 0..all {
            let what = format!("{trouble:?} after {good_reads} reads");
            let source = Troubled::new(trouble, good_reads);
            let snapshot = match Snapshot::from_source("the file", source.clone()) {
                Ok(snapshot) => snapshot,
                Err(e) if trouble == Trouble::Fails => {
                    assert_eq!(e.kind(), ErrorKind::Io, "{what}: {e}");
                    continue;
                }
                Err(_) => continue,
            };
            let looked = verify(&snapshot, &VerifyOptions::default());
            match looked {
                Err(e) => assert_eq!(e.kind(), ErrorKind::Io, "{what}: {e}"),
                Ok(_) if trouble == Trouble::Fails => panic!("{what}: nobody noticed"),
                // What changes behind the digest's back can only be found where it matters.
                Ok(_) if trouble == Trouble::Changes => {}
                Ok(report) => assert!(
                    report.into_proven().is_err() || source.harmed.load(Ordering::Relaxed) == 0,
                    "{what}: nobody noticed"
                ),
            }
        }
    }
}

#[test]
fn status_says_which_byte_could_not_be_read() {
    for good_reads in [4, 10, 40] {
        let source = Troubled::new(Trouble::Fails, good_reads);
        let snapshot = Snapshot::from_source("the file", source).expect("opens");
        let error = status(&snapshot).expect_err("the disk is on fire");
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.offset().is_some(), "{error}");
        let cause = std::error::Error::source(&error).expect("a cause");
        assert!(cause.to_string().contains("on fire"), "{cause}");
    }
}
