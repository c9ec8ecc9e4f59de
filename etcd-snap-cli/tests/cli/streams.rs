//! Standard input and output, pipes and devices in the place of a file.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use etcd_snap::{ProofKind, SaveReport, StreamReport};
use etcd_snap_testdata::database::{DatabaseBuilder, Image};
use etcd_snap_testdata::fake::{Fault, Server};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Room, Said, flipped, good, raw, said};

const USAGE: i32 = 2;
const FILES: i32 = 3;
const TRANSFER: i32 = 6;
const DAMAGED: i32 = 7;
const NO_DIGEST: i32 = 8;
const NOT_A_SNAPSHOT: i32 = 9;

fn fifo(room: &Room) -> PathBuf {
    let path = room.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe with a name");
    path
}

fn server() -> Server {
    Server::serving_bytes(good())
}

/// Data on standard output, text on standard error.
fn run(command: &mut Command) -> (Vec<u8>, Said) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the command runs");
    let said = Said {
        code: status.code(),
        stdout: String::new(),
        stderr: String::from_utf8(stderr).expect("text on stderr"),
    };
    (stdout, said)
}

/// With these bytes on standard input.
fn fed(command: &mut Command, bytes: &[u8]) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = thread::scope(|scope| {
        // It may have heard enough before the end.
        scope.spawn(move || {
            let _ = stdin.write_all(bytes);
        });
        child.wait_with_output().expect("it ends")
    });
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text on stdout"),
        stderr: String::from_utf8(output.stderr).expect("text on stderr"),
    }
}

#[test]
fn save_writes_to_standard_output_and_reports_aside() {
    let room = Room::new();
    let server = server().start().unwrap();
    for (file, flags) in [("-", ""), ("-", "-w table"), ("/dev/stdout", "")] {
        let mut command = room.command(&format!("save {file} {flags} --endpoints"));
        let (data, said) = run(command.arg(server.endpoint()));
        let said = said.code(0);
        assert!(data == good(), "{file} {flags}");
        assert!(
            said.stderr.contains("the digest, and every page by itself"),
            "{said:?}"
        );
        assert!(said.stderr.contains("standard output") || file != "-");
    }
    let mut command = room.command("save - --quiet --endpoints");
    let (data, said) = run(command.arg(server.endpoint()));
    assert!(data == good());
    assert_eq!(said.code(0).stderr, "");

    let mut command = room.command("save - -w json --endpoints");
    let (_, said) = run(command.arg(server.endpoint()));
    let line = said.stderr.lines().last().expect("a report");
    let report: SaveReport = serde_json::from_str(line).unwrap();
    assert_eq!((report.proof, report.path), (ProofKind::Stream, None));
    assert_eq!(room.names(), ["good.db"]);
}

#[test]
fn a_save_that_fails_never_sends_the_end() {
    let room = Room::new();
    for (fault, code) in [
        (Fault::WrongDigest, DAMAGED),
        (Fault::EndAfter(40_000), TRANSFER),
        (Fault::NoDigest, TRANSFER),
    ] {
        let server = server().with_fault(fault).start().unwrap();
        let mut command = room.command("save - --endpoints");
        let (data, said) = run(command.arg(server.endpoint()));
        said.code(code).complains("error: ");
        assert!(data.len() <= good().len() - 32 - 512);
        fed(&mut room.command("verify -"), &data).code(if data.is_empty() {
            NOT_A_SNAPSHOT
        } else {
            DAMAGED
        });
    }
}

#[test]
fn a_reader_that_goes_away_is_told_though_the_server_is_silent() {
    let room = Room::new();
    let server = server()
        .with_fault(Fault::SilentAfter(64 << 10))
        .start()
        .unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let mut command = room.command("save - --stall-timeout 1h --endpoints");
    command.arg(server.endpoint()).stdout(writer);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    // The builder keeps a copy of our end, and the pipe would have a writer still.
    drop(command);
    drop(reader);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(FILES), "{stderr}");
    assert!(
        stderr.contains("error: whoever read from standard output went away"),
        "{stderr}"
    );
}

#[test]
fn a_pipe_with_a_name_is_written_and_read() {
    let room = Room::new();
    let path = fifo(&room);
    let server = server().start().unwrap();
    let reader = thread::spawn({
        let path = path.clone();
        move || fs::read(path).unwrap()
    });
    let mut command = room.command("save fifo --no-clobber --endpoints");
    let saved = said(command.arg(server.endpoint())).code(0);
    assert!(
        saved.stdout.starts_with("Snapshot saved at fifo\n"),
        "{saved:?}"
    );
    assert!(reader.join().unwrap() == good());

    let writer = thread::spawn(move || fs::write(path, good()).unwrap());
    let verified = room.run("verify fifo").code(0);
    assert!(verified.stdout.starts_with("sound: fifo\n"), "{verified:?}");
    writer.join().unwrap();
    assert_eq!(room.names(), ["fifo", "good.db"]);
}

#[test]
fn verify_judges_what_comes_in_and_ends_as_with_a_file() {
    let room = Room::new();
    let mut bad_page = Image::of_snapshot(good());
    let leaf = bad_page.leaves("key")[0];
    bad_page.set_count(leaf, u16::MAX);
    for (bytes, code, verdict, words) in [
        (good(), 0, "sound: standard input\n", ""),
        (
            flipped(),
            DAMAGED,
            "DAMAGED: standard input, 1 problem\n",
            "their SHA-256 is",
        ),
        (
            raw(),
            NO_DIGEST,
            "sound, no digest: standard input\n",
            "has no digest",
        ),
        (
            bad_page.sealed(),
            DAMAGED,
            "DAMAGED: standard input, 1 problem\n",
            "a stream does not show which pages are in use",
        ),
        (
            good()[..60_000].to_vec(),
            DAMAGED,
            "DAMAGED",
            "high-water mark",
        ),
        (
            [good(), vec![0; 512]].concat(),
            DAMAGED,
            "DAMAGED",
            "between the end of the database and the digest",
        ),
        (Vec::new(), NOT_A_SNAPSHOT, "", "it is empty"),
        (
            b"PK\x03\x04 and so on".to_vec(),
            NOT_A_SNAPSHOT,
            "",
            "standard input is not an etcd snapshot: it is a zip archive",
        ),
    ] {
        let said = fed(&mut room.command("verify -"), &bytes)
            .code(code)
            .complains(words);
        assert!(said.stdout.starts_with(verdict), "{said:?}");
        assert_eq!(said.stdout.is_empty(), verdict.is_empty(), "{said:?}");
    }
    let said = fed(&mut room.command("verify - -w json"), &good()).code(0);
    let report: StreamReport = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report.proof, ProofKind::Stream);
    let table = fed(&mut room.command("verify - -w table"), &flipped()).code(DAMAGED);
    assert!(table.stdout.contains("| damaged "), "{table:?}");
}

#[test]
fn what_needs_a_file_says_so() {
    let room = Room::new();
    fifo(&room);
    let _socket = std::os::unix::net::UnixListener::bind(room.path().join("socket")).unwrap();
    for (arguments, code, words) in [
        ("status -", USAGE, "status reads back and forth"),
        ("restore -", USAGE, "restore reads back and forth"),
        ("hashkv -", USAGE, "hashkv reads back and forth"),
        (
            "hashkv fifo",
            NOT_A_SNAPSHOT,
            "fifo is a pipe, and the pages",
        ),
        (
            "status fifo",
            NOT_A_SNAPSHOT,
            "fifo is a pipe, and the pages",
        ),
        (
            "restore fifo",
            NOT_A_SNAPSHOT,
            "fifo is a pipe, and the pages",
        ),
        ("verify socket", NOT_A_SNAPSHOT, "socket is a socket"),
        ("status socket", NOT_A_SNAPSHOT, "socket is a socket"),
        (
            "verify /dev/null",
            NOT_A_SNAPSHOT,
            "/dev/null is a character device",
        ),
        ("verify .", NOT_A_SNAPSHOT, ". is a directory"),
        ("save socket", USAGE, "socket is a socket"),
        ("save - --attest", USAGE, "--attest wants a file"),
        (
            "save fifo --attest=if-possible",
            USAGE,
            "--attest wants a file",
        ),
        ("verify - --against a:1", USAGE, "--against wants a file"),
        ("verify fifo --against a:1", USAGE, "--against wants a file"),
    ] {
        room.run(arguments).code(code).complains(words);
    }
}

/// A file of that name is still to be had.
#[test]
fn a_file_may_be_called_like_standard_input() {
    let room = Room::new();
    fs::copy(room.path().join("good.db"), room.path().join("-")).unwrap();
    let said = room.run("verify ./-").code(0);
    assert!(said.stdout.starts_with("sound: ./-\n"), "{said:?}");
}

fn ended(child: &mut Child) -> (Option<i32>, String) {
    let mut stderr = String::new();
    let mut from = child.stderr.take().expect("it is piped");
    from.read_to_string(&mut stderr).expect("text");
    (child.wait().expect("it ends").code(), stderr)
}

/// Neither waits for the other end of its pipe once it is told to stop.
#[test]
fn a_signal_ends_the_wait_for_the_other_end() {
    let room = Room::new();
    let path = fifo(&room);
    let server = server().start().unwrap();
    // A line tells that it has come to the pipe; `verify` says nothing, but has its handlers before it opens the pipe.
    let mut save = room
        .command(&format!("save fifo --endpoints {}", server.endpoint()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 7];
    save.stderr.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"waiting");
    kill_process(Pid::from_child(&save), Signal::TERM).unwrap();
    let (code, stderr) = ended(&mut save);
    assert_eq!(code, Some(143), "{stderr}");

    let mut verify = room
        .command("verify fifo")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Opens as soon as the other side has.
    let writer = File::options().write(true).open(path).unwrap();
    kill_process(Pid::from_child(&verify), Signal::INT).unwrap();
    let (code, stderr) = ended(&mut verify);
    assert_eq!(
        (code, stderr.as_str()),
        (Some(130), "error: stopped by SIGINT\n")
    );
    drop(writer);
}

#[test]
fn as_many_problems_are_listed_as_wanted_and_the_rest_is_counted() {
    let room = Room::new();
    let builder = (0..40).fold(DatabaseBuilder::new(4096), |builder, n| {
        builder.put(format!("key-{n}"), "value")
    });
    let mut image = builder.image();
    for revision in 2..32 {
        let place = image.find_revision(revision, 0);
        image.overwrite_value(place, &[0xFF]);
    }
    room.put("bad.db", &image.sealed());
    for (flag, listed) in [
        ("", 30),
        ("--max-problems 0", 1),
        ("--max-problems 1", 1),
        ("--max-problems 7", 7),
        ("--max-problems 18446744073709551615", 30),
    ] {
        let said = room.run(&format!("verify bad.db {flag}")).code(DAMAGED);
        assert!(
            said.stdout.starts_with("DAMAGED: bad.db, 30 problems\n"),
            "{said:?}"
        );
        let lines = said.stdout.matches("  damaged: ").count();
        assert_eq!(lines, listed, "{said:?}");
        let rest = format!("  and {} more\n", 30 - listed);
        assert_eq!(said.stdout.contains(&rest), listed < 30, "{said:?}");
    }
    room.run("verify bad.db --max-problems -1").code(USAGE);
    room.run("verify bad.db --max-problems many").code(USAGE);
}

/// Nothing of it gets a name.
#[test]
fn a_device_is_written_and_not_replaced() {
    let room = Room::new();
    let server = server().start().unwrap();
    for (device, code) in [("/dev/null", 0), ("/dev/full", FILES)] {
        let mut command = room.command(&format!("save {device} --endpoints"));
        said(command.arg(server.endpoint())).code(code);
        assert!(!Path::new(device).metadata().unwrap().is_file());
    }
}
