//! What `snapshot status` of each minor says of the files: whatever it refuses, we refuse, and a table lists the rest.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use etcd_snap::Severity;
use etcd_snap_testdata::corpus;
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::sample;

use crate::{HOW_TO_BLESS, Verdict, compare, files, folders, judge, name, updating};

/// How a tool of etcd ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Takes,
    Refuses,
    /// A panic, a signal, or nothing at all until its patience or its memory is over.
    Dies,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Takes => "takes",
            Self::Refuses => "refuses",
            Self::Dies => "dies",
        }
    }
}

/// Some damage sends the tools round in circles for ever, or until they have taken all memory: they get little of both.
const LIMITED: &str = "ulimit -v 4000000; exec timeout --signal=KILL 20 \"$@\"";

fn outcome(etcd: &Binaries, file: &Path) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    // They lock the file, and some write to it.
    let copy = folder.path().join("db");
    fs::copy(file, &copy)?;
    let output = Command::new("sh")
        .args(["-c", LIMITED, "sh"])
        .arg(etcd.offline_tool())
        .args(["snapshot", "status", "-w", "json"])
        .arg(&copy)
        .env("ETCDCTL_API", "3")
        .stdin(Stdio::null())
        .output()?;
    Ok(match output.status.code() {
        Some(0) => Outcome::Takes,
        // What cobra and etcd's own exits have; Go's runtime ends with 2 when it panics.
        Some(1) => Outcome::Refuses,
        Some(code) if code != 2 && !(124..).contains(&code) => Outcome::Refuses,
        _ => Outcome::Dies,
    })
}

/// A line of the table: our verdict, then theirs by minor.
fn line(file: &Path, all: &[Binaries]) -> Result<String> {
    let name = name(file);
    let (ours, report) = judge(&name, &fs::read(file)?);
    let theirs = all
        .iter()
        .map(|etcd| outcome(etcd, file))
        .collect::<Result<Vec<_>>>()?;
    let sound = matches!(ours, Verdict::Sound | Verdict::NoDigest);
    ensure!(
        !sound || theirs.iter().all(|theirs| *theirs == Outcome::Takes),
        "{name}: {ours:?} here, and etcd's tools say {theirs:?}"
    );
    let worst = report.ok().and_then(|report| report.worst());
    let word = match (ours, worst) {
        (Verdict::Sound, Some(Severity::Suspicious)) => "suspicious",
        (Verdict::Sound, Some(_)) => "noted",
        _ => ours.word(),
    };
    let mut line = format!("{name:<44}{word:<16}");
    for theirs in &theirs {
        write!(line, "{:<9}", theirs.word())?;
    }
    let found = ours != Verdict::Sound || worst.is_some();
    let alone = found && theirs.iter().all(|theirs| *theirs == Outcome::Takes);
    line.push_str(if alone { "only found here" } else { "" });
    Ok(line.trim_end().to_owned())
}

/// What a tool that reads out of bounds finds there is chance: whether it dies of that or refuses differs between runs.
fn refused(line: &str) -> Vec<&str> {
    let words = line.split_whitespace();
    words
        .map(|word| if word == "dies" { "refuses" } else { word })
        .collect()
}

fn head() -> String {
    let mut head = "# What etcd-snap and `snapshot status` of etcd's own tools say of every file: takes, refuses, or dies (a panic, a\n\
                    # signal, or nothing at all for twenty seconds or four gigabytes).\n"
        .to_owned();
    let columns = Version::ALL
        .map(|version| format!("{:<9}", version.minor()))
        .concat();
    let _ = writeln!(head, "# {:<42}{:<16}{columns}", "file", "etcd-snap");
    head.lines()
        .fold(String::new(), |head, line| head + line.trim_end() + "\n")
}

#[test]
fn whatever_etcds_own_tools_refuse_is_refused() -> Result<()> {
    const SAMPLE: usize = 16;
    let all = Version::ALL
        .map(Binaries::find)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let table = corpus::damaged_folder().join("verdicts.txt");
    let [damaged, sound] = folders();
    let every = [files(&damaged)?, files(&sound)?].concat();
    if updating() {
        let mut text = head();
        for file in every {
            writeln!(text, "{}", line(&file, &all)?)?;
        }
        return compare(&table, &text).map_err(anyhow::Error::msg);
    }
    let committed = fs::read_to_string(&table).context("no table of verdicts")?;
    let count = committed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    ensure!(
        count == every.len(),
        "the table has {count} lines for {} files",
        every.len()
    );
    for file in sample(every, SAMPLE) {
        let found = line(&file, &all)?;
        let expected = committed
            .lines()
            .find(|line| line.split_whitespace().next() == Some(&name(&file)));
        ensure!(
            expected.map(refused) == Some(refused(&found)),
            "expected {expected:?}\nfound    {found:?}\n{HOW_TO_BLESS}"
        );
    }
    Ok(())
}
