//! Files that are no sound snapshots: each verb says what it is, and ends with the code for it.

use std::fs;

use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;

use crate::support::{Room, flipped, good, raw};

const MISSING: i32 = 3;
const DAMAGED: i32 = 7;
const NO_DIGEST: i32 = 8;
const NOT_A_SNAPSHOT: i32 = 9;

#[test]
fn each_kind_of_wrong_file_has_its_code() {
    let room = Room::new();
    room.put("empty", b"");
    room.put("text", b"hello\n");
    room.put("zip", b"PK\x03\x04\x14\0\0\0");
    room.put("gzip", b"\x1f\x8b\x08\0\0\0\0\0");
    room.put("zeros", &[0; 8192]);
    room.put("flipped", &flipped());
    room.put("raw", &raw());
    room.put("short", &good()[..40_960]);
    let mut long = good();
    long.extend([0; 512]);
    room.put("long", &long);
    let random: Vec<u8> = (0..40_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    room.put("random", &random);
    let committed = |path| fs::read(path).expect("a committed file");
    room.put(
        "wal",
        &committed(golden::restored_wal_head(Version::V3_6, "default")),
    );
    room.put(
        "snap",
        &committed(golden::restored_snap(Version::V3_6, "default")),
    );
    fs::create_dir(room.path().join("directory")).expect("a directory");
    let before = room.names();

    for (file, verify, status, restore, words) in [
        (
            "none",
            MISSING,
            MISSING,
            MISSING,
            "cannot open none: No such file or directory\n",
        ),
        (
            "directory",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "is a directory",
        ),
        (
            "empty",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "it is empty",
        ),
        (
            "text",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "text file",
        ),
        (
            "zip",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "zip archive",
        ),
        (
            "gzip",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "gzip",
        ),
        (
            "zeros",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "zero bytes",
        ),
        (
            "random",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "not an etcd snapshot",
        ),
        (
            "wal",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "write-ahead log",
        ),
        (
            "snap",
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            NOT_A_SNAPSHOT,
            "raft snapshot",
        ),
        ("short", DAMAGED, DAMAGED, NO_DIGEST, "short"),
        ("flipped", DAMAGED, 0, DAMAGED, ""),
        ("raw", NO_DIGEST, 0, NO_DIGEST, ""),
        ("good.db", 0, 0, 0, ""),
    ] {
        for (command, code) in [("verify", verify), ("status", status), ("hashkv", status)] {
            room.run(&format!("{command} {file}"))
                .code(code)
                .complains(words);
        }
        let target = "restored";
        room.run(&format!("restore {file} --data-dir {target}"))
            .code(restore)
            .complains(words);
        if restore == 0 {
            fs::remove_dir_all(room.path().join(target)).expect("a data directory");
            let report = room.path().join("restored.restore-report.json");
            fs::remove_file(report).expect("its report");
        }
        assert_eq!(room.names(), before, "{file}");
    }
}

#[test]
fn the_verdict_is_the_first_word() {
    let room = Room::new();
    room.put("flipped.db", &flipped());
    room.put("raw.db", &raw());
    for (file, code, verdict) in [
        ("good.db", 0, "sound: good.db\n"),
        ("flipped.db", DAMAGED, "DAMAGED: flipped.db, 1 problem\n"),
        ("raw.db", NO_DIGEST, "sound, no digest: raw.db\n"),
    ] {
        let said = room.run(&format!("verify {file}")).code(code);
        assert!(said.stdout.starts_with(verdict), "{said:?}");
        assert_eq!(said.stderr.is_empty(), code == 0, "{said:?}");
    }
}

#[test]
fn a_raw_copy_restores_when_it_is_asked_for() {
    let room = Room::new();
    room.put("raw.db", &raw());
    room.run("restore raw.db")
        .code(NO_DIGEST)
        .complains("--skip-hash-check");
    let said = room.run("restore raw.db --skip-hash-check").code(0);
    assert!(said.stdout.contains("not compared"), "{said:?}");
    assert!(room.path().join("default.etcd/member").is_dir());
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let room = Room::new();
    room.put("a\u{1b}[2Jb.db", &good());
    let said = room.run("verify a\u{1b}[2Jb.db").code(0);
    assert!(
        said.stdout.starts_with("sound: a\\u{1b}[2Jb.db\n"),
        "{said:?}"
    );
    let said = room.run("verify x\u{1b}[2Jb.db").code(MISSING);
    assert!(!said.stderr.contains('\u{1b}'), "{said:?}");
}
