//! The records of the `key` bucket and the compaction: faults 22, and the record check.

use super::Specimen;
use super::bases::flat_builder;
use crate::database::{KeyValue, revision_key, tombstone_key};

/// A revision above all that the flat database has.
const NEXT: i64 = 1000;

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

/// The flat database with one more record in `key`.
fn with(
    name: &'static str,
    about: &'static str,
    key: impl Into<Vec<u8>>,
    value: impl Into<Vec<u8>>,
) -> Specimen {
    Specimen::new(
        name,
        about,
        flat_builder().record("key", key, value).build(),
    )
}

/// The same, where the key is right and the value is not.
fn value(name: &'static str, about: &'static str, value: impl Into<Vec<u8>>) -> Specimen {
    with(name, about, revision_key(NEXT, 0), value)
}

fn meta(name: &'static str, about: &'static str, key: &str, value: impl Into<Vec<u8>>) -> Specimen {
    Specimen::new(
        name,
        about,
        flat_builder().record("meta", key, value).build(),
    )
}

pub(super) fn specimens() -> Vec<Specimen> {
    [keys(), values(), records(), compactions()].concat()
}

fn keys() -> Vec<Specimen> {
    let good = put("n", NEXT, NEXT, 1).encode();
    let key = revision_key(NEXT, 0);
    let separator = [&key[..8], b"-", &key[9..]].concat();
    vec![
        with(
            "revision-key-of-16-bytes",
            "A key of the key bucket is a byte short.",
            &key[..16],
            good.clone(),
        ),
        with(
            "revision-key-of-19-bytes",
            "A key of the key bucket has two bytes behind the revision.",
            [key.as_slice(), b"tt"].concat(),
            good.clone(),
        ),
        with(
            "revision-key-with-a-wrong-mark",
            "The eighteenth byte of a key is not the mark of a delete.",
            [key.as_slice(), b"u"].concat(),
            good.clone(),
        ),
        with(
            "revision-key-with-a-wrong-separator",
            "A key has no underscore between its revisions.",
            separator,
            good.clone(),
        ),
        with(
            "revision-negative",
            "A record has a negative main revision.",
            revision_key(-5, 0),
            put("n", -5, -5, 1).encode(),
        ),
        with(
            "revision-negative-sub",
            "A record has a negative sub revision.",
            revision_key(NEXT, -5),
            good.clone(),
        ),
        with(
            "revision-zero",
            "A record has revision 0, which no write gets.",
            revision_key(0, 0),
            put("n", 0, 0, 1).encode(),
        ),
        with(
            "revision-put-and-deleted-at-once",
            "A put and a delete have the same revision: it does not rise.",
            tombstone_key(7, 0),
            KeyValue {
                key: b"a".to_vec(),
                ..KeyValue::default()
            }
            .encode(),
        ),
        Specimen::of(
            "revision-that-goes-back",
            "The revision of the last record became smaller than that of the one before.",
            flat_builder().image(),
            |image| {
                let last = image.find_revision(7, 0);
                image.overwrite_key(last, &revision_key(4, 1));
            },
        ),
        with(
            "revision-in-a-far-future",
            "A record of the last revision there can be, after which nothing can be written.",
            revision_key(i64::MAX, 0),
            put("n", i64::MAX, i64::MAX, 1).encode(),
        ),
    ]
}

fn values() -> Vec<Specimen> {
    let good = put("n", NEXT, NEXT, 1).encode();
    vec![
        value(
            "value-cut",
            "A record breaks off in its value.",
            &good[..good.len() - 2],
        ),
        value(
            "value-cut-behind-a-tag",
            "A record breaks off behind the tag of its key.",
            [0x0A],
        ),
        value(
            "value-longer-than-its-record",
            "The key of a record claims more bytes than the record has.",
            [0x0A, 0x50, b'n'],
        ),
        value(
            "value-longer-than-memory",
            "The key of a record claims 9223372036854775807 bytes.",
            [
                0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, b'n',
            ],
        ),
        value(
            "value-number-without-end",
            "A number of a record never ends.",
            [vec![0x10], vec![0xFF; 12]].concat(),
        ),
        value(
            "value-field-number-zero",
            "A record has a field with the number 0.",
            [0x02, 0x00],
        ),
        value(
            "value-unknown-wire-type",
            "A record has a field of the wire type 7.",
            [0x0F, 0x01],
        ),
        value(
            "value-revision-as-text",
            "The create revision of a record is text.",
            [0x12, 0x01, b'a'],
        ),
        value(
            "value-json",
            "A record is JSON.",
            b"{\"key\":\"n\"}".as_slice(),
        ),
        value("value-zeroes", "A record is nothing but zeroes.", [0; 20]),
    ]
}

fn records() -> Vec<Specimen> {
    let record = |name, about, record: KeyValue| value(name, about, record.encode());
    vec![
        record(
            "record-of-another-revision",
            "The mod revision of a record is not the one of its key.",
            put("n", 999, 999, 1),
        ),
        record(
            "record-created-after-its-change",
            "The create revision of a record is above its mod revision.",
            put("n", 1001, NEXT, 2),
        ),
        record(
            "record-never-created",
            "The create revision of a record is 0.",
            put("n", 0, NEXT, 2),
        ),
        record(
            "record-version-1-created-before",
            "A record is version 1 and was created before its mod revision.",
            put("n", 500, NEXT, 1),
        ),
        record(
            "record-version-2-created-now",
            "A record is version 2 and was created at its mod revision.",
            put("n", NEXT, NEXT, 2),
        ),
        record(
            "record-version-0",
            "A record is version 0.",
            put("n", NEXT, NEXT, 0),
        ),
        record(
            "record-version-negative",
            "A record is version -2.",
            put("n", 500, NEXT, -2),
        ),
        record(
            "record-of-more-versions-than-revisions",
            "A record is version 30 of a key that was created two revisions ago.",
            put("n", 998, NEXT, 30),
        ),
        record(
            "record-without-a-key",
            "A record has a value and no key.",
            put("", NEXT, NEXT, 1),
        ),
        record(
            "record-on-an-absent-lease",
            "A key hangs on a lease that does not exist.",
            KeyValue {
                lease: 77,
                ..put("n", NEXT, NEXT, 1)
            },
        ),
        with(
            "tombstone-with-a-value",
            "A delete carries the record of a put.",
            tombstone_key(NEXT, 0),
            put("b", 3, NEXT, 3).encode(),
        ),
        with(
            "tombstone-without-a-key",
            "A delete of no key.",
            tombstone_key(NEXT, 0),
            [],
        ),
        with(
            "placeholder-with-a-sub-revision",
            "The empty record of a bump, in the middle of a transaction.",
            revision_key(NEXT, 1),
            [],
        ),
        with(
            "placeholder-of-zeroes",
            "The placeholder of a bump, with a record of the wrong form: all fields there, and zero.",
            revision_key(NEXT, 0),
            [0x0A, 0, 0x10, 0, 0x18, 0, 0x20, 0, 0x2A, 0],
        ),
    ]
}

fn compactions() -> Vec<Specimen> {
    vec![
        Specimen::new(
            "compaction-above-the-revision",
            "The store is compacted at a revision above its last record (etcd issue 13547). Up to etcd 3.5.15 a compaction removes every delete that it reaches, so that a sound store can look like that.",
            flat_builder()
                .record("meta", "finishedCompactRev", revision_key(5000, 0))
                .record("meta", "scheduledCompactRev", revision_key(5000, 0))
                .build(),
        ),
        meta(
            "compaction-finished-and-never-scheduled",
            "The last compaction that finished is above the last one that was scheduled.",
            "finishedCompactRev",
            revision_key(6, 0),
        ),
        Specimen::new(
            "compaction-finished-alone",
            "A compaction finished, and none was ever scheduled.",
            flat_builder().remove("meta", "scheduledCompactRev").build(),
        ),
        meta(
            "compaction-of-16-bytes",
            "The compacted revision is a byte short.",
            "finishedCompactRev",
            [0; 16],
        ),
        meta(
            "compaction-negative",
            "The compacted revision is negative.",
            "scheduledCompactRev",
            revision_key(-4, 0),
        ),
        meta(
            "compaction-marked-as-a-delete",
            "The compacted revision carries the mark of a delete.",
            "scheduledCompactRev",
            tombstone_key(6, 0),
        ),
        meta(
            "compaction-with-a-wrong-separator",
            "The compacted revision has no underscore in its middle.",
            "scheduledCompactRev",
            b"\0\0\0\0\0\0\0\x06-\0\0\0\0\0\0\0\0".as_slice(),
        ),
    ]
}
