//! What passes is judged as a file is, as far as single pages tell: no false alarm over any sound database.

use std::io::{self, Read};
use std::sync::Arc;

use etcd_snap::{
    DigestCheck, ProblemCode, ProofKind, Severity, Snapshot, StreamReport, VerifyOptions, verify,
    verify_stream,
};
use etcd_snap_testdata::database::{DatabaseBuilder, FreeContent, Image};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::databases::database;
use crate::harm::{apply, harm};

/// Gives bytes in pieces of these sizes, over and over.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = *self.sizes.next().expect("at least one size");
        let n = size.min(buffer.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(n);
        buffer[..n].copy_from_slice(now);
        self.bytes = later;
        Ok(n)
    }
}

fn streamed(file: &[u8], sizes: &[usize]) -> etcd_snap::Result<StreamReport> {
    let reader = Pieces {
        bytes: file,
        sizes: sizes.iter().cycle(),
    };
    verify_stream("the stream", reader, &VerifyOptions::default())
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![
        3 => 1_usize..100,
        3 => 1_usize..10_000,
        2 => select(vec![31, 32, 33, 80, 512, 4096, 65_536]),
        1 => 10_000_usize..300_000,
    ];
    proptest::collection::vec(size, 1..8)
}

/// Page by page, in ways that a page shows by itself.
fn harm_page(image: &mut Image, page: u64, how: usize) {
    let page = image.page(page);
    let last = image.last(page);
    match how {
        0 => image.set_flags(page, 3),
        1 => image.set_overflow(page, u32::MAX),
        2 => image.set_count(page, u16::MAX),
        3 => image.set_key_size(last, 0),
        4 => image.set_key_size(last, 40_000),
        5 => image.set_position(last, 0),
        6 => image.set_position(last, u32::MAX),
        _ if image.is_branch(page) => image.set_child(last, 1),
        7 => image.set_value_size(last, u32::MAX),
        _ => image.set_element_flags(last, 0x80),
    }
}

proptest! {
    #![proptest_config(crate::sample(192))]

    #[test]
    fn a_sound_database_passes_without_a_word(builder in database(), sizes in pieces()) {
        let file = builder.build();
        let report = streamed(&file, &sizes).expect("it is a database");
        prop_assert_eq!(&report.problems, &[]);
        prop_assert_eq!(report.proof, ProofKind::Stream);
        prop_assert_eq!(report.size_bytes, file.len() as u64);
        prop_assert_eq!(report.page_size_bytes as usize, builder.page_size());
        let snapshot = Snapshot::from_source("the file", Arc::new(file)).expect("opens");
        let whole = verify(&snapshot, &VerifyOptions::default()).expect("can be looked at");
        prop_assert_eq!(report.digest, whole.digest);
        let proven = whole.into_proven().map(|proof| proof.digest).map_err(|e| e.kind());
        prop_assert_eq!(report.into_proven().map_err(|e| e.kind()), proven);
    }

    /// The digest is right, so nothing but the page tells.
    #[test]
    fn a_page_in_use_that_is_damaged_by_itself_is_named(
        builder in database(),
        content in select(vec![FreeContent::Zero, FreeContent::Junk]),
        page: Index,
        how in 0_usize..9,
        sizes in pieces(),
    ) {
        let mut image = builder.tail([]).free_pages(9, content).image();
        let root = image.page(image.current().root);
        let mut pages: Vec<_> = std::iter::once(root)
            .chain(["key", "members", "lease"].iter().flat_map(|name| image.pages_of(name)))
            .filter(|page| page.offset % image.page_size() == 0 && image.count(*page) > 0)
            .map(|page| image.id_of(page))
            .collect();
        pages.sort_unstable();
        let page = pages[page.index(pages.len())];
        harm_page(&mut image, page, how);
        let report = streamed(&image.sealed(), &sizes).expect("its metas are good");
        let damaged: Vec<_> = report
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Damaged)
            .collect();
        prop_assert_eq!(damaged.len(), 1, "{:?}", damaged);
        prop_assert_eq!(damaged[0].page.map(|page| page.get()), Some(page));
        let offset = damaged[0].offset.expect("a byte") as usize;
        prop_assert_eq!(offset / image.page_size(), page as usize, "{}", damaged[0]);
    }

    /// Whatever somebody does: an end, the digest's verdict as of the file, and nothing said of what no file has.
    #[test]
    fn harm_is_survived(
        builder in database(),
        harms in proptest::collection::vec(harm(), 1..6),
        sizes in pieces(),
    ) {
        let mut image = builder.image();
        harms.iter().for_each(|harm| apply(&mut image, harm));
        for file in [image.sealed_as(&builder.image()), image.sealed(), image.unsealed()] {
            let snapshot = Snapshot::from_source("it", Arc::new(file.clone()));
            let report = streamed(&file, &sizes);
            let (snapshot, report) = match (snapshot, report) {
                (Ok(snapshot), Ok(report)) => (snapshot, report),
                (Err(one), Err(other)) => {
                    prop_assert_eq!(one.kind(), other.kind());
                    continue;
                }
                (one, other) => return Err(TestCaseError::fail(format!("{one:?} {other:?}"))),
            };
            let whole = verify(&snapshot, &VerifyOptions::default()).expect("can be looked at");
            prop_assert_eq!(report.digest, whole.digest);
            prop_assert!(report.problems.len() <= 100);
            let of_the_file = |code: ProblemCode| matches!(
                code,
                ProblemCode::DigestMismatch
                    | ProblemCode::Meta
                    | ProblemCode::MetaDisagreement
                    | ProblemCode::FileTooShort
                    | ProblemCode::FileTooLong
            );
            for problem in report.problems.iter().filter(|problem| of_the_file(problem.code)) {
                prop_assert!(whole.problems.contains(problem) || whole.more_problems > 0, "{}", problem);
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..3000), sizes in pieces()) {
        let error = streamed(&bytes, &sizes).expect_err("no database");
        prop_assert_eq!(error.kind(), etcd_snap::ErrorKind::NotASnapshot);
    }
}

/// Large values come, go, and leave first pages behind whose overflow others have.
#[test]
fn what_is_left_of_a_large_page_is_no_damage() {
    let builder = DatabaseBuilder::new(4096).put("large", vec![7; 50_000]);
    let mut image = builder.free_pages(1, FreeContent::Zero).image();
    let leaf = image.leaves("key")[0];
    let leaf_id = image.id_of(leaf);
    let size = image.page_size();
    // The same page once more behind all others, but only its beginning: then a page of its own, and one of nobody's.
    let head = image.bytes()[leaf.offset..][..size].to_vec();
    for n in 0..14 {
        let page = image.append_page();
        let id = image.id_of(page);
        if n == 0 {
            image.write(page.offset, &head);
            image.set_page_id(page, id);
        } else if n % 3 == 0 {
            image.write(page.offset, &[0xEE; 64]);
        } else {
            image.set_flags(page, 2);
        }
    }
    let report = streamed(&image.sealed(), &[4096]).expect("it is a database");
    assert_eq!(report.problems, []);
    assert!(matches!(report.digest, DigestCheck::Matches { .. }));

    // What begins a page there ends the large one, so that damage behind it is found.
    let last = image.page(image.current().high_water_mark - 1);
    assert_ne!(image.id_of(last), leaf_id);
    image.set_flags(last, 0x40);
    let report = streamed(&image.sealed(), &[4096]).expect("it is a database");
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.problems[0].code, ProblemCode::PageKind);
}

/// Files that were damaged on purpose, and sound ones that look odd: what a stream calls damaged, the walk does too.
#[test]
fn nothing_is_damaged_in_a_stream_that_is_sound_in_a_file() {
    let mut found = 0;
    for folder in ["damaged", "sound"] {
        let folder = etcd_snap_testdata::folder().join(folder);
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "db") {
                continue;
            }
            let file = std::fs::read(&path).expect("a committed file");
            let name = path.display();
            let snapshot = Snapshot::from_source("it", Arc::new(file.clone()));
            let (snapshot, report) = match (snapshot, streamed(&file, &[4096])) {
                (Ok(snapshot), Ok(report)) => (snapshot, report),
                (Err(one), Err(other)) => {
                    assert_eq!(one.kind(), other.kind(), "{name}");
                    continue;
                }
                (one, other) => panic!("{name}: {one:?} {other:?}"),
            };
            let whole = verify(&snapshot, &VerifyOptions::default()).expect("can be looked at");
            assert!(
                report.is_sound() || !whole.is_sound(),
                "{name}: {:?}",
                report.problems
            );
            assert_eq!(report.digest, whole.digest, "{name}");
            found += usize::from(!report.is_sound());
        }
    }
    println!("{found} files are found damaged as they pass");
    assert!(found > 40, "{found}");
}
