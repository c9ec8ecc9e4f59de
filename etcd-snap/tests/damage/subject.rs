//! A sound file, the same file to be damaged, and what has to be said of it then.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use etcd_snap::{
    DigestCheck, ErrorKind, Problem, ProblemCode, Result, Severity, Snapshot, Status,
    VerifyOptions, VerifyReport, status, verify,
};
use etcd_snap_testdata::database::{DatabaseBuilder, Image, Page};

pub(crate) fn open(file: Vec<u8>) -> Result<Snapshot> {
    Snapshot::from_source("the file", Arc::new(file))
}

pub(crate) fn report(file: Vec<u8>) -> VerifyReport {
    let snapshot = open(file).expect("opens");
    verify(
        &snapshot,
        &VerifyOptions::default().with_max_problems(10_000),
    )
    .expect("can be looked at")
}

pub(crate) fn status_of(file: Vec<u8>) -> Result<Status> {
    status(&open(file)?)
}

/// Fails unless the library finds nothing at all, and counts what the model counts.
pub(crate) fn assert_sound(builder: &DatabaseBuilder) {
    let file = builder.build();
    let model = builder.model();
    let report = report(file.clone());
    assert_eq!(report.problems, [], "sound before the damage");
    let status = status_of(file).expect("sound before the damage");
    assert_eq!(status.hash, model.status_hash());
    assert_eq!(status.revision.get(), model.revision());
    assert_eq!(status.total_records, model.total_records());
    assert_eq!(status.live_keys, model.live_keys());
    assert_eq!(report.contents.hash, status.hash);
    assert_eq!(report.contents.revision, status.revision);
    assert_eq!(report.contents.total_records, status.total_records);
    assert_eq!(report.contents.live_keys, status.live_keys);
}

/// Small pages, a `key` tree of five levels with values of several pages, a `lease` tree, pages in any order, no freelist, junk
/// wherever it may be.
pub(crate) fn tall_builder() -> DatabaseBuilder {
    let builder = (1..=24).fold(DatabaseBuilder::new(512), |builder, lease| {
        builder.lease(lease, 60)
    });
    (0..120)
        .fold(builder, |builder, n| match n {
            17 | 55 => builder.put("long", vec![b'x'; 1700]),
            n if n % 11 == 10 => builder.delete(format!("key-{:02}", n % 40)),
            n if n % 7 == 6 => builder.put_with_lease(format!("leased-{n}"), "v", n % 24 + 1),
            n => builder.put(format!("key-{:02}", n % 40), format!("value {n}")),
        })
        .elements_per_page(3)
        .scattered(3)
        .slack(4)
}

/// The usual page size: most buckets are inline, `key` has two levels.
pub(crate) fn wide_builder() -> DatabaseBuilder {
    let builder = (1..=3).fold(DatabaseBuilder::new(4096), |builder, lease| {
        builder.lease(lease, 60)
    });
    (0..300)
        .fold(builder, |builder, n| {
            builder.put(format!("key-{:02}", n % 90), format!("value {n}"))
        })
        .slack(9)
}

pub(crate) fn tall() -> Subject {
    Subject::new(&tall_builder())
}

pub(crate) fn wide() -> Subject {
    Subject::new(&wide_builder())
}

/// A place with a problem of its own, and where that is.
#[derive(Debug, Clone)]
struct Elsewhere {
    offset: usize,
    page: u64,
    code: ProblemCode,
}

/// An image that was sound, to be damaged.
#[derive(Clone)]
pub(crate) struct Subject {
    sound: Image,
    image: Image,
    elsewhere: Vec<Elsewhere>,
}

impl Deref for Subject {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

impl DerefMut for Subject {
    fn deref_mut(&mut self) -> &mut Image {
        &mut self.image
    }
}

impl Subject {
    pub(crate) fn new(builder: &DatabaseBuilder) -> Self {
        Self::with(builder, builder)
    }

    /// A database whose contents are wrong already as they were built, and what it was before.
    pub(crate) fn with(sound: &DatabaseBuilder, damaged: &DatabaseBuilder) -> Self {
        assert_sound(sound);
        let image = damaged.image();
        let model = sound.model();
        let mut elsewhere = Vec::new();
        for (bucket, code) in [("key", ProblemCode::Value), ("lease", ProblemCode::Lease)] {
            let places = image
                .leaves(bucket)
                .into_iter()
                .flat_map(|leaf| image.places(leaf));
            let untouched: Vec<_> = places
                .filter(|place| model.value(bucket, image.key(*place)) == Some(image.value(*place)))
                .collect();
            for place in [untouched.first(), untouched.last()].into_iter().flatten() {
                elsewhere.push(Elsewhere {
                    offset: image.value_range(*place).start,
                    page: image.id_of(place.page),
                    code,
                });
            }
        }
        Self {
            sound: sound.image(),
            image,
            elsewhere,
        }
    }

    /// Takes the other places that are on these pages, or in this bucket, out of the game: the damage hides them.
    pub(crate) fn hiding(mut self, hidden: impl Fn(&Image, u64) -> bool) -> Self {
        let sound = &self.sound;
        self.elsewhere.retain(|other| !hidden(sound, other.page));
        self
    }

    /// None of the other places can be found.
    pub(crate) fn hiding_all(self) -> Self {
        self.hiding(|_, _| true)
    }

    /// Those in a bucket cannot be found.
    pub(crate) fn hiding_bucket(self, name: &str) -> Self {
        self.hiding(|image, page| {
            let pages = image.pages_of(name);
            pages.iter().any(|of| image.id_of(*of) == page)
        })
    }

    /// Verifies the damaged file.
    pub(crate) fn found(&self) -> Found {
        let file = self.image.sealed();
        let found = Found(report(file.clone()));
        assert!(
            matches!(found.0.digest, DigestCheck::Matches { .. }),
            "the damage is to be found without the digest"
        );
        assert!(!found.0.is_sound(), "{:#?}", found.0.problems);
        let bounded = VerifyOptions::default().with_max_problems(1);
        let bounded = verify(&open(file.clone()).unwrap(), &bounded).unwrap();
        assert!(!bounded.is_sound(), "the verdict follows the bound");
        assert_eq!(bounded.problems.len(), 1);
        assert_eq!(
            bounded.more_problems + 1,
            found.0.problems.len() as u64,
            "every problem is counted"
        );

        let refused = status_of(file.clone()).expect_err("no numbers of a damaged file");
        assert_eq!(refused.kind(), ErrorKind::Damaged);
        let refused = report(file).into_proven().expect_err("is no backup");
        assert_eq!(refused.kind(), ErrorKind::Damaged);

        self.assert_a_stale_digest_is_told_beside(&found);
        self.assert_other_damage_is_found_too();
        found
    }

    fn assert_a_stale_digest_is_told_beside(&self, found: &Found) {
        let stale = report(self.image.sealed_as(&self.sound));
        assert!(matches!(stale.digest, DigestCheck::Mismatch { .. }));
        let (mismatch, rest): (Vec<_>, Vec<_>) = stale
            .problems
            .into_iter()
            .partition(|problem| problem.code == ProblemCode::DigestMismatch);
        assert_eq!(mismatch.len(), 1);
        assert_eq!(rest, found.0.problems, "the rest is found all the same");
    }

    fn assert_other_damage_is_found_too(&self) {
        let mut twice = self.image.clone();
        for other in &self.elsewhere {
            twice.write(other.offset, &[0xFF, 0xFF]);
        }
        let found = report(twice.sealed());
        for other in &self.elsewhere {
            let told = found.problems.iter().any(|problem| {
                problem.code == other.code
                    && problem.page.is_some_and(|page| page.get() == other.page)
            });
            assert!(told, "{other:?} is not among {:#?}", found.problems);
        }
    }
}

/// What was found in a damaged file.
pub(crate) struct Found(pub(crate) VerifyReport);

impl Found {
    /// Some problem is damage of this sort.
    #[track_caller]
    pub(crate) fn has(&self, code: ProblemCode) -> &Self {
        self.some(code, |_| true);
        self
    }

    /// Damage of this sort on this page.
    #[track_caller]
    pub(crate) fn on(&self, code: ProblemCode, page: u64) -> &Self {
        self.some(code, |problem| {
            problem.page.is_some_and(|on| on.get() == page)
        });
        self
    }

    /// Damage of this sort on a page, at a byte of it.
    #[track_caller]
    pub(crate) fn within(&self, code: ProblemCode, image: &Image, page: Page) -> &Self {
        let id = image.id_of(page);
        let extent = image.page(id).offset..image.page(id + 1).offset;
        let problem = self.some(code, |problem| {
            problem.page.is_some_and(|on| on.get() == id)
        });
        let offset = problem.offset.expect("a byte of the file") as usize;
        assert!(
            offset >= extent.start && offset < image.bytes().len(),
            "byte {offset} is not on page {id}"
        );
        self
    }

    /// Damage of this sort in this bucket.
    #[track_caller]
    pub(crate) fn in_bucket(&self, code: ProblemCode, bucket: &str) -> &Self {
        self.some(code, |problem| problem.bucket.as_deref() == Some(bucket));
        self
    }

    /// Nothing but damage of this sort.
    #[track_caller]
    pub(crate) fn only(&self, code: ProblemCode) -> &Self {
        assert!(
            self.0.problems.iter().all(|problem| problem.code == code),
            "{:#?}",
            self.0.problems
        );
        self.has(code)
    }

    #[track_caller]
    pub(crate) fn some(&self, code: ProblemCode, matches: impl Fn(&Problem) -> bool) -> &Problem {
        self.0
            .problems
            .iter()
            .find(|problem| {
                problem.code == code && problem.severity == Severity::Damaged && matches(problem)
            })
            .unwrap_or_else(|| panic!("no {code} there: {:#?}", self.0.problems))
    }
}
