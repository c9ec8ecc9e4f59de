//! Restores of databases that are odd or harmed: what the edit writes anew must not hide what was wrong, and what it moves must
//! arrive.

use std::sync::Arc;

use etcd_snap::{
    Bump, ErrorKind, MemberTarget, NewCluster, RestoreOptions, RestoreReport, Result, Revision,
    Snapshot, VerifyOptions, restore, verify,
};
use etcd_snap_testdata::database::{DatabaseBuilder, Image, Inline, tombstone_key};

fn some_keys() -> DatabaseBuilder {
    (0..30).fold(DatabaseBuilder::new(4096), |builder, n| {
        builder.put(format!("key-{n}"), "value")
    })
}

fn restored(file: Vec<u8>, bump: Bump) -> Result<RestoreReport> {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = NewCluster::parse("m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380", "new")?;
    let target = MemberTarget::new("m1", folder.path().join("data"));
    let options = RestoreOptions::default()
        .with_skip_hash_check(true)
        .with_bump(bump)
        .with_mark_compacted(bump != Bump::None);
    let report = restore(
        &Snapshot::from_source("the file", Arc::new(file))?,
        &cluster,
        &[target],
        &options,
    )?;
    let database = Snapshot::open(folder.path().join("data/member/snap/db"))?;
    let verified = verify(&database, &VerifyOptions::default())?;
    assert_eq!(verified.problems, []);
    assert_eq!(verified.contents.members, 2);
    Ok(report)
}

fn assert_refused(what: &str, file: &Image) {
    for bump in [Bump::None, Bump::By(10)] {
        let error = restored(file.unsealed(), bump).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
    }
}

#[test]
fn a_transaction_id_that_cannot_grow_is_refused() {
    let mut image = some_keys().image();
    image.set_meta(0, |meta| meta.transaction_id = u64::MAX);
    assert_refused("the last transaction", &image);
    image.set_meta(0, |meta| meta.transaction_id = u64::MAX - 1);
    restored(image.unsealed(), Bump::None).expect("there is one left");
}

#[test]
fn damage_in_what_is_written_anew_is_not_lost_with_it() {
    for inline in [Inline::AsBbolt, Inline::Never] {
        let sound = || some_keys().inline(inline).image();
        restored(sound().unsealed(), Bump::None).expect("sound");

        let mut image = sound();
        let root = image.page(image.current().root);
        image.swap_elements(root, 2, 3);
        assert_refused("buckets out of order", &image);

        let mut image = sound();
        let alarm = image.bucket("alarm");
        let name = image.key_range(alarm);
        image.write(name.start, b"authx");
        assert_refused("a bucket behind its place", &image);

        let nested = some_keys().inline(inline).nested("meta", "inner", 1);
        assert_refused("a bucket in meta", &nested.image());
    }
    let mut image = some_keys().inline(Inline::Never).image();
    let leaf = image.leaves("meta")[0];
    image.swap_elements(leaf, 0, 1);
    assert_refused("settings out of order", &image);
}

#[test]
fn a_database_without_the_buckets_that_every_server_makes_is_refused_with_a_bump_too() {
    for name in ["key", "meta"] {
        assert_refused(name, &some_keys().remove_bucket(name).image());
    }
    assert_refused("none at all", &DatabaseBuilder::bare(4096).image());
}

/// Old releases drop a delete together with its key: the last record is then older than the compaction.
#[test]
fn a_bump_goes_on_from_a_compaction_above_the_last_record() {
    let builder = some_keys()
        .put("deleted", "soon")
        .put("deleted", "now")
        .delete("deleted");
    let current = builder.revision();
    let builder = builder
        .compact(current)
        .remove("key", tombstone_key(current, 0));
    assert!(builder.model().revision() < current - 1);
    for (bump, expected) in [
        (Bump::By(1), current + 1),
        (Bump::By(1000), current + 1000),
        (Bump::Above(Revision::new(3)), current + 1),
        (Bump::Above(Revision::new(current + 5)), current + 7),
    ] {
        let report = restored(builder.build(), bump).expect("sound");
        assert_eq!(report.contents.revision.get(), expected, "{bump:?}");
        assert_eq!(
            report.contents.compact_revision,
            Some(Revision::new(expected))
        );
    }
}

/// bbolt believes the page size of the first meta page, and everything else of the newer one.
#[test]
fn a_newer_meta_page_with_another_page_size_is_damage() {
    for page_size in [512, 8192, 4095] {
        let mut image = some_keys().image();
        image.set_meta(1, |meta| {
            meta.page_size = page_size;
            meta.transaction_id += 5;
        });
        assert_refused("another page size", &image);
        let snapshot = Snapshot::from_source("the file", Arc::new(image.unsealed()));
        let report = verify(&snapshot.expect("opens"), &VerifyOptions::default()).expect("looked");
        assert!(!report.is_sound(), "{page_size}: {:?}", report.problems);
    }
}

#[test]
fn a_pipe_is_not_read_back_and_forth_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let error = Snapshot::open(&pipe).expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
