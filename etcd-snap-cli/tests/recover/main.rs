//! The commands of a bad night, on machines with real etcd servers: `save --discover`, `recover`, `--resume`, `--rollback`.

mod alone;
mod refused;
mod together;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::node::{Machine, Machines, Starter};

/// Of this machine, which no test may touch.
const PATH: &str = "/usr/bin:/bin";
const OK: i32 = 0;
const WAITING: i32 = 14;
const REFUSED: i32 = 15;

/// What a run left behind for its reader.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    #[track_caller]
    fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, Some(expected), "{self:#?}");
        self
    }

    #[track_caller]
    fn tells(self, words: &str) -> Self {
        assert!(
            self.stdout.contains(words) || self.stderr.contains(words),
            "no {words:?} in {self:#?}"
        );
        self
    }
}

/// The command on a machine, in the folder of all of them: its words, and where its tree begins. A recovery is given the `systemctl` of
/// that machine.
fn command(machines: &Machines, place: usize, words: &[&str]) -> Command {
    let machine = machines.machine(place);
    let mut command = etcd_snap_testdata::stoppable(env!("CARGO_BIN_EXE_etcd-snap"));
    command
        .args(words)
        .arg("--root")
        .arg(machine.root())
        .current_dir(machines.folder())
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null());
    if words.first() == Some(&"recover") {
        command
            .arg("--systemctl")
            .arg(machine.on_disk("/usr/bin/systemctl"));
    }
    command
}

fn run(machines: &Machines, place: usize, words: &[&str]) -> Result<Said> {
    said(&mut command(machines, place, words))
}

fn said(command: &mut Command) -> Result<Said> {
    let output = command.output()?;
    Ok(Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

type Keys = Vec<(String, String)>;

/// Keys of before and after `backup.db`, which the command itself makes: what is in it, and what there is at last.
fn live_and_save(machines: &Machines) -> Result<(Keys, Keys)> {
    machines.put_many("saved", 120)?;
    let saved = machines.keys(0)?;
    run(machines, 0, &["save", "--discover", "backup.db"])?.code(OK);
    machines.put("after/the-snapshot", "only-here")?;
    Ok((saved, machines.keys(0)?))
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Result<Vec<String>> {
    let mut names = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The files of the manifests directory with their contents.
fn manifests(machine: &Machine) -> Result<Vec<(PathBuf, String)>> {
    names(&machine.manifests())?
        .into_iter()
        .map(|name| {
            let path = machine.manifests().join(name);
            let content = std::fs::read_to_string(&path)?;
            Ok((path, content))
        })
        .collect()
}
