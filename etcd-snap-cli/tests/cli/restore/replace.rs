//! A restore in the place of a member that is there.

use std::fs;

use serde_json::Value;

use crate::support::Room;

const FRESH: &str = "--initial-cluster-token fresh";

fn json(room: &Room, arguments: &str) -> Value {
    let said = room.run(&format!("restore -w json {arguments}")).code(0);
    serde_json::from_str(&said.stdout).unwrap()
}

fn members(room: &Room) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(room.path().join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_old_member_is_replaced_on_request_and_comes_back() {
    let room = Room::new();
    let first = json(
        &room,
        "good.db --data-dir data --bump-revision 5000 --mark-compacted",
    );
    room.run(&format!("restore good.db --data-dir data {FRESH}"))
        .code(10)
        .complains("--replace");
    assert_eq!(members(&room), ["member"]);

    let second = json(
        &room,
        &format!("good.db --data-dir data --replace --kubernetes {FRESH}"),
    );
    // The old member was at 5215.
    assert_eq!(second["bump"]["seen"][0]["revision"], 5215);
    assert_eq!(second["contents"]["revision"], 1_005_215);
    let kept = second["members"][0]["replaced"]["member_dir"]
        .as_str()
        .unwrap();
    assert!(kept.contains("member.old-"), "{kept}");
    assert_eq!(members(&room).len(), 2);

    let undone = json(&room, "--undo data");
    assert_eq!(undone["put_back"], kept);
    let report = room.run("restore --compare data data").code(2);
    assert!(report.stderr.contains("named twice"));
    room.run("restore good.db --data-dir again --bump-revision 5000 --mark-compacted")
        .code(0);
    let compared = room.run("restore --compare data again -w json").code(11);
    let compared: Value = serde_json::from_str(&compared.stdout).unwrap();
    assert_eq!(compared["members"][0]["cluster_id"], first["cluster_id"]);
    room.run("restore --undo nowhere").code(3);
    room.run("restore --undo again")
        .code(3)
        .complains("nothing to undo");
    room.run("restore good.db --undo data")
        .code(2)
        .complains("cannot be used with");
}

#[test]
fn a_dry_run_checks_and_writes_nothing() {
    let room = Room::new();
    let said = room
        .run("restore good.db --dry-run --kubernetes --plan plan.yaml --data-dir data")
        .code(0);
    assert!(
        said.stdout.contains("Member default would be restored in "),
        "{said:?}"
    );
    assert!(
        said.stdout.contains("it would be at  1000000215"),
        "{said:?}"
    );
    room.run("restore good.db --dry-run --all-members --output-dir out")
        .code(0);
    assert_eq!(room.names(), ["good.db"]);
    let mut damaged = crate::support::flipped();
    room.put("flipped.db", &damaged);
    room.run("restore flipped.db --dry-run").code(7);
    damaged.truncate(9000);
    room.put("short.db", &damaged);
    room.run("restore short.db --dry-run --skip-hash-check")
        .code(7);
    assert_eq!(room.names(), ["flipped.db", "good.db", "short.db"]);
}

#[test]
fn an_unknown_owner_is_refused_before_anything_is_made() {
    let room = Room::new();
    for owner in ["nobody-of-that-name", "", "a:b:c"] {
        room.run(&format!("restore good.db --owner={owner}"))
            .code(2);
        assert_eq!(room.names(), ["good.db"], "{owner}");
    }
    let own = format!(
        "{}:{}",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    room.run(&format!("restore good.db --owner {own}")).code(0);
}
