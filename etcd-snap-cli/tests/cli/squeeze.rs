//! A snapshot file without its free pages.

use std::fs;

use etcd_snap::SqueezeReport;

use crate::support::{Room, golden, good, raw};

/// With a snapshot, `in.db`, that has free pages.
fn room() -> Room {
    let room = Room::new();
    room.put("in.db", &good());
    room
}

#[test]
fn the_report_says_what_it_was_and_what_it_is() {
    let room = room();
    let said = room.run("squeeze in.db out.db").code(0);
    golden("squeeze-simple.txt", &said.stdout);
    assert_eq!(said.stderr, "");
    let said = room.run("squeeze in.db out.db -w table").code(0);
    // Without the time it took.
    let (table, _) = said.stdout.split_once("| done in").unwrap();
    golden("squeeze-table.txt", table);

    let said = room.run("squeeze in.db in.db -w json").code(0);
    let report: SqueezeReport = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report.file_before_bytes, good().len() as u64);
    let after = room.path().join("in.db");
    assert_eq!(report.file_after_bytes, after.metadata().unwrap().len());
    assert!(report.file_after_bytes < report.file_before_bytes);
    room.run("verify in.db").code(0);
    assert_eq!(
        fs::read(after).unwrap(),
        fs::read(room.path().join("out.db")).unwrap()
    );
}

#[test]
fn what_cannot_be_squeezed_leaves_the_target_as_it_is() {
    let room = room();
    room.put("there.db", b"something");
    room.run("squeeze in.db").code(2).complains("<OUT>");
    room.run("squeeze none.db out.db")
        .code(3)
        .complains("none.db");
    room.run("squeeze --no-clobber in.db there.db")
        .code(10)
        .complains("there.db is already there");
    room.put("raw.db", &raw());
    room.run("squeeze raw.db there.db")
        .complains("raw.db is sound, but has no digest")
        .complains("hint: if it is the copy of a stopped member's db, say --skip-hash-check");
    let mut damaged = good();
    damaged[9 * 4096] ^= 1;
    room.put("damaged.db", &damaged);
    room.run("squeeze damaged.db there.db")
        .complains("damaged.db is damaged")
        .complains("hint: `etcd-snap verify` lists everything");
    assert_eq!(
        fs::read(room.path().join("there.db")).unwrap(),
        b"something"
    );
    assert!(!room.path().join("out.db").exists());
    room.run("squeeze --skip-hash-check raw.db there.db")
        .code(0);
    room.run("verify there.db").code(0);
}
