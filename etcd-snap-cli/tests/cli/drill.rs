//! A drill as a cron job meets it: exit codes, reports, and nothing left behind, however it ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::node::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Room, flipped, said};

/// The executable, and a directory beside it that is all of `PATH`.
fn etcd() -> Result<(PathBuf, PathBuf)> {
    let etcd = fs::canonicalize(Binaries::find(Version::V3_6)?.etcd)?;
    let directory = etcd.parent().context("a directory")?.to_owned();
    Ok((etcd, directory))
}

/// A room whose drills have a scratch directory of their own.
fn room() -> Room {
    let room = Room::new();
    fs::create_dir(room.path().join("scratch")).expect("a directory");
    room
}

fn drill(room: &Room, arguments: &str) -> Command {
    let mut command = room.command("drill --scratch scratch");
    command.args(arguments.split_whitespace());
    command
}

fn scratch(room: &Room) -> Vec<PathBuf> {
    let entries = fs::read_dir(room.path().join("scratch")).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn report(room: &Room, name: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(room.path().join(name))?)?)
}

/// Processes that have this directory among their words, zombies not counted: they have none.
fn processes_in(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().expect("text");
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|words| String::from_utf8_lossy(&words).replace('\0', " "))
        .filter(|words| words.contains(directory))
        .collect()
}

#[test]
fn a_drill_that_passes_says_so_everywhere() -> Result<()> {
    let (_, path) = etcd()?;
    let room = room();
    let mut command = drill(
        &room,
        "good.db --members 3 --html page.html --max-age 26h --expect empty --expect-count plain/>=100",
    );
    let drilled = said(command.env("PATH", path)).code(0);
    let first = drilled.stdout.lines().next();
    ensure!(first == Some("Drill passed"), "{drilled:?}");
    for words in [
        "total (RTO)",
        "the members served after",
        "keys below plain/ >= 100: passed",
    ] {
        ensure!(drilled.stdout.contains(words), "{words}: {drilled:?}");
    }
    ensure!(drilled.stderr.contains("13/13 restart all members"));
    let report = report(&room, "drill-report.json")?;
    ensure!(report["verdict"] == "passed" && report["schema"] == 1);
    ensure!(report["reason"].is_null() && report["serving_ms"].is_u64());
    ensure!(report["members"].as_array().is_some_and(|it| it.len() == 3));
    let page = fs::read_to_string(room.path().join("page.html"))?;
    ensure!(page.contains("</span> Passed</h1>") && page.ends_with("</html>\n"));
    ensure!(scratch(&room).is_empty());
    ensure!(
        room.names() == ["drill-report.json", "good.db", "page.html", "scratch"],
        "{:?}",
        room.names()
    );
    Ok(())
}

#[test]
fn json_is_the_report_and_tables_have_the_times() -> Result<()> {
    let room = room();
    let drilled = said(&mut drill(&room, "good.db --offline -w json -q")).code(13);
    ensure!(drilled.stderr.is_empty(), "{drilled:?}");
    let printed: Value = serde_json::from_str(&drilled.stdout)?;
    ensure!(printed == report(&room, "drill-report.json")?);
    ensure!(printed["verdict"] == "not-booted");
    let drilled = said(&mut drill(
        &room,
        "good.db --offline -w table --report other.json -q",
    ))
    .code(13);
    for words in ["STEP", "TIME", "total (RTO)", "not booted"] {
        ensure!(drilled.stdout.contains(words), "{words}: {drilled:?}");
    }
    ensure!(report(&room, "other.json")?["verdict"] == "not-booted");
    Ok(())
}

#[test]
fn what_does_not_hold_is_12_and_in_the_report() -> Result<()> {
    let room = room();
    room.put("flipped.db", &flipped());
    room.put("text.db", b"no snapshot");
    for (arguments, words) in [
        ("flipped.db", "SHA-256"),
        ("text.db", "text.db"),
        (
            "good.db --expect nobody's",
            "the key nobody's is not in the snapshot",
        ),
        ("good.db --expect-count plain/<10", "and there are 190"),
        ("good.db --max-age 1ms", "by the time of its file"),
        (
            "good.db --cluster-id cdf818194e3a8c32",
            "no manifest lies beside it",
        ),
    ] {
        // Old enough for every limit, by more than the digits of its time.
        let file = fs::File::options()
            .write(true)
            .open(room.path().join("good.db"))?;
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60))?;
        let drilled = said(&mut drill(&room, arguments)).code(12);
        let first = drilled.stdout.lines().next().unwrap_or_default();
        ensure!(
            first.starts_with("Drill failed: ") && first.contains(words),
            "{first}"
        );
        let report = report(&room, "drill-report.json")?;
        ensure!(report["verdict"] == "failed");
        ensure!(
            report["reason"]
                .as_str()
                .is_some_and(|it| it.contains(words))
        );
        ensure!(scratch(&room).is_empty());
    }
    Ok(())
}

/// Yesterday's report must not go on saying that all is well.
#[test]
fn a_drill_that_cannot_be_done_has_a_report_too() -> Result<()> {
    let room = room();
    room.put("drill-report.json", b"{\"verdict\":\"passed\"}");
    said(&mut drill(&room, "none.db"))
        .code(3)
        .complains("none.db");
    let report = report(&room, "drill-report.json")?;
    ensure!(report["verdict"] == "failed");
    let reason = report["reason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("the drill could not be done: "),
        "{reason}"
    );
    Ok(())
}

#[test]
fn a_report_that_cannot_be_written_matters_where_it_was_asked_for() {
    let room = room();
    let (_, path) = etcd().expect("an etcd");
    fs::create_dir(room.path().join("drill-report.json")).expect("a directory");
    let mut command = drill(&room, "good.db --sample 1");
    said(command.env("PATH", &path))
        .code(0)
        .complains("there is no drill-report.json");
    let mut command = drill(&room, "good.db --sample 1 --report none/drill.json");
    let drilled = said(command.env("PATH", &path)).code(3);
    assert!(drilled.stdout.starts_with("Drill passed\n"), "{drilled:?}");
    drilled.complains("cannot write none/drill.json");
    // What was found matters more.
    said(&mut drill(
        &room,
        "good.db --offline --report none/drill.json",
    ))
    .code(13)
    .complains("cannot write none/drill.json");
}

/// A mistyped name is no word against the backup.
#[test]
fn an_etcd_that_is_not_there_is_no_failed_backup() -> Result<()> {
    let room = room();
    said(&mut drill(&room, "good.db --etcd ./none"))
        .code(3)
        .complains("cannot run ./none");
    ensure!(report(&room, "drill-report.json")?["attest"].is_null());
    ensure!(scratch(&room).is_empty());
    Ok(())
}

#[test]
fn wrong_usage_is_named() {
    let room = room();
    for (arguments, words) in [
        ("", "FILE"),
        ("-", "standard input"),
        ("good.db --members 0", "1 to 15 members"),
        ("good.db --members 16", "1 to 15 members"),
        ("good.db --expect-count plain/", "/registry/pods/>=10"),
        ("good.db --expect a\\q", "backslash"),
        ("good.db --max-age yesterday", "like 10s"),
        ("good.db --cluster-id m1", "hexadecimal"),
    ] {
        said(&mut drill(&room, arguments)).code(2).complains(words);
    }
    // Variables that are about asking say nothing to who asks nobody.
    let mut command = drill(&room, "good.db --offline");
    said(
        command
            .env("ETCDCTL_ENDPOINTS", "127.0.0.1:1")
            .env("ETCDCTL_CERT", "none"),
    )
    .code(13);
}

#[test]
fn a_living_cluster_is_saved_drilled_and_asked() -> Result<()> {
    let (etcd, _) = etcd()?;
    let room = room();
    let living = Cluster::builder(Version::V3_6).start()?;
    living.etcdctl(["put", "a", "b"])?;
    let tls = living.tls();
    for file in ["", "kept.db"] {
        let mut command = drill(&room, file);
        command
            .arg("--etcd")
            .arg(&etcd)
            .arg("--endpoints")
            .arg(living.endpoint(0));
        for (flag, value) in [
            ("--cacert", &tls.authority),
            ("--cert", &tls.client.certificate),
            ("--key", &tls.client.key),
        ] {
            command.arg(flag).arg(value);
        }
        let drilled = said(&mut command).code(0);
        ensure!(
            drilled.stdout.contains("1 of 1 member equal"),
            "{drilled:?}"
        );
        let report = report(&room, "drill-report.json")?;
        ensure!(report["attest"]["verdict"] == "equal");
        ensure!(report["snapshot"]["age_from"] == "manifest");
        ensure!(scratch(&room).is_empty());
    }
    ensure!(room.names().contains(&"kept.db.manifest.json".to_owned()));
    let names = room.names().into_iter();
    ensure!(names.filter(|name| name.ends_with(".db")).count() == 2);
    // Nobody is there.
    drop(living);
    said(&mut drill(
        &room,
        "--endpoints 127.0.0.1:1 --connect-timeout 1s",
    ))
    .code(4);
    ensure!(scratch(&room).is_empty());
    ensure!(report(&room, "drill-report.json")?["verdict"] == "failed");
    Ok(())
}

/// A run that has just begun its step with this title.
fn until_step(mut command: Command, title: &str) -> Result<(Child, BufReader<ChildStderr>)> {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("standard error")?);
    let mut line = String::new();
    while !line.contains(title) {
        line.clear();
        ensure!(
            stderr.read_line(&mut line)? > 0,
            "it ended before {title:?}"
        );
    }
    Ok((child, stderr))
}

/// What etcd's process does when it starts: tell it here, with its number, and then start something that stays.
struct Stubborn {
    program: PathBuf,
    told: PathBuf,
}

impl Stubborn {
    fn new(room: &Room) -> Result<Self> {
        let told = room.path().join("told");
        ensure!(Command::new("mkfifo").arg(&told).status()?.success());
        let lines = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\ntrap '' TERM INT\nsleep 1000 &\necho $! >{}\nwait\n",
            told.display()
        );
        let program = room.path().join("stubborn");
        etcd_snap_testdata::write_program(&program, &lines)?;
        Ok(Self { program, told })
    }

    /// Waits until it runs; the number of what it started.
    fn started(&self) -> Result<i32> {
        Ok(fs::read_to_string(&self.told)?.trim().parse()?)
    }
}

/// Whether it runs: one that is only not yet buried does not. Its state says so; words it has none either for a moment
/// while it becomes another program.
fn lives(process: i32) -> bool {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = line.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, None | Some('Z' | 'X')))
}

#[test]
fn a_signal_while_etcd_starts_leaves_nothing() -> Result<()> {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let room = room();
        let stubborn = Stubborn::new(&room)?;
        let mut command = drill(&room, "good.db");
        command.arg("--etcd").arg(&stubborn.program);
        let (mut child, mut stderr) = until_step(command, "start etcd")?;
        let sleeping = stubborn.started()?;
        ensure!(lives(sleeping));
        ensure!(!scratch(&room).is_empty());
        kill_process(Pid::from_child(&child), signal)?;
        let mut rest = String::new();
        stderr.read_to_string(&mut rest)?;
        ensure!(child.wait()?.code() == Some(code), "{rest}");
        ensure!(scratch(&room).is_empty(), "{:?}", scratch(&room));
        ensure!(
            processes_in(room.path()).is_empty(),
            "{:?}",
            processes_in(room.path())
        );
        // It was killed, but nobody of us can wait for it.
        wait_for("what etcd started still runs", || Ok(!lives(sleeping)))?;
        ensure!(!room.names().contains(&"drill-report.json".to_owned()));
    }
    Ok(())
}

#[test]
fn ctrl_c_in_the_middle_of_the_proofs_leaves_nothing() -> Result<()> {
    let (etcd, _) = etcd()?;
    for title in ["compare HashKV", "restart all members"] {
        let room = room();
        let mut command = drill(&room, "good.db --members 3");
        command.arg("--etcd").arg(&etcd);
        let (mut child, mut stderr) = until_step(command, title)?;
        ensure!(!scratch(&room).is_empty());
        kill_process(Pid::from_child(&child), Signal::INT)?;
        let mut rest = String::new();
        stderr.read_to_string(&mut rest)?;
        ensure!(child.wait()?.code() == Some(130), "{rest}");
        ensure!(rest.ends_with("error: stopped by SIGINT\n"), "{rest}");
        ensure!(scratch(&room).is_empty());
        ensure!(processes_in(room.path()).is_empty());
    }
    Ok(())
}

/// SIGKILL is heard by nobody: its servers live on, and go with its directory when the next drill comes.
#[test]
fn what_a_killed_drill_left_goes_with_the_next() -> Result<()> {
    let (etcd, _) = etcd()?;
    let room = room();
    let mut command = drill(&room, "good.db");
    command.arg("--etcd").arg(&etcd);
    let (mut child, _stderr) = until_step(command, "compare HashKV")?;
    child.kill()?;
    child.wait()?;
    let left = scratch(&room);
    ensure!(left.len() == 1 && !processes_in(&left[0]).is_empty());

    let mut next = drill(&room, "good.db");
    let name = left[0]
        .file_name()
        .context("a name")?
        .to_string_lossy()
        .into_owned();
    said(next.arg("--etcd").arg(&etcd))
        .code(0)
        .complains("left by a drill that was killed")
        .complains(&name);
    ensure!(scratch(&room).is_empty());
    ensure!(processes_in(&left[0]).is_empty());
    Ok(())
}
