//! The digest, and what bytes it speaks of.

use etcd_snap::{DigestCheck, ErrorKind, ProblemCode};
use etcd_snap_testdata::database::{DatabaseBuilder, FreeContent, Inline, Shape};

use crate::subject::{assert_sound, report, status_of, tall, tall_builder, wide_builder};

#[test]
fn a_good_tree_with_a_wrong_digest_is_told_as_that_alone() {
    let image = wide_builder().image();
    let other = wide_builder().put("another", "database").image();
    let report = report(image.sealed_as(&other));
    let codes: Vec<_> = report.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [ProblemCode::DigestMismatch]);
    let DigestCheck::Mismatch { expected, found } = report.digest else {
        panic!("{:?}", report.digest)
    };
    let tail = |file: Vec<u8>| file[file.len() - 32..].to_vec();
    assert_eq!(expected.as_bytes().as_slice(), tail(other.sealed()));
    assert_eq!(found.as_bytes().as_slice(), tail(image.sealed()));
    assert_eq!(report.contents.hash, wide_builder().model().status_hash());
    let error = report.into_proven().expect_err("is no backup");
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    assert!(error.to_string().contains(&expected.to_string()), "{error}");
    // etcd's own status does not look at it.
    let status = status_of(image.sealed_as(&other)).expect("numbers all the same");
    assert_eq!(status.hash, wide_builder().model().status_hash());
}

#[test]
fn every_bit_of_a_digest_counts() {
    let sealed = DatabaseBuilder::new(512).put("a", "b").build();
    for bit in 0..256 {
        let mut file = sealed.clone();
        let start = file.len() - 32;
        file[start + bit / 8] ^= 1 << (bit % 8);
        let report = report(file);
        assert!(!report.is_sound(), "bit {bit}");
    }
}

/// Free pages and the unused ends of pages hold nothing, and the digest covers them.
#[test]
fn bytes_that_no_page_uses_are_told_by_the_digest_alone() {
    let builder = wide_builder().free_pages(2, FreeContent::Junk);
    let image = builder.image();
    let sealed = image.sealed();
    let root = image.page(image.current().root);
    for offset in [sealed.len() - 33, root.offset + 4096 - 1] {
        let mut file = sealed.clone();
        file[offset] ^= 1;
        let report = report(file);
        let codes: Vec<_> = report.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, [ProblemCode::DigestMismatch], "byte {offset}");
    }
}

#[test]
fn a_file_without_a_digest_is_sound_and_unproven() {
    for builder in [
        wide_builder().shape(Shape::Member),
        wide_builder().shape(Shape::Member).tail(vec![0; 1 << 20]),
        tall_builder().shape(Shape::Member).tail(vec![0xA5; 4096]),
        // Not a multiple of a sector, and not 32 over one.
        tall_builder().shape(Shape::Member).tail(vec![0xA5; 100]),
    ] {
        assert_sound(&builder);
        let report = report(builder.build());
        assert!(matches!(report.digest, DigestCheck::Missing { .. }));
        let error = report.into_proven().expect_err("nothing proves it");
        assert_eq!(error.kind(), ErrorKind::NoDigest);
    }
}

/// Its server was damaged already, and hashed what it had.
#[test]
fn a_right_digest_does_not_vouch_for_a_bad_tree() {
    let mut image = tall();
    let leaf = image.leaves("key")[6];
    image.set_flags(leaf, 4);
    let found = image.found();
    let error = found.0.into_proven().expect_err("is no backup");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(error.page().map(|page| page.get()), Some(image.id_of(leaf)));
    assert!(error.offset().is_some());
}

#[test]
fn databases_of_every_page_size_are_sound() {
    for exponent in 9..=16 {
        let page_size = 1 << exponent;
        let builder = (0..400)
            .fold(DatabaseBuilder::new(page_size), |builder, n| {
                builder.put(format!("key-{:03}", n % 150), vec![b'v'; n % 97])
            })
            .put("long", vec![1; 2 * page_size + 1])
            .lease(1, 60);
        assert_sound(&builder);
        assert_sound(
            &builder
                .clone()
                .scattered(1)
                .slack(2)
                .free_pages(7, FreeContent::Stale),
        );
        assert_sound(
            &builder
                .inline(Inline::Never)
                .elements_per_page(5)
                .shape(Shape::Member),
        );
    }
}
