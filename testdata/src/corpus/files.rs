//! Files that were cut, that grew, and whose digest is not theirs: faults 18, 23 and 24.

use super::Specimen;
use super::bases::{flat, flat_builder, middle_leaf, tree};
use crate::database::{Random, Shape};

fn junk(length: usize) -> Vec<u8> {
    let mut junk = vec![0; length];
    Random::new(18).fill(&mut junk);
    junk
}

pub(super) fn specimens() -> Vec<Specimen> {
    [cut(), grown(), copied(), digests()].concat()
}

fn cut() -> Vec<Specimen> {
    let file = flat().sealed();
    let cut = |name, about, length: usize| Specimen::new(name, about, file[..length].to_vec());
    let half = file.len() / 1024 * 512;
    vec![
        cut("file-empty", "Nothing at all.", 0),
        cut("file-of-one-byte", "The first byte.", 1),
        cut("file-cut-in-the-first-meta", "The first 60 bytes.", 60),
        cut("file-cut-behind-the-first-meta", "The first page.", 512),
        cut("file-cut-behind-the-metas", "The two meta pages.", 1024),
        cut(
            "file-cut-at-a-page",
            "The first half, in whole pages.",
            half,
        ),
        cut(
            "file-cut-inside-a-page",
            "What `etcdctl snapshot save` leaves as .part when the connection breaks.",
            half + 300,
        ),
        cut(
            "file-cut-like-a-digest",
            "The first half and 32 bytes of the next page, which look like a digest.",
            half + 32,
        ),
        cut(
            "file-cut-in-the-last-page",
            "All but the digest and the last 100 bytes.",
            file.len() - 132,
        ),
        cut(
            "file-cut-in-the-digest",
            "All but the last byte of the digest.",
            file.len() - 1,
        ),
        cut(
            "file-without-a-digest",
            "All but the digest: a raw copy, which nothing vouches for.",
            file.len() - 32,
        ),
        Specimen::new(
            "file-with-a-hole",
            "A download that broke off and left a file of the full length.",
            {
                let mut holed = file.clone();
                let (from, to) = (half, file.len() - 32);
                holed[from..to].fill(0);
                holed
            },
        ),
    ]
}

fn grown() -> Vec<Specimen> {
    let file = flat().sealed();
    let appended = |name, about, more: &[u8]| Specimen::new(name, about, [&file, more].concat());
    vec![
        appended(
            "file-with-a-line-behind-it",
            "Text behind the digest.",
            b"saved by a script\n",
        ),
        appended(
            "file-with-a-sector-behind-it",
            "512 bytes of junk behind the digest: the last 32 of them look like one.",
            &junk(512),
        ),
        appended(
            "file-with-a-second-digest",
            "The digest stands there twice.",
            &file[file.len() - 32..],
        ),
        appended("file-twice", "The whole snapshot twice.", &file),
        Specimen::new(
            "file-with-more-before-the-digest",
            "A sector of junk behind the last page, under a digest that covers it.",
            flat_builder().tail(junk(512)).image().sealed(),
        ),
        Specimen::new(
            "file-behind-a-sector",
            "The snapshot begins at byte 512.",
            [vec![0x20; 512], file.clone()].concat(),
        ),
    ]
}

fn copied() -> Vec<Specimen> {
    let before = super::bases::tree_builder().shape(Shape::Member);
    let after = (0..12)
        .fold(before.clone(), |builder, n| {
            builder.put(format!("new-{n}"), "value")
        })
        .build();
    let before = before.build();
    let half = before.len() / 1024 * 512;
    vec![
        Specimen::new(
            "file-copied-while-etcd-wrote",
            "The first half is newer than the second, as `cp` makes it of the file of a running member.",
            [&after[..half], &before[half..]].concat(),
        ),
        Specimen::new(
            "file-copied-while-etcd-wrote-the-other-way",
            "The second half is newer than the first.",
            [&before[..half], &after[half..]].concat(),
        ),
    ]
}

fn digests() -> Vec<Specimen> {
    let sound = flat();
    let mut other = flat();
    let place = other.find_revision(7, 0);
    let value = other.value_range(place);
    other.bytes_mut()[value.end - 1] ^= 1;
    let mut broken = tree();
    let leaf = middle_leaf(&broken);
    broken.set_page_id(leaf, 9);
    let mut zeroed = sound.sealed();
    let digest = zeroed.len() - 32;
    zeroed[digest..].fill(0);
    let mut flipped = sound.sealed();
    flipped[digest + 7] ^= 0x20;
    vec![
        Specimen::new(
            "digest-of-another-file",
            "A sound database with the digest of another one.",
            sound.sealed_as(&other),
        ),
        Specimen::new(
            "digest-of-zeroes",
            "A sound database and 32 zeroes behind it.",
            zeroed,
        ),
        Specimen::new(
            "digest-with-a-flipped-bit",
            "A sound database whose digest has one other bit.",
            flipped,
        ),
        Specimen::new(
            "digest-of-before-a-bit-flipped",
            "One bit of a value has flipped since: nothing but the digest can tell.",
            other.sealed_as(&sound),
        ),
        Specimen::new(
            "digest-right-over-a-bad-tree",
            "The server was damaged already: the digest is right, and a page carries the id of another.",
            broken.sealed(),
        ),
        Specimen::new(
            "digest-wrong-over-a-bad-tree",
            "The digest is wrong, and a page carries the id of another.",
            broken.sealed_as(&tree()),
        ),
    ]
}
