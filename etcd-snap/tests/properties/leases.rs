//! A restore without leases leaves what a naive model of etcd's revisions leaves, and the revision.

use std::sync::Arc;

use etcd_snap::{
    MemberTarget, NewCluster, RestoreOptions, RestoreReport, Severity, Snapshot, VerifyOptions,
    restore, verify,
};
use etcd_snap_testdata::database::{Change, DatabaseBuilder};
use proptest::prelude::*;

use crate::databases::database;

fn restored(builder: &DatabaseBuilder, options: &RestoreOptions) -> RestoreReport {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = Snapshot::from_source("it", Arc::new(builder.build())).unwrap();
    let options = options
        .clone()
        .with_skip_hash_check(snapshot.digest().is_none());
    let cluster = NewCluster::parse("m1=http://10.0.0.1:2380", "t").unwrap();
    let data_dir = folder.path().join("data");
    let targets = [MemberTarget::new("m1", &data_dir)];
    let report = restore(&snapshot, &cluster, &targets, &options).unwrap();
    let built = Snapshot::open(data_dir.join("member/snap/db")).unwrap();
    let proof = verify(&built, &VerifyOptions::default()).unwrap();
    assert!(
        proof.worst() < Some(Severity::Damaged),
        "{:?}",
        proof.problems
    );
    assert_eq!(proof.contents, report.contents);
    report
}

/// Keys, revision and hash are the model's.
fn assert_left(builder: &DatabaseBuilder) {
    let options = RestoreOptions::default().with_drop_leases(true);
    let report = restored(builder, &options);
    let (before, left) = (
        builder.model(),
        builder.clone().without_leases(true).model(),
    );
    let contents = &report.contents;
    assert_eq!(contents.live_keys, left.live_keys());
    assert_eq!(contents.revision.get(), before.revision());
    let hash_kv = contents.hash_kv.as_ref().unwrap();
    let expected = left.hash_kv(hash_kv.revision.get(), left.compact_revision());
    assert_eq!(hash_kv.hash, expected);
    assert_eq!(contents.leases, 0);
    assert_eq!(contents.free_pages, 0);
    let stand_in =
        usize::from(left.revision() > builder.clone().without_leases(false).model().revision());
    let gone = before.records("key") + stand_in - left.records("key");
    assert_eq!(report.dropped.leased_records as usize, gone);
    assert_eq!(report.dropped.leases as usize, before.records("lease"));
    // The source's own revision is that of the stand-in.
    assert_eq!(report.snapshot_revision.get(), before.revision());
}

proptest! {
    #![proptest_config(crate::sample(48))]

    #[test]
    fn what_hangs_on_a_lease_is_gone_and_everything_else_is_there(builder in database()) {
        assert_left(&builder);
    }

    #[test]
    fn what_is_squeezed_and_what_is_copied_holds_the_same(builder in database()) {
        let [copied, squeezed] = [false, true]
            .map(|squeeze| restored(&builder, &RestoreOptions::default().with_squeeze(squeeze)));
        prop_assert_eq!(squeezed.contents.hash, copied.contents.hash);
        prop_assert_eq!(&squeezed.contents.hash_kv, &copied.contents.hash_kv);
        prop_assert_eq!(squeezed.contents.total_records, copied.contents.total_records);
        prop_assert_eq!(squeezed.contents.free_pages, 0);
        prop_assert!(squeezed.database_bytes <= copied.database_bytes);
        // What was found does not depend on the way.
        let mut found = copied.found;
        prop_assert_eq!(&found.leases, &squeezed.found.leases);
        found.size_bytes = squeezed.found.size_bytes;
        found.free_bytes = squeezed.found.free_bytes;
        prop_assert_eq!(found, squeezed.found);
    }
}

/// Each way in which a key can come to a lease and lose it.
#[test]
fn only_the_newest_record_says_whether_a_key_hangs_on_a_lease() {
    let base = DatabaseBuilder::new(4096)
        .lease(7, 60)
        .put("plain", "1")
        .put(
            "leased-later",
            "an older value that must not come to life again",
        )
        .put_with_lease("free-later", "1", 7)
        .put_with_lease("deleted", "1", 7)
        .put_with_lease("again", "1", 7)
        .delete("again")
        .put("free-later", "2")
        .delete("deleted")
        .put("again", "2");
    let whole = base.clone().put_with_lease("leased-later", "2", 7);
    let report = restored(&whole, &RestoreOptions::default().with_drop_leases(true));
    // And the record without a key that stands for the last revision.
    assert_eq!(report.contents.live_keys, 3 + 1);
    assert_eq!(report.dropped.leased_keys, 1);
    assert_eq!(report.dropped.leased_records, 2);
    assert_eq!(report.found.leases.count, 1);
    assert_eq!(report.found.leases.smallest_ttl_seconds, Some(60));
    assert_left(&whole);

    // Of a transaction only a part goes, so nothing has to stand for it.
    let part = base.transaction([
        Change::Put("leased-later".into(), "2".into(), 7),
        Change::put("plain", "2"),
    ]);
    let report = restored(&part, &RestoreOptions::default().with_drop_leases(true));
    assert_eq!(report.contents.live_keys, 3);
    assert_left(&part);

    // Nothing else is there.
    let only = DatabaseBuilder::new(4096)
        .lease(7, 60)
        .put_with_lease("k", "v", 7);
    assert_left(&only);
    assert_left(&only.clone().compact(2));
    assert_left(&DatabaseBuilder::new(4096));
}
