//! HashKV of random databases is the model's, at every revision that a server would answer for, and after every compaction.

use std::sync::Arc;

use etcd_snap::{
    ErrorKind, HashKvOptions, Revision, Severity, Snapshot, VerifyOptions, VerifyReport, hash_kv,
    status, verify,
};
use etcd_snap_testdata::database::{
    Change, DatabaseBuilder, Model, Random, revision_key, tombstone_key,
};
use proptest::prelude::*;

use crate::databases::{database, history, replay};

/// Bytes that the model may hash for one database.
const MOST_BYTES: usize = 20_000_000;

/// All revisions with something in them, those beside, and the ends.
fn revisions(model: &Model) -> Vec<i64> {
    let (least, current) = (model.compact_revision().max(1), model.current_revision());
    let mains = model.revisions().into_iter();
    let mut revisions: Vec<_> = mains
        .flat_map(|main| [main - 1, main, main + 1])
        .chain([least, current])
        .filter(|revision| (least..=current).contains(revision))
        .collect();
    revisions.sort_unstable();
    revisions.dedup();
    revisions
}

/// What to ask for: every revision, each with the snapshot's own compaction and with some later ones.
fn questions(model: &Model, seed: u64) -> Vec<(i64, i64)> {
    let own = model.compact_revision();
    let revisions = revisions(model);
    let mut random = Random::new(seed);
    let mut questions = Vec::new();
    for (n, revision) in revisions.iter().enumerate() {
        questions.push((*revision, own));
        questions.push((*revision, *revision));
        questions.push((*revision, revisions[random.below(n + 1)]));
    }
    random.shuffle(&mut questions);
    questions
}

fn answer(snapshot: &Snapshot, revision: i64, compact_revision: i64) -> u32 {
    let options = HashKvOptions::default()
        .with_revision(Revision::new(revision))
        .with_compact_revision(Revision::new(compact_revision));
    let answer = hash_kv(snapshot, &options).expect("a server would answer");
    assert_eq!(answer.revision.get(), revision);
    let said = answer.compact_revision.map_or(-1, Revision::get);
    assert_eq!(said, compact_revision);
    answer.hash
}

fn assert_hashes_are_the_models(
    builder: &DatabaseBuilder,
    seed: u64,
    most_questions: usize,
) -> Result<VerifyReport, TestCaseError> {
    let model = builder.model();
    let snapshot = Snapshot::from_source("the file", Arc::new(builder.build())).expect("opens");

    let newest = hash_kv(&snapshot, &HashKvOptions::default()).expect("sound");
    prop_assert_eq!(newest.revision.get(), model.current_revision());
    let compacted = newest.compact_revision.map_or(-1, Revision::get);
    prop_assert_eq!(compacted, model.compact_revision());
    prop_assert_eq!(
        newest.hash,
        model.hash_kv(model.current_revision(), compacted)
    );

    let report = verify(&snapshot, &VerifyOptions::default()).expect("can be looked at");
    prop_assert!(report.is_sound(), "{:?}", report.problems);
    prop_assert_eq!(report.contents.hash_kv.as_ref(), Some(&newest));
    prop_assert_eq!(report.contents.compact_revision, newest.compact_revision);
    let status = status(&snapshot).expect("sound");
    prop_assert_eq!(status.live_keys, model.live_keys());
    prop_assert_eq!(status.total_records, model.total_records());
    prop_assert_eq!(
        (status.hash, status.revision.get()),
        (model.status_hash(), model.revision())
    );

    let questions = questions(&model, seed);
    let most = MOST_BYTES / builder.image().bytes().len();
    let most = most.clamp(4, most_questions);
    for (revision, compacted) in questions.into_iter().take(most) {
        prop_assert_eq!(
            answer(&snapshot, revision, compacted),
            model.hash_kv(revision, compacted),
            "revision {}, compacted at {}",
            revision,
            compacted
        );
    }
    Ok(report)
}

proptest! {
    #![proptest_config(crate::sample(48))]

    #[test]
    fn hashes_are_the_models_at_every_revision(builder in database(), seed: u64) {
        let report = assert_hashes_are_the_models(&builder, seed, 2000)?;
        prop_assert!(report.worst() < Some(Severity::Suspicious), "{:?}", report.problems);
    }
}

proptest! {
    #![proptest_config(crate::sample(24))]

    /// Pages too large for the pass in the order of the file: then the tree is walked, with the same knowledge.
    #[test]
    fn hashes_are_the_models_in_the_order_of_the_tree(steps in history(), seed: u64, elements in 2_usize..20) {
        let pages = |builder: DatabaseBuilder| builder.elements_per_page(elements);
        let builder = pages(replay(2 << 20, &steps));
        let report = assert_hashes_are_the_models(&builder, seed, 2000)?;
        prop_assert!(report.worst() < Some(Severity::Suspicious), "{:?}", report.problems);
    }
}

/// Stores that no server leaves behind, but that say of themselves to be compacted.
fn holds(what: &str, builder: &DatabaseBuilder) {
    // Many pages, and few where each has megabytes.
    let layouts: &[usize] = match builder.page_size() {
        ..0x10000 => &[3, 40, usize::MAX],
        _ => &[150],
    };
    for elements in layouts {
        let laid = builder.clone().elements_per_page(*elements).scattered(7);
        let report = assert_hashes_are_the_models(&laid, 1, 60);
        let report = report.unwrap_or_else(|e| panic!("{what}, {elements} to a page: {e}"));
        assert!(report.is_sound());
    }
}

/// Thirty keys, and each of them ten times.
fn often(page_size: usize) -> DatabaseBuilder {
    (0..300).fold(DatabaseBuilder::new(page_size), |builder, n| {
        builder.put(format!("key-{}", n % 30), format!("value {n}"))
    })
}

#[test]
fn a_compaction_that_is_called_finished_and_is_not_misleads_nobody() {
    for page_size in [512, 4096, 2 << 20] {
        let whole = often(page_size);
        let finished =
            |builder: DatabaseBuilder, at| builder.schedule_compaction(at).finish_compaction(at);
        holds("nothing is gone", &finished(whole.clone(), 200));
        let partly = whole.clone().compact_partly(200, 100);
        holds("half is gone", &finished(partly, 200));
        // All but the oldest record of one key.
        let one = (0..30).fold(DatabaseBuilder::new(page_size), |builder, n| {
            builder.put(format!("key-{n}"), "old")
        });
        let one = (0..9).fold(one.compact(31).put("key-7", "new"), |builder, n| {
            builder.put(format!("more-{n}"), "new")
        });
        holds("one key comes twice", &finished(one, 36));
    }
}

#[test]
fn deletes_that_a_compaction_should_have_taken_mislead_nobody() {
    for page_size in [512, 4096, 2 << 20] {
        let store = often(page_size).delete("key-3").put("between", "");
        let deleted = store.revision() - 1;
        let at_delete = store.clone().compact(deleted);
        holds("a delete at the compaction", &at_delete.clone());
        let without = store.clone().compact_as_before_3_5_16(deleted);
        holds("no delete at the compaction", &without);
        let put = store.model();
        let put = put.revisions().into_iter().rfind(|revision| {
            let value = put.value("key", &revision_key(*revision, 0));
            value.is_some_and(|value| value.windows(5).any(|name| name == b"key-3"))
        });
        let put = revision_key(put.expect("it was put"), 0);
        let value = store.model().value("key", &put).expect("there").to_vec();
        let with_older = at_delete.clone().record("key", put, value);
        holds("the put is there too", &with_older);
        let below = at_delete
            .schedule_compaction(deleted + 1)
            .finish_compaction(deleted + 1);
        holds("a delete below the compaction", &below);
        let orphan = often(page_size).compact(250).record(
            "key",
            tombstone_key(40, 0),
            b"\x0A\x04gone".as_slice(),
        );
        holds("a delete of a key that is gone", &orphan);
    }
}

#[test]
fn stores_without_any_live_key_count_what_is_there() {
    for page_size in [512, 4096, 2 << 20] {
        let gone = often(page_size).delete_all();
        let now = gone.revision();
        holds("never compacted", &gone.clone());
        holds("compacted before", &gone.clone().compact(now - 10));
        holds("compacted at the delete", &gone.clone().compact(now));
        holds(
            "compacted by an older server",
            &gone.clone().compact_as_before_3_5_16(now),
        );
        holds("half compacted", &gone.clone().compact_partly(now, 100));
        holds("called finished", &gone.clone().finish_compaction(now - 20));
        holds("bumped", &gone.clone().bump(100));
        holds(
            "and put again",
            &gone.compact_partly(now - 100, 50).put("key-1", "again"),
        );
    }
}

#[test]
fn revisions_beyond_every_short_form_are_hashed() {
    for page_size in [512, 4096, 2 << 20] {
        for by in [(1 << 42) - 310, 1 << 42, (1 << 43) - 310, 1 << 43, 1 << 61] {
            let bumped = often(page_size).compact(90).bump(by);
            let more = (0..20).fold(bumped, |builder, n| {
                builder.put(format!("key-{}", n % 7), "after the bump")
            });
            holds("bumped", &more);
        }
        let transaction = (0..3000).map(|n| Change::put(format!("key-{n}"), ""));
        let store = often(page_size).transaction(transaction).put("key-1", "");
        let now = store.revision();
        let far = store.clone().model();
        let value = far
            .value("key", &revision_key(now, 0))
            .expect("there")
            .to_vec();
        holds(
            "a sub revision beyond twenty bits",
            &store.record("key", revision_key(now, 1 << 20), value),
        );
    }
}

#[test]
fn an_empty_store_has_the_hash_that_all_servers_know() {
    for page_size in [512, 4096] {
        let empty = DatabaseBuilder::new(page_size);
        holds("empty", &empty.clone());
        let snapshot = Snapshot::from_source("empty", Arc::new(empty.build())).expect("opens");
        assert_eq!(answer(&snapshot, 1, -1), 1_084_519_789);
        assert_eq!(answer(&snapshot, 1, 1), 1_084_519_789);
        holds("compacted", &empty.clone().compact(1));
        holds("bumped", &empty.bump(5));
    }
}

#[test]
fn what_a_server_would_refuse_is_refused_on_every_way() {
    for page_size in [512, 2 << 20] {
        let store = often(page_size).elements_per_page(20).compact(200).build();
        let snapshot = Snapshot::from_source("the file", Arc::new(store)).expect("opens");
        let ask = |revision: Option<i64>, compacted: Option<i64>| {
            let mut options = HashKvOptions::default();
            if let Some(revision) = revision {
                options = options.with_revision(Revision::new(revision));
            }
            if let Some(compacted) = compacted {
                options = options.with_compact_revision(Revision::new(compacted));
            }
            hash_kv(&snapshot, &options)
        };
        assert_eq!(
            ask(Some(0), None).expect("the newest"),
            ask(None, None).expect("sound")
        );
        for (revision, compacted, words) in [
            (Some(302), None, "in the future: the snapshot is at 301"),
            (Some(i64::MAX), None, "in the future"),
            (Some(199), None, "the compaction is at 200"),
            (Some(1), None, "the compaction is at 200"),
            (Some(-1), None, "no revision -1"),
            (None, Some(199), "compacted at revision 200"),
            (None, Some(-1), "compacted at revision 200"),
            (None, Some(302), "the compaction is at 302"),
            (Some(250), Some(251), "the compaction is at 251"),
            (Some(250), Some(i64::MAX), "compacted away"),
        ] {
            let refused = ask(revision, compacted).expect_err("refused");
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            assert!(refused.to_string().contains(words), "{refused}");
        }
    }
}
