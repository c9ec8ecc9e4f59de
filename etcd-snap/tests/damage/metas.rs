//! Meta pages (formats.md 1.2, 1.8).

use etcd_snap::{ErrorKind, ProblemCode, Severity};
use etcd_snap_testdata::database::{DatabaseBuilder, FreeContent, Image, MetaFields, Shape};

use crate::subject::{open, report, status_of, tall, tall_builder, wide};

type Change = fn(&mut MetaFields);
type ChangeWithRoot = fn(&mut MetaFields, u64);

/// The numbers come from the meta that is left, and everything below it is looked at.
#[test]
fn one_bad_meta_is_told_and_the_other_is_used() {
    for page in [0, 1] {
        let mut image = tall();
        image.break_meta(page);
        let found = image.found();
        found
            .only(ProblemCode::Meta)
            .on(ProblemCode::Meta, page as u64);
        let model = tall_builder().model();
        assert_eq!(found.0.contents.hash, model.status_hash());
        assert_eq!(found.0.contents.live_keys, model.live_keys());
    }
}

/// What a server leaves that dies while it writes a meta page. etcd starts from it.
#[test]
fn a_members_file_with_one_torn_meta_is_no_damage() {
    let builder = tall_builder().shape(Shape::Member).tail([0; 2048]);
    let model = builder.model();
    for (transaction_id, current) in [(24, 0), (25, 1)] {
        let mut image = builder.clone().transaction_id(transaction_id).image();
        image.break_meta(1 - current);
        let report = report(image.unsealed());
        assert!(report.is_sound(), "{:#?}", report.problems);
        assert!(
            report
                .problems
                .iter()
                .any(|problem| problem.code == ProblemCode::Meta)
        );
        let status = status_of(image.unsealed()).unwrap();
        assert_eq!(status.hash, model.status_hash());
    }
}

#[test]
fn two_bad_metas_are_nothing_to_start_from() {
    let mut image = tall();
    image.break_meta(0);
    image.break_meta(1);
    for file in [image.sealed(), image.unsealed()] {
        let error = open(file).expect_err("no meta left");
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    }
}

#[test]
fn a_meta_with_impossible_fields_and_the_right_checksum_is_not_used() {
    let changes: [(&str, Change); 7] = [
        ("magic", |meta| meta.magic = 0xDEAD_BEEF),
        ("version", |meta| meta.version = 3),
        ("page size that is no power of two", |meta| {
            meta.page_size = 4095;
        }),
        ("page size of nothing", |meta| meta.page_size = 0),
        ("page size of 256", |meta| meta.page_size = 256),
        ("page size of 32 MiB", |meta| meta.page_size = 1 << 25),
        ("page size of 2 GiB", |meta| meta.page_size = 1 << 31),
    ];
    for (what, change) in changes {
        let mut image = tall();
        image.set_meta(1, change);
        let found = image.found();
        found.on(ProblemCode::Meta, 1);
        assert_eq!(
            found.0.contents.hash,
            tall_builder().model().status_hash(),
            "{what}"
        );

        // Both: nothing is left, whatever it is called.
        let mut image = tall();
        image.set_metas(change);
        for file in [image.sealed(), image.unsealed()] {
            match open(file.clone()) {
                Err(e) => assert!(
                    matches!(e.kind(), ErrorKind::Damaged | ErrorKind::NotASnapshot),
                    "{what}: {e}"
                ),
                Ok(_) => assert!(!report(file).is_sound(), "{what}"),
            }
        }
    }
}

#[test]
fn a_big_endian_database_is_refused_by_that_name() {
    let mut image = tall();
    for page in [0, 1] {
        let offset = image.page(page).offset + 16;
        image.write(offset, &[0xED, 0x0C, 0xDA, 0xED, 0, 0, 0, 2, 0, 0, 2, 0]);
    }
    let error = open(image.sealed()).expect_err("not for this reader");
    assert!(error.to_string().contains("big-endian"), "{error}");
}

#[test]
fn a_root_beyond_the_high_water_mark_leads_nowhere() {
    let mark = tall().current().high_water_mark;
    for root in [mark, mark + 1, 1 << 40, u64::MAX / 512, u64::MAX] {
        let mut image = tall().hiding_all();
        image.set_metas(|meta| meta.root = root);
        image.found().has(ProblemCode::PageOutOfBounds);
    }
}

#[test]
fn a_root_that_is_a_meta_page_is_no_root() {
    for root in [0, 1] {
        let mut image = tall().hiding_all();
        image.set_metas(|meta| meta.root = root);
        let found = image.found();
        assert!(found.0.problems.iter().any(|problem| {
            let codes = [ProblemCode::PageKind, ProblemCode::PageMultipleReferences];
            codes.contains(&problem.code) && problem.page.is_some_and(|page| page.get() == root)
        }));
    }
}

#[test]
fn a_root_that_is_a_page_of_another_bucket_is_found() {
    let mut image = tall().hiding_all();
    let leaf = image.leaves("key")[4];
    let id = image.id_of(leaf);
    image.set_metas(|meta| meta.root = id);
    image.found().has(ProblemCode::Bucket);
}

#[test]
fn a_high_water_mark_beyond_the_file_is_a_file_too_short() {
    let mark = tall().current().high_water_mark;
    for claimed in [
        mark + 1,
        1 << 40,
        u64::MAX / 512,
        u64::MAX / 512 + 2,
        u64::MAX,
    ] {
        let mut image = tall();
        image.set_metas(|meta| meta.high_water_mark = claimed);
        image.found().has(ProblemCode::FileTooShort);
    }
}

/// bbolt's own check lets an id pass that equals the mark.
#[test]
fn a_page_at_the_high_water_mark_is_out_of_bounds() {
    let mut image = tall();
    // The last page of the file, whatever it is, becomes the one at the mark.
    let pages: Vec<_> = ["key", "lease"]
        .iter()
        .flat_map(|name| image.pages_of(name))
        .collect();
    let last = pages.iter().map(|page| image.id_of(*page)).max().unwrap();
    image.set_metas(|meta| meta.high_water_mark = last);
    let found = image.hiding(|_, page| page >= last).found();
    found.on(ProblemCode::PageOutOfBounds, last);
}

#[test]
fn a_high_water_mark_that_covers_nothing_is_damage() {
    for mark in [0, 1, 2] {
        let mut image = tall().hiding_all();
        image.set_metas(|meta| meta.high_water_mark = mark);
        match open(image.sealed()) {
            Err(e) => assert_eq!(e.kind(), ErrorKind::Damaged, "{e}"),
            Ok(_) => assert!(!report(image.sealed()).is_sound()),
        }
    }
}

/// A warning in a stream's file and the usual thing in a member's.
#[test]
fn metas_of_different_states_are_suspicious_in_a_stream_only() {
    let root = tall().current().root;
    let changes: [(&str, ChangeWithRoot); 5] = [
        ("another page size", |meta, _| meta.page_size *= 2),
        ("equal transactions", |meta, _| meta.transaction_id += 1),
        ("a distance of two", |meta, _| meta.transaction_id -= 1),
        ("another root", |meta, root| meta.root = root + 1),
        ("another mark", |meta, _| meta.high_water_mark -= 1),
    ];
    for (what, change) in changes {
        let mut image = tall().clone();
        image.set_meta(1, |meta| change(meta, root));
        let with_digest = report(image.sealed());
        assert!(
            with_digest.is_sound(),
            "{what}: {:#?}",
            with_digest.problems
        );
        let told = with_digest.problems.iter().any(|problem| {
            problem.code == ProblemCode::MetaDisagreement
                && problem.severity == Severity::Suspicious
        });
        assert!(told, "{what}: {:#?}", with_digest.problems);
        assert_eq!(
            with_digest.contents.hash,
            tall_builder().model().status_hash(),
            "{what}"
        );
        assert_eq!(report(image.unsealed()).problems, [], "{what}");
    }
}

/// What no server puts into a stream, and nobody reads: somebody edited the file. In a member's file it is left over from before.
#[test]
fn what_a_stream_leaves_zero_in_its_metas_is_suspicious() {
    type Oddity = fn(&mut Image);
    let oddities: [(&str, u64, Oddity); 6] = [
        ("behind the first", 0, |image| image.write(80, b"x")),
        ("at the end of the second", 1, |image| {
            let end = 2 * image.page_size() - 1;
            image.write(end, b"x");
        }),
        ("flags", 1, |image| image.set_meta(1, |meta| meta.flags = 1)),
        ("sequence", 0, |image| {
            image.set_meta(0, |meta| meta.sequence = 1);
        }),
        ("count", 0, |image| image.set_count(image.page(0), 3)),
        ("overflow", 1, |image| image.set_overflow(image.page(1), 1)),
    ];
    for (what, page, oddity) in oddities {
        let mut image = tall_builder().image();
        oddity(&mut image);
        let sealed = report(image.sealed());
        let told = |problem: &etcd_snap::Problem| {
            problem.severity == Severity::Suspicious
                && problem.code == ProblemCode::Meta
                && problem.page.is_some_and(|on| on.get() == page)
        };
        assert!(sealed.is_sound(), "{what}: {:#?}", sealed.problems);
        assert!(
            sealed.problems.iter().any(told),
            "{what}: {:#?}",
            sealed.problems
        );
        assert_eq!(report(image.unsealed()).problems, [], "{what}");
    }
}

/// bbolt takes page 1 only where its transaction is the higher one.
#[test]
fn the_first_of_two_equal_metas_is_used() {
    let mut image = tall_builder().image();
    let transaction_id = image.current().transaction_id;
    image.set_meta(1, |meta| {
        meta.transaction_id = transaction_id;
        meta.root = 1;
    });
    for file in [image.sealed(), image.unsealed()] {
        let report = report(file);
        assert!(report.is_sound(), "{:#?}", report.problems);
        assert_eq!(report.contents.hash, tall_builder().model().status_hash());
    }
}

#[test]
fn a_first_meta_with_another_page_size_is_told() {
    let mut image = tall();
    image.set_meta(0, |meta| meta.page_size *= 2);
    let report = report(image.sealed());
    assert!(!report.is_sound(), "{:#?}", report.problems);
}

#[test]
fn the_newer_meta_rules_wherever_it_is() {
    for transaction_id in [24, 25] {
        let builder = tall_builder()
            .free_pages(3, FreeContent::Junk)
            .shape(Shape::Member)
            .transaction_id(transaction_id);
        let report = report(builder.build());
        assert_eq!(report.problems, []);
        assert_eq!(report.contents.hash, builder.model().status_hash());
    }
}

#[test]
fn a_freelist_that_is_no_freelist_is_told() {
    let sound = tall();
    let mark = sound.current().high_water_mark;
    let leaf = sound.id_of(sound.leaves("key")[3]);
    for id in [0, 1, leaf, mark, mark + 1, u64::MAX - 1] {
        let mut image = sound.clone();
        image.set_metas(|meta| meta.freelist = id);
        image.found();
    }
}

#[test]
fn the_header_of_a_meta_page_is_looked_at() {
    for page in [0, 1] {
        let mut image = wide();
        let meta = image.page(page);
        image.set_page_id(meta, 7);
        image
            .found()
            .only(ProblemCode::PageId)
            .on(ProblemCode::PageId, page);

        let mut image = wide();
        let meta = image.page(page);
        image.set_flags(meta, 2);
        image
            .found()
            .only(ProblemCode::PageKind)
            .on(ProblemCode::PageKind, page);
    }
}

/// bbolt opens the file without a look at the header, so the state is the one that the newer meta describes; its check refuses.
#[test]
fn a_meta_with_a_wrong_header_is_used_all_the_same() {
    let builder = tall_builder()
        .free_pages(2, FreeContent::Junk)
        .shape(Shape::Member);
    for transaction_id in [24, 25] {
        let mut image = builder.clone().transaction_id(transaction_id).image();
        let page = image.page(transaction_id % 2);
        image.set_flags(page, 2);
        image.set_page_id(page, 9);
        let report = report(image.unsealed());
        assert!(!report.is_sound(), "{:#?}", report.problems);
        let codes: Vec<_> = report.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, [ProblemCode::PageId, ProblemCode::PageKind]);
        assert_eq!(report.contents.hash, builder.model().status_hash());
    }
}

/// The checksum is right, so no write was torn; and bbolt takes the page size from there before it reads anything else.
#[test]
fn an_impossible_page_size_in_the_first_meta_is_damage_even_in_a_members_file() {
    for page_size in [0, 256, 4095, 1 << 25] {
        let mut image = tall_builder().shape(Shape::Member).image();
        image.set_meta(0, |meta| meta.page_size = page_size);
        let report = report(image.unsealed());
        assert!(!report.is_sound(), "{page_size}: {:#?}", report.problems);
    }
}

#[test]
fn a_file_of_two_metas_and_nothing_else_does_not_verify() {
    let empty = DatabaseBuilder::bare(512).image();
    let image = Image::new(empty.bytes()[..1024].to_vec(), 512);
    match open(image.sealed()) {
        Err(e) => assert_eq!(e.kind(), ErrorKind::Damaged, "{e}"),
        Ok(_) => assert!(!report(image.sealed()).is_sound()),
    }
}
