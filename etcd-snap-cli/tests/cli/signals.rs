//! Ctrl-C, and being told to end, in the middle of the work.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use etcd_snap_testdata::database::Image;
use etcd_snap_testdata::fake::{Fault, Server};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Room, good};

/// A file that claims a database of 64 GiB, nearly all of it a hole: reading it lasts longer than a signal takes to arrive.
fn endless(room: &Room) {
    const BYTES: u64 = 64 << 30;
    let mut image = Image::of_snapshot(good());
    let page_size = image.page_size() as u64;
    image.set_metas(|meta| meta.high_water_mark = BYTES / page_size);
    let path = room.put("endless.db", &image.unsealed());
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(BYTES).unwrap();
}

/// Sends the signal when a line that begins like this is on standard error; the rest of it, and the code.
fn signalled(command: &mut Command, line_start: &str, signal: Signal) -> (Option<i32>, String) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with(line_start), "{line}");
    let pid = Pid::from_child(&child);
    kill_process(pid, signal).unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    (child.wait().unwrap().code(), rest)
}

#[test]
fn verify_stops() {
    let room = Room::new();
    endless(&room);
    for (signal, code, words) in [
        (Signal::INT, 130, "error: stopped by SIGINT\n"),
        (Signal::TERM, 143, "error: stopped by SIGTERM\n"),
    ] {
        let ended = signalled(&mut room.command("verify endless.db"), "checking: ", signal);
        assert_eq!(ended, (Some(code), words.to_owned()));
    }
}

#[test]
fn restore_stops_and_leaves_nothing() {
    let room = Room::new();
    endless(&room);
    let before = room.names();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = room.command("restore endless.db --skip-hash-check --wal-dir wal");
        let (ended, _) = signalled(&mut command, "copying: ", signal);
        assert_eq!(ended, Some(code));
        assert_eq!(room.names(), before);
    }
}

#[test]
fn save_stops_though_the_server_is_silent_and_leaves_nothing() {
    let server = Server::serving_bytes(good())
        .with_fault(Fault::SilentAfter(40_000))
        .start()
        .unwrap();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let room = Room::new();
        let mut command = room.command("save new.db --stall-timeout 1h --endpoints");
        let (ended, _) = signalled(command.arg(server.endpoint()), &server.endpoint(), signal);
        assert_eq!(ended, Some(code));
        assert_eq!(room.names(), ["good.db"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_is_ignored_stays_ignored() {
    let room = Room::new();
    endless(&room);
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "trap '' INT HUP; exec \"$0\" verify endless.db"])
        .arg(env!("CARGO_BIN_EXE_etcd-snap"))
        .current_dir(room.path());
    let mut child = shell.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let pid = Pid::from_child(&child);
    for signal in [Signal::INT, Signal::HUP, Signal::TERM] {
        kill_process(pid, signal).unwrap();
    }
    assert_eq!(child.wait().unwrap().code(), Some(143));
}
