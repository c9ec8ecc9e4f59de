//! Random databases, as etcd could have made them.

use etcd_snap_testdata::database::{
    AlarmKind, Change, DatabaseBuilder, FreeContent, Freelist, Inline, Member, Permission, Shape,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What somebody does to the cluster.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Put {
        key: u8,
        value: usize,
        lease: bool,
    },
    Delete {
        key: u8,
    },
    Transaction(Vec<(u8, bool)>),
    Lease {
        id: i64,
    },
    DeleteAll,
    /// So many hundredths of the way from the last compaction to now, or up to the last delete.
    Compact {
        percent: i64,
        at_delete: bool,
        outcome: Outcome,
    },
    Bump {
        by: i64,
    },
    Member {
        id: u64,
        learner: bool,
    },
    RemovedMember {
        id: u64,
    },
    Alarm {
        corrupt: bool,
    },
    User {
        name: u8,
    },
    Role {
        name: u8,
        permissions: usize,
    },
}

/// What a compaction leaves behind.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Finished,
    FinishedBefore3_5_16,
    /// Its server was killed when so many records were gone.
    Killed(usize),
}

/// How the pages lie.
#[derive(Debug, Clone)]
struct Pages {
    page_size: usize,
    shape: Shape,
    transaction_id: u64,
    freelist: Freelist,
    free_pages: usize,
    free_content: FreeContent,
    scatter: Option<u64>,
    slack: Option<u64>,
    elements_per_page: usize,
    taller: usize,
    inline: Inline,
    tail: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let put = (any::<u8>(), value_size(), any::<bool>())
        .prop_map(|(key, value, lease)| Step::Put { key, value, lease });
    let transaction = proptest::collection::vec((any::<u8>(), any::<bool>()), 0..6);
    let outcome = prop_oneof![
        2 => Just(Outcome::Finished),
        1 => Just(Outcome::FinishedBefore3_5_16),
        1 => Just(Outcome::Killed(0)),
        2 => (1_usize..30).prop_map(Outcome::Killed),
    ];
    let compact =
        (0_i64..=100, any::<bool>(), outcome).prop_map(|(percent, at_delete, outcome)| {
            Step::Compact {
                percent,
                at_delete,
                outcome,
            }
        });
    // Not always in the short form of a revision, which has 43 bits.
    let bump = prop_oneof![10 => 1_i64..1000, 10 => 1_i64..1 << 40, 1 => 1_i64 << 43..1 << 50];
    let member = (1_u64.., any::<bool>()).prop_map(|(id, learner)| Step::Member { id, learner });
    let role =
        (0_u8..4, 0_usize..5).prop_map(|(name, permissions)| Step::Role { name, permissions });
    prop_oneof![
        40 => put,
        15 => any::<u8>().prop_map(|key| Step::Delete { key }),
        10 => transaction.prop_map(Step::Transaction),
        5 => (1_i64..).prop_map(|id| Step::Lease { id }),
        1 => Just(Step::DeleteAll),
        2 => compact,
        1 => bump.prop_map(|by| Step::Bump { by }),
        2 => member,
        1 => (1_u64..).prop_map(|id| Step::RemovedMember { id }),
        1 => any::<bool>().prop_map(|corrupt| Step::Alarm { corrupt }),
        1 => (0_u8..4).prop_map(|name| Step::User { name }),
        1 => role,
    ]
}

/// Mostly small; now and then more than any page.
fn value_size() -> impl Strategy<Value = usize> {
    prop_oneof![30 => 0_usize..200, 3 => 200_usize..5000, 1 => 5000_usize..150_000]
}

fn pages() -> impl Strategy<Value = Pages> {
    let place = (
        select(vec![
            512_usize, 1024, 2048, 4096, 4096, 8192, 16_384, 32_768, 65_536,
        ]),
        select(vec![Shape::Stream, Shape::Member]),
        1_u64..1 << 50,
        select(vec![2_usize, 3, 7, 30, usize::MAX]),
        0_usize..3,
        select(vec![
            Inline::AsBbolt,
            Inline::AsBbolt,
            Inline::Never,
            Inline::Always,
        ]),
    );
    let free = (
        select(vec![Freelist::Absent, Freelist::Persisted]),
        0_usize..90,
        select(vec![
            FreeContent::Zero,
            FreeContent::Junk,
            FreeContent::Stale,
        ]),
        proptest::option::of(any::<u64>()),
        proptest::option::of(any::<u64>()),
        0_usize..3000,
    );
    (place, free).prop_map(|(place, free)| {
        let (page_size, shape, transaction_id, elements_per_page, taller, inline) = place;
        let (freelist, free_pages, free_content, scatter, slack, tail) = free;
        Pages {
            page_size,
            shape,
            transaction_id,
            freelist,
            free_pages,
            free_content,
            scatter,
            slack,
            elements_per_page,
            taller,
            inline,
            tail: if shape == Shape::Member { tail } else { 0 },
        }
    })
}

/// What somebody does to a cluster, and how many keys there are besides some long ones.
pub(crate) fn history() -> impl Strategy<Value = (Vec<Step>, u8)> {
    let steps = proptest::collection::vec(step(), 0..150);
    let huge = (any::<Index>(), any::<u8>(), 1_usize << 20..1_300_000);
    let huge = proptest::option::weighted(0.05, huge);
    // Many keys that change seldom, or few that change often.
    let keys = select(vec![60_u8, 60, 10, 2]);
    (steps, huge, keys).prop_map(|(mut steps, huge, keys)| {
        if let Some((at, key, value)) = huge {
            let lease = false;
            steps.insert(at.index(steps.len() + 1), Step::Put { key, value, lease });
        }
        (steps, keys)
    })
}

/// The database after it.
pub(crate) fn replay(page_size: usize, (steps, keys): &(Vec<Step>, u8)) -> DatabaseBuilder {
    let begin = History::new(page_size, *keys);
    steps
        .iter()
        .fold(begin, |history, step| history.take(step))
        .builder
}

pub(crate) fn database() -> impl Strategy<Value = DatabaseBuilder> {
    (history(), pages()).prop_map(|(history, pages)| {
        let builder = replay(pages.page_size, &history)
            .shape(pages.shape)
            .transaction_id(pages.transaction_id)
            .freelist(pages.freelist)
            .free_pages(pages.free_pages, pages.free_content)
            .elements_per_page(pages.elements_per_page)
            .taller(pages.taller)
            .inline(pages.inline)
            .tail(tail(pages.tail));
        let builder = match pages.scatter {
            Some(seed) => builder.scattered(seed),
            None => builder,
        };
        match pages.slack {
            Some(seed) => builder.slack(seed),
            None => builder,
        }
    })
}

/// The end of a member's file: never 32 bytes over a sector, which would be taken for a digest.
fn tail(length: usize) -> Vec<u8> {
    vec![
        0xA5;
        if length % 512 == 32 {
            length + 1
        } else {
            length
        }
    ]
}

/// What has happened so far.
struct History {
    builder: DatabaseBuilder,
    /// How many keys there are besides some long ones.
    keys: u8,
    compacted: i64,
    last_delete: i64,
}

impl History {
    fn new(page_size: usize, keys: u8) -> Self {
        Self {
            builder: DatabaseBuilder::new(page_size),
            keys,
            compacted: 1,
            last_delete: 1,
        }
    }

    fn key(&self, key: u8) -> Vec<u8> {
        match key % self.keys {
            // Some are long, and many of them share a beginning.
            _ if (200..250).contains(&key) => {
                format!("{}/{key}", "long/".repeat(usize::from(key - 190))).into_bytes()
            }
            // Greater than every text, and longer than most pages.
            n if key >= 250 => vec![0xFF; 1 + 9_000 * usize::from(n % 3)],
            n => format!("key-{n}").into_bytes(),
        }
    }

    fn take(mut self, step: &Step) -> Self {
        let before = self.builder.revision();
        self.builder = self.taken(step);
        let after = self.builder.revision();
        match step {
            Step::Delete { .. } | Step::DeleteAll if after > before => self.last_delete = after,
            Step::Compact {
                percent, at_delete, ..
            } => self.compacted = self.compaction(*percent, *at_delete),
            Step::Bump { .. } => self.compacted = after,
            _ => {}
        }
        self
    }

    fn compaction(&self, percent: i64, at_delete: bool) -> i64 {
        if at_delete && self.last_delete > self.compacted {
            return self.last_delete;
        }
        let ahead = i128::from(self.builder.revision() - self.compacted) * i128::from(percent);
        self.compacted + i64::try_from(ahead / 100).expect("less than there is")
    }

    fn taken(&self, step: &Step) -> DatabaseBuilder {
        let builder = self.builder.clone();
        let key = |key: &u8| self.key(*key);
        match step {
            Step::Put {
                key: k,
                value,
                lease,
            } => {
                let value = vec![*k; *value];
                if *lease {
                    builder.lease(7, 60).put_with_lease(key(k), value, 7)
                } else {
                    builder.put(key(k), value)
                }
            }
            Step::Delete { key: k } => builder.delete(key(k)),
            Step::DeleteAll => builder.delete_all(),
            Step::Transaction(changes) => {
                let mut seen = std::collections::BTreeSet::new();
                let changes = changes.iter().filter(|(k, _)| seen.insert(key(k)));
                builder.transaction(changes.map(|(k, put)| match put {
                    true => Change::put(key(k), "changed"),
                    false => Change::delete(key(k)),
                }))
            }
            Step::Lease { id } => builder.lease(*id, 1 + id % 3600),
            Step::Compact {
                percent,
                at_delete,
                outcome,
            } => {
                let revision = self.compaction(*percent, *at_delete);
                match outcome {
                    Outcome::Finished => builder.compact(revision),
                    Outcome::FinishedBefore3_5_16 => builder.compact_as_before_3_5_16(revision),
                    Outcome::Killed(removed) => builder.compact_partly(revision, *removed),
                }
            }
            Step::Bump { by } => builder.bump(*by),
            Step::Member { id, learner } => builder.member(&Member {
                learner: *learner,
                ..Member::new(*id, "another", 2380)
            }),
            Step::RemovedMember { id } => builder.removed_member(*id),
            Step::Alarm { corrupt: true } => builder.alarm(AlarmKind::Corrupt, 77),
            Step::Alarm { corrupt: false } => builder.alarm(AlarmKind::NoSpace, u64::MAX),
            Step::User { name } => builder.user(&format!("user-{name}"), &["root", "reader"]),
            Step::Role { name, permissions } => {
                let all = [Permission {
                    kind: 2,
                    key: "a",
                    range_end: "\0",
                }; 5];
                builder.role(&format!("role-{name}"), &all[..*permissions])
            }
        }
    }
}
