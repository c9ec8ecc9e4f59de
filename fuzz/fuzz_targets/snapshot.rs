//! The bytes of a snapshot file through every verb that only reads: once as they are, once with meta pages whose
//! checksums were put right.
#![no_main]

use std::sync::Arc;

use etcd_snap::{Snapshot, VerifyOptions, status, verify};
use etcd_snap_fuzz::with_meta_checksums;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    look(bytes.to_vec());
    if let Some(repaired) = with_meta_checksums(bytes) {
        look(repaired);
    }
});

fn look(bytes: Vec<u8>) {
    let size = bytes.len() as u64;
    let snapshot = match Snapshot::from_source("fuzz", Arc::new(bytes)) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(snapshot.name(), "fuzz");
    assert_eq!(snapshot.path(), None);
    assert_eq!(snapshot.size_bytes(), size);
    assert!(snapshot.database_bytes() <= size);
    assert!(snapshot.page_size_bytes().is_power_of_two());
    let _ = (snapshot.digest(), format!("{snapshot:?}"));

    let report = verify(&snapshot, &VerifyOptions::default().with_max_problems(10)).unwrap();
    assert!(report.problems.len() <= 10);
    let json = serde_json::to_vec(&report).unwrap();
    assert_eq!(
        serde_json::from_slice::<etcd_snap::VerifyReport>(&json).unwrap(),
        report
    );
    let sound = report.is_sound();
    let _ = (report.worst(), report.clone().into_proven());
    let status = status(&snapshot);
    if sound {
        let status = status.unwrap();
        assert_eq!(status.hash, report.contents.hash);
        assert_eq!(status.revision, report.contents.revision);
    }
}
