//! Whatever somebody does to a file: no panic, an end, and with a digest always a word about it.

use std::sync::Arc;

use etcd_snap::{ErrorKind, Snapshot, VerifyOptions, status, verify};
use etcd_snap_testdata::database::Image;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::databases::database;

/// What is done to the bytes.
#[derive(Debug, Clone)]
enum Harm {
    Flip {
        at: Index,
        bit: u8,
    },
    /// A number that has a meaning somewhere, in one of the places where numbers are.
    Number {
        at: Index,
        number: u64,
        bytes: usize,
    },
    /// A field of a page's header, or of one of its first elements.
    Field {
        page: Index,
        field: usize,
        number: u64,
    },
    SwapPages {
        one: Index,
        other: Index,
    },
    CopyPage {
        from: Index,
        to: Index,
    },
    Zero {
        at: Index,
        length: usize,
    },
    Truncate {
        to: Index,
    },
    Append {
        length: usize,
    },
    /// The metas lie, with the right checksum.
    Meta {
        which: usize,
        field: usize,
        number: u64,
    },
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        select(vec![
            0,
            1,
            2,
            3,
            15,
            16,
            17,
            0x10,
            0xFFFE,
            0xFFFF,
            0x1_0000,
            0x7FFF_FFFF,
            0x8000_0000,
            0xFFFF_FFF0,
            0xFFFF_FFFF,
            0x1_0000_0000,
            i64::MAX as u64,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ]),
        0_u64..300,
        any::<u64>(),
    ]
}

fn harm() -> impl Strategy<Value = Harm> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), 0_u8..8).prop_map(|(at, bit)| Harm::Flip { at, bit }),
        2 => (index(), number(), select(vec![1_usize, 2, 4, 8]))
            .prop_map(|(at, number, bytes)| Harm::Number { at, number, bytes }),
        6 => (index(), 0_usize..24, number())
            .prop_map(|(page, field, number)| Harm::Field { page, field, number }),
        2 => (index(), index()).prop_map(|(one, other)| Harm::SwapPages { one, other }),
        2 => (index(), index()).prop_map(|(from, to)| Harm::CopyPage { from, to }),
        1 => (index(), 1_usize..5000).prop_map(|(at, length)| Harm::Zero { at, length }),
        1 => index().prop_map(|to| Harm::Truncate { to }),
        1 => (1_usize..5000).prop_map(|length| Harm::Append { length }),
        1 => (0_usize..2, 0_usize..6, number())
            .prop_map(|(which, field, number)| Harm::Meta { which, field, number }),
    ]
}

fn apply(image: &mut Image, harm: &Harm) {
    let size = image.page_size();
    let length = image.bytes().len();
    let pages = length / size;
    if pages < 2 {
        return;
    }
    match harm {
        Harm::Flip { at, bit } => {
            let at = at.index(length);
            image.bytes_mut()[at] ^= 1 << bit;
        }
        Harm::Number { at, number, bytes } => {
            let at = at.index(length - bytes) / bytes * bytes;
            image.write(at, &number.to_le_bytes()[..*bytes]);
        }
        Harm::Field {
            page,
            field,
            number,
        } => {
            // Id, flags, count and overflow, then five elements of four fields.
            const HEADER: [(usize, usize); 4] = [(0, 8), (8, 2), (10, 2), (12, 4)];
            let (at, bytes) = match HEADER.get(*field) {
                Some(field) => *field,
                None => (16 + 4 * (field - HEADER.len()), 4),
            };
            image.write(
                page.index(pages) * size + at,
                &number.to_le_bytes()[..bytes],
            );
        }
        Harm::SwapPages { one, other } => {
            let [one, other] = [one, other].map(|page| page.index(pages) * size);
            for byte in 0..size {
                image.bytes_mut().swap(one + byte, other + byte);
            }
        }
        Harm::CopyPage { from, to } => {
            let [from, to] = [from, to].map(|page| page.index(pages) * size);
            image.bytes_mut().copy_within(from..from + size, to);
        }
        Harm::Zero { at, length: zeroes } => {
            let at = at.index(length);
            let end = length.min(at + zeroes);
            image.bytes_mut()[at..end].fill(0);
        }
        Harm::Truncate { to } => image.bytes_mut().truncate(to.index(length)),
        Harm::Append { length: more } => image.bytes_mut().resize(length + more, 0x5A),
        Harm::Meta {
            which,
            field,
            number,
        } => image.set_meta(*which, |meta| match field {
            0 => meta.root = *number,
            1 => meta.high_water_mark = *number,
            2 => meta.freelist = *number,
            3 => meta.transaction_id = *number,
            4 => meta.page_size = *number as u32,
            _ => meta.sequence = *number,
        }),
    }
}

/// Looks at a file in every way there is.
fn look(file: Vec<u8>) -> Result<Option<ErrorKind>, TestCaseError> {
    let snapshot = match Snapshot::from_source("the file", Arc::new(file)) {
        Ok(snapshot) => snapshot,
        Err(e) => {
            prop_assert!(
                matches!(e.kind(), ErrorKind::Damaged | ErrorKind::NotASnapshot),
                "{}",
                e
            );
            return Ok(Some(e.kind()));
        }
    };
    let report = verify(&snapshot, &VerifyOptions::default()).expect("can be looked at");
    // What refuses to count and what finds damage are of one mind, but for the digest, which etcd's status does not read.
    let structure_is_sound = report.problems.iter().all(|problem| {
        problem.severity < etcd_snap::Severity::Damaged
            || problem.code == etcd_snap::ProblemCode::DigestMismatch
    });
    prop_assert_eq!(structure_is_sound, status(&snapshot).is_ok());
    prop_assert!(report.problems.len() <= 100);
    for problem in &report.problems {
        prop_assert!(!problem.to_string().is_empty());
        prop_assert!(problem.message.len() < 1000, "{}", problem);
    }
    Ok(report.into_proven().err().map(|e| e.kind()))
}

proptest! {
    #![proptest_config(crate::sample(192))]

    #[test]
    fn harm_is_always_told_where_there_is_a_digest(
        builder in database(),
        harms in proptest::collection::vec(harm(), 1..4),
    ) {
        let sound = builder.tail([]).image();
        let mut harmed = sound.clone();
        harms.iter().for_each(|harm| apply(&mut harmed, harm));
        let told = look(harmed.sealed_as(&sound))?;
        prop_assert_eq!(told.is_some(), harmed.bytes() != sound.bytes());
    }

    /// With a digest over the harm, and without any: nothing panics, everything ends.
    #[test]
    fn harm_is_survived_where_nothing_tells_of_it(
        builder in database(),
        harms in proptest::collection::vec(harm(), 1..12),
    ) {
        let mut harmed = builder.image();
        harms.iter().for_each(|harm| apply(&mut harmed, harm));
        look(harmed.sealed())?;
        look(harmed.unsealed())?;
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        look(bytes)?;
    }

    /// Good metas, and anything behind them.
    #[test]
    fn any_pages_are_survived(seed: u64, pages in 1_usize..20, root in 2_u64..20, flags in proptest::collection::vec(select(vec![1_u16, 2, 2, 0x10]), 20)) {
        use etcd_snap_testdata::database::{DatabaseBuilder, Random};
        let mut image = DatabaseBuilder::bare(512).image();
        let mut random = Random::new(seed);
        for id in 2..2 + pages as u64 {
            if id > 2 {
                image.append_page();
            }
            let page = image.page(id);
            let mut junk = vec![0; 496];
            random.fill(&mut junk);
            // Small numbers where positions, sizes and children stand, so that some of it hangs together.
            for (n, byte) in junk.iter_mut().enumerate() {
                if n < 128 && n % 4 != 0 { *byte = 0; }
            }
            image.write(page.offset + 16, &junk);
            image.set_page_id(page, id);
            image.set_flags(page, flags[(id % 20) as usize]);
            image.set_count(page, (id % 7) as u16);
            image.set_overflow(page, u32::from(id % 5 == 0));
        }
        image.set_metas(|meta| {
            meta.root = root;
            if seed % 3 == 0 { meta.freelist = root + 1; }
        });
        look(image.sealed())?;
    }
}
