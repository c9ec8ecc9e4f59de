//! All members of a cluster from one run.

use std::fs;

use etcd_snap::RestoreReport;
use serde_json::Value;

use crate::support::Room;

const TWO: &str = "--initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380 \
                   --initial-cluster-token t";

#[test]
fn all_members_get_a_directory_and_one_report() {
    let room = Room::new();
    let said = room
        .run(&format!(
            "restore good.db {TWO} --all-members --output-dir out"
        ))
        .code(0);
    for name in ["m1", "m2"] {
        let line = format!("Member {name} restored in ");
        assert!(said.stdout.contains(&line), "{said:?}");
        assert!(
            room.path()
                .join("out")
                .join(name)
                .join("member/snap/db")
                .is_file()
        );
    }
    assert_eq!(room.names(), ["good.db", "out"]);
    let mut inside: Vec<_> = fs::read_dir(room.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    inside.sort();
    assert_eq!(inside, ["m1", "m2", "restore-report.json"]);
    let report = fs::read(room.path().join("out/restore-report.json")).unwrap();
    let report: RestoreReport = serde_json::from_slice(&report).unwrap();
    assert_eq!(report.members.len(), 2);
    assert_eq!(report.initial_cluster_token, "t");
}

#[test]
fn some_members_are_made_and_others_not() {
    let room = Room::new();
    room.run(&format!(
        "restore good.db {TWO} --members m2 --output-dir out"
    ))
    .code(0);
    assert!(room.path().join("out/m2/member").is_dir());
    assert!(!room.path().join("out/m1").exists());
}

#[test]
fn the_reports_of_one_restore_say_the_same_of_all_members() {
    let room = Room::new();
    let report = |name: &str| -> Value {
        room.run(&format!(
            "restore good.db {TWO} --name {name} --data-dir {name}"
        ))
        .code(0);
        let path = room.path().join(format!("{name}.restore-report.json"));
        let mut report: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        for own in ["members", "duration_ms"] {
            report.as_object_mut().unwrap().remove(own);
        }
        report
    };
    assert_eq!(report("m1"), report("m2"));
}

#[test]
fn a_report_that_cannot_be_written_is_no_failure() {
    let room = Room::new();
    fs::create_dir_all(room.path().join("data.restore-report.json/in-the-way")).unwrap();
    room.run("restore good.db --data-dir data")
        .code(0)
        .complains("the members are restored, and their report is not written");
    assert!(room.path().join("data/member").is_dir());
}

#[test]
fn what_contradicts_itself_is_refused_before_anything_is_made() {
    let room = Room::new();
    for (flags, words) in [
        ("--all-members", "nothing says where the member \"m1\" goes"),
        ("--output-dir out", "say which with --all-members"),
        ("--members m1,m9 --output-dir out", "no member \"m9\""),
        ("--members m1,m1 --output-dir out", "named twice"),
        ("--members= --output-dir out", "no member \"\""),
        ("--all-members --members m1", "cannot be used with"),
        ("--all-members --name m1", "cannot be used with"),
        ("--all-members --data-dir x", "cannot be used with"),
        ("--all-members --wal-dir x", "cannot be used with"),
        ("--all-members --output-dir=", "--output-dir"),
        ("--data-dir x --output-dir out", "cannot be used with"),
    ] {
        room.run(&format!("restore good.db {TWO} {flags}"))
            .code(2)
            .complains(words);
        assert_eq!(room.names(), ["good.db"], "{flags}");
    }
    for name in ["..", ".", "a/b", "/a"] {
        room.run(&format!(
            "restore good.db --initial-cluster {name}=http://a:1 --all-members --output-dir out"
        ))
        .code(2)
        .complains("cannot have a directory of its name");
    }
    assert_eq!(room.names(), ["good.db"]);
}

#[test]
fn a_directory_is_made_only_in_one_that_is_there() {
    let room = Room::new();
    for flags in [
        "--data-dir absent/data",
        "--data-dir data --wal-dir absent/wal",
        "--all-members --output-dir absent/out",
    ] {
        room.run(&format!(
            "restore good.db --initial-cluster-token fresh {flags}"
        ))
        .code(3)
        .complains("absent");
        assert_eq!(room.names(), Room::new().names(), "{flags}");
    }
    room.run(
        "restore good.db --initial-cluster-token fresh --data-dir data --wal-dir data/log/wal",
    )
    .code(0);
}
