//! Whether directories belong to the same restore.

use serde_json::Value;

use crate::support::{Room, golden, said};

const TWO: &str = "--initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380";

fn room() -> Room {
    let room = Room::new();
    for (place, token) in [("one", "t"), ("other", "u")] {
        room.run(&format!(
            "restore good.db {TWO} --initial-cluster-token {token} --all-members --output-dir {place}"
        ))
        .code(0);
    }
    room
}

#[test]
fn the_verdict_is_a_report_and_an_exit_code() {
    let room = room();
    let before = room.names();
    let same = room.run("restore --compare one/m1 one/m2").code(0);
    assert_eq!(same.stderr, "");
    golden("compare-simple.txt", &same.stdout);
    let differs = room
        .run("restore --compare one/m1 one/m2 other/m2")
        .code(11);
    golden("compare-differs.txt", &differs.stdout);
    assert!(
        differs
            .stderr
            .contains("do not belong to the same restore: other/m2")
    );
    let table = room.run("restore --compare one/m1 one/m2 -w table").code(0);
    golden("compare-table.txt", &table.stdout);
    let narrow = said(
        room.command("restore --compare one/m1 other/m2 -w table")
            .env("COLUMNS", "50"),
    )
    .code(11);
    for line in narrow.stdout.lines() {
        assert!(line.chars().count() <= 50, "{line}");
    }
    let json = room
        .run("restore --compare one/m1 other/m1 -w json")
        .code(11);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["belong_together"], false);
    assert_eq!(report["compared"]["by"], "bytes");
    assert_eq!(room.names(), before);
}

#[test]
fn a_wal_with_a_directory_of_its_own_is_found_by_the_report() {
    let room = Room::new();
    for name in ["m1", "m2"] {
        room.run(&format!(
            "restore good.db {TWO} --name {name} --data-dir {name} --wal-dir {name}.wal"
        ))
        .code(0);
    }
    room.run("restore --compare m1 m2").code(0);
    std::fs::remove_file(room.path().join("m2.restore-report.json")).unwrap();
    room.run("restore --compare m1 m2")
        .code(3)
        .complains("m2/member/wal");
}

#[test]
fn what_cannot_be_compared_has_its_code() {
    let room = room();
    for (arguments, code, words) in [
        ("--compare one/m1", 2, "not enough to compare"),
        ("--compare one/m1 one/m1", 2, "named twice"),
        ("--compare one/m1 nowhere", 3, "nowhere does not exist"),
        ("--compare one/m1 one", 3, "no member/snap/db"),
        ("--compare", 2, "--compare <DIR>"),
        ("good.db --compare one/m1 one/m2", 2, "cannot be used with"),
        (
            "--compare one/m1 one/m2 --name m1",
            2,
            "cannot be used with",
        ),
        ("--compare one/m1 one/m2 --plan p", 2, "cannot be used with"),
    ] {
        room.run(&format!("restore {arguments}"))
            .code(code)
            .complains(words);
    }
}
