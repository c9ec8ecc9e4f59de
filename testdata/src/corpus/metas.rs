//! The meta pages: faults 19.

use super::Specimen;
use super::bases::{flat, middle_leaf, tree, wide_builder};
use crate::database::{DatabaseBuilder, Image, MetaFields, Shape};

fn meta(name: &'static str, about: &'static str, damage: impl FnOnce(&mut Image)) -> Specimen {
    Specimen::of(name, about, flat(), damage)
}

/// With pages of 4 KiB: the bbolt of etcd 3.4 looks for the second meta page where this machine's pages would put it.
fn first_torn(builder: &DatabaseBuilder) -> Image {
    let mut image = builder.image();
    image.break_meta(0);
    image
}

/// One field of both metas, with the right checksum.
fn both(name: &'static str, about: &'static str, change: impl Fn(&mut MetaFields)) -> Specimen {
    meta(name, about, |image| image.set_metas(change))
}

/// One field of the second meta, with the right checksum.
fn second(name: &'static str, about: &'static str, change: impl Fn(&mut MetaFields)) -> Specimen {
    meta(name, about, |image| image.set_meta(1, change))
}

pub(super) fn specimens() -> Vec<Specimen> {
    [bad(), bounds(), disagreeing()].concat()
}

fn bad() -> Vec<Specimen> {
    vec![
        Specimen::new(
            "meta-first-torn",
            "The checksum of the first meta page is wrong; the second one serves.",
            first_torn(&wide_builder()).sealed(),
        ),
        meta(
            "meta-second-torn",
            "The checksum of the second meta page is wrong; the first one serves.",
            |image| image.break_meta(1),
        ),
        meta(
            "meta-both-torn",
            "The checksums of both meta pages are wrong.",
            |image| {
                image.break_meta(0);
                image.break_meta(1);
            },
        ),
        second(
            "meta-second-with-a-wrong-magic",
            "The second meta page has another magic number.",
            |meta| meta.magic = 0xDEAD_BEEF,
        ),
        both(
            "meta-both-with-a-wrong-magic",
            "Both meta pages have another magic number.",
            |meta| meta.magic = 0xDEAD_BEEF,
        ),
        second(
            "meta-second-of-another-version",
            "The second meta page is of format version 3.",
            |meta| meta.version = 3,
        ),
        both(
            "meta-both-of-another-version",
            "Both meta pages are of format version 3.",
            |meta| meta.version = 3,
        ),
        meta(
            "meta-first-with-an-odd-page-size",
            "The first meta page has pages of 513 bytes, under a right checksum.",
            |image| image.set_meta(0, |meta| meta.page_size = 513),
        ),
        both(
            "meta-both-with-an-odd-page-size",
            "Both meta pages have pages of 513 bytes.",
            |meta| meta.page_size = 513,
        ),
        both(
            "meta-both-with-pages-of-nothing",
            "Both meta pages have pages of 0 bytes.",
            |meta| meta.page_size = 0,
        ),
        both(
            "meta-both-with-pages-too-large",
            "Both meta pages have pages of 2 GiB.",
            |meta| meta.page_size = 1 << 31,
        ),
        meta(
            "meta-first-with-another-page-size",
            "The first meta page has pages of twice the size.",
            |image| image.set_meta(0, |meta| meta.page_size *= 2),
        ),
        meta(
            "meta-header-with-a-wrong-id",
            "The page of the first meta carries the id 7.",
            |image| {
                let page = image.page(0);
                image.set_page_id(page, 7);
            },
        ),
        meta(
            "meta-header-of-another-kind",
            "The page of the second meta calls itself a leaf.",
            |image| {
                let page = image.page(1);
                image.set_flags(page, 2);
            },
        ),
        Specimen::new(
            "meta-first-torn-in-a-members-file",
            "What a server leaves that dies while it writes a meta page: etcd starts from the other one.",
            first_torn(&wide_builder().shape(Shape::Member).transaction_id(25)).unsealed(),
        ),
    ]
}

fn bounds() -> Vec<Specimen> {
    vec![
        meta(
            "meta-root-at-the-high-water-mark",
            "The root bucket begins at the high-water mark.",
            |image| {
                let mark = image.current().high_water_mark;
                image.set_metas(|meta| meta.root = mark);
            },
        ),
        both(
            "meta-root-out-of-range",
            "The root bucket begins far beyond the file.",
            |meta| meta.root = 1 << 40,
        ),
        both(
            "meta-root-is-a-meta",
            "The root bucket begins at meta page 0.",
            |meta| meta.root = 0,
        ),
        Specimen::of(
            "meta-root-is-a-leaf-of-key",
            "The root bucket begins at a leaf of key.",
            tree(),
            |image| {
                let leaf = image.id_of(middle_leaf(image));
                image.set_metas(|meta| meta.root = leaf);
            },
        ),
        both(
            "meta-high-water-mark-above-the-file",
            "The file is a page shorter than its meta pages say.",
            |meta| meta.high_water_mark += 1,
        ),
        both(
            "meta-high-water-mark-beyond-any-file",
            "The high-water mark has more than 64 bits of bytes below it.",
            |meta| meta.high_water_mark = u64::MAX,
        ),
        both(
            "meta-high-water-mark-below-a-page-in-use",
            "The high-water mark is a page lower: the last page is at it, and the file longer than its meta pages say.",
            |meta| meta.high_water_mark -= 1,
        ),
        both(
            "meta-high-water-mark-zero",
            "The high-water mark is 0.",
            |meta| meta.high_water_mark = 0,
        ),
        both(
            "meta-freelist-out-of-range",
            "The freelist stands far beyond the file.",
            |meta| meta.freelist = 1 << 40,
        ),
        meta(
            "meta-freelist-is-a-leaf",
            "The freelist is the leaf of key.",
            |image| {
                let leaf = image.id_of(image.bucket_root("key"));
                image.set_metas(|meta| meta.freelist = leaf);
            },
        ),
    ]
}

fn disagreeing() -> Vec<Specimen> {
    vec![
        second(
            "meta-transactions-equal",
            "Both meta pages are of the same transaction.",
            |meta| meta.transaction_id += 1,
        ),
        second(
            "meta-transactions-two-apart",
            "The second meta page is two transactions older, where a stream has one.",
            |meta| meta.transaction_id -= 1,
        ),
        second(
            "meta-second-newer",
            "The second meta page is the newer one, which no stream has, and leads to nothing.",
            |meta| {
                meta.transaction_id += 5;
                meta.root = 1 << 40;
            },
        ),
        second(
            "meta-roots-disagree",
            "The second meta page has another root.",
            |meta| meta.root += 1,
        ),
        second(
            "meta-high-water-marks-disagree",
            "The second meta page has a lower high-water mark.",
            |meta| meta.high_water_mark -= 1,
        ),
        second(
            "meta-page-sizes-disagree",
            "The second meta page has pages of twice the size.",
            |meta| meta.page_size *= 2,
        ),
        second(
            "meta-freelists-disagree",
            "The second meta page has a freelist.",
            |meta| meta.freelist = 2,
        ),
        meta(
            "meta-with-more-behind-it",
            "Bytes stand behind the fields of the first meta page, where a stream has zeroes.",
            |image| image.write(100, b"left over"),
        ),
        both(
            "meta-with-flags",
            "Both meta pages have flags, which bbolt does not use.",
            |meta| meta.flags = 1,
        ),
        both(
            "meta-with-a-sequence",
            "The root bucket has a sequence, which etcd does not use.",
            |meta| meta.sequence = 9,
        ),
    ]
}
