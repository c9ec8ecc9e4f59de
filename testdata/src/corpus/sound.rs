//! Files in which nothing is wrong.

use super::Specimen;
use super::bases::{flat_builder, listed, tree_builder};
use crate::database::{
    Change, DatabaseBuilder, FreeContent, Freelist, Inline, Shape, revision_key, tombstone_key,
};

fn build(name: &'static str, about: &'static str, builder: &DatabaseBuilder) -> Specimen {
    Specimen::new(name, about, builder.build())
}

/// A little of everything in pages of this size.
fn paged(page_size: usize) -> DatabaseBuilder {
    (0..40)
        .fold(
            DatabaseBuilder::new(page_size).lease(7, 60),
            |builder, n| builder.put(format!("key-{}", n % 9), format!("value {n}")),
        )
        .delete("key-3")
        .compact(20)
}

pub(super) fn specimens() -> Vec<Specimen> {
    [histories(), layouts()].concat()
}

fn histories() -> Vec<Specimen> {
    let flat = flat_builder();
    let revision = flat.revision();
    vec![
        build(
            "empty-store",
            "A server that was never written to: revision 1.",
            &DatabaseBuilder::new(4096),
        ),
        build("everything", "Records in every bucket.", &flat),
        build(
            "before-3.5",
            "A database of etcd 3.4: no term, no raft configuration, no storage version.",
            &flat
                .clone()
                .remove("meta", "term")
                .remove("meta", "confState")
                .remove("meta", "storageVersion"),
        ),
        build(
            "no-live-keys",
            "Every key was deleted.",
            &flat
                .clone()
                .transaction(["a", "b", "c"].map(Change::delete)),
        ),
        build(
            "compaction-half-done",
            "A compaction was scheduled, and the server killed before it removed anything.",
            &flat.clone().schedule_compaction(revision),
        ),
        build(
            "compaction-on-a-delete",
            "The compacted revision is a delete, which is kept since etcd 3.5.16.",
            &flat.clone().delete("a").compact(revision + 1),
        ),
        build(
            "compaction-on-a-delete-before-3.5.16",
            "The same by an older server, which removed the delete: the store is ahead of its last record.",
            &flat
                .clone()
                .delete("a")
                .compact(revision + 1)
                .remove("key", tombstone_key(revision + 1, 0)),
        ),
        build(
            "bumped",
            "Restored with a bump of a million revisions, and not written to since.",
            &flat.clone().bump(1_000_000),
        ),
        build(
            "bumped-and-written",
            "Restored with a bump, and written to since.",
            &flat.clone().bump(1_000_000).put("a", "after"),
        ),
        build(
            "record-with-an-unknown-field",
            "A record with a field that this version does not know.",
            &flat.clone().record("key", revision_key(1000, 0), {
                let record = crate::database::KeyValue {
                    key: b"n".to_vec(),
                    create_revision: 1000,
                    mod_revision: 1000,
                    version: 1,
                    ..Default::default()
                };
                [record.encode(), vec![0x78, 0x05]].concat()
            }),
        ),
    ]
}

fn layouts() -> Vec<Specimen> {
    let mut unsorted = listed();
    let ids = unsorted.free_ids();
    unsorted.set_free_id(0, ids[3]);
    unsorted.set_free_id(3, ids[0]);
    vec![
        build(
            "tall-tree",
            "A tree of four levels, a value of two pages.",
            &tree_builder(),
        ),
        Specimen::new(
            "freelist-kept",
            "The free pages are listed in the file.",
            listed().sealed(),
        ),
        Specimen::new(
            "freelist-out-of-order",
            "The free pages are listed in no order; bbolt sorts them.",
            unsorted.sealed(),
        ),
        build(
            "free-pages-of-junk",
            "Free pages with anything in them, among the others.",
            &tree_builder()
                .free_pages(6, FreeContent::Junk)
                .slack(5)
                .scattered(9),
        ),
        build(
            "free-pages-that-were-in-use",
            "Free pages that hold what they held before, ids and all.",
            &tree_builder().free_pages(6, FreeContent::Stale),
        ),
        build(
            "no-inline-buckets",
            "Every bucket has a page of its own.",
            &flat_builder().inline(Inline::Never),
        ),
        build(
            "inline-buckets-of-any-size",
            "Every bucket lies within the pages of the root.",
            &flat_builder().inline(Inline::Always),
        ),
        build(
            "members-file",
            "The database of a stopped member: no digest, another older meta page, room at the end.",
            &flat_builder()
                .free_pages(3, FreeContent::Stale)
                .shape(Shape::Member)
                .tail([0; 1024]),
        ),
        build("pages-of-1-kib", "Pages of 1 KiB.", &paged(1 << 10)),
        build("pages-of-4-kib", "Pages of 4 KiB.", &paged(4 << 10)),
        build(
            "pages-of-16-kib",
            "Pages of 16 KiB, as on some arm64 machines.",
            &paged(16 << 10),
        ),
        build(
            "pages-of-16-kib-listed",
            "Pages of 16 KiB and a freelist.",
            &paged(16 << 10)
                .freelist(Freelist::Persisted)
                .free_pages(1, FreeContent::Zero),
        ),
        build(
            "pages-of-64-kib",
            "Pages of 64 KiB, as on ppc64le.",
            &paged(64 << 10),
        ),
        build(
            "lesser-buckets-missing",
            "No alarm, auth, cluster, lease or members_removed: etcd makes them when it starts.",
            &[
                "alarm",
                "auth",
                "authRoles",
                "authUsers",
                "cluster",
                "members_removed",
            ]
            .iter()
            .fold(flat_builder(), |builder, name| builder.remove_bucket(name)),
        ),
    ]
}
