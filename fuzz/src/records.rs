//! Records of the `key` bucket, as raw bytes or with chosen fields, in a database that is sound otherwise. What is found is held
//! against a judge that decodes them with prost, knows nothing of pages, and was written from formats.md 2 alone.
//!
//! Input: how many records a page takes and where the store is compacted; then record after record, each a key and a value; in the end one more record for another bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use etcd_snap::{Severity, Snapshot, VerifyOptions, VerifyReport, verify};
use prost::Message;

use crate::database::{DatabaseBuilder, revision_key, tombstone_key};
use crate::input::Input;
use crate::judge::look;

/// `mvccpb.KeyValue`.
#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(int64, tag = "2")]
    create_revision: i64,
    #[prost(int64, tag = "3")]
    mod_revision: i64,
    #[prost(int64, tag = "4")]
    version: i64,
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
    #[prost(int64, tag = "6")]
    lease: i64,
}

const OTHER_BUCKETS: [&str; 9] = [
    "alarm",
    "auth",
    "authRoles",
    "authUsers",
    "cluster",
    "lease",
    "members",
    "members_removed",
    "meta",
];

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    // Without any branch nobody reads the leaves in the order of the file.
    let elements = [2, 3, usize::MAX][input.below(3)];
    let compaction = i64::from(input.byte() % 16);
    let mut records = BTreeMap::new();
    let mut near = 2;
    for _ in 0..input.below(20) {
        if input.is_empty() {
            break;
        }
        let key = key(&mut input, &mut near);
        if !key.is_empty() {
            records.insert(key, value(&mut input, near));
        }
    }
    let sound = DatabaseBuilder::new(512)
        .lease(1, 60)
        .lease(2, 60)
        .elements_per_page(elements)
        .scattered(7);
    let sound = match compaction {
        0 => sound,
        1..4 => sound.schedule_compaction(compaction),
        _ => sound.schedule_compaction(compaction).record(
            "meta",
            "finishedCompactRev",
            revision_key(compaction, 0),
        ),
    };
    let builder = records.iter().fold(sound, |builder, (key, value)| {
        builder.record("key", key.as_slice(), value.as_slice())
    });
    compare(&builder, &records);

    let bucket = OTHER_BUCKETS[input.below(OTHER_BUCKETS.len())];
    let key = match input.byte() % 4 {
        0 => b"confState".as_slice(),
        1 => b"scheduledCompactRev",
        2 => b"clusterVersion",
        _ => input.piece(),
    };
    if !key.is_empty() {
        look(&builder.record(bucket, key, input.piece()).build());
    }
}

/// A revision shortly above the last one, that one again, any bytes.
fn key(input: &mut Input<'_>, near: &mut i64) -> Vec<u8> {
    let choice = input.byte();
    let step = i64::from(choice >> 3 & 3);
    match choice % 8 {
        0..=3 => {
            *near = near.saturating_add(step);
            let sub = i64::from(choice >> 5 & 3);
            if choice >> 7 == 1 {
                tombstone_key(*near, sub)
            } else {
                revision_key(*near, sub)
            }
        }
        4 => tombstone_key(*near, step),
        5 => {
            let mut key = revision_key(input.number() as i64, input.number() as i64);
            let at = input.below(24);
            if at < key.len() {
                key[at] = input.byte();
            }
            key
        }
        6 => {
            *near = input.number() as i64;
            revision_key(*near, step)
        }
        _ => input.piece().to_vec(),
    }
}

fn value(input: &mut Input<'_>, near: i64) -> Vec<u8> {
    let choice = input.byte();
    let name = [b"a".as_slice(), b"b", b"", b"a long name"][usize::from(choice >> 4 & 3)];
    let plain = KeyValue {
        key: name.to_vec(),
        create_revision: near,
        mod_revision: near,
        version: 1,
        value: b"v".to_vec(),
        lease: i64::from(choice >> 6),
    };
    match choice % 8 {
        0..=1 => plain.encode_to_vec(),
        2 => KeyValue {
            key: name.to_vec(),
            ..KeyValue::default()
        }
        .encode_to_vec(),
        3 => Vec::new(),
        4 => KeyValue {
            create_revision: near.saturating_sub(i64::from(input.byte())),
            version: i64::from(input.byte()) - 2,
            ..plain
        }
        .encode_to_vec(),
        5 => KeyValue {
            create_revision: input.number() as i64,
            mod_revision: input.number() as i64,
            version: input.number() as i64,
            lease: input.number() as i64,
            ..plain
        }
        .encode_to_vec(),
        6 => [plain.encode_to_vec(), input.piece().to_vec()].concat(),
        _ => input.piece().to_vec(),
    }
}

/// How the judge finds a record.
enum Finding {
    Sound,
    Damaged,
    /// In a form that no etcd writes: decoders differ in what they make of it.
    Unusual,
}

fn compare(builder: &DatabaseBuilder, records: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let file = builder.build();
    look(&file);
    let snapshot = Snapshot::from_source("fuzz", Arc::new(file)).unwrap();
    let report = verify(&snapshot, &VerifyOptions::default().with_max_problems(1000)).unwrap();
    let damaged = report
        .problems
        .iter()
        .any(|problem| problem.severity == Severity::Damaged);
    let mut last = None;
    let mut expected = false;
    let mut unusual = false;
    for (key, value) in records {
        match judge(key, value, &mut last) {
            Finding::Sound => {}
            Finding::Damaged => expected = true,
            Finding::Unusual => unusual = true,
        }
    }
    if expected {
        assert!(damaged, "nothing found in {records:?}");
    } else if !unusual {
        assert!(!damaged, "{:?} in {records:?}", report.problems);
    }
    if !damaged {
        counts(&report, builder, records);
    }
}

/// One record, by formats.md 2.
fn judge(key: &[u8], value: &[u8], last: &mut Option<(i64, i64)>) -> Finding {
    let tombstone = match key.len() {
        17 => false,
        18 if key[17] == b't' => true,
        _ => return Finding::Damaged,
    };
    let number = |at: usize| i64::from_be_bytes(key[at..at + 8].try_into().expect("eight"));
    let (main, sub) = (number(0), number(9));
    if key[8] != b'_' || main < 1 || sub < 0 {
        return Finding::Damaged;
    }
    let rises = last.is_none_or(|last| last < (main, sub));
    *last = Some((main, sub));
    if !rises {
        return Finding::Damaged;
    }
    let Ok(record) = KeyValue::decode(value) else {
        return Finding::Damaged;
    };
    let usual = record.encode_to_vec() == value;
    let right = if tombstone {
        let bare = KeyValue {
            key: record.key.clone(),
            ..KeyValue::default()
        };
        record == bare && !record.key.is_empty()
    } else if value.is_empty() {
        sub == 0
    } else {
        !record.key.is_empty()
            && record.mod_revision == main
            && (1..=main).contains(&record.create_revision)
            && record.version >= 1
            && (record.version == 1) == (record.create_revision == main)
            && record.version - 1 <= main - record.create_revision
    };
    match (right, usual) {
        (false, _) => Finding::Damaged,
        (true, false) => Finding::Unusual,
        (true, true) => Finding::Sound,
    }
}

fn counts(report: &VerifyReport, builder: &DatabaseBuilder, records: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut live = BTreeSet::new();
    for (key, value) in records {
        let name = KeyValue::decode(value.as_slice()).expect("judged").key;
        if key.len() == 18 {
            live.remove(&name);
        } else {
            live.insert(name);
        }
    }
    assert_eq!(report.contents.live_keys, live.len() as u64, "{records:?}");
    assert_eq!(report.contents.hash, builder.model().status_hash());
    let newest = records.keys().next_back();
    let newest = newest.map_or(0, |key| {
        i64::from_be_bytes(key[..8].try_into().expect("eight"))
    });
    assert_eq!(report.contents.revision.get(), newest);
}
