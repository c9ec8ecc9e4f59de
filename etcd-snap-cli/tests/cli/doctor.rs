//! What would make a backup or a restore fail, as a list.

use std::fs;

use etcd_snap_node::DoctorReport;

use crate::support::{Room, flipped, golden, good};

/// An empty machine in `machine`, and backups in `backups`.
fn room(backup: Option<&[u8]>) -> Room {
    let room = Room::new();
    for name in ["machine", "backups"] {
        fs::create_dir(room.path().join(name)).unwrap();
    }
    if let Some(backup) = backup {
        room.put("backups/etcd.db", backup);
    }
    room
}

#[test]
fn the_exit_code_is_that_of_the_worst_finding() {
    const ASK: &str = "doctor --offline --root machine --backups backups";
    let sound = room(Some(&good()));
    let said = sound.run(&format!("{ASK} -w json"));
    let report: DoctorReport = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(said.stderr, "");
    // What discovery says of a machine without etcd is for another test.
    let of_backups = |report: &DoctorReport| {
        let codes = report.findings.iter().map(|finding| finding.code.clone());
        let codes: Vec<_> = codes.filter(|code| code.contains("backup")).collect();
        codes
    };
    assert_eq!(of_backups(&report), Vec::<String>::new());
    assert!(
        report
            .looked_at
            .iter()
            .any(|it| it.contains("etcd.db is proven")),
        "{report:#?}"
    );

    let damaged = room(Some(&flipped()));
    let said = damaged.run(&format!("{ASK} -w json")).code(18);
    let report: DoctorReport = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(of_backups(&report), ["backup-damaged"]);

    let none = room(None);
    let said = none.run(ASK).code(18);
    assert!(
        said.stdout
            .contains("there is no backup in backups: it is empty"),
        "{said:?}"
    );
    assert!(
        said.stdout.contains("-> `etcd-snap save` takes one"),
        "{said:?}"
    );
    let raw = room(Some(&crate::support::raw()));
    let said = raw.run(&format!("{ASK} -w table"));
    assert!(said.stdout.contains("backup-without-digest"), "{said:?}");
    assert_ne!(said.code, Some(0));
}

#[test]
fn lines_fit_a_narrow_table() {
    let room = room(None);
    let said = crate::support::said(
        room.command("doctor --offline --root machine --backups backups -w table")
            .env("COLUMNS", "60"),
    );
    for line in said.stdout.lines() {
        assert!(line.chars().count() <= 60, "{line:?}");
    }
    assert!(said.stdout.contains("no-backup"), "{said:?}");
}

#[test]
fn what_contradicts_itself_is_wrong_usage() {
    let room = room(None);
    room.run("doctor --offline --endpoints 127.0.0.1:1")
        .code(2)
        .complains("--offline");
    room.run("doctor --max-age 0s")
        .code(2)
        .complains("--max-age");
    // Variables are for those who ask.
    let said = crate::support::said(
        room.command("doctor --offline --root machine --backups backups")
            .env("ETCDCTL_ENDPOINTS", "::nonsense::"),
    );
    assert_eq!(said.code, Some(18), "{said:?}");
    golden("doctor-no-backup.txt", &only_backups(&said.stdout));
}

/// Without what is about the machine.
fn only_backups(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| line.contains("backup") || line.contains("->"))
        .filter(|line| !line.contains("if etcd belongs here"));
    lines.map(|line| format!("{line}\n")).collect()
}
