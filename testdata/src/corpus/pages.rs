//! The tree of pages: faults 20, and the page check.

use super::Specimen;
use super::bases::{branch, long_leaf, middle_leaf, tree, tree_builder};
use crate::database::{DatabaseBuilder, Image, Place};

fn place(name: &'static str, about: &'static str, damage: impl FnOnce(&mut Image)) -> Specimen {
    Specimen::of(name, about, tree(), damage)
}

/// The last element of a branch in the middle.
fn last(image: &Image) -> Place {
    image.last(branch(image))
}

pub(super) fn specimens() -> Vec<Specimen> {
    [references(), headers(), extents()].concat()
}

fn references() -> Vec<Specimen> {
    vec![
        place(
            "page-cycle-to-itself",
            "A branch of the key tree is its own child.",
            |image| {
                let (last, id) = (last(image), image.id_of(branch(image)));
                image.set_child(last, id);
            },
        ),
        place(
            "page-cycle-to-the-top",
            "A branch of the key tree leads back to the top of the tree.",
            |image| {
                let (last, top) = (last(image), image.id_of(image.bucket_root("key")));
                image.set_child(last, top);
            },
        ),
        place(
            "page-cycle-through-the-root",
            "A branch of the key tree leads to the page of the buckets.",
            |image| {
                let (last, root) = (last(image), image.current().root);
                image.set_child(last, root);
            },
        ),
        place(
            "page-leaf-with-two-parents",
            "Two elements of a branch lead to one leaf: multiple references.",
            |image| {
                let branch = branch(image);
                let first = image.places(branch).next().expect("elements");
                let (last, id) = (image.last(branch), image.child(first));
                image.set_child(last, id);
            },
        ),
        place(
            "page-branch-with-two-parents",
            "Two elements of the top of the tree lead to one branch.",
            |image| {
                let top = image.bucket_root("key");
                let first = image.places(top).next().expect("elements");
                let (last, id) = (image.last(top), image.child(first));
                image.set_child(last, id);
            },
        ),
        place(
            "page-two-buckets-with-one-root",
            "The buckets key and lease begin at the same page.",
            |image| {
                let top = image.id_of(image.bucket_root("key"));
                image.set_bucket_root("lease", top);
            },
        ),
        place(
            "page-leaf-of-another-bucket-below-key",
            "A leaf of lease hangs below key as well (etcd issue 15498).",
            |image| {
                let lease = image.id_of(image.leaves("lease")[1]);
                let last = last(image);
                image.set_child(last, lease);
            },
        ),
        place(
            "page-leaves-of-two-buckets-exchanged",
            "A leaf of lease hangs below key and one of key below lease, each once (etcd issue 15498): bbolt's check passes it where the keys happen to fit.",
            |image| {
                let (key, lease) = (middle_leaf(image), image.leaves("lease")[1]);
                let (above_key, above_lease) =
                    (image.parent("key", key), image.parent("lease", lease));
                let (key, lease) = (image.id_of(key), image.id_of(lease));
                image.set_child(above_key, lease);
                image.set_child(above_lease, key);
            },
        ),
        foreign_leaf_in_order(),
        place(
            "page-child-is-a-meta",
            "A branch leads to meta page 1.",
            |image| {
                let last = last(image);
                image.set_child(last, 1);
            },
        ),
        place(
            "page-child-at-the-high-water-mark",
            "A branch leads to the page whose id equals the high-water mark, which bbolt's check lets pass.",
            |image| {
                let (last, mark) = (last(image), image.current().high_water_mark);
                image.set_child(last, mark);
            },
        ),
        place(
            "page-child-above-the-high-water-mark",
            "A branch leads far beyond the end of the file.",
            |image| {
                let last = last(image);
                image.set_child(last, 1 << 40);
            },
        ),
        place(
            "page-child-beyond-any-file",
            "A branch leads to a page whose offset has more than 64 bits.",
            |image| {
                let last = last(image);
                image.set_child(last, u64::MAX - 1);
            },
        ),
        place(
            "page-bucket-root-out-of-bounds",
            "The bucket key begins at a page that does not exist.",
            |image| {
                let mark = image.current().high_water_mark;
                image.set_bucket_root("key", mark + 7);
            },
        ),
    ]
}

/// Nothing refers to the page twice, no key is out of order, and bbolt has nothing to say against it: the keys of a lease are
/// those of a leaf that was at the end of the tree.
fn foreign_leaf_in_order() -> Specimen {
    let builder = (0..12).fold(tree_builder(), |builder, n| {
        builder.lease(0x7000_0000_0000_0000 + n, 60)
    });
    Specimen::of(
        "page-leaf-of-another-bucket-in-order",
        "The last leaf of lease hangs in the place of the last one of key, where its keys fit: every rule of bbolt holds (etcd issue 15498).",
        builder.image(),
        |image| {
            let last = |image: &Image, bucket| *image.leaves(bucket).last().expect("leaves");
            let (key, lease) = (last(image, "key"), last(image, "lease"));
            let above_key = image.parent("key", key);
            let above_lease = image.parent("lease", lease);
            let lease = image.id_of(lease);
            image.set_child(above_key, lease);
            // Nothing leads to the last leaf of key any more, which makes it a free page where no freelist is kept.
            let fewer = image.count(above_lease.page) - 1;
            assert!(above_lease.index == fewer && fewer > 0);
            image.set_count(above_lease.page, fewer as u16);
        },
    )
}

fn headers() -> Vec<Specimen> {
    let flags = |name, about, flags| {
        place(name, about, move |image| {
            let leaf = middle_leaf(image);
            image.set_flags(leaf, flags);
        })
    };
    vec![
        place(
            "page-id-of-another",
            "A leaf carries the id of another page.",
            |image| {
                let leaf = middle_leaf(image);
                image.set_page_id(leaf, 5);
            },
        ),
        place(
            "page-branch-with-a-wrong-id",
            "A branch carries an id that no page has.",
            |image| {
                let branch = branch(image);
                image.set_page_id(branch, u64::MAX);
            },
        ),
        place(
            "page-two-changed-places",
            "Two leaves were written to each other's place.",
            |image| {
                let size = image.page_size();
                let leaves = image.leaves("key");
                let whole: Vec<_> = leaves
                    .iter()
                    .filter(|leaf| image.overflow(**leaf) == 0)
                    .collect();
                let (one, other) = (whole[1].offset, whole[3].offset);
                for byte in 0..size {
                    image.bytes_mut().swap(one + byte, other + byte);
                }
            },
        ),
        flags("page-kind-none", "A leaf of no kind at all.", 0),
        flags(
            "page-kind-unknown",
            "A leaf of a kind that bbolt does not know.",
            0x20,
        ),
        flags(
            "page-kind-two",
            "A page that is leaf and branch at once.",
            0x03,
        ),
        flags("page-kind-meta", "A meta page where a leaf belongs.", 0x04),
        flags(
            "page-kind-freelist",
            "A freelist where a leaf belongs.",
            0x10,
        ),
        flags(
            "page-leaf-says-branch",
            "A leaf that calls itself a branch.",
            0x01,
        ),
        place(
            "page-branch-says-leaf",
            "A branch that calls itself a leaf.",
            |image| {
                let branch = branch(image);
                image.set_flags(branch, 2);
            },
        ),
        place(
            "page-zeroed",
            "A leaf was overwritten with zeroes.",
            |image| {
                let (leaf, size) = (middle_leaf(image), image.page_size());
                image.write(leaf.offset, &vec![0; size]);
            },
        ),
        place(
            "page-all-ones",
            "A leaf was overwritten with ones.",
            |image| {
                let (leaf, size) = (middle_leaf(image), image.page_size());
                image.write(leaf.offset, &vec![0xFF; size]);
            },
        ),
        place(
            "page-branch-of-nothing",
            "A branch without children.",
            |image| {
                let branch = branch(image);
                image.set_count(branch, 0);
            },
        ),
        place(
            "page-leaf-of-nothing",
            "A leaf without records below a branch, which bbolt never leaves behind.",
            |image| {
                let leaf = middle_leaf(image);
                image.set_count(leaf, 0);
            },
        ),
    ]
}

fn extents() -> Vec<Specimen> {
    vec![
        place(
            "page-overflow-past-the-end",
            "A leaf claims more pages behind it than the file has.",
            |image| {
                let leaf = middle_leaf(image);
                image.set_overflow(leaf, 10_000);
            },
        ),
        place(
            "page-overflow-of-all-ones",
            "A leaf claims 4294967295 pages behind it.",
            |image| {
                let leaf = middle_leaf(image);
                image.set_overflow(leaf, u32::MAX);
            },
        ),
        place(
            "page-overflow-over-the-next",
            "A leaf claims the page behind it, which is in use.",
            |image| {
                let leaf = middle_leaf(image);
                image.set_overflow(leaf, 1);
            },
        ),
        place(
            "page-overflow-too-small",
            "The leaf with the long value has lost its second page.",
            |image| {
                let leaf = long_leaf(image);
                image.set_overflow(leaf, 0);
            },
        ),
        place(
            "page-count-too-large",
            "A leaf claims more elements than fit in it.",
            |image| {
                let leaf = middle_leaf(image);
                image.set_count(leaf, 0xFFFF);
            },
        ),
        place(
            "page-count-too-small",
            "The last leaf of key has forgotten its last record: bytes that no element owns are all that is left of it.",
            |image| {
                let leaf = *image.leaves("key").last().expect("leaves");
                let fewer = image.count(leaf) - 1;
                image.set_count(leaf, fewer as u16);
            },
        ),
        place(
            "page-branch-count-too-small",
            "A branch has forgotten its last child, which counts as a free page where no freelist is kept.",
            |image| {
                let branch = branch(image);
                let fewer = image.count(branch) - 1;
                image.set_count(branch, fewer as u16);
            },
        ),
        place(
            "page-branch-count-too-large",
            "A branch claims more elements than fit in it.",
            |image| {
                let branch = branch(image);
                image.set_count(branch, 1000);
            },
        ),
        Specimen::new(
            "page-tree-too-deep",
            "Seventy branches of one child each stand above the key tree.",
            DatabaseBuilder::bare(512)
                .record("meta", "consistent_index", 7_u64.to_be_bytes())
                .put("a", [b'x'; 200])
                .taller(70)
                .build(),
        ),
    ]
}
