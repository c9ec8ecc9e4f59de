//! What else is in a snapshot, and what of it is left out on request.

use etcd_snap_testdata::corpus;
use serde_json::Value;

use crate::support::Room;

const FRESH: &str = "--initial-cluster-token fresh";

fn json(room: &Room, flags: &str) -> Value {
    let said = room
        .run(&format!("restore good.db -w json {FRESH} {flags}"))
        .code(0);
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn what_comes_back_is_said() {
    let room = Room::new();
    let said = room.run(&format!("restore good.db {FRESH}")).code(0);
    assert!(
        said.stdout.contains("40 leases, which begin anew"),
        "{said:?}"
    );
}

#[test]
fn leases_and_free_pages_are_left_out_on_request() {
    let room = Room::new();
    let plain = json(&room, "--data-dir plain");
    let squeezed = json(&room, "--data-dir squeezed --squeeze");
    let bytes = |report: &Value| report["database_bytes"].as_u64().unwrap();
    assert!(bytes(&squeezed) < bytes(&plain));
    let said = room
        .run(&format!(
            "restore good.db --data-dir light --drop-leases {FRESH}"
        ))
        .code(0);
    assert!(said.stdout.contains("left out    40 leases"), "{said:?}");
    assert!(!said.stderr.contains("lease"), "{said:?}");
    let light = json(&room, "--data-dir again --drop-leases --drop-alarms");
    assert_eq!(light["contents"]["leases"], 0);
    assert!(light["dropped"]["leases"] == 40 && plain["dropped"]["leases"] == 0);
}

#[test]
fn a_target_and_a_quota_are_looked_at() {
    let room = Room::new();
    let older = json(&room, "--data-dir older --target-version 3.5");
    assert_eq!(older["contents"]["storage_version"], Value::Null);
    let said = room
        .run(&format!(
            "restore good.db --data-dir small --quota-bytes 50KiB {FRESH}"
        ))
        .code(0);
    assert!(said.stderr.contains("the quota is 51200"), "{said:?}");
    let before = room.names();
    for (flags, words) in [
        ("--target-version 3.3", "3.3"),
        ("--target-version soon", "invalid value"),
        ("--quota-bytes 8XB", "or like 8GiB"),
    ] {
        room.run(&format!("restore good.db --data-dir x {flags}"))
            .code(2)
            .complains(words);
    }
    assert_eq!(room.names(), before);
}

#[test]
fn a_plan_keeps_what_is_left_out() {
    let room = Room::new();
    json(
        &room,
        "--data-dir a --plan plan.yaml --drop-leases --squeeze --target-version 3.5",
    );
    let plan = std::fs::read_to_string(room.path().join("plan.yaml")).unwrap();
    for line in [
        "drop-leases: true",
        "squeeze: true",
        "target-version: \"3.5.0\"",
    ] {
        assert!(plan.contains(line), "{plan}");
    }
    room.run("restore good.db --data-dir b --plan plan.yaml")
        .code(0);
    for (flags, words) in [
        (
            "--drop-alarms",
            "--drop-alarms is true, and the plan says false",
        ),
        (
            "--target-version 3.6",
            "--target-version is 3.6.0, and the plan says 3.5.0",
        ),
    ] {
        room.run(&format!(
            "restore good.db --data-dir c --plan plan.yaml {flags}"
        ))
        .code(2)
        .complains(words);
    }
    let databases =
        ["a", "b"].map(|it| std::fs::read(room.path().join(it).join("member/snap/db")).unwrap());
    assert!(databases[0] == databases[1]);
}

/// A record that no server writes: everything else is there, and said to be all there is.
#[test]
fn damage_is_restored_by_one_word_and_told() {
    let room = Room::new();
    let harmed = corpus::damaged_folder().join("record-version-0.db");
    room.put("harmed.db", &std::fs::read(harmed).unwrap());
    let restore = |flags: &str| {
        room.run(&format!(
            "restore harmed.db --skip-hash-check --data-dir harmed {FRESH} {flags}"
        ))
    };
    let said = restore("").code(7);
    assert!(said.stderr.contains("--force-damaged"), "{said:?}");
    assert!(!room.path().join("harmed").exists());
    restore("--force-damaged --squeeze")
        .code(2)
        .complains("cannot be written anew");
    let said = restore("--force-damaged --bump-revision auto").code(0);
    assert!(said.stdout.contains("damaged"), "{said:?}");
    assert!(room.path().join("harmed/member/snap/db").exists());
}
