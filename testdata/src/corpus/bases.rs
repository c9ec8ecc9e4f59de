//! The databases that are damaged: as small as they can be with everything in them.

use crate::database::{
    AlarmKind, Change, DatabaseBuilder, FreeContent, Freelist, Image, Page, Permission,
};

/// Every bucket has records; `key` has one page of its own, the others lie in the root's pages where they are small enough.
/// The free pages keep every file above 4096 bytes, below which bbolt believes no page size.
pub(super) fn flat_builder() -> DatabaseBuilder {
    DatabaseBuilder::new(512)
        .lease(1, 60)
        .put("a", "1")
        .put("a", "2")
        .transaction([Change::put("b", "1"), Change::put("c", "1")])
        .delete("a")
        .put_with_lease("b", "2", 1)
        .put("a", "again")
        .compact(4)
        .user("root", &["root"])
        .role(
            "root",
            &[Permission {
                kind: 2,
                key: "\0",
                range_end: "\0",
            }],
        )
        .alarm(AlarmKind::NoSpace, 0xAC7C_9ED4_5E41_93B0)
        .removed_member(0xBEEF)
        .free_pages(3, FreeContent::Zero)
        .scattered(1)
}

/// A database with the pages that most have.
pub(super) fn wide_builder() -> DatabaseBuilder {
    DatabaseBuilder::new(4096)
        .put("a", "1")
        .free_pages(2, FreeContent::Zero)
        .scattered(1)
}

pub(super) fn flat() -> Image {
    flat_builder().image()
}

/// A `key` tree of four levels with a value of two pages and a `lease` tree of two; pages in no order.
pub(super) fn tree_builder() -> DatabaseBuilder {
    let builder = (1..=9).fold(DatabaseBuilder::new(512), |builder, lease| {
        builder.lease(lease, 60)
    });
    (0..26)
        .fold(builder, |builder, n| match n {
            5 => builder.put("long", vec![b'x'; 600]),
            n if n % 7 == 6 => builder.delete(format!("key-{}", n % 5)),
            n => builder.put(format!("key-{}", n % 5), format!("value {n}")),
        })
        .elements_per_page(3)
        .scattered(3)
}

pub(super) fn tree() -> Image {
    tree_builder().image()
}

/// The same with its free pages listed in the file, as servers on other systems than Linux have it.
pub(super) fn listed() -> Image {
    tree_builder()
        .free_pages(5, FreeContent::Stale)
        .freelist(Freelist::Persisted)
        .image()
}

/// A leaf of `key` that is neither the first nor the last, and of one page.
pub(super) fn middle_leaf(image: &Image) -> Page {
    let leaves = image.leaves("key");
    let inner = &leaves[2..leaves.len() - 1];
    *inner
        .iter()
        .find(|leaf| image.overflow(**leaf) == 0)
        .expect("a leaf of one page")
}

/// The branch above it.
pub(super) fn branch(image: &Image) -> Page {
    image.parent("key", middle_leaf(image)).page
}

/// The leaf whose value takes two pages.
pub(super) fn long_leaf(image: &Image) -> Page {
    *image
        .leaves("key")
        .iter()
        .find(|leaf| image.overflow(**leaf) > 0)
        .expect("a leaf of two pages")
}
