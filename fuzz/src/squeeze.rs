//! The bytes of a snapshot file through squeeze: what it makes holds what the file holds, what is sound is squeezed, what is
//! refused leaves nothing behind.
//!
//! Point `TMPDIR` at a file system in memory.

use std::sync::Arc;

use etcd_snap::{
    ErrorKind, ProblemCode, Severity, Snapshot, SqueezeOptions, VerifyOptions, squeeze, verify,
};

use crate::snapshot::with_meta_checksums;

pub fn run(bytes: &[u8]) {
    squeezed(bytes.to_vec());
    if let Some(repaired) = with_meta_checksums(bytes) {
        squeezed(repaired);
    }
}

fn squeezed(bytes: Vec<u8>) {
    let Ok(snapshot) = Snapshot::from_source("fuzz", Arc::new(bytes)) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out.db");
    let options = SqueezeOptions::default().with_skip_hash_check(true);
    let before = verify(&snapshot, &VerifyOptions::default()).unwrap();
    match squeeze(&snapshot, &target, &options) {
        Ok(report) => {
            let json = serde_json::to_vec(&report).unwrap();
            let again: etcd_snap::SqueezeReport = serde_json::from_slice(&json).unwrap();
            assert_eq!(again, report);
            let after = verify(&Snapshot::open(&target).unwrap(), &VerifyOptions::default());
            let proof = after.unwrap().into_proven().unwrap();
            assert_eq!(proof.digest, report.digest);
            assert_eq!(proof.contents, report.contents);
            assert_eq!(proof.contents.hash, before.contents.hash);
            assert_eq!(proof.contents.hash_kv, before.contents.hash_kv);
            assert_eq!(proof.contents.free_pages, 0);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 0, "left behind after: {error}");
            let damaged = before.problems.iter().any(|problem| {
                problem.severity == Severity::Damaged && problem.code != ProblemCode::DigestMismatch
            });
            // Records that no etcd makes so large.
            let too_large = error.kind() == ErrorKind::Unsupported;
            assert!(damaged || too_large, "sound, and refused: {error}");
        }
    }
}
