//! What must hold of every file, whatever is in it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use etcd_snap::{
    DigestCheck, ErrorKind, FastStatus, HashKv, HashKvOptions, Problem, ProblemCode, ReadAt,
    Revision, Severity, Snapshot, Status, StreamReport, VerifyOptions, VerifyReport, fast_status,
    hash_kv, status, verify, verify_stream,
};

/// Bytes in memory that count how many of them are read.
struct Counted {
    bytes: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl ReadAt for Counted {
    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.bytes.read_at(buffer, offset)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Whether nothing in the pages and records is damaged; `None` where the file does not open.
pub fn look(bytes: &[u8]) -> Option<bool> {
    let size = bytes.len() as u64;
    let read = Arc::new(AtomicU64::new(0));
    let source = Counted {
        bytes: bytes.to_vec(),
        read: Arc::clone(&read),
    };
    let snapshot = match Snapshot::from_source("fuzz", Arc::new(source)) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(
                matches!(error.kind(), ErrorKind::NotASnapshot | ErrorKind::Damaged),
                "{error}"
            );
            let piped = verify_stream("fuzz", bytes, &VerifyOptions::default()).unwrap_err();
            assert_eq!(piped.kind(), error.kind(), "{piped}, and {error}");
            return None;
        }
    };
    accessors(&snapshot, size);
    let report = report(&snapshot);
    // A small multiple of the file, and a floor for the very small ones.
    let work = read.load(Ordering::Relaxed);
    assert!(
        work <= 16 * size + (1 << 20),
        "{work} bytes read of a file of {size}"
    );
    let sound = !report.problems.iter().any(is_damage);
    #[cfg(fuzzing)]
    etcd_snap::fuzzing::all_ways(bytes);
    stream(bytes, &report);
    fast(&snapshot, &report);
    let status = numbers(&snapshot, &report, sound);
    let newest = hash_kv(&snapshot, &HashKvOptions::default());
    assert_eq!(newest.is_ok(), status.is_some(), "{newest:?}");
    // Each is another look at everything.
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if let Ok(newest) = newest
        && sum.is_multiple_of(4)
    {
        hashes(&snapshot, &newest);
    }
    Some(sound)
}

/// Damage that is not in the digest alone.
fn is_damage(problem: &Problem) -> bool {
    problem.severity == Severity::Damaged && problem.code != ProblemCode::DigestMismatch
}

fn accessors(snapshot: &Snapshot, size: u64) {
    assert_eq!(snapshot.name(), "fuzz");
    assert_eq!(snapshot.path(), None);
    assert_eq!(snapshot.size_bytes(), size);
    let digest = size - snapshot.database_bytes();
    assert_eq!(digest, if snapshot.digest().is_some() { 32 } else { 0 });
    assert!(snapshot.page_size_bytes().is_power_of_two());
    assert!(!format!("{snapshot:?}").is_empty());
}

/// The report, which every bound leaves with the same verdict, and which survives JSON.
fn report(snapshot: &Snapshot) -> VerifyReport {
    let most = |most| {
        let options = VerifyOptions::default().with_max_problems(most);
        verify(snapshot, &options).unwrap()
    };
    let report = most(100);
    assert!(report.problems.len() <= 100);
    let all = report.problems.len() as u64 + report.more_problems;
    for problem in &report.problems {
        assert!(!problem.to_string().is_empty());
        assert!(!problem.message.is_empty());
        assert!(!problem.code.to_string().is_empty());
    }
    let json = serde_json::to_vec(&report).unwrap();
    let again: VerifyReport = serde_json::from_slice(&json).unwrap();
    assert_eq!(again, report);

    let one = most(1);
    assert_eq!(one.is_sound(), report.is_sound());
    assert_eq!(one.worst(), report.worst());
    assert_eq!(one.problems.len() as u64 + one.more_problems, all);
    assert_eq!(one.contents, report.contents);

    let mismatch = matches!(report.digest, DigestCheck::Mismatch { .. });
    assert!(!mismatch || !report.is_sound());
    assert_eq!(
        report.is_sound(),
        report.worst().is_none_or(|worst| worst < Severity::Damaged)
    );
    match (report.clone().into_proven(), report.digest) {
        (Ok(proof), DigestCheck::Matches { digest }) => {
            assert!(report.is_sound());
            assert_eq!((proof.digest, &proof.contents), (digest, &report.contents));
        }
        (Ok(_), other) => panic!("proven by {other:?}"),
        (Err(error), _) if error.kind() == ErrorKind::NoDigest => assert!(report.is_sound()),
        (Err(error), _) => {
            assert!(!report.is_sound(), "{error}");
            assert_eq!(error.kind() == ErrorKind::DigestMismatch, mismatch);
        }
    }
    report
}

fn numbers(snapshot: &Snapshot, report: &VerifyReport, sound: bool) -> Option<Status> {
    let status = status(snapshot);
    assert_eq!(status.is_ok(), sound, "{status:?} beside {report:?}");
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
            return None;
        }
    };
    let contents = &report.contents;
    assert_eq!(status.hash, contents.hash);
    assert_eq!(status.revision, contents.revision);
    assert_eq!(status.live_keys, contents.live_keys);
    assert_eq!(status.total_records, contents.total_records);
    assert_eq!(status.total_size_bytes, contents.total_size_bytes);
    assert_eq!(status.storage_version, contents.storage_version);
    let json = serde_json::to_vec(&status).unwrap();
    assert_eq!(serde_json::from_slice::<Status>(&json).unwrap(), status);
    Some(status)
}

/// The same bytes out of a pipe: the digest is judged alike, and what is damaged in every order is not taken.
fn stream(bytes: &[u8], report: &VerifyReport) {
    let stream = match verify_stream("fuzz", bytes, &VerifyOptions::default()) {
        Ok(stream) => stream,
        Err(error) => {
            assert!(!report.is_sound(), "{error}");
            return;
        }
    };
    assert_eq!(stream.size_bytes, report.size_bytes);
    assert_eq!(stream.digest, report.digest);
    let json = serde_json::to_vec(&stream).unwrap();
    let again: StreamReport = serde_json::from_slice(&json).unwrap();
    assert_eq!(again, stream);
    let free_pages = report.contents.free_pages > 0;
    // Of a free page that looks like one in use it cannot know.
    if report.is_sound() && !free_pages {
        assert!(stream.is_sound(), "{:?}", stream.problems);
    }
    let proven = stream.clone().into_proven().is_ok();
    let matches = matches!(stream.digest, DigestCheck::Matches { .. });
    assert_eq!(proven, matches && stream.is_sound());
}

/// The end of the tree and the small buckets say what the whole says, where that is sound.
fn fast(snapshot: &Snapshot, report: &VerifyReport) {
    let fast = match fast_status(snapshot) {
        Ok(fast) => fast,
        Err(error) => {
            let found = report.problems.iter().any(is_damage);
            let refused = error.kind() == ErrorKind::Unsupported;
            assert!(found || refused, "sound, and refused: {error}");
            return;
        }
    };
    let json = serde_json::to_vec(&fast).unwrap();
    assert_eq!(serde_json::from_slice::<FastStatus>(&json).unwrap(), fast);
    if report.problems.iter().any(is_damage) {
        return;
    }
    let contents = &report.contents;
    assert_eq!(fast.revision, contents.revision);
    assert_eq!(fast.compact_revision, contents.compact_revision);
    assert_eq!(fast.total_size_bytes, contents.total_size_bytes);
    assert_eq!(fast.storage_version, contents.storage_version);
    assert_eq!(fast.cluster_version, contents.cluster_version);
    assert_eq!(fast.members, contents.members);
    assert_eq!(fast.alarms, contents.alarms);
    assert_eq!(fast.auth_enabled, contents.auth_enabled);
    assert!(fast.leases.is_none_or(|leases| leases == contents.leases));
}

/// The same hash by other names, and hashes that there cannot be.
fn hashes(snapshot: &Snapshot, newest: &HashKv) {
    let options = |revision| HashKvOptions::default().with_revision(Revision::new(revision));
    let json = serde_json::to_vec(newest).unwrap();
    assert_eq!(&serde_json::from_slice::<HashKv>(&json).unwrap(), newest);
    let named = options(newest.revision.get());
    assert_eq!(&hash_kv(snapshot, &named).unwrap(), newest);
    if let Some(compact) = newest.compact_revision {
        let named = named.with_compact_revision(compact);
        assert_eq!(&hash_kv(snapshot, &named).unwrap(), newest);
        let below = options(newest.revision.get())
            .with_compact_revision(Revision::new(compact.get().saturating_sub(1)));
        if compact.get() > i64::MIN {
            let refused = hash_kv(snapshot, &below).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
        }
    }
    let all = options(newest.revision.get()).with_compact_revision(newest.revision);
    assert_eq!(
        hash_kv(snapshot, &all).unwrap().compact_revision,
        Some(newest.revision)
    );
    for revision in [-1, 3, i64::MAX] {
        match hash_kv(snapshot, &options(revision)) {
            Ok(hash) => assert_eq!(hash.revision.get(), revision),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}"),
        }
    }
}
