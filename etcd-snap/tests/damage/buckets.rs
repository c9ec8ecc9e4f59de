//! The buckets that etcd has, and those it has not (formats.md 2).

use etcd_snap::{ProblemCode, Severity};
use etcd_snap_testdata::database::{DatabaseBuilder, Inline};

use crate::subject::{Subject, assert_sound, report, tall_builder, wide, wide_builder};

#[test]
fn a_database_without_its_keys_or_its_meta_is_told() {
    for missing in ["key", "meta"] {
        let builder = wide_builder().remove_bucket(missing);
        let report = report(builder.build());
        let told = report
            .problems
            .iter()
            .any(|problem| problem.code == ProblemCode::Bucket);
        assert!(
            told && !report.is_sound(),
            "{missing}: {:#?}",
            report.problems
        );
    }
}

/// etcd makes them when it starts, and before 3.4 it did not have them all.
#[test]
fn a_database_without_one_of_the_lesser_buckets_is_sound() {
    for missing in [
        "alarm",
        "auth",
        "authRoles",
        "authUsers",
        "cluster",
        "lease",
        "members_removed",
    ] {
        let builder = wide_builder().remove_bucket(missing);
        let report = report(builder.build());
        assert!(report.is_sound(), "{missing}: {:#?}", report.problems);
        assert_eq!(report.contents.hash, builder.model().status_hash());
    }
}

#[test]
fn a_database_without_any_bucket_is_told() {
    let report = report(DatabaseBuilder::bare(4096).build());
    assert!(!report.is_sound(), "{:#?}", report.problems);
}

#[test]
fn a_database_of_nothing_but_empty_buckets_can_be_counted() {
    let buckets = [
        "alarm",
        "auth",
        "authRoles",
        "authUsers",
        "cluster",
        "key",
        "lease",
        "members",
        "members_removed",
    ];
    let builder = buckets
        .iter()
        .fold(DatabaseBuilder::bare(4096), |builder, name| {
            builder.bucket(*name)
        })
        .record("meta", "consistent_index", 1_u64.to_be_bytes());
    let report = report(builder.build());
    assert!(report.is_sound(), "{:#?}", report.problems);
    assert_eq!(report.contents.revision.get(), 0);
    assert_eq!(report.contents.hash, builder.model().status_hash());
}

/// A newer etcd may have one more: worth a word, and no reason to refuse the backup.
#[test]
fn a_bucket_that_etcd_does_not_have_is_told_and_counted() {
    for inline in [Inline::Always, Inline::Never] {
        let builder = wide_builder()
            .record("novelty", "k", "v")
            .record("test", "k2", vec![b'v'; 200_000])
            .inline(inline);
        let report = report(builder.build());
        assert!(report.is_sound(), "{:#?}", report.problems);
        for name in ["novelty", "test"] {
            let told = report.problems.iter().find(|problem| {
                problem.message.contains(name) || problem.bucket.as_deref() == Some(name)
            });
            let told = told.unwrap_or_else(|| panic!("{name}: {:#?}", report.problems));
            assert_eq!(told.code, ProblemCode::Bucket);
            assert!(told.severity < Severity::Damaged);
        }
        assert_eq!(report.contents.hash, builder.model().status_hash());
        assert_eq!(
            report.contents.total_records,
            builder.model().total_records()
        );
    }
}

#[test]
fn a_record_beside_the_buckets_is_told() {
    let sound = wide_builder();
    let damaged = sound.clone().stray("loner", "value");
    Subject::with(&sound, &damaged)
        .found()
        .has(ProblemCode::Bucket);
}

/// The flag is what makes it one.
#[test]
fn a_bucket_that_is_marked_as_a_value_is_told() {
    for name in ["key", "lease", "meta"] {
        let mut image = wide().hiding_bucket(name);
        if name == "lease" {
            image = image.hiding_all();
        }
        let place = image.bucket(name);
        image.set_element_flags(place, 0);
        image.found().has(ProblemCode::Bucket);
    }
}

/// One letter of a name: the records are there, and no etcd would find them.
#[test]
fn a_bucket_under_a_wrong_name_is_told() {
    for name in ["key", "meta"] {
        let mut image = wide().hiding_bucket("key");
        let place = image.bucket(name);
        let mut key = image.key(place).to_vec();
        let last = key.len() - 1;
        key[last] ^= 1;
        image.overwrite_key(place, &key);
        image.found().has(ProblemCode::Bucket);
    }
}

#[test]
fn every_way_to_lay_out_the_same_contents_gives_the_same_numbers() {
    let builder = tall_builder();
    for inline in [Inline::AsBbolt, Inline::Always, Inline::Never] {
        let builder = builder.clone().inline(inline);
        assert_sound(&builder);
        assert_sound(&builder.elements_per_page(usize::MAX).scattered(8));
    }
}
