//! Keys in order, within pages and against what is above them (formats.md 1.6 rule 4).

use etcd_snap::ProblemCode;

use crate::subject::{tall, wide};

#[test]
fn two_elements_out_of_order_on_a_leaf_are_found() {
    for name in ["key", "lease"] {
        let mut image = tall();
        let leaf = image.leaves(name)[3];
        image.swap_elements(leaf, 0, 1);
        image.found().within(ProblemCode::KeyOrder, &image, leaf);
    }
}

#[test]
fn two_elements_out_of_order_on_a_branch_are_found() {
    let mut image = tall();
    let leaf = image.leaves("key")[8];
    let branch = image.parent("key", leaf).page;
    image.swap_elements(branch, 0, 1);
    image.found().within(ProblemCode::KeyOrder, &image, branch);
}

#[test]
fn the_same_key_twice_on_a_leaf_is_found() {
    let mut image = tall();
    let leaf = image.leaves("lease")[3];
    let [first, second] = [0, 1].map(|n| image.places(leaf).nth(n).unwrap());
    let key = image.key(first).to_vec();
    image.overwrite_key(second, &key);
    image.found().within(ProblemCode::KeyOrder, &image, leaf);
}

#[test]
fn the_same_key_on_two_leaves_is_found() {
    let mut image = tall();
    let leaves = image.leaves("lease");
    let last = image.last(leaves[3]);
    let first = image.places(leaves[4]).next().unwrap();
    let key = image.key(last).to_vec();
    image.overwrite_key(first, &key);
    image
        .found()
        .within(ProblemCode::KeyOrder, &image, leaves[4]);
}

#[test]
fn a_first_key_below_the_one_in_the_branch_is_found() {
    let mut image = tall();
    let leaves = image.leaves("key");
    let first = image.places(leaves[9]).next().unwrap();
    let mut key = image.key(first).to_vec();
    key[7] -= 1;
    image.overwrite_key(first, &key[..17]);
    image
        .found()
        .within(ProblemCode::KeyOrder, &image, leaves[9]);
}

#[test]
fn a_last_key_at_or_above_the_next_in_the_branch_is_found() {
    for beyond in [0, 1, 100] {
        let mut image = tall();
        let leaves = image.leaves("lease");
        let last = image.last(leaves[3]);
        let next = image.places(leaves[4]).next().unwrap();
        let mut key = image.key(next).to_vec();
        key[7] += beyond;
        image.overwrite_key(last, &key);
        image.found().has(ProblemCode::KeyOrder);
    }
}

/// The limit comes from two levels above: no element of the parent says it.
#[test]
fn a_last_key_above_a_limit_two_levels_up_is_found() {
    let mut image = tall();
    let top = image.bucket_root("key");
    let second = image.places(top).nth(1).unwrap();
    let limit = image.key(second).to_vec();
    let leaves = image.leaves("key");
    let below: Vec<_> = leaves
        .iter()
        .filter(|leaf| image.key(image.places(**leaf).next().unwrap()) < limit.as_slice())
        .copied()
        .collect();
    let leaf = below[below.len() - 1];
    let last = image.last(leaf);
    let mut key = limit;
    key[7] += 1;
    image.overwrite_key(last, &key);
    image.found().has(ProblemCode::KeyOrder);
}

/// The branch says less than the leaf has: what bbolt leaves behind when the first element of a leaf was deleted.
#[test]
fn a_key_in_the_branch_below_the_first_of_its_leaf_is_sound() {
    let mut image = tall();
    let leaves = image.leaves("key");
    // Not the first child of its branch, whose key stands in the branch above as well.
    let n = (5..)
        .find(|n| image.parent("key", leaves[*n]).index == 1)
        .unwrap();
    let parent = image.parent("key", leaves[n]);
    let before = image.key(image.last(leaves[n - 1])).to_vec();
    let mut between = before;
    between[16] += 1;
    assert!(between.as_slice() < image.key(parent));
    image.overwrite_key(parent, &between[..17]);
    assert_eq!(crate::subject::report(image.sealed()).problems, []);

    // Where it reaches the last key of the leaf before, the two overlap.
    between[16] -= 1;
    between[7] -= 1;
    image.overwrite_key(parent, &between[..17]);
    image.found().has(ProblemCode::KeyOrder);
}

#[test]
fn a_key_in_the_branch_above_the_first_of_its_leaf_is_found() {
    let mut image = tall();
    let leaf = image.leaves("lease")[4];
    let parent = image.parent("lease", leaf);
    let mut key = image.key(parent).to_vec();
    key[7] += 1;
    image.overwrite_key(parent, &key);
    image.found().has(ProblemCode::KeyOrder);
}

#[test]
fn leaves_that_changed_places_are_found() {
    let mut image = tall();
    let leaves = image.leaves("key");
    let [one, other] = [leaves[5], leaves[12]];
    let [one_parent, other_parent] = [one, other].map(|leaf| image.parent("key", leaf));
    let [one_id, other_id] = [one, other].map(|leaf| image.id_of(leaf));
    image.set_child(one_parent, other_id);
    image.set_child(other_parent, one_id);
    image.found().has(ProblemCode::KeyOrder);
}

/// bbolt's own check skips them.
#[test]
fn keys_out_of_order_in_an_inline_bucket_are_found() {
    for name in ["meta", "auth"] {
        let mut image = wide();
        assert!(image.is_inline(name));
        let page = image.bucket_root(name);
        image.swap_elements(page, 0, 1);
        image
            .found()
            .within(ProblemCode::KeyOrder, &image, image.page(image.id_of(page)));
    }
}

#[test]
fn buckets_out_of_order_are_found() {
    let mut image = wide();
    let root = image.page(image.current().root);
    image.swap_elements(root, 2, 3);
    image.found().within(ProblemCode::KeyOrder, &image, root);
}
