//! What a person sees on a terminal of 50 columns.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use etcd_snap_testdata::fake::{Auth, Server};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{Room, flipped, good};

/// Runs on a terminal of 50 columns, and answers with a line when the screen ends with that prompt.
fn on_terminal(command: &mut Command, answer: Option<(&str, &str)>) -> (Option<i32>, String) {
    on_terminal_of(50, command, answer)
}

fn on_terminal_of(
    columns: u16,
    command: &mut Command,
    answer: Option<(&str, &str)>,
) -> (Option<i32>, String) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = File::from(rustix::fs::open(&name, flags, Mode::empty()).unwrap());
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();

    let mut child = command
        .env("TERM", "xterm")
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .stderr(terminal)
        .spawn()
        .unwrap();
    // The command builder keeps the other side open, and reading would not end.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());

    let mut controller = File::from(controller);
    let mut screen = String::new();
    let mut piece = [0; 4096];
    let mut answer = answer;
    // When the last one has left the terminal, reading fails with EIO.
    while let Ok(n @ 1..) = controller.read(&mut piece) {
        screen.push_str(&String::from_utf8_lossy(&piece[..n]));
        if let Some((_, line)) = answer.take_if(|(prompt, _)| screen.ends_with(*prompt)) {
            writeln!(controller, "{line}").unwrap();
        }
    }
    (child.wait().unwrap().code(), screen)
}

#[test]
fn sentences_break_between_words_and_nothing_is_said_twice() {
    let room = Room::new();
    room.put("flipped.db", &flipped());
    let (code, screen) = on_terminal(&mut room.command("verify flipped.db"), None);
    assert_eq!(code, Some(7), "{screen}");
    assert!(screen.contains("DAMAGED: flipped.db"), "{screen}");
    assert_eq!(
        screen.matches("the bytes are not the ones").count(),
        1,
        "{screen}"
    );

    let (code, screen) = on_terminal(&mut room.command("verify none/such.db"), None);
    assert_eq!(code, Some(3), "{screen}");
    assert!(screen.contains("No such"), "{screen}");
    for line in screen.lines() {
        let shown = console::strip_ansi_codes(line);
        assert!(shown.trim_end().chars().count() <= 50, "{shown}");
    }
}

#[test]
fn colours_are_left_out_on_request() {
    let room = Room::new();
    for arguments in ["verify none.db", "--help", "sav"] {
        let colours = "\u{1b}[1m";
        let (_, screen) = on_terminal(&mut room.command(arguments), None);
        let (_, plain) = on_terminal(room.command(arguments).env("NO_COLOR", "1"), None);
        assert!(
            !plain.contains(colours) && !plain.contains("\u{1b}[3"),
            "{plain:?}"
        );
        assert!(screen.contains('\u{1b}'), "{screen:?}");
    }
}

#[test]
fn lines_make_room_for_each_other_on_a_terminal() {
    let room = Room::new();
    let server = Server::serving_bytes(good()).start().unwrap();
    let mut command = room.command("save new.db -v --log-file log --endpoints");
    command.arg(server.endpoint());
    let (code, screen) = on_terminal(&mut command, None);
    assert_eq!(code, Some(0), "{screen}");
    let log = std::fs::read_to_string(room.path().join("log")).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = words(&console::strip_ansi_codes(&screen));
    for line in log.lines() {
        let (_, line) = line.split_once(' ').unwrap();
        assert!(!line.contains('\u{1b}'), "{line:?}");
        assert!(shown.contains(line), "no {line:?} in {shown}");
    }
    assert!(log.contains("receiving took"), "{log}");
}

#[test]
fn progress_fits_every_terminal() {
    let room = Room::new();
    let server = Server::serving_bytes(good()).start().unwrap();
    for columns in [12, 24, 36, 50, 60, 80, 132] {
        let mut command = room.command("save new.db --endpoints");
        command.arg(server.endpoint());
        let (code, screen) = on_terminal_of(columns, &mut command, None);
        assert_eq!(code, Some(0), "{screen}");
        let screen = console::strip_ansi_codes(&screen);
        let drawn: Vec<_> = screen
            .split(['\r', '\n'])
            .map(str::trim_end)
            .filter(|line| line.contains('%'))
            .collect();
        assert!(!drawn.is_empty(), "{columns}: {screen:?}");
        for line in &drawn {
            // The first word alone can be too long.
            let room = usize::from(columns).max("receiving 100%".len());
            assert!(line.chars().count() <= room, "{columns}: {line:?}");
        }
        if columns >= 80 {
            let rate = drawn.iter().any(|line| line.contains("B/s"));
            assert!(rate, "{columns}: {drawn:?}");
        }
    }
}

#[test]
fn the_password_is_asked_for_and_not_shown() {
    let room = Room::new();
    let server = Server::serving_bytes(good())
        .with_auth(Auth {
            user: "ann".to_owned(),
            password: "s3cret".to_owned(),
            is_root: true,
            modern: true,
        })
        .start()
        .unwrap();
    let mut command = room.command("save new.db --user ann --endpoints");
    command.arg(server.endpoint());
    let (code, screen) = on_terminal(&mut command, Some(("Password of ann: ", "s3cret")));
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("s3cret"), "{screen}");
    assert!(screen.contains("Snapshot saved at new.db"), "{screen}");
}

#[test]
fn a_terminal_neither_gets_nor_gives_a_snapshot() {
    let room = Room::new();
    let before = room.names();
    // Nobody listens there: it is refused before.
    for (arguments, words) in [
        ("save - --endpoints 127.0.0.1:1", "output is a terminal"),
        ("save /dev/tty --endpoints 127.0.0.1:1", "/dev/tty"),
        ("verify -", "input is a terminal"),
    ] {
        let (code, screen) = on_terminal(&mut room.command(arguments), None);
        let said = console::strip_ansi_codes(&screen).replace("\r\n", " ");
        // Without a controlling terminal there is no /dev/tty.
        assert!(matches!(code, Some(2 | 3)), "{arguments}: {screen}");
        assert!(said.contains(words), "{arguments}: {said}");
    }
    assert_eq!(room.names(), before);
}
