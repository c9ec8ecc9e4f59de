//! Who the new members are, and whether that is probably meant.

use std::fs;

use serde_json::Value;

use crate::support::Room;

/// Of the cluster that the committed snapshot was made of.
const OLD_TOKEN: &str = "etcd-snap-test";

fn restored(room: &Room, flags: &str) -> (Value, String) {
    let said = room
        .run(&format!("restore good.db -w json {flags}"))
        .code(0);
    // The snapshot has leases, of which every restore speaks.
    let doubts = said
        .stderr
        .lines()
        .filter(|it| !it.contains("leases begin"));
    let doubts = doubts.map(|line| format!("{line}\n")).collect();
    (serde_json::from_str(&said.stdout).unwrap(), doubts)
}

/// Of the one member in the snapshot: name, id and peer URL.
fn old_member(room: &Room) -> (String, String, String) {
    let snapshot = etcd_snap::Snapshot::open(room.path().join("good.db")).unwrap();
    let members = etcd_snap::snapshot_members(&snapshot).unwrap();
    let [member] = &members[..] else {
        panic!("{members:?}")
    };
    let url = member.peer_urls[0].clone();
    (member.name.clone(), member.member_id.to_string(), url)
}

#[test]
fn a_member_of_the_snapshot_gives_name_and_urls() {
    let room = Room::new();
    let (name, _, url) = old_member(&room);
    for (flags, place) in [
        (format!("--from-member {name}"), format!("{name}.etcd")),
        (
            format!("--from-member {name} --all-members --output-dir out"),
            format!("out/{name}"),
        ),
    ] {
        let (report, _) = restored(&room, &format!("{flags} --initial-cluster-token fresh"));
        assert_eq!(report["initial_cluster"], format!("{name}={url}"));
        assert_eq!(report["members"][0]["name"], name);
        let again = report["again"].as_array().unwrap();
        assert!(again.contains(&format!("--initial-cluster {name}={url}").into()));
        assert!(room.path().join(place).join("member").is_dir());
    }
    let before = room.names();
    room.run("restore good.db --from-member nobody --data-dir x")
        .code(2)
        .complains(&format!("no member \"nobody\", only {name}"));
    for flags in ["--name m1", "--initial-cluster a=http://a:1"] {
        room.run(&format!("restore good.db --from-member {name} {flags}"))
            .code(2)
            .complains("cannot be used with");
    }
    assert_eq!(room.names(), before);
}

#[test]
fn ids_that_the_old_members_have_are_pointed_out() {
    let room = Room::new();
    let (name, id, _) = old_member(&room);
    let flags = format!("--from-member {name} --data-dir same --initial-cluster-token {OLD_TOKEN}");
    let (report, said) = restored(&room, &flags);
    assert_eq!(report["members"][0]["member_id"], id);
    assert!(said.contains("could talk to the new ones"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let flags = format!("--from-member {name} --data-dir fresh --initial-cluster-token auto");
    let (report, said) = restored(&room, &flags);
    assert_eq!(said, "");
    assert_ne!(report["members"][0]["member_id"], id);
}

#[test]
fn what_is_probably_not_meant_is_said() {
    let room = Room::new();
    for (n, (flags, words)) in [
        (
            "--all-members --initial-cluster a=http://x:1,b=https://X:1 --output-dir out",
            "would be reached at one address",
        ),
        ("--initial-cluster-token t", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let place = match flags.contains("--output-dir") {
            true => String::new(),
            false => format!("--data-dir data-{n}"),
        };
        let (_, said) = restored(&room, &format!("{flags} {place}"));
        assert!(said.contains(words), "{said}");
        assert_eq!(said.is_empty(), words.is_empty(), "{said}");
    }
}

#[test]
fn empty_values_are_refused_with_a_sentence() {
    let room = Room::new();
    for (arguments, code, words) in [
        (&["restore", ""][..], 2, "a value is required for '[FILE]'"),
        (&["restore", "-"], 2, "standard input cannot do"),
        (&["restore"], 2, "<FILE>"),
        (&["restore", "."], 9, "a directory"),
        (&["restore", "nowhere.db"], 3, "nowhere.db"),
        (
            &["restore", "good.db", "--initial-cluster-token", ""],
            2,
            "token is empty",
        ),
        (
            &["restore", "good.db", "--initial-cluster", ""],
            2,
            "names no member",
        ),
        (&["restore", "good.db", "--name", ""], 2, "no member \"\""),
        (
            &["restore", "good.db", "--data-dir", ""],
            2,
            "a value is required",
        ),
        (
            &["restore", "good.db", "--from-member", ""],
            2,
            "no member \"\"",
        ),
        (
            &["restore", "good.db", "--initial-advertise-peer-urls", ""],
            2,
            "empty",
        ),
    ] {
        let mut command = room.command("");
        crate::support::said(command.args(arguments))
            .code(code)
            .complains(words);
        assert_eq!(room.names(), ["good.db"], "{arguments:?}");
    }
}

#[test]
fn a_manifest_must_belong_to_the_snapshot() {
    let room = Room::new();
    let snapshot = etcd_snap::Snapshot::open(room.path().join("good.db")).unwrap();
    let (digest, size) = (snapshot.digest().unwrap(), snapshot.size_bytes());
    // The id that the defaults lead to.
    let manifest = format!(
        r#"{{"digest":"{digest}","size_bytes":{size},"cluster_id":"cdf818194e3a8c32","saved_at":"2026-11-26T01:19:44Z"}}"#
    );
    room.put("good.db.manifest.json", manifest.as_bytes());
    let said = room.run("restore good.db").code(0);
    assert!(
        said.stdout.contains("taken at    2026-11-26T01:19:44Z"),
        "{said:?}"
    );
    assert!(said.stderr.contains("the id of the old one"), "{said:?}");

    let before = room.names();
    for wrong in [manifest.replace(&size.to_string(), "7"), "{".to_owned()] {
        room.put("good.db.manifest.json", wrong.as_bytes());
        room.run("restore good.db --data-dir x")
            .code(2)
            .complains("good.db.manifest.json");
        assert_eq!(room.names(), before);
    }
    fs::remove_file(room.path().join("good.db.manifest.json")).unwrap();
    room.run("restore good.db --data-dir x").code(0);
}
