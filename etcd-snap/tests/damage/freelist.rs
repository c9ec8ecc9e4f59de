//! The freelist (formats.md 1.5, 1.6 rules 1, 2, 3 and 5).

use etcd_snap::ProblemCode;
use etcd_snap_testdata::database::{DatabaseBuilder, FreeContent, Freelist};

use crate::subject::{Subject, assert_sound, tall_builder};

fn listed(free: usize) -> Subject {
    Subject::new(&listed_builder(free))
}

fn listed_builder(free: usize) -> DatabaseBuilder {
    tall_builder()
        .free_pages(free, FreeContent::Stale)
        .freelist(Freelist::Persisted)
}

#[test]
fn freelists_of_every_length_are_sound() {
    for free in [0, 1, 61, 62, 63, 64, 500] {
        assert_sound(&listed_builder(free));
    }
}

/// From 0xFFFF pages on, the real count comes before the ids.
#[test]
fn long_freelists_are_sound_and_still_looked_at() {
    for free in [0xFFFE, 0xFFFF, 0x1_0001] {
        let builder = DatabaseBuilder::new(512)
            .free_pages(free, FreeContent::Zero)
            .freelist(Freelist::Persisted);
        assert_sound(&builder);
    }
    let mut image = Subject::new(
        &DatabaseBuilder::new(512)
            .lease(1, 2)
            .put("a", "b")
            .free_pages(0x1_0001, FreeContent::Zero)
            .freelist(Freelist::Persisted),
    );
    let ids = image.free_ids();
    let list = image.id_of(image.freelist());
    image.set_free_id(0x1_0000, ids[3]);
    image
        .found()
        .on(ProblemCode::Freelist, list)
        .on(ProblemCode::PageUnreachable, ids[0x1_0000]);
}

/// bbolt sorts what it reads.
#[test]
fn a_freelist_out_of_order_is_sound() {
    let mut image = listed_builder(9).image();
    let ids = image.free_ids();
    image.set_free_id(2, ids[6]);
    image.set_free_id(6, ids[2]);
    assert_eq!(crate::subject::report(image.sealed()).problems, []);
}

#[test]
fn a_page_that_is_free_twice_is_told_and_the_one_it_displaced() {
    let mut image = listed(9);
    let ids = image.free_ids();
    let list = image.freelist();
    image.set_free_id(4, ids[3]);
    let found = image.found();
    found.on(ProblemCode::PageUnreachable, ids[4]);
    let twice = found.some(ProblemCode::Freelist, |problem| {
        problem.message.contains(&format!("page {} twice", ids[3]))
    });
    assert_eq!(twice.page.map(|page| page.get()), Some(image.id_of(list)));
    assert_eq!(twice.offset, Some(list.offset as u64 + 16 + 8 * 4));
}

#[test]
fn a_page_in_use_on_the_freelist_is_told() {
    for branch in [false, true] {
        let mut image = listed(9);
        let page = match branch {
            true => image.branches("key")[1],
            false => image.leaves("key")[7],
        };
        let id = image.id_of(page);
        image.set_free_id(4, id);
        image.found().on(ProblemCode::PageReachableAndFree, id);
    }
}

#[test]
fn the_second_page_of_a_long_value_on_the_freelist_is_told() {
    let mut image = listed(9);
    let leaves = image.leaves("key");
    let long = *leaves
        .iter()
        .find(|leaf| image.overflow(**leaf) > 1)
        .unwrap();
    let id = image.id_of(long) + 1;
    image.set_free_id(4, id);
    image.found().on(ProblemCode::PageReachableAndFree, id);
}

#[test]
fn the_freelist_and_the_metas_cannot_be_free() {
    let sound = listed(9);
    let own = sound.id_of(sound.freelist());
    for id in [0, 1, own] {
        let mut image = sound.clone();
        image.set_free_id(4, id);
        let found = image.found();
        assert!(found.0.problems.iter().any(|problem| matches!(
            problem.code,
            ProblemCode::Freelist | ProblemCode::PageReachableAndFree
        )));
    }
}

#[test]
fn a_free_page_beyond_the_high_water_mark_is_told() {
    let mark = listed(9).current().high_water_mark;
    for id in [mark, mark + 1, 1 << 45, u64::MAX] {
        let mut image = listed(9);
        image.set_free_id(4, id);
        image.found().has(ProblemCode::Freelist);
    }
}

#[test]
fn a_freelist_cut_short_leaves_pages_that_are_neither_used_nor_free() {
    let mut image = listed(9);
    let ids = image.free_ids();
    let page = image.freelist();
    image.set_count(page, 8);
    image
        .found()
        .only(ProblemCode::PageUnreachable)
        .on(ProblemCode::PageUnreachable, ids[8]);
}

#[test]
fn a_freelist_longer_than_its_pages_is_told() {
    for count in [63, 1000, 0xFFFE] {
        let mut image = listed(9);
        let page = image.freelist();
        image.set_count(page, count);
        image.found().has(ProblemCode::Freelist);
    }
}

#[test]
fn a_freelist_that_claims_more_than_there_is_memory_for_is_told() {
    for claimed in [64, 1 << 32, 1 << 61, u64::MAX / 8 + 1, u64::MAX] {
        let mut image = listed(9);
        let page = image.freelist();
        image.set_count(page, 0xFFFF);
        let offset = page.offset + 16;
        image.write(offset, &u64::to_le_bytes(claimed));
        image.found().has(ProblemCode::Freelist);
    }
}

#[test]
fn the_page_of_the_freelist_is_a_page_like_others() {
    let sound = listed(9);
    let page = sound.freelist();
    let id = sound.id_of(page);

    let mut image = sound.clone();
    image.set_page_id(page, id + 1);
    image.found().on(ProblemCode::PageId, id);

    let mut image = sound.clone();
    image.set_flags(page, 2);
    image.found().on(ProblemCode::PageKind, id);

    for overflow in [100_000, u32::MAX] {
        let mut image = sound.clone();
        image.set_overflow(page, overflow);
        image.found().on(ProblemCode::PageOutOfBounds, id);
    }

    // Whatever stands behind it is a page of somebody else, and not looked at twice.
    let mut image = sound.hiding(|_, other| other == id + 1);
    image.set_overflow(page, 1);
    image.found();
}

#[test]
fn a_tree_that_leads_to_the_freelist_is_told() {
    let mut image = listed(9);
    let page = image.freelist();
    let id = image.id_of(page);
    let leaf = image.leaves("key")[7];
    let parent = image.parent("key", leaf);
    image.set_child(parent, id);
    image.found().on(ProblemCode::PageKind, id);
}
