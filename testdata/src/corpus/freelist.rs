//! The freelist, where it is kept in the file: faults 20.

use super::Specimen;
use super::bases::{branch, listed, long_leaf, middle_leaf};
use crate::database::Image;

fn list(name: &'static str, about: &'static str, damage: impl FnOnce(&mut Image)) -> Specimen {
    Specimen::of(name, about, listed(), damage)
}

pub(super) fn specimens() -> Vec<Specimen> {
    vec![
        list(
            "freelist-page-lost",
            "A leaf is neither in use nor free: its branch has forgotten it.",
            |image| {
                let branch = branch(image);
                let fewer = image.count(branch) - 1;
                image.set_count(branch, fewer as u16);
            },
        ),
        list(
            "freelist-cut-short",
            "The last free page has fallen off the list: neither in use nor free.",
            |image| {
                let page = image.freelist();
                let fewer = image.count(page) - 1;
                image.set_count(page, fewer as u16);
            },
        ),
        list(
            "freelist-leaf-in-use",
            "A leaf in use is on the freelist: the next write would overwrite it.",
            |image| {
                let id = image.id_of(middle_leaf(image));
                image.set_free_id(1, id);
            },
        ),
        list(
            "freelist-second-page-in-use",
            "The second page of a long value is on the freelist.",
            |image| {
                let id = image.id_of(long_leaf(image)) + 1;
                image.set_free_id(1, id);
            },
        ),
        list(
            "freelist-page-twice",
            "A page is free twice, and another one not at all.",
            |image| {
                let first = image.free_ids()[0];
                image.set_free_id(1, first);
            },
        ),
        list(
            "freelist-page-at-the-high-water-mark",
            "The freelist names the page at the high-water mark.",
            |image| {
                let mark = image.current().high_water_mark;
                image.set_free_id(4, mark);
            },
        ),
        list(
            "freelist-page-beyond-any-file",
            "The freelist names a page beyond any file.",
            |image| image.set_free_id(4, u64::MAX),
        ),
        list(
            "freelist-meta-page",
            "The freelist names meta page 0.",
            |image| image.set_free_id(0, 0),
        ),
        list(
            "freelist-own-page",
            "The freelist names the page it stands on.",
            |image| {
                let own = image.id_of(image.freelist());
                image.set_free_id(1, own);
            },
        ),
        list(
            "freelist-longer-than-its-page",
            "The freelist claims more pages than fit in it.",
            |image| {
                let page = image.freelist();
                image.set_count(page, 1000);
            },
        ),
        list(
            "freelist-longer-than-memory",
            "The freelist claims 2305843009213693952 pages.",
            |image| {
                let page = image.freelist();
                image.set_count(page, 0xFFFF);
                image.write(page.offset + 16, &(1_u64 << 61).to_le_bytes());
            },
        ),
        list(
            "freelist-of-another-kind",
            "The page of the freelist calls itself a leaf.",
            |image| {
                let page = image.freelist();
                image.set_flags(page, 2);
            },
        ),
        list(
            "freelist-with-a-wrong-id",
            "The page of the freelist carries the id of another.",
            |image| {
                let page = image.freelist();
                image.set_page_id(page, 3);
            },
        ),
        list(
            "freelist-overflow-past-the-end",
            "The freelist claims pages behind the end of the file.",
            |image| {
                let page = image.freelist();
                image.set_overflow(page, 10_000);
            },
        ),
        list(
            "freelist-below-key",
            "A branch of the key tree leads to the freelist.",
            |image| {
                let own = image.id_of(image.freelist());
                let last = image.last(branch(image));
                image.set_child(last, own);
            },
        ),
    ]
}
