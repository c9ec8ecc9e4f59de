//! Random databases, as etcd could have made them.

use etcd_snap_testdata::database::{
    AlarmKind, Change, DatabaseBuilder, FreeContent, Freelist, Inline, Member, Permission, Shape,
};
use proptest::prelude::*;
use proptest::sample::select;

/// What somebody does to the cluster.
#[derive(Debug, Clone)]
enum Step {
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
    /// A hundredth of the way from the last compaction to now.
    Compact {
        percent: i64,
        finish: bool,
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
    let compact = (0_i64..=100, any::<bool>())
        .prop_map(|(percent, finish)| Step::Compact { percent, finish });
    let member = (1_u64.., any::<bool>()).prop_map(|(id, learner)| Step::Member { id, learner });
    let role =
        (0_u8..4, 0_usize..5).prop_map(|(name, permissions)| Step::Role { name, permissions });
    prop_oneof![
        40 => put,
        15 => any::<u8>().prop_map(|key| Step::Delete { key }),
        10 => transaction.prop_map(Step::Transaction),
        5 => (1_i64..).prop_map(|id| Step::Lease { id }),
        2 => compact,
        1 => (1_i64..1 << 40).prop_map(|by| Step::Bump { by }),
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

pub(crate) fn database() -> impl Strategy<Value = DatabaseBuilder> {
    (proptest::collection::vec(step(), 0..150), pages()).prop_map(|(steps, pages)| {
        let builder = DatabaseBuilder::new(pages.page_size);
        let mut compacted = 1;
        let builder = steps
            .iter()
            .fold(builder, |builder, step| take(builder, step, &mut compacted));
        let builder = builder
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

fn take(builder: DatabaseBuilder, step: &Step, compacted: &mut i64) -> DatabaseBuilder {
    let key = |key: u8| match key {
        // Some are long, and many of them share a beginning.
        200.. => format!("{}/{key}", "long/".repeat(usize::from(key - 190))),
        _ => format!("key-{}", key % 60),
    };
    match step {
        Step::Put {
            key: k,
            value,
            lease,
        } => {
            let value = vec![*k; *value];
            if *lease {
                builder.lease(7, 60).put_with_lease(key(*k), value, 7)
            } else {
                builder.put(key(*k), value)
            }
        }
        Step::Delete { key: k } => builder.delete(key(*k)),
        Step::Transaction(changes) => {
            let mut seen = std::collections::BTreeSet::new();
            let changes = changes.iter().filter(|(k, _)| seen.insert(key(*k)));
            builder.transaction(changes.map(|(k, put)| match put {
                true => Change::put(key(*k), "changed"),
                false => Change::delete(key(*k)),
            }))
        }
        Step::Lease { id } => builder.lease(*id, 1 + id % 3600),
        Step::Compact { percent, finish } => {
            *compacted += (builder.revision() - *compacted) * percent / 100;
            if *finish {
                builder.compact(*compacted)
            } else {
                builder.schedule_compaction(*compacted)
            }
        }
        Step::Bump { by } => {
            let builder = builder.bump(*by);
            *compacted = builder.revision();
            builder
        }
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
