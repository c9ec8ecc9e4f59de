//! The records of the other buckets (formats.md 2).

use etcd_snap::{ProblemCode, Severity};
use etcd_snap_testdata::database::{
    AlarmKind, DatabaseBuilder, Member, Permission, lease_record, revision_key, role_record,
    user_record,
};

use crate::subject::{Found, Subject, assert_sound, report, wide_builder};

fn base() -> DatabaseBuilder {
    wide_builder()
        .user("root", &["root"])
        .role("root", &[])
        .removed_member(0xBEEF)
        .compact(100)
}

#[track_caller]
fn with(bucket: &str, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Found {
    let sound = base();
    let damaged = sound.clone().record(bucket, key, value);
    Subject::with(&sound, &damaged).found()
}

#[track_caller]
fn told(bucket: &str, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>, code: ProblemCode) {
    with(bucket, key, value).in_bucket(code, bucket);
}

#[test]
fn records_as_etcd_writes_them_are_sound() {
    let learner = Member {
        learner: true,
        ..Member::new(u64::MAX, "learner", 4000)
    };
    let never_started = Member {
        name: String::new(),
        client_urls: Vec::new(),
        ..Member::new(1, "", 4010)
    };
    let all = Permission {
        kind: 2,
        key: "\0",
        range_end: "\0",
    };
    assert_sound(
        &base()
            .member(&learner)
            .member(&never_started)
            .user("guest", &[])
            .user("operator", &["reader", "writer"])
            .role(
                "reader",
                &[Permission {
                    kind: 0,
                    key: "a",
                    range_end: "b",
                }],
            )
            .role(
                "writer",
                &[
                    Permission {
                        kind: 1,
                        key: "a",
                        range_end: "",
                    },
                    all,
                ],
            )
            .lease(i64::MAX, 9_000_000_000)
            // Whoever grants a lease may choose its id.
            .lease(-5, 60)
            .record("lease", 77_i64.to_be_bytes(), lease_record(77, 100, 33))
            .record("auth", "authEnabled", [1])
            .record(
                "cluster",
                "downgrade",
                r#"{"target-version":"3.5.0","enabled":true}"#,
            ),
    );
}

/// They are told as alarms, not as damage.
#[test]
fn alarms_in_force_are_no_damage() {
    let builder = base()
        .alarm(AlarmKind::NoSpace, 0xBEEF)
        .alarm(AlarmKind::Corrupt, u64::MAX);
    let report = report(builder.build());
    assert!(report.is_sound(), "{:#?}", report.problems);
    assert_eq!(report.contents.alarms.len(), 2);
    assert!(report.contents.alarms[0].contains("beef"));

    // A kind that a later etcd may have.
    let builder = base().record("alarm", [0x08, 0x07, 0x10, 0x09], "");
    let report = self::report(builder.build());
    assert!(report.is_sound(), "{:#?}", report.problems);
}

/// Before 3.5 there is no term, no conf state and no storage version.
#[test]
fn the_meta_of_every_minor_is_sound() {
    let old = base()
        .remove("meta", "term")
        .remove("meta", "confState")
        .remove("meta", "storageVersion");
    assert_sound(&old);
    assert_sound(&old.record("meta", "term", 5_u64.to_be_bytes()));
    assert_sound(&base().record("meta", "storageVersion", "3.7.0"));
}

#[test]
fn malformed_fields_of_meta_are_told() {
    let cases: [(&str, &[u8]); 21] = [
        ("consistent_index", b""),
        ("consistent_index", &[0; 7]),
        ("consistent_index", &[0; 9]),
        ("term", b""),
        ("term", &[0; 7]),
        ("term", &[1; 16]),
        ("confState", b""),
        ("confState", b"voters"),
        ("confState", b"{\"voters\":[1,2}"),
        ("confState", b"{\"voters\":[\"a\"]}"),
        ("storageVersion", b""),
        ("storageVersion", b"banana"),
        ("storageVersion", b"3"),
        ("storageVersion", b"3.6.x"),
        ("storageVersion", &[0xFF, 0xFE]),
        ("finishedCompactRev", b""),
        ("finishedCompactRev", &[0; 16]),
        ("finishedCompactRev", &[0xFF; 17]),
        (
            "scheduledCompactRev",
            b"\0\0\0\0\0\0\x03\xE8-\0\0\0\0\0\0\0\0",
        ),
        ("scheduledCompactRev", &[0; 18]),
        ("scheduledCompactRev", b"\0\0\0\0\0\0\x03\xE8"),
    ];
    for (name, value) in cases {
        told("meta", name, value, ProblemCode::MetaBucket);
    }
}

/// A server has its index in memory at first, and writes it down with the first change. It is suspicious where there are some.
#[test]
fn the_consistent_index_is_missing_only_before_the_first_write() {
    let fresh = DatabaseBuilder::new(4096).remove("meta", "consistent_index");
    assert_sound(&fresh);
    let tall = (0..9).fold(fresh.clone().elements_per_page(2), |builder, n| {
        builder.put(format!("key-{n}"), "value")
    });
    for written in [fresh.put("a", "b"), tall] {
        let report = report(written.build());
        let codes: Vec<_> = report
            .problems
            .iter()
            .map(|problem| (problem.severity, problem.code))
            .collect();
        assert_eq!(codes, [(Severity::Suspicious, ProblemCode::MetaBucket)]);
    }
}

/// No server does that, and no record is lost by it.
#[test]
fn a_compaction_that_finished_before_it_was_scheduled_is_suspicious() {
    let builder = base().record("meta", "finishedCompactRev", revision_key(200, 0));
    let report = report(builder.build());
    assert!(report.is_sound());
    let codes: Vec<_> = report
        .problems
        .iter()
        .map(|problem| (problem.severity, problem.code))
        .collect();
    assert_eq!(codes, [(Severity::Suspicious, ProblemCode::MetaBucket)]);
}

/// Up to etcd 3.5.15 a compaction removes every delete that it reaches: where the last changes were deletes, the compacted
/// revision is above all records, by any distance.
#[test]
fn a_compaction_above_the_last_record_is_no_damage() {
    let builder = base()
        .record("meta", "scheduledCompactRev", revision_key(1 << 40, 0))
        .record("meta", "finishedCompactRev", revision_key(1 << 40, 0));
    assert_sound(&builder);
    let contents = report(builder.build()).contents;
    assert_eq!(
        contents.compact_revision.map(|revision| revision.get()),
        Some(1 << 40)
    );
}

#[test]
fn malformed_members_are_told() {
    let good = Member::new(0xABC, "m", 3000);
    let json = |text: &str| text.as_bytes().to_vec();
    let cases: Vec<(&str, &[u8], Vec<u8>)> = vec![
        ("no JSON", b"abc", json("member")),
        ("nothing", b"abc", Vec::new()),
        ("cut JSON", b"abc", good.json()[..20].to_vec()),
        ("two values", b"abc", [good.json(), good.json()].concat()),
        ("an array", b"abc", json("[]")),
        ("another id", b"abd", good.json()),
        ("no id", b"abc", json(r#"{"peerURLs":["http://a:1"]}"#)),
        (
            "an id in quotes",
            b"abc",
            json(r#"{"id":"2748","peerURLs":["http://a:1"]}"#),
        ),
        (
            "an id with a fraction",
            b"abc",
            json(r#"{"id":2748.5,"peerURLs":["http://a:1"]}"#),
        ),
        (
            "an id beyond 64 bits",
            b"abc",
            json(r#"{"id":99999999999999999999,"peerURLs":[]}"#),
        ),
        (
            "URLs that are no list",
            b"abc",
            json(r#"{"id":2748,"peerURLs":"http://a:1"}"#),
        ),
        (
            "URLs that are no text",
            b"abc",
            json(r#"{"id":2748,"peerURLs":[1]}"#),
        ),
        ("a key in capitals", b"ABC", good.json()),
        ("a padded key", b"0000000000000abc", good.json()),
        ("a key that is no number", b"xyz", good.json()),
        ("a key too long", b"10000000000000abc", good.json()),
        ("a binary key", &[0xAB, 0xC0], good.json()),
    ];
    for (what, key, value) in cases {
        let found = with("members", key, value);
        assert!(
            found
                .0
                .problems
                .iter()
                .any(|problem| problem.code == ProblemCode::Member
                    && problem.bucket.as_deref() == Some("members")),
            "{what}: {:#?}",
            found.0.problems
        );
    }
}

#[test]
fn malformed_removed_members_are_told() {
    for (key, value) in [
        ("beef", "gone"),
        ("beef", ""),
        ("xyz", "removed"),
        ("BEEF", "removed"),
    ] {
        told("members_removed", key, value, ProblemCode::Member);
    }
}

#[test]
fn malformed_leases_are_told() {
    let id = 500_i64.to_be_bytes();
    let cases: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("a short key", id[..7].to_vec(), lease_record(500, 60, 0)),
        (
            "a long key",
            [id.as_slice(), b"x"].concat(),
            lease_record(500, 60, 0),
        ),
        ("another id", id.to_vec(), lease_record(501, 60, 0)),
        ("no id", id.to_vec(), lease_record(0, 60, 0)),
        ("nothing", id.to_vec(), Vec::new()),
        ("no record", id.to_vec(), vec![0xFF; 9]),
        (
            "a cut record",
            id.to_vec(),
            lease_record(500, 60, 0)[..2].to_vec(),
        ),
        ("no time to live", id.to_vec(), lease_record(500, 0, 0)),
        (
            "a negative time to live",
            id.to_vec(),
            lease_record(500, -60, 0),
        ),
        ("id 0", vec![0; 8], lease_record(0, 60, 0)),
    ];
    for (what, key, value) in cases {
        let found = with("lease", key, value);
        assert!(
            found
                .0
                .problems
                .iter()
                .any(|problem| problem.code == ProblemCode::Lease
                    && problem.bucket.as_deref() == Some("lease")),
            "{what}: {:#?}",
            found.0.problems
        );
    }
}

#[test]
fn malformed_alarms_are_told() {
    let cut = AlarmKind::NoSpace.key(7)[..3].to_vec();
    told("alarm", cut, "", ProblemCode::Entry);
    told("alarm", vec![0xFF; 6], "", ProblemCode::Entry);
    told(
        "alarm",
        AlarmKind::NoSpace.key(7),
        "text",
        ProblemCode::Entry,
    );
}

#[test]
fn malformed_auth_is_told() {
    told("auth", "authEnabled", "", ProblemCode::Entry);
    told("auth", "authEnabled", [2], ProblemCode::Entry);
    told("auth", "authEnabled", [0, 1], ProblemCode::Entry);
    told("auth", "authRevision", [0; 7], ProblemCode::Entry);
    told(
        "authUsers",
        "eve",
        user_record("alice", "hash", &[]),
        ProblemCode::Entry,
    );
    told("authUsers", "eve", [0x0A, 0x50], ProblemCode::Entry);
    told(
        "authRoles",
        "eve",
        role_record("alice", &[]),
        ProblemCode::Entry,
    );
    told(
        "authRoles",
        "eve",
        [0x0A, 0x03, b'e', b'v', b'e', 0x12, 0x05, 0x0A],
        ProblemCode::Entry,
    );
}

#[test]
fn a_malformed_cluster_is_told() {
    for version in ["", "banana", "3", "3.6.x"] {
        told("cluster", "clusterVersion", version, ProblemCode::Entry);
    }
    for downgrade in ["", "{", "[]", "yes"] {
        told("cluster", "downgrade", downgrade, ProblemCode::Entry);
    }
}

/// Permissions are granted one by one, and nothing bounds how many.
#[test]
fn a_role_of_very_many_permissions_is_sound() {
    let keys: Vec<_> = (0..5000)
        .map(|n| format!("/registry/some/long/prefix/{n:08}"))
        .collect();
    let permissions: Vec<_> = keys
        .iter()
        .map(|key| Permission {
            kind: 2,
            key,
            range_end: "",
        })
        .collect();
    let builder = base().role("many", &permissions);
    assert!(builder.model().value("authRoles", b"many").unwrap().len() > 150_000);
    assert_sound(&builder);
}
