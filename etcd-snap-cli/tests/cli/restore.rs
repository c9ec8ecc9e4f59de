//! Data directories from the command line.

mod compare;
mod contents;
mod identity;
mod plan;
mod replace;
mod revision;
mod several;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Room, said};

#[test]
fn defaults_are_those_of_etcdutl() {
    let room = Room::new();
    let said = room.run("restore good.db").code(0);
    let place = room.path().canonicalize().unwrap().join("default.etcd");
    let first = format!("Member default restored in {}\n", place.display());
    assert!(said.stdout.starts_with(&first), "{}", said.stdout);
    // What every cluster has needs no warning.
    assert!(said.stdout.contains("40 leases"), "{said:?}");
    assert_eq!(said.stderr, "");
    let member = room.path().join("default.etcd/member");
    assert!(member.join("snap/db").is_file());
    assert!(
        member
            .join("wal/0000000000000000-0000000000000000.wal")
            .is_file()
    );
}

#[test]
fn the_data_directory_is_named_after_the_member() {
    let room = Room::new();
    room.run("restore good.db --name m1 --initial-cluster m1=http://localhost:2380")
        .code(0);
    assert_eq!(
        room.names(),
        ["good.db", "m1.etcd", "m1.etcd.restore-report.json"]
    );
}

#[test]
fn the_wal_goes_where_it_is_wanted() {
    let room = Room::new();
    room.run("restore good.db --data-dir data --wal-dir wal")
        .code(0);
    assert_eq!(
        room.names(),
        ["data", "data.restore-report.json", "good.db", "wal"]
    );
    assert!(!room.path().join("data/member/wal").exists());
}

#[test]
fn the_revision_moves_ahead() {
    let room = Room::new();
    let said = room
        .run("restore good.db --bump-revision 1000 --mark-compacted")
        .code(0);
    assert!(said.stdout.contains("1215, compacted at 1215"), "{said:?}");
    assert!(said.stdout.contains("in the snapshot  215"), "{said:?}");
}

#[test]
fn what_is_occupied_stays_as_it_is() {
    let room = Room::new();
    for (directory, flags) in [
        ("default.etcd", ""),
        ("data", "--data-dir data"),
        ("wal", "--wal-dir wal"),
    ] {
        fs::create_dir(room.path().join(directory)).unwrap();
        let precious = room.path().join(directory).join("precious");
        fs::write(&precious, "precious").unwrap();
        let before = room.names();
        room.run(&format!("restore good.db {flags}"))
            .code(10)
            .complains(directory);
        assert_eq!(room.names(), before);
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        fs::remove_dir_all(room.path().join(directory)).unwrap();
    }
}

/// A member's server refuses nothing and warns of other modes; its data is nobody else's business.
#[test]
fn all_that_is_made_is_for_its_owner_only_whatever_the_umask() {
    for umask in ["0000", "0077", "0777"] {
        let room = Room::new();
        let command = room.command("restore good.db --data-dir data --wal-dir wal");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(room.path());
        said(&mut shell).code(0);
        let mut seen = 0;
        let mut todo = vec![room.path().join("data"), room.path().join("wal")];
        while let Some(path) = todo.pop() {
            let metadata = fs::metadata(&path).unwrap();
            let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(
                metadata.permissions().mode() & 0o7777,
                expected,
                "{umask}: {}",
                path.display()
            );
            if metadata.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            }
            seen += 1;
        }
        assert_eq!(seen, 7, "{umask}");
    }
}

#[test]
fn a_path_that_is_no_text_is_restored_to_and_reported() {
    let room = Room::new();
    let odd = OsStr::from_bytes(b"odd-\xFF");
    for (form, directory) in [("json", "one"), ("simple", "two"), ("table", "three")] {
        fs::create_dir(room.path().join(directory)).unwrap();
        let data_dir = Path::new(directory).join(odd);
        let mut command = room.command(&format!("restore good.db -w {form} --data-dir"));
        let said = said(command.arg(&data_dir)).code(0);
        assert!(said.stdout.contains("odd-"), "{said:?}");
        assert!(room.path().join(data_dir).join("member").exists());
    }
    let copy = room.path().join(odd);
    fs::copy(room.path().join("good.db"), &copy).unwrap();
    said(room.command("verify -w json").arg(&copy)).code(0);
}
