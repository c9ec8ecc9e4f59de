//! Data directories from the command line.

use std::fs;

use crate::support::Room;

#[test]
fn defaults_are_those_of_etcdutl() {
    let room = Room::new();
    let said = room.run("restore good.db").code(0);
    let place = room.path().canonicalize().unwrap().join("default.etcd");
    let first = format!("Member default restored in {}\n", place.display());
    assert!(said.stdout.starts_with(&first), "{}", said.stdout);
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
    assert_eq!(room.names(), ["good.db", "m1.etcd"]);
}

#[test]
fn the_wal_goes_where_it_is_wanted() {
    let room = Room::new();
    room.run("restore good.db --data-dir data --wal-dir wal")
        .code(0);
    assert_eq!(room.names(), ["data", "good.db", "wal"]);
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
