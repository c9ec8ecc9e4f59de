//! One plan for the runs on all nodes.

use std::fs;

use serde_json::Value;

use crate::support::{Room, good, raw};

const TWO: &str = "--initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380";

fn plan_of(room: &Room) -> String {
    fs::read_to_string(room.path().join("plan.yaml")).unwrap()
}

/// What the JSON report says.
fn restored(room: &Room, flags: &str) -> Value {
    let said = room
        .run(&format!("restore good.db -w json {flags}"))
        .code(0);
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn what_the_first_run_decides_the_others_follow() {
    let room = Room::new();
    let first = restored(
        &room,
        &format!(
            "{TWO} --initial-cluster-token auto --kubernetes --plan plan.yaml --name m1 --data-dir m1"
        ),
    );
    let written = plan_of(&room);
    for line in [
        "schema: 1",
        "bump-revision: 1000000000",
        "mark-compacted: true",
    ] {
        assert!(written.contains(line), "{written}");
    }
    // Automatic values do not contradict the plan: they are decided in it.
    let second = restored(
        &room,
        &format!(
            "{TWO} --initial-cluster-token auto --kubernetes --plan plan.yaml --name m2 --data-dir m2"
        ),
    );
    assert_eq!(plan_of(&room), written);
    for same in [
        "cluster_id",
        "initial_cluster_token",
        "initial_cluster",
        "contents",
        "digest",
    ] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert_eq!(first["bump"]["by"], second["bump"]["by"]);
    let token = first["initial_cluster_token"].as_str().unwrap();
    assert!(token.starts_with("etcd-cluster-2"), "{token}");
    let again = format!("--initial-cluster-token {token}");
    assert_eq!(first["again"][0], again);
    room.run("restore --compare m1 m2").code(0);
}

#[test]
fn what_contradicts_the_plan_is_refused_with_both_values() {
    let room = Room::new();
    restored(
        &room,
        &format!(
            "{TWO} --initial-cluster-token t --bump-revision 7 --mark-compacted --plan plan.yaml \
             --all-members --output-dir out"
        ),
    );
    let before = room.names();
    for (flags, given, planned) in [
        ("--initial-cluster-token x", "token is x", "plan says t"),
        ("--bump-revision 8", "revision is 8", "plan says 7"),
        (
            "--initial-cluster m1=http://a:1",
            "m1=http://a:1",
            "m2=http://10.0.0.2:2380",
        ),
        ("--skip-hash-check", "check is true", "plan says false"),
    ] {
        room.run(&format!(
            "restore good.db --plan plan.yaml --name m1 --data-dir m1 {flags}"
        ))
        .code(2)
        .complains(given)
        .complains(planned);
    }
    room.run("restore good.db --plan plan.yaml --data-dir m1")
        .code(2)
        .complains("no member \"default\"");
    assert_eq!(room.names(), before);
    // What says the same contradicts nothing.
    room.run(&format!(
        "restore good.db --plan plan.yaml --name m1 --data-dir m1 {TWO} --initial-cluster-token t \
         --bump-revision 7 --mark-compacted"
    ))
    .code(0);
}

#[test]
fn a_plan_is_for_one_snapshot() {
    let room = Room::new();
    room.put("raw.db", &raw());
    restored(&room, "--plan plan.yaml");
    let mut changed = good();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    room.put("other.db", &changed);
    room.run("restore other.db --plan plan.yaml --data-dir x")
        .code(2)
        .complains("is not the snapshot of the plan");
    // A copy without digest is hashed: it is the same database.
    let plan = plan_of(&room).replace("skip-hash-check: false", "skip-hash-check: true");
    room.put("plan.yaml", plan.as_bytes());
    room.run("restore raw.db --plan plan.yaml --data-dir x")
        .code(0);
}

#[test]
fn a_plan_may_be_written_by_hand() {
    let room = Room::new();
    let digest = etcd_snap::Snapshot::open(room.path().join("good.db")).unwrap();
    let digest = digest.digest().unwrap();
    let plan = format!(
        "# After the fire\n\
         schema: 1\n\
         snapshot-sha256: {digest}\n\
         initial-cluster-token: after-the-fire\n\
         members:\n\
         \x20 - name: m1\n\
         \x20   peer-urls: [\"https://a:2380\", \"https://a:2381\"]\n\
         \x20   data-dir: one\n\
         \x20   wal-dir: log\n\
         \x20 - {{ name: m2, peer-urls: [https://b:2380], data-dir: two }}\n"
    );
    room.put("plan.yaml", plan.as_bytes());
    let report = restored(&room, "--plan plan.yaml --all-members");
    assert_eq!(
        report["initial_cluster"],
        "m1=https://a:2380,m1=https://a:2381,m2=https://b:2380"
    );
    assert!(room.path().join("one/member/snap/db").is_file());
    assert!(room.path().join("log").is_dir() && !room.path().join("one/member/wal").exists());
    assert!(room.path().join("two/member/wal").is_dir());
    room.run("restore good.db --plan plan.yaml --all-members --output-dir out")
        .code(2)
        .complains("--output-dir is out/m1, and the plan says one");
    room.run("restore good.db --plan plan.yaml --name m2 --data-dir elsewhere")
        .code(2)
        .complains("--data-dir is elsewhere, and the plan says two");
}

#[test]
fn what_is_no_plan_is_refused_with_the_place() {
    let room = Room::new();
    restored(&room, "--plan plan.yaml");
    let plan = plan_of(&room);
    let before = room.names();
    for (from, to, words) in [
        (
            "mark-compacted:",
            "mark-compact:",
            "unknown field `mark-compact`",
        ),
        ("mark-compacted:", "mark-compact:", "line 11, column 1"),
        ("- name: ", "- nam: ", "unknown field `nam`"),
        ("schema: 1", "schema: 2", "this version knows 1"),
        ("schema: 1\n", "", "missing field `schema`"),
        ("schema: 1", "schema: 1\nschema: 1", "duplicate"),
        (
            "bump-revision: 0",
            "bump-revision: -1",
            "line 10, column 16",
        ),
        (
            "snapshot-sha256: ",
            "snapshot-sha256: 0",
            "plan.yaml is not a plan",
        ),
        ("members:", "members: [", "plan.yaml is not a plan"),
    ] {
        assert!(plan.contains(from), "{from}: {plan}");
        room.put("plan.yaml", plan.replacen(from, to, 1).as_bytes());
        let said = room
            .run("restore good.db --plan plan.yaml --data-dir x")
            .code(2)
            .complains(words);
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    }
    room.put("plan.yaml", b"\xFF");
    room.run("restore good.db --plan plan.yaml --data-dir x")
        .code(3);
    room.run("restore good.db --plan . --data-dir x").code(3);
    assert_eq!(room.names(), before);
}

#[test]
fn a_restore_that_fails_leaves_no_plan() {
    let room = Room::new();
    fs::create_dir_all(room.path().join("data/member")).unwrap();
    for (flags, code) in [
        ("--data-dir data", 10),
        ("--data-dir x --bump-revision 7", 2),
        ("--data-dir x --initial-advertise-peer-urls http://x:1", 2),
    ] {
        room.run(&format!("restore good.db --plan plan.yaml {flags}"))
            .code(code);
        assert_eq!(room.names(), ["data", "good.db"], "{flags}");
    }
}
