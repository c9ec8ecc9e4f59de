//! Ctrl-C, and being told to end, in the middle of the work.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use etcd_snap_testdata::database::Image;
use etcd_snap_testdata::fake::{Fault, Hash, HashAnswer, Server};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Room, good, said};

/// A file that claims a database of 64 GiB, nearly all of it a hole: reading it lasts longer than a signal takes to arrive.
fn endless(room: &Room) {
    make_endless(&room.path().join("endless.db"));
}

pub(crate) fn make_endless(path: &Path) {
    make_long(path, 64 << 30);
}

fn make_long(path: &Path, bytes: u64) {
    let mut image = Image::of_snapshot(good());
    let page_size = image.page_size() as u64;
    image.set_metas(|meta| meta.high_water_mark = bytes / page_size);
    std::fs::write(path, image.unsealed()).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(bytes).unwrap();
}

/// Sends the signal when a line that begins like this is on standard error; the rest of it, and the code.
pub(crate) fn signalled(
    command: &mut Command,
    line_start: &str,
    signal: Signal,
) -> (Option<i32>, String) {
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
    // There has to be room for all of it.
    const BYTES: u64 = 4 << 30;
    let room = Room::new();
    make_long(&room.path().join("endless.db"), BYTES);
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

/// Two runs to one name, one of them killed in the middle of its transfer: the next one removes what it left, and leaves alone
/// what the living one writes into and what etcdctl left.
#[test]
fn a_save_removes_what_a_killed_one_left_and_leaves_a_living_one_alone() {
    let stalling = Server::serving_bytes(good())
        .with_fault(Fault::SilentAfter(40_000))
        .start()
        .unwrap();
    let server = Server::serving_bytes(good()).start().unwrap();
    let room = Room::new();
    room.put("new.db.part", b"etcdctl's");
    let ours = ["good.db", "new.db.part"];
    let hidden = |room: &Room| {
        let names = room.names().into_iter();
        names
            .filter(|name| name.starts_with('.'))
            .collect::<Vec<_>>()
    };

    let mut runs = Vec::new();
    for n in 1..=2 {
        let mut command = room.command("save new.db --stall-timeout 1h --endpoints");
        command.arg(stalling.endpoint());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.starts_with(&stalling.endpoint()), "{line}");
        assert_eq!(hidden(&room).len(), n);
        runs.push((child, stderr, hidden(&room)));
    }
    let (mut living, mut stderr, both) = runs.pop().unwrap();
    let (mut killed, _, dead) = runs.pop().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(hidden(&room), both);

    let mut save = room.command("save new.db --endpoints");
    let saved = said(save.arg(server.endpoint()))
        .code(0)
        .complains(&format!(
            "removed {}, left by a save that was killed",
            dead[0]
        ));
    assert!(!saved.stderr.contains("etcdctl"), "{saved:?}");
    let left: Vec<_> = both.iter().filter(|name| !dead.contains(name)).collect();
    assert_eq!(hidden(&room).iter().collect::<Vec<_>>(), left);
    assert!(room.names().contains(&ours[1].to_owned()));
    let before = std::fs::read(room.path().join("new.db")).unwrap();
    assert_eq!(before, good());

    kill_process(Pid::from_child(&living), Signal::TERM).unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(living.wait().unwrap().code(), Some(143), "{rest}");
    assert_eq!(room.names(), ["good.db", "new.db", "new.db.part"]);
}

#[test]
fn whoever_waits_for_members_can_stop_and_leaves_nothing() {
    // The revision of the file.
    let silent = HashAnswer {
        revision: 215,
        hash: Hash::Silence,
    };
    let server = Server::serving_bytes(good())
        .with_hash(silent)
        .start()
        .unwrap();
    let room = Room::new();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut verify = room.command("verify good.db --against");
        let (ended, _) = signalled(verify.arg(server.endpoint()), "asking 1 of 1 ", signal);
        assert_eq!(ended, Some(code));
        let mut save = room.command("save new.db --attest --keep-unproven --endpoints");
        let (ended, _) = signalled(save.arg(server.endpoint()), &server.endpoint(), signal);
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
