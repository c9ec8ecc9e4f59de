//! Databases as etcd makes them are sound, and the numbers are the model's.

use std::sync::Arc;

use etcd_snap::{
    DigestCheck, ErrorKind, Severity, Snapshot, VerifyOptions, VerifyReport, status, verify,
};
use etcd_snap_testdata::database::{DatabaseBuilder, Image};
use proptest::prelude::*;

use crate::databases::database;

fn open(file: Vec<u8>) -> Snapshot {
    Snapshot::from_source("the file", Arc::new(file)).expect("opens")
}

fn report(snapshot: &Snapshot) -> VerifyReport {
    verify(snapshot, &VerifyOptions::default()).expect("can be looked at")
}

fn assert_numbers_are_the_models(
    file: Vec<u8>,
    builder: &DatabaseBuilder,
) -> Result<(), TestCaseError> {
    let model = builder.model();
    let snapshot = open(file);
    let report = report(&snapshot);
    // Notes are for what a sound database may hold, such as the alarm of a member that is gone.
    prop_assert!(
        report.worst() <= Some(Severity::Note),
        "{:?}",
        report.problems
    );
    let status = status(&snapshot).expect("sound");
    prop_assert_eq!(status.hash, model.status_hash());
    prop_assert_eq!(status.revision.get(), model.revision());
    prop_assert_eq!(status.total_records, model.total_records());
    prop_assert_eq!(status.live_keys, model.live_keys());
    prop_assert_eq!(
        status.total_size_bytes,
        builder.image().current().high_water_mark * builder.page_size() as u64
    );
    prop_assert_eq!(report.contents.hash, status.hash);
    prop_assert_eq!(report.contents.live_keys, status.live_keys);
    prop_assert_eq!(report.contents.total_records, status.total_records);
    Ok(())
}

proptest! {
    #![proptest_config(crate::sample(96))]

    #[test]
    fn every_database_is_sound_and_its_numbers_are_the_models(builder in database()) {
        assert_numbers_are_the_models(builder.build(), &builder)?;
    }

    /// Where a server's stream ends with the digest, a raw copy ends: the verdict differs in nothing but the proof.
    #[test]
    fn the_digest_makes_the_proof(builder in database()) {
        let image = builder.image();
        let proven = report(&open(builder.tail([]).image().sealed()));
        let matches = matches!(proven.digest, DigestCheck::Matches { .. });
        prop_assert!(matches);
        prop_assert!(proven.is_sound());
        let raw = report(&open(image.unsealed()));
        let missing = matches!(raw.digest, DigestCheck::Missing { .. });
        prop_assert!(missing);
        prop_assert_eq!(raw.into_proven().expect_err("no proof").kind(), ErrorKind::NoDigest);
    }

    /// Bytes that no page uses count for the digest and for nothing else.
    #[test]
    fn what_stands_in_free_pages_and_unused_ends_makes_no_difference(
        builder in database(),
        seeds in any::<[u64; 2]>(),
    ) {
        let report_of = |image: &Image| report(&open(image.sealed()));
        let one = builder.clone().tail([]).slack(seeds[0]).image();
        let other = builder.tail([]).slack(seeds[1]).image();
        let [one, other] = [&one, &other].map(report_of);
        prop_assert_eq!(one.contents, other.contents);
        prop_assert_eq!(one.problems, other.problems);
    }
}
