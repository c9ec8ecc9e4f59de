//! The buckets beside `key`: faults 21, and the record check.

use super::Specimen;
use super::bases::flat_builder;
use crate::database::{AlarmKind, DatabaseBuilder, Member, lease_record, role_record, user_record};

fn build(name: &'static str, about: &'static str, builder: &DatabaseBuilder) -> Specimen {
    Specimen::new(name, about, builder.build())
}

/// The flat database with one more record.
fn with(
    name: &'static str,
    about: &'static str,
    bucket: &str,
    key: impl Into<Vec<u8>>,
    value: impl Into<Vec<u8>>,
) -> Specimen {
    build(name, about, &flat_builder().record(bucket, key, value))
}

pub(super) fn specimens() -> Vec<Specimen> {
    [
        buckets(),
        meta(),
        members(),
        leases(),
        alarms_users_and_versions(),
    ]
    .concat()
}

fn buckets() -> Vec<Specimen> {
    let without = |name, about, bucket| build(name, about, &flat_builder().remove_bucket(bucket));
    vec![
        without("bucket-key-missing", "There is no bucket key.", "key"),
        without("bucket-meta-missing", "There is no bucket meta.", "meta"),
        without(
            "bucket-members-missing",
            "There is no bucket members.",
            "members",
        ),
        build(
            "bucket-none",
            "A database without any bucket.",
            &DatabaseBuilder::bare(512),
        ),
        build(
            "bucket-of-another-program",
            "A bbolt database, and none of etcd: other buckets altogether.",
            &DatabaseBuilder::bare(512)
                .record("entries", "1", "one")
                .record("logs", "1", "one"),
        ),
        with(
            "bucket-unknown",
            "A bucket that no version of etcd has.",
            "novelty",
            "key",
            "value",
        ),
        build(
            "bucket-inside-a-bucket",
            "A bucket stands inside of lease.",
            &flat_builder().nested("lease", "inner", 1),
        ),
        build(
            "bucket-inside-key",
            "Three buckets stand inside of each other in key.",
            &flat_builder().nested("key", "inner", 3),
        ),
        build(
            "bucket-nesting-too-deep",
            "Twelve buckets stand inside of each other.",
            &flat_builder().nested("lease", "inner", 12),
        ),
        build(
            "bucket-beside-a-value",
            "A plain record stands beside the buckets.",
            &flat_builder().stray("loner", "value"),
        ),
    ]
}

fn meta() -> Vec<Specimen> {
    let with = |name, about, key: &str, value: &[u8]| with(name, about, "meta", key, value);
    let without = |name, about, key: &str| build(name, about, &flat_builder().remove("meta", key));
    vec![
        with(
            "index-of-7-bytes",
            "The consistent index is a byte short.",
            "consistent_index",
            &[0; 7],
        ),
        with(
            "index-zero",
            "The consistent index is 0, and there are records.",
            "consistent_index",
            &[0; 8],
        ),
        without(
            "index-missing",
            "There is no consistent index.",
            "consistent_index",
        ),
        with(
            "term-of-7-bytes",
            "The term is a byte short.",
            "term",
            &[0; 7],
        ),
        with("term-zero", "The term is 0.", "term", &[0; 8]),
        with(
            "conf-state-not-json",
            "Raft's configuration is no JSON.",
            "confState",
            b"voters",
        ),
        with(
            "conf-state-of-text",
            "The voters of raft's configuration are text.",
            "confState",
            b"{\"voters\":[\"a\"]}",
        ),
        with(
            "conf-state-without-voters",
            "Raft's configuration has no voters.",
            "confState",
            b"{\"auto_leave\":false}",
        ),
        with(
            "conf-state-of-strangers",
            "Raft's configuration names a voter that is no member.",
            "confState",
            b"{\"voters\":[4660],\"auto_leave\":false}",
        ),
        with(
            "storage-version-not-a-version",
            "The storage version is no version.",
            "storageVersion",
            b"banana",
        ),
        with(
            "storage-version-of-the-future",
            "The storage version is one that no etcd has had yet.",
            "storageVersion",
            b"9.9.0",
        ),
    ]
}

fn members() -> Vec<Specimen> {
    let good = Member::new(0xABC, "m", 3000);
    let json = |text: &str| text.as_bytes().to_vec();
    let with = |name, about, key: &str, value: Vec<u8>| with(name, about, "members", key, value);
    vec![
        with(
            "member-not-json",
            "A member is no JSON.",
            "abc",
            json("member"),
        ),
        with(
            "member-cut",
            "The JSON of a member breaks off.",
            "abc",
            good.json()[..20].to_vec(),
        ),
        with(
            "member-of-another-id",
            "A member stands under the id of another.",
            "abd",
            good.json(),
        ),
        with(
            "member-with-an-id-beyond-64-bits",
            "The id of a member has more than 64 bits.",
            "abc",
            json(r#"{"id":99999999999999999999,"peerURLs":[]}"#),
        ),
        with(
            "member-under-a-padded-key",
            "The key of a member has zeroes in front.",
            "0000000000000abc",
            good.json(),
        ),
        with(
            "member-under-no-id",
            "The key of a member is no id.",
            "xyz",
            good.json(),
        ),
        with(
            "member-without-urls",
            "A member has no peer URLs.",
            "abc",
            json(r#"{"id":2748,"peerURLs":[],"name":"m"}"#),
        ),
        build(
            "member-none",
            "The bucket members is empty.",
            &flat_builder().remove("members", "ac7c9ed45e4193b0"),
        ),
        build(
            "member-removed-and-there",
            "A member is there, and was removed.",
            &flat_builder().removed_member(0xAC7C_9ED4_5E41_93B0),
        ),
        build(
            "member-removed-not-marked",
            "A removed member is not marked as removed.",
            &flat_builder().record("members_removed", "beef", "gone"),
        ),
        build(
            "member-removed-under-no-id",
            "The key of a removed member is no id.",
            &flat_builder().record("members_removed", "xyz", "removed"),
        ),
    ]
}

fn leases() -> Vec<Specimen> {
    let id = 500_i64.to_be_bytes();
    let with = |name, about, key: &[u8], value: Vec<u8>| with(name, about, "lease", key, value);
    vec![
        with(
            "lease-key-of-7-bytes",
            "The key of a lease is a byte short.",
            &id[..7],
            lease_record(500, 60, 0),
        ),
        with(
            "lease-of-another-id",
            "A lease stands under the id of another.",
            &id,
            lease_record(501, 60, 0),
        ),
        with(
            "lease-that-does-not-decode",
            "A lease is no record at all.",
            &id,
            vec![0xFF; 9],
        ),
        with("lease-of-nothing", "A lease is empty.", &id, Vec::new()),
        with(
            "lease-without-time",
            "A lease has no time to live.",
            &id,
            lease_record(500, 0, 0),
        ),
        with(
            "lease-zero",
            "The lease 0, which stands for none.",
            &[0; 8],
            lease_record(0, 60, 0),
        ),
    ]
}

fn alarms_users_and_versions() -> Vec<Specimen> {
    vec![
        with(
            "alarm-that-does-not-decode",
            "An alarm is no record at all.",
            "alarm",
            [0xFF; 6],
            [],
        ),
        with(
            "alarm-with-a-value",
            "An alarm has a value.",
            "alarm",
            AlarmKind::Corrupt.key(7),
            "text",
        ),
        with(
            "alarm-of-no-kind",
            "An alarm about nothing.",
            "alarm",
            [0x08, 0x07],
            [],
        ),
        with(
            "auth-enabled-of-another-form",
            "authEnabled is neither 0 nor 1.",
            "auth",
            "authEnabled",
            [7],
        ),
        with(
            "auth-revision-of-7-bytes",
            "authRevision is a byte short.",
            "auth",
            "authRevision",
            [0; 7],
        ),
        with(
            "user-of-another-name",
            "A user stands under the name of another.",
            "authUsers",
            "eve",
            user_record("alice", "hash", &[]),
        ),
        with(
            "user-that-does-not-decode",
            "A user is no record at all.",
            "authUsers",
            "eve",
            [0x0A, 0x50],
        ),
        with(
            "role-of-another-name",
            "A role stands under the name of another.",
            "authRoles",
            "eve",
            role_record("alice", &[]),
        ),
        with(
            "role-that-does-not-decode",
            "A role breaks off in its permissions.",
            "authRoles",
            "eve",
            [0x0A, 0x03, b'e', b'v', b'e', 0x12, 0x05, 0x0A],
        ),
        with(
            "cluster-version-not-a-version",
            "The version of the cluster is no version.",
            "cluster",
            "clusterVersion",
            "banana",
        ),
        with(
            "downgrade-not-json",
            "The downgrade under way is no JSON.",
            "cluster",
            "downgrade",
            "yes",
        ),
    ]
}
