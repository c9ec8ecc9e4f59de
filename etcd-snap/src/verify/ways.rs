//! There are three ways through a database; they must not differ in what they say of a sound one.

use std::path::Path;

use super::at::Asked;
use super::fast::{self, Fast};
use super::findings::Findings;
use super::look::{Looked, Wants, walk};
use super::{Contents, large};
use crate::observe::Silent;
use crate::{Problem, Revision, Snapshot};

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
