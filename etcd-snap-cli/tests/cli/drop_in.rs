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

const MIGRATES: [Tool; 2] = [
    Tool {
        name: "etcdutl",
        version: Version::V3_6,
    },
    Tool {
        name: "etcdutl",
        version: Version::V3_7,
    },
];

/// A restored member, `d`, twice the same.
fn restored(minor: Version) -> [Room; 2] {
    [(); 2].map(|()| {
        let room = Room::new();
        let snapshot = golden_snapshot(minor);
        said(
            room.command("restore --data-dir d")
                .arg(snapshot)
                .arg("--quiet"),
        )
        .code(0);
        room
    })
}

/// What is in `meta` afterwards, and that nothing else has changed.
fn state(room: &Room) -> (String, Option<String>) {
    let status = room.run("status -w json d/member/snap/db").code(0).stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    let version = status["storage_version"].as_str().map(str::to_owned);
    (status["hash"].to_string(), version)
}

/// The same line for both tools on the same data; the codes, what is said and what is left are the same.
#[track_caller]
fn migrate_alike(tool: Tool, [theirs, ours]: &[Room; 2], line: &str) {
    let [(their, there), (our, here)] = [
        (tool.real(theirs.path(), line), theirs),
        (tool.ours(ours.path(), line), ours),
    ];
    let what = format!("{tool:?} {line}: {their:#?} {our:#?}");
    assert_eq!(their.code, our.code, "{what}");
    assert_eq!(their.stdout, our.stdout, "{what}");
    // Lines of stack traces are theirs alone, and so are those of a second and a third try.
    let errors = |said: &Said| {
        let lines = said
            .stderr
            .lines()
            .filter(|line| line.starts_with("Error: "));
        let mut errors: Vec<_> = lines.map(str::to_owned).collect();
        // What the grammar refuses, their own mains say twice.
        errors.dedup();
        errors
    };
    assert_eq!(errors(&their), errors(&our), "{what}");
    let lines = |said: &Said| {
        let mut lines = logged(said);
        lines.retain(|(_, message, _)| !message.starts_with("retrying WAL snapshot scan"));
        lines
    };
    assert_eq!(lines(&their), lines(&our), "{what}");
    if there.path().join("d/member/snap/db").exists() {
        assert_eq!(state(there), state(here), "{what}");
    }
}

#[test]
fn migrate_says_and_does_what_the_original_does() {
    for tool in MIGRATES {
        let rooms = restored(Version::V3_5);
        for target in [
            "3.6",
            "3.6",
            "3.7",
            "3.5",
            "3.7",
            "3.6",
            "3.5",
            "3.8",
            "4.0",
            "3.5",
            "3.4",
            "3",
            "3.6.0",
            "",
            "a.b",
            "3.x",
            ".5",
            "3.99999999999999999999",
            "-1.5",
            "+3.6",
            "3.-6",
            "3.6-rc",
            "3.6+b",
            "03.6",
            "3.05",
        ] {
            let line = format!("migrate --data-dir d --target-version={target}");
            migrate_alike(tool, &rooms, &line);
        }
        for target in ["3.9", "3.8", "3.5", "4.1", "3.6", "3.5"] {
            let line = format!("migrate --data-dir d --force --target-version {target}");
            migrate_alike(tool, &rooms, &line);
        }
        migrate_alike(tool, &rooms, "migrate --data-dir none --target-version 3.6");
        for line in [
            "migrate",
            "migrate --data-dir d",
            "migrate --target-version 3.6",
        ] {
            migrate_alike(tool, &rooms, line);
        }
        // Nothing is asked of the WAL where there is nothing to do.
        for keep in [true, false] {
            for room in &rooms {
                let wal = room.path().join("d/member/wal");
                fs::remove_dir_all(&wal).unwrap();
                if keep {
                    fs::create_dir(&wal).unwrap();
                }
            }
            for target in ["3.5", "3.6", "3.8"] {
                let line = format!("migrate --data-dir d --target-version {target}");
                migrate_alike(tool, &rooms, &line);
            }
        }
    }
}

/// A store of 3.4 has no term.
#[test]
fn migrate_refuses_what_does_not_tell_its_version() {
    for tool in MIGRATES {
        let rooms = [(); 2].map(|()| {
            let room = Room::new();
            fs::create_dir_all(room.path().join("d/member/snap")).unwrap();
            let mut bytes = fs::read(golden_snapshot(Version::V3_4)).unwrap();
            bytes.truncate(bytes.len() - 32);
            room.put("d/member/snap/db", &bytes);
            room
        });
        for force in ["", "--force"] {
            let line = format!("migrate --data-dir d --target-version 3.6 {force}");
            migrate_alike(tool, &rooms, &line);
        }
    }
}

/// The last entry of the log is one that only 3.6 understands, as etcd's own tests write it.
#[test]
fn migrate_refuses_to_go_back_behind_what_the_wal_holds() {
    for tool in MIGRATES {
        for (entry, newest) in [("3.6.0", Version::V3_6), ("3.7.0", Version::V3_6)] {
            let rooms = restored(newest);
            for room in &rooms {
                let wal = room
                    .path()
                    .join("d/member/wal/0000000000000000-0000000000000000.wal");
                append_version_test(&wal, entry);
            }
            for line in [
                "migrate --data-dir d --target-version 3.6",
                "migrate --data-dir d --target-version 3.5",
                "migrate --data-dir d --target-version 3.5 --force",
                "migrate --data-dir d --target-version 3.6",
                "migrate --data-dir d --target-version 3.5",
            ] {
                migrate_alike(tool, &rooms, line);
            }
        }
    }
}

/// Writes one more entry behind the last record of a WAL.
fn append_version_test(wal: &Path, version: &str) {
    let mut bytes = fs::read(wal).unwrap();
    let mut at = 0;
    let mut crc = 0_u32;
    loop {
        let head = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        if head == 0 {
            break;
        }
        let len = (head & (u64::MAX >> 8)) as usize;
        // Type and checksum come first, each behind its tag.
        let record = &bytes[at + 8..at + 8 + len];
        crc = 0;
        for (place, shift) in (3..).zip((0..35).step_by(7)) {
            let byte = record[place];
            crc |= u32::from(byte & 0x7F).wrapping_shl(shift);
            if byte < 0x80 {
                break;
            }
        }
        at += 8 + len.next_multiple_of(8);
    }
    // Field 9900 of the request, with the version as its field 1.
    let test = [&[0x0A, version.len() as u8], version.as_bytes()].concat();
    let request = [&[0xE2, 0xEA, 0x04, test.len() as u8], test.as_slice()].concat();
    // Normal, term 1, the index behind the only member's.
    let entry = [
        &[8, 0, 16, 1, 24, 2, 34, request.len() as u8],
        request.as_slice(),
    ]
    .concat();
    let crc = crc32c::crc32c_append(crc, &entry);
    let mut record = vec![8, 2, 16];
    let mut rest = crc;
    while rest >= 0x80 {
        record.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    record.extend([rest as u8, 26, entry.len() as u8]);
    record.extend(entry);
    let padding = record.len().wrapping_neg() & 7;
    let flags = if padding == 0 {
        0
    } else {
        0x80 | padding as u64
    };
    let head = flags << 56 | record.len() as u64;
    bytes[at..at + 8].copy_from_slice(&head.to_le_bytes());
    bytes[at + 8..at + 8 + record.len()].copy_from_slice(&record);
    fs::write(wal, bytes).unwrap();
}

fn golden_snapshot(minor: Version) -> std::path::PathBuf {
    etcd_snap_testdata::golden::snapshot(minor)
}
