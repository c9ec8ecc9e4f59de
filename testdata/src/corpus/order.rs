//! Keys in order, within a page and against those above it.

use super::Specimen;
use super::bases::{branch, flat, middle_leaf, tree};
use crate::database::{Image, Page};

fn order(name: &'static str, about: &'static str, damage: impl FnOnce(&mut Image)) -> Specimen {
    Specimen::of(name, about, tree(), damage)
}

/// The leaf behind this one in key order.
fn next(image: &Image, leaf: Page) -> Page {
    let leaves = image.leaves("key");
    let at = leaves.iter().position(|other| *other == leaf);
    leaves[at.expect("a leaf of key") + 1]
}

pub(super) fn specimens() -> Vec<Specimen> {
    vec![
        order(
            "order-on-a-leaf",
            "Two records of a leaf have changed places.",
            |image| {
                let leaf = middle_leaf(image);
                image.swap_elements(leaf, 0, 1);
            },
        ),
        order(
            "order-on-a-branch",
            "Two elements of a branch have changed places.",
            |image| {
                let branch = branch(image);
                image.swap_elements(branch, 0, 1);
            },
        ),
        order(
            "order-key-twice-on-a-leaf",
            "Two leases of a leaf have the same key.",
            |image| {
                let leaf = image.leaves("lease")[1];
                let [first, second] = [0, 1].map(|n| image.places(leaf).nth(n).expect("two"));
                let key = image.key(first).to_vec();
                image.overwrite_key(second, &key);
            },
        ),
        order(
            "order-key-on-two-leaves",
            "The last key of a leaf of lease stands on the next one too.",
            |image| {
                let leaves = image.leaves("lease");
                let key = image.key(image.last(leaves[0])).to_vec();
                let first = image.places(leaves[1]).next().expect("elements");
                image.overwrite_key(first, &key);
            },
        ),
        order(
            "order-below-the-separator",
            "The first key of a leaf is smaller than its separator in the branch above.",
            |image| {
                let leaf = middle_leaf(image);
                let first = image.places(leaf).next().expect("elements");
                let mut key = image.key(first).to_vec();
                key[7] -= 1;
                image.overwrite_key(first, &key);
            },
        ),
        order(
            "order-at-the-next-separator",
            "The last key of a leaf equals the next separator.",
            |image| {
                let leaves = image.leaves("lease");
                let next = image.places(leaves[1]).next().expect("elements");
                let key = image.key(next).to_vec();
                let last = image.last(leaves[0]);
                image.overwrite_key(last, &key);
            },
        ),
        order(
            "order-above-a-limit-two-levels-up",
            "The last key below a branch reaches over the limit that stands two levels above.",
            |image| {
                let top = image.bucket_root("key");
                let limit = image.key(image.places(top).nth(1).expect("two")).to_vec();
                let leaf = image
                    .leaves("key")
                    .into_iter()
                    .rev()
                    .find(|leaf| image.key(image.places(*leaf).next().expect("keys")) < &limit[..])
                    .expect("a leaf below the limit");
                let last = image.last(leaf);
                let mut key = limit;
                key[7] += 1;
                image.overwrite_key(last, &key[..17]);
            },
        ),
        order(
            "order-leaves-exchanged",
            "Two leaves of key hang in each other's place.",
            |image| {
                let one = middle_leaf(image);
                let other = next(image, one);
                let (above_one, above_other) =
                    (image.parent("key", one), image.parent("key", other));
                let (one, other) = (image.id_of(one), image.id_of(other));
                image.set_child(above_one, other);
                image.set_child(above_other, one);
            },
        ),
        Specimen::of(
            "order-in-an-inline-bucket",
            "Two records of the inline bucket auth have changed places, which bbolt's check does not look at.",
            flat(),
            |image| {
                assert!(image.is_inline("auth"));
                let page = image.bucket_root("auth");
                image.swap_elements(page, 0, 1);
            },
        ),
        Specimen::of(
            "order-of-buckets",
            "Two buckets have changed places.",
            flat(),
            |image| {
                let root = image.page(image.current().root);
                image.swap_elements(root, 0, 1);
            },
        ),
    ]
}
