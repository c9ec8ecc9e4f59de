//! Free pages go back to the disk.

use std::fs::{self, File};

use etcd_snap::DefragReport;
use etcd_snap_testdata::database::Image;
use rustix::process::Signal;

use crate::support::{Room, golden, raw};

/// With the data directory of a member, `m1.etcd`, whose database has free pages.
fn room() -> Room {
    let room = Room::new();
    fs::create_dir_all(room.path().join("m1.etcd/member/snap")).unwrap();
    room.put("m1.etcd/member/snap/db", &raw());
    room
}

fn snap(room: &Room) -> Vec<String> {
    let entries = fs::read_dir(room.path().join("m1.etcd/member/snap")).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect()
}

#[test]
fn the_report_says_what_it_was_and_what_it_is() {
    let said = room().run("defrag --data-dir m1.etcd").code(0);
    golden("defrag-simple.txt", &said.stdout);
    assert_eq!(said.stderr, "");
    let said = room().run("defrag --data-dir m1.etcd -w table").code(0);
    // Without the time it took.
    let (table, _) = said.stdout.split_once("| done in").unwrap();
    golden("defrag-table.txt", table);

    let room = room();
    let said = room.run("defrag --data-dir m1.etcd -w json").code(0);
    let report: DefragReport = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report.file_before_bytes, raw().len() as u64);
    let after = room.path().join("m1.etcd/member/snap/db");
    assert_eq!(report.size_after_bytes, after.metadata().unwrap().len());
    assert_eq!(snap(&room), ["db"]);
    let hash = format!("{:x}, 215, 226, ", report.contents.hash);
    let status = room.run("status m1.etcd/member/snap/db").code(0);
    assert!(status.stdout.starts_with(&hash), "{status:?}");
}

#[test]
fn what_cannot_be_defragmented_stays_as_it_is() {
    let room = room();
    room.run("defrag").code(2).complains("--data-dir <DIR>");
    room.run("defrag --data-dir none")
        .code(3)
        .complains("none does not exist");
    room.run("defrag --data-dir .")
        .code(3)
        .complains("there is no member/snap/db in it");

    let path = room.path().join("m1.etcd/member/snap/db");
    let lock = File::open(&path).unwrap();
    lock.lock().unwrap();
    room.run("defrag --data-dir m1.etcd")
        .code(10)
        .complains("error: m1.etcd/member/snap/db is in use: stop the etcd that runs in m1.etcd");
    lock.unlock().unwrap();

    let mut image = Image::of_snapshot(crate::support::good());
    let root = image.page(image.current().root);
    image.set_page_id(root, 77);
    fs::write(&path, image.unsealed()).unwrap();
    room.run("defrag --data-dir m1.etcd")
        .code(7)
        .complains("m1.etcd/member/snap/db is damaged: page ")
        .complains("hint: `etcd-snap verify` lists everything");
    assert_eq!(fs::read(&path).unwrap(), image.unsealed());
    assert_eq!(snap(&room), ["db"]);
}

#[test]
fn a_signal_leaves_the_old_file() {
    let room = room();
    let path = room.path().join("m1.etcd/member/snap/db");
    crate::signals::make_endless(&path);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = room.command("defrag --data-dir m1.etcd");
        let (ended, _) = crate::signals::signalled(&mut command, "checking: ", signal);
        assert_eq!(ended, Some(code));
        assert_eq!(snap(&room), ["db"]);
        assert_eq!(path.metadata().unwrap().len(), 64 << 30);
    }
}
