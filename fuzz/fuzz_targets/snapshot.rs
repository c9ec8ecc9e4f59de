//! The bytes of a snapshot file through every offline verb: once as they are, once with meta pages whose checksums were
//! put right, because chance does not find these.
#![no_main]

use std::sync::Arc;

use etcd_snap::{Snapshot, VerifyOptions, status, verify};
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

/// The bytes with a right FNV-1a behind each meta page, as far as their first one names a page size (formats.md 1.2).
fn with_meta_checksums(bytes: &[u8]) -> Option<Vec<u8>> {
    let field = bytes.get(24..28)?;
    let page_size = u32::from_le_bytes(field.try_into().ok()?);
    let mut repaired = bytes.to_vec();
    for page in [0, usize::try_from(page_size).ok()?] {
        if let Some(meta) = page
            .checked_add(16)
            .and_then(|at| repaired.get_mut(at..)?.get_mut(..64))
        {
            let (covered, checksum) = meta.split_at_mut(56);
            let fnv = covered
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
                });
            checksum.copy_from_slice(&fnv.to_le_bytes());
        }
    }
    (repaired != bytes).then_some(repaired)
}
