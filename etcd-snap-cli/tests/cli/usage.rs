//! Wrong flags and values, and variables in the place of flags.

use crate::support::{Room, said};

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    let room = Room::new();
    for (arguments, words) in [
        ("", "Usage: etcd-snap"),
        ("snap good.db", "unrecognized subcommand"),
        ("verify", "<FILE>"),
        ("verify good.db other.db", "unexpected argument 'other.db'"),
        ("verify good.db --fast", "unexpected argument '--fast'"),
        (
            "status good.db -w yaml",
            "possible values: simple, table, json",
        ),
        ("save {date}.db", "{date}, which nobody can fill"),
        ("save a}.db", "that nothing opened"),
        ("save {utc}/a.db", "{utc} in its directory"),
        ("save new.db --cert c.pem", "--key <PEM>"),
        ("save new.db --key k.pem", "--cert <PEM>"),
        (
            "save new.db --connect-timeout 5",
            "write it like 10s or 1m30s",
        ),
        ("save new.db --stall-timeout 0s", "longer than nothing"),
        (
            "save new.db --insecure-transport=maybe",
            "write true or false",
        ),
        ("save new.db --endpoints http://a:1/path", "has a path"),
        ("save new.db --endpoints ,", "no endpoint is given"),
        ("save new.db --endpoints []", "no endpoint is given"),
        (
            "save new.db --endpoint-policy last",
            "possible values: first, auto, leader, follower",
        ),
        ("save new.db -d two..dots", "is no domain"),
        ("save new.db --user ann", "ETCDCTL_PASSWORD"),
        ("save - --manifest", "--manifest wants a file"),
        ("save new.db --keep-unproven", "--attest[=<WHEN>]"),
        (
            "save new.db --attest=often",
            "possible values: required, if-possible",
        ),
        ("verify good.db --against http://a:1/path", "has a path"),
        ("save . --endpoints 127.0.0.1:1", "names a directory"),
        ("hashkv good.db --rev -1", "unexpected argument '-1'"),
        ("hashkv good.db --rev 216", "the snapshot is at 215"),
        ("hashkv good.db --rev 204", "the compaction is at 205"),
        ("hashkv good.db --compact-rev -2", "invalid value '-2'"),
        (
            "hashkv good.db --compact-rev -1",
            "compacted at revision 205",
        ),
        (
            "hashkv good.db --compact-rev 204",
            "compacted at revision 205",
        ),
        (
            "hashkv good.db --compact-rev 216",
            "the compaction is at 216",
        ),
        (
            "hashkv good.db --rev 210 --compact-rev 211",
            "the compaction is at 211",
        ),
        ("restore good.db --bump-revision 5", "--mark-compacted"),
        ("restore good.db --mark-compacted", "--bump-revision"),
        (
            "restore good.db --bump-revision -1",
            "unexpected argument '-1'",
        ),
        ("restore good.db --bump-revision 1e3", "invalid value '1e3'"),
        ("restore good.db --name m9", "no member \"m9\""),
        (
            "restore good.db --initial-cluster default=ftp://a:1",
            "ftp://a:1",
        ),
        (
            "restore good.db --initial-cluster default=http://a:1/x --initial-advertise-peer-urls http://a:1/x",
            "http://a:1/x",
        ),
        (
            "restore good.db --initial-cluster default=http://a:1,default=http://a:1",
            "twice",
        ),
        (
            "restore good.db --initial-advertise-peer-urls http://other:2380",
            "http://other:2380",
        ),
    ] {
        let said = room.run(arguments).code(2).complains(words);
        assert_eq!(said.stdout, "", "{arguments}");
        assert_eq!(room.names(), ["good.db"], "{arguments}");
    }
}

#[test]
fn a_variable_stands_for_its_flag_and_the_flag_wins() {
    let room = Room::new();
    let table = |arguments: &str| said(room.command(arguments).env("ETCDCTL_WRITE_OUT", "table"));
    assert!(table("status good.db").code(0).stdout.starts_with('+'));
    let flag = table("status good.db -w json").code(0);
    assert!(flag.stdout.starts_with('{'));
}

#[test]
fn an_empty_variable_is_none() {
    let room = Room::new();
    let mut command = room.command("save new.db --endpoints 127.0.0.1:1 --connect-timeout 1s");
    for name in [
        "CACERT",
        "CERT",
        "KEY",
        "USER",
        "PASSWORD",
        "DIAL_TIMEOUT",
        "WRITE_OUT",
    ] {
        command.env(format!("ETCDCTL_{name}"), "");
    }
    said(&mut command).code(4).complains("127.0.0.1:1 refuses");
}

#[test]
fn a_wrong_value_from_a_variable_is_traced_to_it() {
    let room = Room::new();
    said(
        room.command("save new.db")
            .env("ETCDCTL_DIAL_TIMEOUT", "soon"),
    )
    .code(2)
    .complains("invalid value 'soon'")
    .complains("the value is from the variable ETCDCTL_DIAL_TIMEOUT");
    let typed = said(
        room.command("save new.db --dial-timeout soon")
            .env("ETCDCTL_DIAL_TIMEOUT", "soon"),
    )
    .code(2);
    assert!(!typed.stderr.contains("variable"), "{typed:?}");
}
