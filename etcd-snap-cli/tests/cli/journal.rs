//! What is said beside the report, and where it is kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use etcd_snap_testdata::fake::{Fault, Server};
use serde_json::Value;

use crate::support::{Room, good, said};

fn server() -> Server {
    Server::serving_bytes(good())
}

fn log(room: &Room) -> String {
    fs::read_to_string(room.path().join("log")).unwrap()
}

/// A line without the time that it begins with.
#[track_caller]
fn untimed(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').expect("a time");
    assert_eq!(time.len(), "2026-11-25T21:37:19.123Z".len(), "{line}");
    assert!(
        time.ends_with('Z') && time[..4].parse::<u32>().is_ok(),
        "{line}"
    );
    rest
}

#[test]
fn the_log_has_what_is_said_and_what_was_done_with_the_time() {
    let room = Room::new();
    let good = server().start().unwrap();
    let save = |endpoint: &str, flags: &str| {
        said(&mut room.command(&format!(
            "save new.db --log-file log {flags} --endpoints {endpoint}"
        )))
    };
    let quiet = save(&good.endpoint(), "--quiet").code(0);
    assert_eq!(quiet.stderr, "");
    let bad = server()
        .with_fault(Fault::SilentAfter(40_000))
        .start()
        .unwrap();
    let failed = save(&bad.endpoint(), "--stall-timeout 50ms").code(6);

    let log = log(&room);
    let lines: Vec<_> = log.lines().map(untimed).collect();
    assert_eq!(lines[0], "Snapshot saved at new.db");
    let said: Vec<_> = failed.stderr.lines().collect();
    assert_eq!(lines[1..], said);
    let [note, error, hint] = said[..] else {
        panic!("{said:?}");
    };
    assert!(note.contains(" is member "), "{note}");
    assert!(error.starts_with("error: "), "{error}");
    assert!(hint.starts_with("hint: "), "{hint}");
    let mode = room
        .path()
        .join("log")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_program_reads_an_object_on_each_line() {
    let room = Room::new();
    let running = server().start().unwrap();
    let flags = "--log-file log --log-format json -w json";
    let run = |endpoint: &str| {
        said(&mut room.command(&format!("save new.db {flags} --endpoints {endpoint}")))
    };
    let saved = run(&running.endpoint()).code(0);
    assert_eq!(saved.stdout.lines().count(), 1);
    let report: Value = serde_json::from_str(&saved.stdout).unwrap();
    let failed = run("127.0.0.1:1").code(4);
    assert_eq!(failed.stdout, "");
    assert_eq!(failed.stderr.lines().count(), 1);

    let log = log(&room);
    let entries: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [note, saved_entry, failure] = &entries[..] else {
        panic!("{log}");
    };
    assert_eq!(saved.stderr, format!("{}\n", log.lines().next().unwrap()));
    assert_eq!(note["level"], "info");
    assert_eq!(saved_entry["level"], "info");
    assert_eq!(saved_entry["report"], report);
    assert_eq!(failed.stderr.trim_end(), log.lines().last().unwrap());
    assert_eq!(failure["level"], "error");
    assert_eq!(failure["exit_code"], 4);
    let why = failure["msg"].as_str().unwrap();
    assert!(why.contains("127.0.0.1:1 refuses connections"), "{why}");
    assert_eq!(
        untimed(&format!("{} x", failure["ts"].as_str().unwrap())),
        "x"
    );
}

#[test]
fn every_step_is_told_on_request() {
    let room = Room::new();
    let running = server().start().unwrap();
    let command = format!("save new.db --endpoints {}", running.endpoint());
    let usual = room.run(&command).code(0);
    assert_eq!(usual.stderr.lines().count(), 1, "{usual:?}");
    let verbose = room.run(&format!("{command} -v")).code(0);
    let steps = ["connecting", "receiving", "checking", "publishing"];
    let lines: Vec<_> = verbose.stderr.lines().collect();
    for step in steps {
        let begun = lines.iter().position(|line| *line == step).expect(step);
        let took = format!("{step} took ");
        let ended = lines.iter().position(|line| line.starts_with(&took));
        assert!(ended.expect(step) > begun, "{lines:?}");
    }
    room.run(&format!("{command} -v -q"))
        .code(2)
        .complains("cannot be used with");
}

#[test]
fn a_log_that_cannot_be_kept_is_known_at_once() {
    let room = Room::new();
    room.run("save new.db --log-file none/log --endpoints 127.0.0.1:1")
        .code(3)
        .complains("cannot open the log none/log: No such file");
    room.run("verify good.db --log-file .")
        .code(3)
        .complains("cannot open the log");
    // It is full from the start.
    let said = room.run("verify good.db --log-file /dev/full").code(0);
    assert_eq!(said.stderr.matches("cannot write to /dev/full").count(), 1);
    assert!(said.stdout.contains("sound"), "{said:?}");
}

#[test]
fn nothing_is_coloured_that_goes_elsewhere() {
    let room = Room::new();
    for arguments in [
        "--help",
        "verify none.db",
        "sav",
        "verify good.db -w table -v",
    ] {
        let mut command = room.command(arguments);
        let said = said(command.env("TERM", "xterm-256color"));
        assert!(!said.stdout.contains('\u{1b}'), "{said:?}");
        assert!(!said.stderr.contains('\u{1b}'), "{said:?}");
    }
}
