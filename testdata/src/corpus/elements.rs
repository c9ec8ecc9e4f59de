//! Elements that reach where they must not, and the pages inside of inline buckets.

use super::Specimen;
use super::bases::{branch, flat, middle_leaf, tree};
use crate::database::{Image, Place};

fn of(name: &'static str, about: &'static str, damage: impl FnOnce(&mut Image)) -> Specimen {
    Specimen::of(name, about, tree(), damage)
}

fn inline(name: &'static str, about: &'static str, damage: impl FnOnce(&mut Image)) -> Specimen {
    let image = flat();
    assert!(
        ["auth", "members_removed"]
            .iter()
            .all(|name| image.is_inline(name))
    );
    Specimen::of(name, about, image, damage)
}

fn second(image: &Image) -> Place {
    image.places(middle_leaf(image)).nth(1).expect("two")
}

fn first(image: &Image) -> Place {
    image.places(middle_leaf(image)).next().expect("one")
}

pub(super) fn specimens() -> Vec<Specimen> {
    [in_pages(), inline_buckets()].concat()
}

fn in_pages() -> Vec<Specimen> {
    vec![
        of(
            "element-key-outside-of-its-page",
            "The key of a record begins behind the end of its page.",
            |image| {
                let second = second(image);
                image.set_position(second, 1 << 20);
            },
        ),
        of(
            "element-key-among-the-elements",
            "The key of a record begins inside of the element array.",
            |image| {
                let first = first(image);
                image.set_position(first, 16);
            },
        ),
        of(
            "element-key-too-long",
            "The key of a record claims 2 GiB.",
            |image| {
                let second = second(image);
                image.set_key_size(second, i32::MAX as u32);
            },
        ),
        of(
            "element-key-of-nothing",
            "A record without a key.",
            |image| {
                let first = first(image);
                image.set_key_size(first, 0);
            },
        ),
        of(
            "element-value-too-long",
            "The value of a record reaches out of its page.",
            |image| {
                let second = second(image);
                image.set_value_size(second, 5000);
            },
        ),
        of(
            "element-sizes-that-overflow",
            "Position and sizes of a record fit 32 bits each, and their sum does not.",
            |image| {
                let second = second(image);
                image.set_position(second, 1 << 31);
                image.set_key_size(second, 1 << 31);
                image.set_value_size(second, 200);
            },
        ),
        of(
            "element-into-the-next",
            "A value is four bytes longer than it was and ends in the record behind it.",
            |image| {
                let first = first(image);
                let size = image.value_range(first).len() as u32;
                image.set_value_size(first, size + 4);
            },
        ),
        of(
            "element-with-the-body-of-another",
            "Two records of a leaf share key and value.",
            |image| {
                let (first, second) = (first(image), second(image));
                let position = image.key_range(first).start - image.offset_of(second);
                image.set_position(second, position as u32);
            },
        ),
        of(
            "element-with-unknown-flags",
            "A record with flags that bbolt does not know.",
            |image| {
                let second = second(image);
                image.set_element_flags(second, 0x10);
            },
        ),
        of(
            "element-that-says-bucket",
            "A record of key says that its value is a bucket.",
            |image| {
                let second = second(image);
                image.set_element_flags(second, 1);
            },
        ),
        of(
            "element-of-a-branch-outside",
            "The key of a branch begins behind the end of its page.",
            |image| {
                let last = image.last(branch(image));
                image.set_position(last, 100_000);
            },
        ),
        of(
            "element-of-a-branch-too-long",
            "The key of a branch claims 4 GiB.",
            |image| {
                let last = image.last(branch(image));
                image.set_key_size(last, u32::MAX);
            },
        ),
        of(
            "element-array-of-junk",
            "Everything of a leaf but its header is junk.",
            |image| {
                let leaf = middle_leaf(image);
                let mut junk = vec![0; image.page_size() - 16];
                crate::database::Random::new(11).fill(&mut junk);
                image.write(leaf.offset + 16, &junk);
            },
        ),
    ]
}

fn inline_buckets() -> Vec<Specimen> {
    vec![
        inline(
            "inline-of-another-kind",
            "The page inside of the inline bucket auth is a branch.",
            |image| {
                let page = image.bucket_root("auth");
                image.set_flags(page, 1);
            },
        ),
        inline(
            "inline-with-an-id",
            "The page inside of the inline bucket auth has an id.",
            |image| {
                let page = image.bucket_root("auth");
                image.set_page_id(page, 4);
            },
        ),
        inline(
            "inline-with-an-overflow",
            "The page inside of the inline bucket auth claims a page behind it.",
            |image| {
                let page = image.bucket_root("auth");
                image.set_overflow(page, 1);
            },
        ),
        inline(
            "inline-count-too-large",
            "The inline bucket auth claims more records than it has room for.",
            |image| {
                let page = image.bucket_root("auth");
                image.set_count(page, 1000);
            },
        ),
        inline(
            "inline-element-outside",
            "A record of the inline bucket auth reaches out of it.",
            |image| {
                let last = image.last(image.bucket_root("auth"));
                image.set_value_size(last, 2000);
            },
        ),
        inline(
            "inline-element-into-the-next-bucket",
            "A record of the inline bucket auth ends one byte into the next bucket.",
            |image| {
                let last = image.last(image.bucket_root("auth"));
                let size = image.value_range(last).len() as u32;
                image.set_value_size(last, size + 1);
            },
        ),
        inline(
            "inline-too-short-for-its-page",
            "The inline bucket members_removed ends inside of its page header.",
            |image| {
                let place = image.bucket("members_removed");
                image.set_value_size(place, 20);
            },
        ),
        inline(
            "inline-too-short-for-a-bucket",
            "The bucket members_removed has a value of three bytes.",
            |image| {
                let place = image.bucket("members_removed");
                image.set_value_size(place, 3);
            },
        ),
        inline(
            "inline-with-a-bucket-inside",
            "A record of the inline bucket auth says that it is a bucket.",
            |image| {
                let first = image.places(image.bucket_root("auth")).next().expect("one");
                image.set_element_flags(first, 1);
            },
        ),
        Specimen::of(
            "bucket-nil",
            "The bucket key has no root and is not inline either: nothing is left of it.",
            tree(),
            |image| image.set_bucket_root("key", 0),
        ),
        inline(
            "bucket-header-with-more-behind-it",
            "The bucket auth has a page of its own, and an inline page as well.",
            |image| {
                let key = image.id_of(image.bucket_root("key"));
                image.set_bucket_root("auth", key);
            },
        ),
        Specimen::of(
            "bucket-marked-as-a-value",
            "The element of the bucket key does not say that it is a bucket.",
            flat(),
            |image| {
                let place = image.bucket("key");
                image.set_element_flags(place, 0);
            },
        ),
        Specimen::of(
            "bucket-misspelt",
            "One bit of a bucket's name: the records of key are there, and no etcd finds them.",
            flat(),
            |image| {
                let place = image.bucket("key");
                image.overwrite_key(place, b"kex");
            },
        ),
    ]
}
