//! What works on data directories in the words of etcd's tools, beside the real ones.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use etcd_snap_testdata::etcd::{Binaries, Version};
use serde_json::Value;

use crate::support::{Room, Said, etcd_snap, raw, said};

/// A tool of one minor, and us in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: Version,
}

impl Tool {
    pub(crate) fn real(&self, directory: &Path, line: &str) -> Said {
        let binaries = Binaries::find(self.version).unwrap();
        let program = match self.name {
            "etcdctl" => binaries.etcdctl,
            _ => binaries.etcdutl.unwrap(),
        };
        let mut command = etcd_snap_testdata::stoppable(program);
        command.args(line.split_whitespace()).env_clear();
        said(command.current_dir(directory).stdin(Stdio::null()))
    }

    pub(crate) fn ours_command(&self, directory: &Path, line: &str) -> Command {
        let words = [self.name, "--compat", self.version.minor()];
        etcd_snap(directory, words.into_iter().chain(line.split_whitespace()))
    }

    pub(crate) fn ours(&self, directory: &Path, line: &str) -> Said {
        said(&mut self.ours_command(directory, line))
    }
}

/// Level, message and fields of every log line but those of bbolt itself.
pub(crate) fn logged(said: &Said) -> Vec<(String, String, Value)> {
    let lines = said.stderr.lines().map(|line| line.split('\t').collect());
    lines
        .filter(|parts: &Vec<&str>| parts.len() >= 4 && parts[2] != "bbolt")
        .map(|parts| {
            let fields = parts.get(4).copied().unwrap_or("{}");
            let fields = serde_json::from_str(fields).unwrap_or_else(|_| fields.into());
            (parts[1].to_owned(), parts[3].to_owned(), fields)
        })
        .collect()
}

/// The lines that are no log lines.
pub(crate) fn spoken(said: &Said) -> Vec<&str> {
    let is_spoken = |line: &&str| !line.contains('\t');
    said.stderr.lines().filter(is_spoken).collect()
}

const DEFRAGMENTS: [Tool; 5] = [
    Tool {
        name: "etcdctl",
        version: Version::V3_4,
    },
    Tool {
        name: "etcdctl",
        version: Version::V3_5,
    },
    Tool {
        name: "etcdutl",
        version: Version::V3_5,
    },
    Tool {
        name: "etcdutl",
        version: Version::V3_6,
    },
    Tool {
        name: "etcdutl",
        version: Version::V3_7,
    },
];

fn put_member(room: &Room) {
    fs::create_dir_all(room.path().join("d/member/snap")).unwrap();
    room.put("d/member/snap/db", &raw());
}

#[test]
fn defrag_says_and_does_what_the_original_does() {
    let room = Room::new();
    for tool in DEFRAGMENTS {
        let [theirs, ours] = [Tool::real, Tool::ours].map(|run| {
            put_member(&room);
            let said = run(&tool, room.path(), "defrag --data-dir ./d").code(0);
            let status = room.run("status d/member/snap/db").code(0).stdout;
            let hash = status.split(',').next().unwrap().to_owned();
            let names = fs::read_dir(room.path().join("d/member/snap")).unwrap();
            let names: Vec<OsString> = names.map(|entry| entry.unwrap().file_name()).collect();
            (said, hash, names)
        });
        assert_eq!((&theirs.1, &theirs.2), (&ours.1, &ours.2), "{tool:?}");
        let (theirs, ours) = (theirs.0, ours.0);
        assert_eq!(theirs.stdout, ours.stdout, "{tool:?}");
        assert_eq!(spoken(&theirs), spoken(&ours), "{tool:?}");
        let (theirs, ours) = (logged(&theirs), logged(&ours));
        assert_eq!(theirs.len(), ours.len(), "{tool:?}");
        let lines = if tool.version == Version::V3_4 { 0 } else { 2 };
        assert_eq!(ours.len(), lines, "{tool:?}");
        for (theirs, ours) in theirs.iter().zip(&ours) {
            assert_eq!((&theirs.0, &theirs.1), (&ours.0, &ours.1));
            let names = |fields: &Value| {
                fields
                    .as_object()
                    .unwrap()
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
            };
            assert_eq!(names(&theirs.2), names(&ours.2));
            assert_eq!(theirs.2["path"], ours.2["path"]);
            // Their transactions leave free pages behind, so that only what is in use is the same.
            for field in ["current-db-size-in-use-bytes", "current-db-size-in-use"] {
                assert_eq!(theirs.2[field], ours.2[field], "{tool:?}: {field}");
            }
        }
    }
}

#[test]
fn a_mistake_with_defrag_ends_as_in_the_original() {
    let room = Room::new();
    for tool in DEFRAGMENTS {
        let line = "defrag --data-dir none";
        let ours = tool.ours(room.path(), line).code(1);
        if tool.version == Version::V3_4 {
            // The original dies of it.
            tool.real(room.path(), line).code(2);
            ours.complains("Failed to defragment etcd data[none] (open none/member/snap/db: no such file or directory)");
            continue;
        }
        let theirs = tool.real(room.path(), line).code(1);
        assert_eq!(
            (theirs.stdout, theirs.stderr),
            (ours.stdout, ours.stderr),
            "{tool:?}"
        );
    }
    for tool in &DEFRAGMENTS[2..] {
        let [theirs, ours] =
            [Tool::real, Tool::ours].map(|run| run(tool, room.path(), "defrag").code(1));
        assert_eq!(spoken(&theirs)[0], spoken(&ours)[0], "{tool:?}");
    }
    let newer = Tool {
        name: "etcdctl",
        version: Version::V3_6,
    };
    let [theirs, ours] =
        [Tool::real, Tool::ours].map(|run| run(&newer, room.path(), "defrag --data-dir d").code(1));
    assert_eq!(spoken(&theirs)[0], spoken(&ours)[0]);
}

/// The originals wait for ever, or die of it.
#[test]
fn a_database_in_use_is_waited_for_and_then_refused() {
    let room = Room::new();
    put_member(&room);
    let lock = File::open(room.path().join("d/member/snap/db")).unwrap();
    lock.lock().unwrap();
    let newest = DEFRAGMENTS[4];
    newest
        .ours(room.path(), "defrag --data-dir d --timeout 1ms")
        .code(1)
        .complains("Error: Failed to defragment etcd data[d] (d/member/snap/db is in use: ");

    // It has to say that it waits before the lock is given back.
    let older = DEFRAGMENTS[3];
    let mut command = older.ours_command(room.path(), "defrag --data-dir d");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    assert_eq!(
        line,
        "waiting for etcd to close and release its lock on \"d/member/snap/db\". To defrag a running etcd instance, use \
         `etcdctl defrag` instead.\n"
    );
    lock.unlock().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        room.path()
            .join("d/member/snap/db")
            .metadata()
            .unwrap()
            .len()
            < raw().len() as u64
    );
}
