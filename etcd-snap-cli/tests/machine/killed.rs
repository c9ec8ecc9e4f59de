//! The command is killed: before each of its calls that change something, and at any moment. What lies there then is the old
//! state or the complete new one, or one that no server starts from; and the same command again brings the new one.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use etcd_snap_testdata::bulk::{Bulk, Profile};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::database::Random;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::{FULL, golden, sample};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{ETCD_SNAP, bare, expect, names};

const OCCUPIED: i32 = 10;

/// Calls that change something on a disk. Not every machine has all of them: the question mark lets strace pass over those.
const CHANGES: &[&str] = &[
    "mkdir",
    "mkdirat",
    "openat",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "fallocate",
    "ftruncate",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "setxattr",
    "fsetxattr",
    "lsetxattr",
    "flock",
    "copy_file_range",
    "ioctl",
];

/// What is there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Nothing.
    Fresh,
    /// An empty data directory.
    Empty,
    /// Nothing, and the WAL goes elsewhere.
    Wal,
    /// An empty data directory, and an empty one for the WAL.
    EmptyWal,
    /// A member that is to be replaced.
    Replace,
    /// The same, with its WAL elsewhere.
    ReplaceWal,
}

impl Layout {
    const ALL: [Self; 6] = [
        Self::Fresh,
        Self::Empty,
        Self::Wal,
        Self::EmptyWal,
        Self::Replace,
        Self::ReplaceWal,
    ];

    fn has_wal(self) -> bool {
        matches!(self, Self::Wal | Self::EmptyWal | Self::ReplaceWal)
    }

    fn replaces(self) -> bool {
        matches!(self, Self::Replace | Self::ReplaceWal)
    }
}

/// What lies there.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Old,
    New,
    /// Neither, and no server starts from it.
    Guarded,
}

/// A place to restore to, what was there before, and what a restore that nobody interrupts makes of it.
struct Scene {
    folder: TempDir,
    layout: Layout,
    snapshot: PathBuf,
}

impl Scene {
    fn new(layout: Layout, snapshot: PathBuf) -> Result<Self> {
        let scene = Self {
            folder: tempfile::tempdir()?,
            layout,
            snapshot,
        };
        let before = scene.folder.path().join("before");
        fs::create_dir(&before)?;
        match layout {
            Layout::Fresh | Layout::Wal => {}
            Layout::Empty => fs::create_dir(before.join("m1.etcd"))?,
            Layout::EmptyWal => {
                fs::create_dir(before.join("m1.etcd"))?;
                fs::create_dir(before.join("wal"))?;
            }
            Layout::Replace | Layout::ReplaceWal => {
                let old = golden::snapshot(Version::V3_5);
                let mut command = scene.command_for(&old, false);
                expect(&command.current_dir(&before).output()?, 0, &[])?;
            }
        }
        scene.reset()?;
        expect(&scene.command().output()?, 0, &[])?;
        fs::rename(scene.room(), scene.complete())?;
        scene.reset()?;
        Ok(scene)
    }

    /// Where the command works.
    fn room(&self) -> PathBuf {
        self.folder.path().join("room")
    }

    fn complete(&self) -> PathBuf {
        self.folder.path().join("complete")
    }

    fn before(&self) -> PathBuf {
        self.folder.path().join("before")
    }

    /// What was there before is there again.
    fn reset(&self) -> Result<()> {
        if self.room().exists() {
            fs::remove_dir_all(self.room())?;
        }
        copy(&self.before(), &self.room())
    }

    fn command(&self) -> Command {
        let mut command = self.command_for(&self.snapshot, self.layout.replaces());
        command.current_dir(self.room());
        command
    }

    fn command_for(&self, snapshot: &Path, replace: bool) -> Command {
        let mut command = bare(ETCD_SNAP);
        command.args(self.arguments(snapshot, replace));
        command
    }

    fn arguments(&self, snapshot: &Path, replace: bool) -> Vec<std::ffi::OsString> {
        let mut arguments = vec!["restore".into(), snapshot.into()];
        let fixed = "--name m1 --initial-cluster m1=http://127.0.0.1:1 \
                     --initial-advertise-peer-urls http://127.0.0.1:1 --data-dir m1.etcd";
        arguments.extend(fixed.split_whitespace().map(Into::into));
        if self.layout.has_wal() {
            arguments.extend(["--wal-dir".into(), "wal".into()]);
        }
        if replace {
            arguments.push("--replace".into());
        }
        arguments
    }

    /// The same under strace, with nothing but these arguments of its own.
    fn traced(&self, arguments: &[&str]) -> Result<Output> {
        let output = bare("strace")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.room())
            .args(["-f", "-qq"])
            .args(arguments)
            .args(["--", ETCD_SNAP])
            .args(self.arguments(&self.snapshot, self.layout.replaces()))
            .output()?;
        ensure!(
            output.status.code() != Some(127),
            "strace is missing; as root: apt-get install strace"
        );
        Ok(output)
    }

    /// Every call that changes something: its name, and how many of that name its thread had made by then.
    fn changes(&self) -> Result<BTreeSet<(String, usize)>> {
        let log = self.folder.path().join("calls");
        let traced: Vec<_> = CHANGES.iter().map(|name| format!("?{name}")).collect();
        let output = self.traced(&[
            "-o",
            log.to_str().context("UTF-8")?,
            "-e",
            &format!("trace={}", traced.join(",")),
        ])?;
        expect(&output, 0, &[])?;
        let mut counts = HashMap::new();
        let mut changes = BTreeSet::new();
        for line in fs::read_to_string(&log)?.lines() {
            let (thread, call) = line.split_once(char::is_whitespace).context("a thread")?;
            let Some((name, about)) = call.trim_start().split_once('(') else {
                continue;
            };
            if !CHANGES.contains(&name) {
                continue;
            }
            let count = counts
                .entry((thread.to_owned(), name.to_owned()))
                .or_insert(0);
            *count += 1;
            let is_change = match name {
                "openat" => about.contains("O_CREAT") || about.contains("O_TRUNC"),
                "ioctl" => about.contains("FICLONE"),
                _ => true,
            };
            if is_change {
                changes.insert((name.to_owned(), *count));
            }
        }
        self.reset()?;
        Ok(changes)
    }

    /// What lies there. Hidden names are the business of the run that made them, and of the next.
    fn state(&self) -> Result<State> {
        let differs = |from: &Path| difference(from, &self.room());
        let Some(from_old) = differs(&self.before())? else {
            return Ok(State::Old);
        };
        let Some(from_new) = self.differs_from_complete()? else {
            return Ok(State::New);
        };
        // A server may change what it finds.
        let copied = tempfile::tempdir()?;
        let copied = copied.path().join("copied");
        copy(&self.room(), &copied)?;
        let started = self.boot(&copied);
        ensure!(
            started.is_err(),
            "a server starts from what is neither the old state ({from_old}) nor the new one ({from_new}): {:?}",
            tree(&self.room())?
        );
        Ok(State::Guarded)
    }

    /// The new state, and beside it the old one where it was replaced.
    fn differs_from_complete(&self) -> Result<Option<String>> {
        if !self.layout.replaces() {
            return difference(&self.complete(), &self.room());
        }
        for (new, name) in [("m1.etcd/member", "member"), ("wal", "wal")] {
            if name == "wal" && !self.layout.has_wal() {
                continue;
            }
            let place = self.room().join(new);
            if !place.exists() {
                return Ok(Some(format!("there is no {new}")));
            }
            if let Some(difference) = difference(&self.complete().join(new), &place)? {
                return Ok(Some(difference));
            }
            // Until the next run it may have the name of what was staged, with which it was exchanged.
            let beside = place.parent().context("a parent")?;
            let old = self.before().join(new);
            let mut kept = false;
            for other in names(beside)? {
                let named = other.starts_with(&format!("{name}.old-"));
                if named || other.starts_with('.') && other.ends_with(".restoring") {
                    kept |= difference(&old, &beside.join(other))?.is_none();
                }
            }
            if !kept {
                return Ok(Some(format!("the old one of {new} is lost")));
            }
        }
        Ok(None)
    }

    /// After a kill: the state that was left, the same command again, and what came of it.
    fn go_on(&self) -> Result<State> {
        let left = self.state()?;
        let output = self.command().output()?;
        if left == State::New && !self.layout.replaces() {
            expect(&output, OCCUPIED, &["m1.etcd"])?;
        } else {
            expect(&output, 0, &[])?;
        }
        ensure!(
            self.state()? == State::New,
            "the same command again: {:?}",
            tree(&self.room())?
        );
        if left == State::Old {
            ensure!(names(&self.room())?.contains(&REPORT.to_owned()));
        }
        if left == State::New && !self.layout.replaces() {
            // The report may have been under way, and nothing was begun again.
            return Ok(left);
        }
        let litter: Vec<_> = tree(&self.room())?
            .into_iter()
            .filter(|path| is_hidden(path))
            .collect();
        ensure!(litter.is_empty(), "left for good: {litter:?}");
        Ok(left)
    }

    fn boot(&self, room: &Path) -> Result<()> {
        let mut builder = Cluster::builder(Version::V3_6).folder(room);
        if self.layout.has_wal() {
            builder = builder.argument(format!("--wal-dir={}", room.join("wal").display()));
        }
        let cluster = builder.plan()?.start()?;
        let revision = golden::facts(Version::V3_6)?["revision"].as_i64();
        if self.snapshot == golden::snapshot(Version::V3_6) {
            ensure!(Some(cluster.revision(0)?) == revision);
        }
        cluster.etcdctl(["put", "after", "the kill"])?;
        Ok(())
    }
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|name| name.starts_with('.'))
}

/// It lies beside the directory, and has the time that each run took.
const REPORT: &str = "m1.etcd.restore-report.json";

fn copy(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

/// All that is below a directory, as paths from it, sorted.
fn tree(top: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut ahead = vec![top.to_owned()];
    while let Some(directory) = ahead.pop() {
        for name in names(&directory)? {
            let path = directory.join(&name);
            let below = path.strip_prefix(top)?;
            found.push(below.to_str().context("UTF-8")?.to_owned());
            if path.is_dir() && !path.is_symlink() {
                ahead.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What two directories differ in first, if they do.
fn difference(expected: &Path, found: &Path) -> Result<Option<String>> {
    let list = |top: &Path| -> Result<Vec<String>> {
        let mut all = tree(top)?;
        // What is made ready beside a member to be exchanged with it changes nothing about that one.
        all.retain(|path| path != REPORT && !is_hidden(path) && !path.contains(".old-"));
        Ok(all)
    };
    let (ours, theirs) = (list(expected)?, list(found)?);
    if ours != theirs {
        return Ok(Some(format!("{theirs:?} and not {ours:?}")));
    }
    for path in ours {
        let (one, other) = (expected.join(&path), found.join(&path));
        if one.is_file() && !same_bytes(&one, &other)? {
            return Ok(Some(format!("{path} has other bytes")));
        }
        let mode = |path: &Path| -> Result<_> { Ok(path.metadata()?.permissions()) };
        if mode(&one)? != mode(&other)? {
            return Ok(Some(format!("{path} has another mode")));
        }
    }
    Ok(None)
}

fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut piece, mut same) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut piece)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut same[..read])?;
        if piece[..read] != same[..read] {
            return Ok(false);
        }
    }
}

/// strace stops the command where it is about to make the call.
fn killed_before_each_change(layout: Layout) -> Result<()> {
    let scene = Scene::new(layout, golden::snapshot(Version::V3_6))?;
    let changes = scene.changes()?;
    // There are files, their directories, and names in the end, or this shows nothing.
    ensure!(changes.len() > 20, "{changes:?}");
    let booted: BTreeSet<_> = sample(0..changes.len(), 1).into_iter().collect();
    let mut states = Vec::new();
    for (place, (name, number)) in changes.iter().enumerate() {
        let context = || format!("{layout:?}, killed before {name} number {number}");
        scene.reset()?;
        let output = scene.traced(&[
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={name}"),
            "-e",
            &format!("inject={name}:signal=SIGKILL:when={number}"),
        ])?;
        // How many files are opened in `/proc`, to see who uses a place, is up to the machine.
        if name == "openat" && output.status.success() {
            ensure!(scene.state()? == State::New, "{}", context());
            continue;
        }
        if output.status.signal() != Some(Signal::KILL.as_raw()) {
            bail!("{}: it went on: {output:?}", context());
        }
        states.push(scene.go_on().with_context(context)?);
        if booted.contains(&place) {
            scene.boot(&scene.room()).with_context(context)?;
        }
    }
    // The report is written when all is done.
    for wanted in [State::Old, State::New] {
        ensure!(states.contains(&wanted), "{states:?}");
    }
    println!("{layout:?}: {} calls, {states:?}", changes.len());
    Ok(())
}

#[test]
fn killed_before_each_call_that_changes_something_a_restore_leaves_old_or_new() -> Result<()> {
    for layout in sample(Layout::ALL, 2) {
        killed_before_each_change(layout)?;
    }
    Ok(())
}

/// Not in the middle of a call, as above, but of what a call does.
#[test]
fn killed_at_any_moment_a_restore_leaves_old_or_new() -> Result<()> {
    let full = std::env::var_os(FULL).is_some();
    let size = if full { 200_000_000 } else { 20_000_000 };
    let folder = tempfile::tempdir()?;
    let snapshot = folder.path().join("large.db");
    Bulk::new(Profile::Kubernetes, size).write(&snapshot)?;
    let moments = sample(0..300, 20);
    for (place, layout) in Layout::ALL.into_iter().enumerate() {
        let moments = moments.iter().skip(place).step_by(Layout::ALL.len());
        let scene = Scene::new(layout, snapshot.clone())?;
        let began = Instant::now();
        expect(&scene.command().output()?, 0, &[])?;
        let whole = began.elapsed();
        let mut states = Vec::new();
        for moment in moments {
            scene.reset()?;
            let part = Random::new(*moment).below(1000);
            let mut child = scene
                .command()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            // Nothing is waited for: this is the moment.
            std::thread::sleep(whole * u32::try_from(part)? / 1000);
            child.kill()?;
            child.wait()?;
            let state = scene.go_on();
            states.push(state.with_context(|| format!("{layout:?}, moment {moment}"))?);
        }
        scene
            .boot(&scene.room())
            .with_context(|| format!("{layout:?}"))?;
        println!(
            "{layout:?}: {:?} each, {states:?}",
            Duration::from_millis(whole.as_millis() as u64)
        );
    }
    Ok(())
}
