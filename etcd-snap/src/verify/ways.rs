//! There are three ways through a database; they must not differ in what they say of a sound one.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed};

use super::at::Asked;
use super::fast::{self, Fast};
use super::findings::Findings;
use super::look::{Looked, Wants, walk};
use super::{Contents, large};
use crate::observe::Silent;
use crate::{Problem, Revision, Severity, Snapshot};

const PAGE: usize = 4096;

fn snapshots() -> Vec<Snapshot> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots");
    let files = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
        .map(|path| Snapshot::open(path).unwrap())
        .collect()
}

fn problems(look: impl FnOnce(&mut Findings) -> Looked) -> (Contents, Vec<Problem>) {
    let mut findings = Findings::new(100);
    let looked = look(&mut findings);
    (looked.contents, findings.into_parts().0)
}

#[test]
fn the_ways_through_real_snapshots_agree_at_every_revision() {
    let snapshots = snapshots();
    assert!(snapshots.len() >= 5);
    for snapshot in snapshots {
        let last = problems(|findings| {
            walk(&snapshot, Asked::default(), findings, &|_, _| Ok(())).unwrap()
        });
        let own = last.0.hash_kv.clone().unwrap();
        let first = own.compact_revision.unwrap_or(Revision::new(1)).get();
        let revisions = (first..=own.revision.get()).map(|at| Some(Revision::new(at)));
        for revision in revisions.chain([None]) {
            for compact_revision in [None, own.compact_revision, revision] {
                let asked = Asked {
                    revision,
                    compact_revision,
                };
                let (closer, found) =
                    problems(|findings| walk(&snapshot, asked, findings, &|_, _| Ok(())).unwrap());
                let (in_file_order, found_fast) = problems(|findings| {
                    let wants = Wants {
                        hash_kv: asked,
                        ..Wants::default()
                    };
                    match fast::look(&snapshot, wants, findings, &Silent).unwrap() {
                        Fast::Sound(looked) => *looked,
                        // Where no key lives at the revision, and where compaction was put off.
                        Fast::LookCloser { .. } if revision.is_some() => Looked {
                            contents: closer.clone(),
                            digest: None,
                        },
                        _ => panic!("{} is sound", snapshot.name()),
                    }
                });
                let (in_tree_order, found_large) = problems(|findings| {
                    let wants = Wants {
                        hash_kv: asked,
                        ..Wants::default()
                    };
                    let looked = large::look(&snapshot, wants, findings, &|_, _| Ok(())).unwrap();
                    looked.expect("is sound")
                });
                assert_eq!(closer, in_tree_order, "{asked:?}");
                assert_eq!(closer, in_file_order, "{asked:?}");
                assert_eq!((&found, &found), (&found_fast, &found_large));
            }
        }
    }
}

/// What is done to the bytes of a page.
#[derive(Debug, Clone)]
enum Edit {
    Flip {
        page: Index,
        at: Index,
        bit: u8,
    },
    /// A field of the header or of an element, or what may look like one.
    Number {
        page: Index,
        at: Index,
        bytes: usize,
        number: u32,
    },
    /// A field of one element gets the value that it has in another.
    Field {
        page: Index,
        from: Index,
        to: Index,
        field: usize,
    },
    Copy {
        from: (Index, Index),
        to: (Index, Index),
        length: usize,
    },
    SwapPages(Index, Index),
    /// The revision that a branch says a child begins with moves a little.
    Bound {
        page: Index,
        element: Index,
        by: u8,
    },
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    let place = || (index(), index());
    let number = prop_oneof![select(vec![0_u32, 1, 0x10, 17, 18, u32::MAX]), 0..5000_u32];
    prop_oneof![
        4 => (index(), index(), 0..8_u8).prop_map(|(page, at, bit)| Edit::Flip { page, at, bit }),
        2 => (index(), index(), select(vec![1_usize, 2, 4]), number)
            .prop_map(|(page, at, bytes, number)| Edit::Number { page, at, bytes, number }),
        2 => (index(), index(), index(), 0..4_usize)
            .prop_map(|(page, from, to, field)| Edit::Field { page, from, to, field }),
        2 => (place(), place(), 1..80_usize)
            .prop_map(|(from, to, length)| Edit::Copy { from, to, length }),
        1 => (index(), index()).prop_map(|(one, other)| Edit::SwapPages(one, other)),
        2 => (index(), index(), select(vec![1_u8, 2, 9, 247, 254, 255]))
            .prop_map(|(page, element, by)| Edit::Bound { page, element, by }),
    ]
}

/// Offsets of branches and leaves, or of what is left of some.
fn pages(file: &[u8]) -> Vec<usize> {
    let pages = 2..file.len() / PAGE;
    let offsets = pages.map(|page| page * PAGE);
    let used = offsets.filter(|offset| matches!(file[offset + 8], 1 | 2));
    used.collect()
}

/// Where the key of an element stands, if it is in the file.
fn key_of(file: &[u8], page: usize, element: usize) -> Option<usize> {
    let at = page + 16 + 16 * element;
    let position = u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?);
    let key = at.checked_add(position as usize)?;
    (key + 17 <= file.len()).then_some(key)
}

fn apply(file: &mut [u8], edit: &Edit) {
    let pages = pages(file);
    let place = |(page, at): &(Index, Index)| pages[page.index(pages.len())] + at.index(PAGE);
    match edit {
        Edit::Flip { page, at, bit } => file[place(&(*page, *at))] ^= 1 << bit,
        Edit::Number {
            page,
            at,
            bytes,
            number,
        } => {
            let at = place(&(*page, *at)) / bytes * bytes;
            file[at..at + bytes].copy_from_slice(&number.to_le_bytes()[..*bytes]);
        }
        Edit::Field {
            page,
            from,
            to,
            field,
        } => {
            let page = pages[page.index(pages.len())];
            let count = usize::from(file[page + 10]).max(1);
            let [from, to] = [from, to].map(|n| page + 16 + 16 * n.index(count) + 4 * field);
            file.copy_within(from..from + 4, to);
        }
        Edit::Copy { from, to, length } => {
            let [from, to] = [from, to].map(place);
            let length = (*length).min(file.len() - from).min(file.len() - to);
            file.copy_within(from..from + length, to);
        }
        Edit::Bound { page, element, by } => {
            let branches: Vec<_> = pages
                .into_iter()
                .filter(|page| file[page + 8] == 1)
                .collect();
            if branches.is_empty() {
                return;
            }
            let branch = branches[page.index(branches.len())];
            let count = usize::from(file[branch + 10]).max(1);
            if let Some(key) = key_of(file, branch, element.index(count)) {
                file[key + 7] = file[key + 7].wrapping_add(*by);
            }
        }
        Edit::SwapPages(one, other) => {
            let [one, other] = [one, other].map(|page| pages[page.index(pages.len())]);
            for byte in 0..PAGE {
                file.swap(one + byte, other + byte);
            }
        }
    }
}

fn config() -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1500;
        config.rng_seed = RngSeed::Fixed(20_260_801);
    }
    config
}

proptest! {
    #![proptest_config(config())]

    /// Whatever is done to a file: what the hopeful ways call sound, the other one does, with the same numbers.
    #[test]
    fn what_is_called_sound_in_one_pass_is_sound(
        name in select(vec!["3.4", "3.5", "3.6", "3.6-alarm", "3.7"]),
        edits in proptest::collection::vec(edit(), 1..4),
    ) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut file = std::fs::read(folder.join(format!("../testdata/snapshots/{name}.db"))).unwrap();
        edits.iter().for_each(|edit| apply(&mut file, edit));
        let snapshot = Snapshot::from_source("the file", Arc::new(file)).unwrap();
        let asked = Asked::default();
        let quiet = &|_, _| Ok(());

        let mut findings = Findings::new(100);
        let fast = fast::look(&snapshot, Wants::default(), &mut findings, &Silent).unwrap();
        let fast = match fast {
            Fast::Sound(looked) => Some((looked.contents, findings.into_parts().0)),
            _ => None,
        };
        let mut findings = Findings::new(100);
        let large = large::look(&snapshot, Wants::default(), &mut findings, quiet).unwrap();
        let large = large.map(|looked| (looked.contents, findings.into_parts().0));
        if fast.is_none() && large.is_none() {
            return Ok(());
        }
        let closer = problems(|findings| walk(&snapshot, asked, findings, quiet).unwrap());
        let worst = closer.1.iter().map(|problem| problem.severity).max();
        prop_assert!(worst < Some(Severity::Damaged), "{:?}", closer.1);
        for hopeful in [fast, large].into_iter().flatten() {
            prop_assert_eq!(&hopeful, &closer);
        }
    }
}
