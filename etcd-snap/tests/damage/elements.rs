//! What bbolt believes of elements, and a reader must not (formats.md 1.3, 1.4).

use etcd_snap::ProblemCode;
use etcd_snap_testdata::database::{DatabaseBuilder, Image, Page, Place};

use crate::subject::{Subject, open, report, tall, wide, wide_builder};

fn places(image: &Image) -> Vec<(&'static str, Page, Place)> {
    let leaves = image.leaves("key");
    let leaf = leaves[leaves.len() / 2];
    let branch = image.parent("key", leaf).page;
    let second = |page| image.places(page).nth(1).unwrap();
    vec![
        ("leaf", leaf, second(leaf)),
        ("branch", branch, second(branch)),
    ]
}

#[test]
fn a_key_that_begins_outside_of_its_page_is_found() {
    for position in [
        500,
        512,
        4096,
        1 << 20,
        i32::MAX as u32,
        u32::MAX - 15,
        u32::MAX,
    ] {
        for n in 0..2 {
            let mut image = tall();
            let (_, page, place) = places(&image)[n];
            image.set_position(place, position);
            image.found().within(ProblemCode::Element, &image, page);
        }
    }
}

#[test]
fn a_key_that_begins_among_the_elements_is_found() {
    for position in [0, 1, 15, 16] {
        for n in 0..2 {
            let mut image = tall();
            let (_, page, _) = places(&image)[n];
            let first = image.places(page).next().unwrap();
            image.set_position(first, position);
            image.found().within(ProblemCode::Element, &image, page);
        }
    }
}

#[test]
fn a_key_longer_than_its_page_is_found() {
    for size in [497, 512, 32_768, 32_769, 1 << 24, i32::MAX as u32, u32::MAX] {
        for n in 0..2 {
            let mut image = tall();
            let (_, page, place) = places(&image)[n];
            image.set_key_size(place, size);
            image.found().within(ProblemCode::Element, &image, page);
        }
    }
}

#[test]
fn a_value_longer_than_its_page_is_found() {
    for size in [497, 512, 1 << 24, i32::MAX as u32, u32::MAX - 17, u32::MAX] {
        let mut image = tall();
        let (_, page, place) = places(&image)[0];
        image.set_value_size(place, size);
        image.found().within(ProblemCode::Element, &image, page);
    }
}

/// Each in bounds of 32 bits, their sum beyond.
#[test]
fn sizes_whose_sum_overflows_are_found() {
    let mut image = tall();
    let (_, page, place) = places(&image)[0];
    image.set_position(place, 1 << 31);
    image.set_key_size(place, 1 << 31);
    image.set_value_size(place, 200);
    image.found().within(ProblemCode::Element, &image, page);
}

#[test]
fn a_key_of_nothing_is_found() {
    for n in 0..2 {
        let mut image = tall();
        let (_, page, _) = places(&image)[n];
        let first = image.places(page).next().unwrap();
        image.set_key_size(first, 0);
        image.found().within(ProblemCode::Element, &image, page);
    }
}

/// bbolt takes keys of up to 32768 bytes.
#[test]
fn the_longest_key_is_sound_and_one_more_is_found() {
    let longest = vec![b'k'; 32_768];
    let sound = DatabaseBuilder::new(4096).lease(1, 1).put("k", "v").record(
        "authRoles",
        longest.clone(),
        role(&longest),
    );
    crate::subject::assert_sound(&sound);
    let longer = vec![b'k'; 32_769];
    let damaged = sound.clone().remove("authRoles", longest).record(
        "authRoles",
        longer.clone(),
        role(&longer),
    );
    Subject::with(&sound, &damaged)
        .found()
        .has(ProblemCode::Element);
}

fn role(name: &[u8]) -> Vec<u8> {
    etcd_snap_testdata::database::role_record(std::str::from_utf8(name).unwrap(), &[])
}

#[test]
fn flags_that_bbolt_does_not_know_are_found() {
    for flags in [2, 0x10, 1 << 31, u32::MAX - 1] {
        let mut image = tall();
        let (_, page, place) = places(&image)[0];
        image.set_element_flags(place, flags);
        image.found().within(ProblemCode::Element, &image, page);
    }
}

/// Only a long value shows it: it would be read twice, and its owner's size is believed.
#[test]
fn an_element_that_reaches_into_the_next_is_found() {
    let mut image = tall();
    let (_, page, _) = places(&image)[0];
    let first = image.places(page).next().unwrap();
    let size = image.value_range(first).len() as u32;
    image.set_value_size(first, size + 4);
    image.found().within(ProblemCode::Element, &image, page);
}

/// bbolt leaves no byte between what its elements own. Only that gives away a record that its page has forgotten.
#[test]
fn a_page_that_has_forgotten_its_last_element_is_found() {
    for n in 0..2 {
        let mut image = tall();
        let (_, page, _) = places(&image)[n];
        let fewer = image.count(page) - 1;
        image.set_count(page, fewer as u16);
        image
            .found()
            .only(ProblemCode::Element)
            .within(ProblemCode::Element, &image, page);
    }
    let mut image = wide();
    let last = image.last(image.bucket_root("meta"));
    let count = last.index as u16;
    let page = last.page;
    image.set_count(page, count);
    image.found().in_bucket(ProblemCode::Element, "meta");
}

#[test]
fn elements_with_one_body_are_found() {
    let mut image = tall();
    let (_, page, second) = places(&image)[0];
    let first = image.places(page).next().unwrap();
    let position = image.key_range(first).start - image.offset_of(second);
    image.set_position(second, position as u32);
    image.found().within(ProblemCode::Element, &image, page);
}

/// Ten thousand elements that all are the same megabytes: to hash them once each would take minutes.
#[test]
fn overlapping_elements_do_not_multiply_the_work() {
    const ELEMENTS: usize = 20_000;
    let builder =
        DatabaseBuilder::new(65_536)
            .lease(1, 1)
            .record("authRoles", "r", vec![0; 8 << 20]);
    let mut image = builder.image();
    let leaf = image.bucket_root("authRoles");
    let body = 16 + 16 * ELEMENTS;
    image.set_count(leaf, ELEMENTS as u16);
    for index in 0..ELEMENTS {
        let place = Place { page: leaf, index };
        image.set_element_flags(place, 0);
        // Keys that grow by a byte: in order, all of them.
        image.set_position(place, (body - 16 - 16 * index) as u32);
        image.set_key_size(place, index as u32 + 1);
        image.set_value_size(place, 7 << 20);
    }
    let report = report(image.sealed());
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.code == ProblemCode::Element)
    );
}

/// Two elements a level, both with the same bucket inside: 2^40 walks, if both are taken.
#[test]
fn overlapping_inline_buckets_do_not_multiply_the_work() {
    let mut value = vec![0; 16];
    value.extend_from_slice(&header(2, 0));
    for _ in 0..40 {
        // Keys "a" and "ba": in order, and both directly before the value.
        let mut outer = vec![0; 16];
        outer.extend_from_slice(&header(2, 2));
        for (position, key_size) in [(33_u32, 1_u32), (16, 2)] {
            for field in [1, position, key_size, value.len() as u32] {
                outer.extend_from_slice(&field.to_le_bytes());
            }
        }
        outer.extend_from_slice(b"ba");
        outer.extend_from_slice(&value);
        value = outer;
    }
    let sound = wide_builder();
    let damaged = sound
        .clone()
        .remove_bucket("members_removed")
        .raw_bucket("members_removed", value);
    let found = Subject::with(&sound, &damaged).found();
    assert!(found.0.problems.len() < 200, "{}", found.0.problems.len());
}

fn header(flags: u16, count: u16) -> [u8; 16] {
    let mut header = [0; 16];
    header[8..10].copy_from_slice(&flags.to_le_bytes());
    header[10..12].copy_from_slice(&count.to_le_bytes());
    header
}

// Inline buckets: bbolt's own check skips them.

fn inline(name: &str) -> (Subject, Page, u64) {
    let image = wide();
    assert!(image.is_inline(name));
    let page = image.bucket_root(name);
    let id = image.id_of(page);
    (image, page, id)
}

#[test]
fn an_inline_bucket_of_another_kind_is_found() {
    for flags in [0, 1, 4, 0x10, 3] {
        let (mut image, page, id) = inline("meta");
        image.set_flags(page, flags);
        image
            .found()
            .on(ProblemCode::PageKind, id)
            .in_bucket(ProblemCode::PageKind, "meta");
    }
}

#[test]
fn an_inline_bucket_with_more_elements_than_room_is_found() {
    for count in [20, 0xFFFF] {
        let (mut image, page, id) = inline("members");
        image.set_count(page, count);
        image
            .found()
            .on(ProblemCode::Element, id)
            .in_bucket(ProblemCode::Element, "members");
    }
}

#[test]
fn an_element_that_reaches_out_of_its_inline_bucket_is_found() {
    let changes: [fn(&mut Image, Place); 4] = [
        |image, place| image.set_position(place, 2000),
        |image, place| image.set_key_size(place, 2000),
        |image, place| image.set_value_size(place, 2000),
        |image, place| image.set_value_size(place, u32::MAX),
    ];
    for change in changes {
        for name in ["meta", "members", "auth"] {
            let (mut image, page, id) = inline(name);
            let place = image.last(page);
            change(&mut image, place);
            image
                .found()
                .on(ProblemCode::Element, id)
                .in_bucket(ProblemCode::Element, name);
        }
    }
}

/// In bounds of the file's page and of what follows the bucket, not of the bucket itself.
#[test]
fn an_element_that_reaches_into_the_next_bucket_is_found() {
    let (mut image, page, id) = inline("auth");
    let place = image.last(page);
    let size = image.value_range(place).len() as u32;
    image.set_value_size(place, size + 1);
    image.found().on(ProblemCode::Element, id);
}

#[test]
fn an_inline_bucket_with_an_overflow_is_found() {
    let (mut image, page, id) = inline("meta");
    image.set_overflow(page, 1);
    let found = image.found();
    assert!(
        found
            .0
            .problems
            .iter()
            .any(|problem| problem.page.is_some_and(|on| on.get() == id))
    );
}

#[test]
fn an_inline_bucket_too_short_for_its_header_is_found() {
    for size in [0, 1, 15] {
        let (mut image, _, id) = inline("auth");
        let place = image.bucket("auth");
        image.set_value_size(place, size);
        image.found().on(ProblemCode::Bucket, id);
    }
    for size in [17, 31] {
        let (mut image, _, id) = inline("auth");
        let place = image.bucket("auth");
        image.set_value_size(place, size);
        let found = image.found();
        assert!(
            found
                .0
                .problems
                .iter()
                .any(|problem| problem.page.is_some_and(|on| on.get() == id))
        );
    }
}

/// A root of 0 says that a page image follows, and none does.
#[test]
fn a_bucket_that_is_neither_inline_nor_has_a_root_is_found() {
    let mut image = tall().hiding_bucket("key");
    image.set_bucket_root("key", 0);
    image.found();
}

#[test]
fn a_bucket_with_a_root_and_more_than_its_header_is_found() {
    let mut image = wide();
    // The last one, so that it does not reach into the next.
    let root = image.page(image.current().root);
    let place = image.last(root);
    let name = String::from_utf8(image.key(place).to_vec()).unwrap();
    assert_eq!(name, "meta");
    let leases = image.id_of(image.bucket_root("key"));
    let range = image.value_range(place);
    image.write(range.start, &leases.to_le_bytes());
    image.found().in_bucket(ProblemCode::Bucket, "meta");
}

#[test]
fn a_page_of_nothing_but_ones_is_found() {
    for n in 0..2 {
        let mut image = tall();
        let (_, page, _) = places(&image)[n];
        let size = image.page_size();
        image.write(page.offset, &vec![0xFF; size]);
        image.found().within(ProblemCode::PageId, &image, page);
    }
}

#[test]
fn a_leaf_of_junk_behind_a_good_header_is_found() {
    let mut random = etcd_snap_testdata::database::Random::new(11);
    for _ in 0..50 {
        for n in 0..2 {
            let mut image = tall();
            let (_, page, _) = places(&image)[n];
            let mut junk = vec![0; image.page_size() - 16];
            random.fill(&mut junk);
            image.write(page.offset + 16, &junk);
            image.found().within(ProblemCode::Element, &image, page);
        }
    }
    open(tall().sealed()).expect("still opens");
}
