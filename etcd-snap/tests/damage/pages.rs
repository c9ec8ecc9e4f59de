//! The tree of pages (formats.md 1.1, 1.6 rules 2, 3 and 5).

use etcd_snap::ProblemCode;
use etcd_snap_testdata::database::{FreeContent, Freelist};

use crate::subject::{Subject, tall, tall_builder};

/// A branch in the middle of the `key` tree with what leads to it: neither top nor above the first or last leaf.
fn inner(image: &Subject) -> etcd_snap_testdata::database::Page {
    let leaf = middle_leaf(image);
    image.parent("key", leaf).page
}

fn middle_leaf(image: &Subject) -> etcd_snap_testdata::database::Page {
    let leaves = image.leaves("key");
    leaves[leaves.len() / 2]
}

#[test]
fn a_branch_that_leads_back_to_the_top_is_a_cycle() {
    let mut image = tall();
    let branch = inner(&image);
    let top = image.id_of(image.bucket_root("key"));
    let place = image.last(branch);
    image.set_child(place, top);
    image.found().on(ProblemCode::PageMultipleReferences, top);
}

#[test]
fn a_branch_that_leads_to_itself_is_a_cycle() {
    let mut image = tall();
    let branch = inner(&image);
    let id = image.id_of(branch);
    let place = image.last(branch);
    image.set_child(place, id);
    image.found().on(ProblemCode::PageMultipleReferences, id);
}

#[test]
fn a_cycle_through_the_root_bucket_is_found() {
    let mut image = tall();
    let root = image.current().root;
    let branch = inner(&image);
    let place = image.last(branch);
    image.set_child(place, root);
    image.found().on(ProblemCode::PageMultipleReferences, root);
}

#[test]
fn a_leaf_with_two_parents_is_found() {
    let mut image = tall();
    let branch = inner(&image);
    let [first, second] = [0, 1].map(|n| image.places(branch).nth(n).unwrap());
    let id = image.child(first);
    image.set_child(second, id);
    image.found().on(ProblemCode::PageMultipleReferences, id);
}

#[test]
fn a_branch_with_two_parents_is_found() {
    let mut image = tall();
    let top = image.bucket_root("key");
    let upper = image.page(image.child(image.places(top).next().unwrap()));
    let [first, second] = [0, 1].map(|n| image.places(upper).nth(n).unwrap());
    let id = image.child(first);
    image.set_child(second, id);
    image.found().on(ProblemCode::PageMultipleReferences, id);
}

#[test]
fn a_leaf_of_another_bucket_below_key_is_found() {
    let mut image = tall();
    let lease = image.leaves("lease")[2];
    let lease = image.id_of(lease);
    let place = image.last(inner(&image));
    image.set_child(place, lease);
    image.found().on(ProblemCode::PageMultipleReferences, lease);
}

/// Nothing refers to the page twice: only its records give it away.
#[test]
fn leaves_of_two_buckets_that_changed_places_are_found() {
    let mut image = tall();
    let key_leaf = middle_leaf(&image);
    let lease_leaf = image.leaves("lease")[3];
    let [key_parent, lease_parent] = [
        image.parent("key", key_leaf),
        image.parent("lease", lease_leaf),
    ];
    let [key_id, lease_id] = [key_leaf, lease_leaf].map(|leaf| image.id_of(leaf));
    image.set_child(key_parent, lease_id);
    image.set_child(lease_parent, key_id);
    image
        .found()
        .on(ProblemCode::RevisionKey, lease_id)
        .on(ProblemCode::Lease, key_id);
}

#[test]
fn two_buckets_with_one_root_are_found() {
    let mut image = tall().hiding_bucket("lease");
    let top = image.id_of(image.bucket_root("key"));
    image.set_bucket_root("lease", top);
    image.found().on(ProblemCode::PageMultipleReferences, top);
}

#[test]
fn a_child_that_is_a_meta_page_is_found() {
    for id in [0, 1] {
        let mut image = tall();
        let place = image.last(inner(&image));
        image.set_child(place, id);
        image.found().on(ProblemCode::PageKind, id);
    }
}

#[test]
fn a_page_with_the_id_of_another_is_found() {
    for wrong in [0, 1, 5, 1 << 50, u64::MAX] {
        for branch in [false, true] {
            let mut image = tall();
            let page = if branch {
                inner(&image)
            } else {
                middle_leaf(&image)
            };
            let id = image.id_of(page);
            assert_ne!(id, wrong);
            image.set_page_id(page, wrong);
            image.found().within(ProblemCode::PageId, &image, page);
        }
    }
}

/// The page is where its parent says, and was meant for another place: a write that went astray.
#[test]
fn two_pages_that_changed_places_are_found() {
    let mut image = tall();
    let leaves = image.leaves("key");
    let small: Vec<_> = leaves[3..]
        .iter()
        .filter(|leaf| image.overflow(**leaf) == 0)
        .collect();
    let [one, other] = [*small[0], *small[1]];
    let size = image.page_size();
    let bytes = image.bytes()[one.offset..][..size].to_vec();
    image
        .bytes_mut()
        .copy_within(other.offset..other.offset + size, one.offset);
    image.write(other.offset, &bytes);
    let found = image.found();
    found.within(ProblemCode::PageId, &image, one);
    found.within(ProblemCode::PageId, &image, other);
}

#[test]
fn a_page_of_a_kind_that_does_not_belong_there_is_found() {
    for flags in [0, 0x04, 0x08, 0x10, 0x20, 0x8000] {
        let mut image = tall();
        let leaf = middle_leaf(&image);
        image.set_flags(leaf, flags);
        image.found().within(ProblemCode::PageKind, &image, leaf);
    }
}

/// bbolt's own check tests bits, not values.
#[test]
fn a_page_of_two_kinds_is_found() {
    for flags in [0x03, 0x06, 0x12, 0xFFFF] {
        let mut image = tall();
        let leaf = middle_leaf(&image);
        image.set_flags(leaf, flags);
        image.found().within(ProblemCode::PageKind, &image, leaf);
    }
}

#[test]
fn a_leaf_that_says_it_is_a_branch_is_found() {
    let mut image = tall();
    let leaf = middle_leaf(&image);
    image.set_flags(leaf, 1);
    image.found();
}

#[test]
fn a_branch_that_says_it_is_a_leaf_is_found() {
    let mut image = tall();
    let branch = inner(&image);
    image.set_flags(branch, 2);
    image.found();
}

#[test]
fn a_page_of_zeroes_is_found() {
    let mut image = tall();
    let leaf = middle_leaf(&image);
    let size = image.page_size();
    image.write(leaf.offset, &vec![0; size]);
    let found = image.found();
    found.0.problems.iter().for_each(|problem| {
        assert!(matches!(
            problem.code,
            ProblemCode::PageKind | ProblemCode::PageId
        ));
    });
}

#[test]
fn children_beyond_the_high_water_mark_are_out_of_bounds() {
    let mark = tall().current().high_water_mark;
    for child in [mark, mark + 1, 1 << 40, u64::MAX / 512 + 1, u64::MAX] {
        let mut image = tall();
        let place = image.last(inner(&image));
        image.set_child(place, child);
        image.found().has(ProblemCode::PageOutOfBounds);

        let mut image = tall().hiding_bucket("key");
        image.set_bucket_root("key", child);
        image.found().has(ProblemCode::PageOutOfBounds);
    }
}

#[test]
fn an_overflow_past_the_high_water_mark_is_out_of_bounds() {
    for overflow in [10_000, 1 << 20, u32::MAX - 1, u32::MAX] {
        let mut image = tall();
        let leaf = middle_leaf(&image);
        let id = image.id_of(leaf);
        image.set_overflow(leaf, overflow);
        image.found().on(ProblemCode::PageOutOfBounds, id);
    }
}

#[test]
fn an_overflow_over_the_next_page_in_use_is_found() {
    let mut image = tall();
    let leaf = middle_leaf(&image);
    image.set_overflow(leaf, 1);
    image.found().has(ProblemCode::PageMultipleReferences);
}

#[test]
fn an_overflow_too_small_for_the_elements_is_found() {
    let mut image = tall();
    let leaves = image.leaves("key");
    let long = *leaves[2..]
        .iter()
        .find(|leaf| image.overflow(**leaf) > 1)
        .unwrap();
    image.set_overflow(long, 1);
    image.found().within(ProblemCode::Element, &image, long);
}

#[test]
fn more_elements_than_a_page_holds_are_found() {
    for count in [32, 1000, 0xFFFE, 0xFFFF] {
        for branch in [false, true] {
            let mut image = tall();
            let page = if branch {
                inner(&image)
            } else {
                middle_leaf(&image)
            };
            image.set_count(page, count);
            image.found().within(ProblemCode::Element, &image, page);
        }
    }
}

/// bbolt's cursor asserts that there is something below a branch; without a freelist its children would just be free.
#[test]
fn a_branch_of_nothing_is_found() {
    let mut image = tall();
    let branch = inner(&image);
    image.set_count(branch, 0);
    let id = image.id_of(branch);
    let found = image.found();
    assert!(
        found
            .0
            .problems
            .iter()
            .any(|problem| problem.page.is_some_and(|on| on.get() == id))
    );
}

/// bbolt takes a leaf out of its branch when the last record goes.
#[test]
fn a_leaf_of_nothing_below_a_branch_is_found() {
    for last in [false, true] {
        let mut image = tall();
        let leaves = image.leaves("key");
        let leaf = match last {
            true => leaves[leaves.len() - 1],
            false => middle_leaf(&image),
        };
        let id = image.id_of(leaf);
        image.set_count(leaf, 0);
        let hidden = image.hiding(|_, page| page == id);
        hidden.found().on(ProblemCode::Element, id);
    }
}

#[test]
fn pages_that_nothing_leads_to_are_found_where_the_freelist_is_kept() {
    let builder = tall_builder()
        .free_pages(4, FreeContent::Stale)
        .freelist(Freelist::Persisted);
    let mut image = Subject::new(&builder);
    let branch = inner(&image);
    let place = image.last(branch);
    let lost = image.child(place);
    let count = image.count(branch) as u16;
    image.set_count(branch, count - 1);
    image
        .found()
        .on(ProblemCode::PageUnreachable, lost)
        .has(ProblemCode::Element);
}
