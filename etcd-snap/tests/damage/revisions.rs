//! The history in the `key` bucket (formats.md 2, faults "MVCC").

use etcd_snap::ProblemCode;
use etcd_snap_testdata::database::{
    Change, DatabaseBuilder, KeyValue, placeholder_key, revision_key, tombstone_key,
};

use crate::subject::{Found, Subject, assert_sound, report, tall, wide_builder};

fn put(key: &str, create_revision: i64, mod_revision: i64, version: i64) -> KeyValue {
    KeyValue {
        key: key.into(),
        create_revision,
        mod_revision,
        version,
        value: b"value".to_vec(),
        lease: 0,
    }
}

/// What is found with one more record in the `key` bucket.
#[track_caller]
fn with_record(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Found {
    let sound = wide_builder();
    let damaged = sound.clone().record("key", key, value);
    Subject::with(&sound, &damaged).found()
}

/// A well-formed record of that revision.
fn record_at(main: i64) -> Vec<u8> {
    put("a", main, main, 1).encode()
}

#[test]
fn histories_as_etcd_makes_them_are_sound() {
    let plain = wide_builder();
    let next = plain.revision() + 1;
    for builder in [
        plain.clone().transaction([
            Change::put("a", "1"),
            Change::put("b", "2"),
            Change::delete("key-03"),
            Change::put("c", ""),
        ]),
        plain
            .clone()
            .delete("key-01")
            .put("key-01", "again")
            .delete("key-01"),
        plain.clone().compact(150),
        plain.clone().compact(next - 1),
        plain.clone().delete("key-05").compact(next),
        plain.clone().schedule_compaction(100),
        plain.clone().compact(100).schedule_compaction(200),
        plain.clone().bump(1000),
        plain.clone().bump(1000).put("key-01", "after"),
        plain.clone().bump(1 << 62),
        plain.put_with_lease("leased", "v", 2),
        DatabaseBuilder::new(4096),
    ] {
        assert_sound(&builder);
    }
}

/// Pages of records were removed by a compaction and came to be free: the tree has gaps and is sound.
#[test]
fn the_last_record_can_be_a_delete_that_a_compaction_removed() {
    // Up to etcd 3.5.15, a delete at the compacted revision itself goes too: the file's last record is below it.
    let builder = wide_builder().delete("key-05");
    let revision = builder.revision();
    let builder = builder
        .compact(revision)
        .remove("key", tombstone_key(revision, 0));
    assert_sound(&builder);
}

#[test]
fn keys_of_a_length_that_no_revision_has_are_told() {
    let good = revision_key(1000, 0);
    for key in [
        &good[..1],
        &good[..8],
        &good[..16],
        &[good.as_slice(), b"tt"].concat(),
        &[good.as_slice(), &[b't'; 40]].concat(),
    ] {
        with_record(key, record_at(1000)).in_bucket(ProblemCode::RevisionKey, "key");
    }
}

#[test]
fn a_revision_with_a_wrong_separator_is_told() {
    for separator in [0, b'-', b'^', b'`', 0xFF] {
        let mut key = revision_key(1000, 0);
        key[8] = separator;
        with_record(key, record_at(1000)).in_bucket(ProblemCode::RevisionKey, "key");
    }
}

#[test]
fn an_eighteenth_byte_that_marks_no_delete_is_told() {
    for tail in [0, b'T', b's', b'u', 0xFF] {
        let mut key = tombstone_key(1000, 0);
        key[17] = tail;
        with_record(key, record_at(1000)).in_bucket(ProblemCode::RevisionKey, "key");
    }
}

#[test]
fn a_negative_revision_is_told() {
    for (main, sub) in [(-1, 0), (i64::MIN, 0), (1000, -1), (1000, i64::MIN)] {
        with_record(revision_key(main, sub), record_at(main))
            .in_bucket(ProblemCode::RevisionKey, "key");
    }
}

/// They differ as keys, and are the same revision.
#[test]
fn a_put_and_a_delete_of_one_revision_are_told() {
    let sound = wide_builder().put("a", "b");
    let main = sound.revision();
    let deleted = KeyValue {
        key: b"a".to_vec(),
        ..KeyValue::default()
    };
    let damaged = sound
        .clone()
        .record("key", tombstone_key(main, 0), deleted.encode());
    Subject::with(&sound, &damaged)
        .found()
        .in_bucket(ProblemCode::RevisionKey, "key");
}

#[test]
fn revisions_that_go_back_are_told() {
    let mut image = tall();
    let leaves = image.leaves("key");
    let last = image.last(leaves[9]);
    let mut key = image.key(last).to_vec();
    key[7] = 3;
    image.overwrite_key(last, &key);
    image
        .found()
        .within(ProblemCode::KeyOrder, &image, leaves[9]);
}

#[test]
fn values_that_do_not_decode_are_told() {
    let good = record_at(1000);
    let cases: [(&str, Vec<u8>); 12] = [
        ("cut in the middle", good[..good.len() - 2].to_vec()),
        ("cut behind a tag", vec![0x0A]),
        ("a length beyond the record", vec![0x0A, 0x50, b'a']),
        (
            "a length beyond memory",
            vec![
                0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, b'a',
            ],
        ),
        (
            "a varint that never ends",
            [vec![0x10], vec![0xFF; 12]].concat(),
        ),
        ("a number without end", vec![0x10, 0x80]),
        ("field number 0", vec![0x02, 0x00]),
        ("wire type 7", vec![0x0F, 0x01]),
        ("a group", vec![0x0B, 0x0C]),
        ("the key as a number", vec![0x08, 0x01]),
        ("the revision as bytes", vec![0x12, 0x01, b'a']),
        ("not a protocol buffer", b"{\"key\":\"a\"}".to_vec()),
    ];
    for (what, value) in cases {
        let found = with_record(revision_key(1000, 0), value);
        assert!(
            found
                .0
                .problems
                .iter()
                .any(|problem| problem.code == ProblemCode::Value
                    && problem.bucket.as_deref() == Some("key")),
            "{what}: {:#?}",
            found.0.problems
        );
    }
}

/// A later etcd may add one; the decoders of all versions skip it.
#[test]
fn an_unknown_field_of_a_record_is_no_damage() {
    let value = [put("a", 1000, 1000, 1).encode(), vec![0x78, 0x05]].concat();
    let builder = wide_builder().record("key", revision_key(1000, 0), value);
    let report = report(builder.build());
    assert!(report.is_sound(), "{:#?}", report.problems);
    assert_eq!(report.contents.live_keys, builder.model().live_keys());
}

#[test]
fn a_record_of_another_revision_than_its_key_is_told() {
    for (key, value) in [
        (revision_key(1000, 0), put("a", 999, 999, 1)),
        (revision_key(1000, 0), put("a", 1001, 1001, 1)),
        (revision_key(1000, 3), put("a", 0, 0, 1)),
        (revision_key(1000, 0), put("a", -5, -5, 1)),
        (revision_key(1000, 0), put("a", 3, i64::MIN, 2)),
    ] {
        with_record(key, value.encode()).in_bucket(ProblemCode::Record, "key");
    }
}

#[test]
fn a_record_that_contradicts_itself_is_told() {
    for (what, value) in [
        ("made after it was changed", put("a", 1001, 1000, 2)),
        ("never made", put("a", 0, 1000, 2)),
        ("made at a negative revision", put("a", -1, 1000, 2)),
        ("version 0", put("a", 1000, 1000, 0)),
        ("a negative version", put("a", 500, 1000, -2)),
        ("version 1, and made before", put("a", 500, 1000, 1)),
        (
            "more versions than revisions since",
            put("a", 998, 1000, 30),
        ),
        ("no key", put("", 1000, 1000, 1)),
    ] {
        let found = with_record(revision_key(1000, 0), value.encode());
        assert!(
            found
                .0
                .problems
                .iter()
                .any(|problem| problem.code == ProblemCode::Record),
            "{what}: {:#?}",
            found.0.problems
        );
    }
}

#[test]
fn a_delete_that_says_more_than_its_key_is_told() {
    let value = put("key-01", 3, 1000, 2).encode();
    let found = with_record(tombstone_key(1000, 0), value);
    found.in_bucket(ProblemCode::Record, "key");
}

#[test]
fn a_delete_of_no_key_is_told() {
    with_record(tombstone_key(1000, 0), []).in_bucket(ProblemCode::Record, "key");
}

/// Only at sub 0 is the empty record what a bump leaves.
#[test]
fn an_empty_record_in_the_middle_of_a_transaction_is_told() {
    assert_sound(&wide_builder().record("key", placeholder_key(1000), []));
    with_record(revision_key(1000, 1), []).in_bucket(ProblemCode::Record, "key");
}
