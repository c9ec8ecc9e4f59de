//! Whatever somebody does to a file: no panic, an end, and with a digest always a word about it.

use std::sync::Arc;

use etcd_snap::{ErrorKind, Snapshot, VerifyOptions, status, verify};
use proptest::prelude::*;
use proptest::sample::select;

use crate::databases::database;
use crate::harm::{apply, harm};

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
    #![proptest_config(crate::sample(256))]

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
