//! All that is found in the files, and the exit codes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{fmt::Write as _, fs};

use anyhow::{Context, Result, ensure};
use etcd_snap::{HashKvOptions, Problem, Snapshot, hash_kv, status};
use etcd_snap_testdata::corpus::{self, Specimen};
use serde_json::Value;

use crate::{HOW_TO_BLESS, Verdict, compare, folders, judge};

/// Every field that a problem has, also those that later versions add, in one line.
fn line(problem: &Problem) -> Result<String> {
    let fields = serde_json::to_value(problem)?;
    let fields = fields.as_object().context("an object")?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let field = |name: &str| fields.get(name).map(&text).unwrap_or_default();
    let mut line = format!("{} {}", field("severity"), field("code"));
    for (name, value) in fields {
        if !["severity", "code", "message"].contains(&name.as_str()) {
            write!(line, " {name}={}", text(value))?;
        }
    }
    write!(line, ": {}", field("message"))?;
    Ok(visible(&line))
}

/// Of damaged files anything can come into a sentence.
fn visible(text: &str) -> String {
    let mut visible = String::new();
    for c in text.chars() {
        if c.is_control() {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// The command in a folder, silent.
fn etcd_snap(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-snap"));
    command
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn code(command: &mut Command) -> Result<i32> {
    let status = command.status()?;
    status
        .code()
        .with_context(|| format!("{command:?} ended by {status}"))
}

/// The exit code where the file is named.
fn exit_code(arguments: &[&str], file: &Path, folder: &Path) -> Result<i32> {
    code(etcd_snap(folder).args(arguments).arg(file))
}

/// That of `verify -`, which reads the file from its standard input.
fn piped(file: &Path, folder: &Path) -> Result<i32> {
    let file = fs::File::open(file)?;
    code(etcd_snap(folder).args(["verify", "-"]).stdin(file))
}

fn text(specimen: &Specimen, file: &Path, room: &Path) -> Result<String> {
    let (verdict, report) = judge(specimen.name, &specimen.bytes);
    let verify = exit_code(&["verify"], file, room)?;
    ensure!(
        verify == verdict.exit_code(),
        "{}: verify ends with {verify}, and the library says {}",
        specimen.name,
        verdict.word()
    );
    let pipe = piped(file, room)?;
    let status = exit_code(&["status"], file, room)?;
    let fast = exit_code(&["status", "--fast"], file, room)?;
    let restored = room.join("restored");
    let restore = exit_code(&["restore", "--data-dir", "restored"], file, room)?;
    ensure!(
        restored.exists() == (restore == 0),
        "{}: restore ends with {restore}, and leaves the wrong thing behind",
        specimen.name
    );
    if restored.exists() {
        fs::remove_dir_all(restored)?;
        fs::remove_file(room.join("restored.restore-report.json"))?;
    }
    ensure!(
        fs::read_dir(room)?.count() == 0,
        "{}: something is left behind",
        specimen.name
    );

    let mut text = format!("# {}\n{}\n", specimen.about, verdict.word());
    writeln!(
        text,
        "exit codes: verify {verify}, verify - {pipe}, status {status}, status --fast {fast}, restore {restore}"
    )?;
    match report {
        Ok(report) => {
            for problem in &report.problems {
                writeln!(text, "{}", line(problem)?)?;
            }
            if report.more_problems > 0 {
                writeln!(text, "and {} more", report.more_problems)?;
            }
        }
        Err(error) => writeln!(text, "{error}")?,
    }
    Ok(text)
}

fn compare_all(folder: &Path, specimens: &[Specimen]) -> Result<()> {
    let room = tempfile::tempdir()?;
    let mut differences = Vec::new();
    for specimen in specimens {
        let file = folder.join(format!("{}.db", specimen.name));
        let found = text(specimen, &file, room.path())?;
        differences.extend(compare(&file.with_extension("expected"), &found).err());
    }
    ensure!(
        differences.is_empty(),
        "{}\n{HOW_TO_BLESS}",
        differences.join("\n")
    );
    Ok(())
}

#[test]
fn all_that_is_wrong_with_the_damaged_files_is_found() -> Result<()> {
    let [damaged, _] = folders();
    compare_all(&damaged, &corpus::damaged())
}

#[test]
fn nothing_is_wrong_with_the_sound_files() -> Result<()> {
    let [_, sound] = folders();
    compare_all(&sound, &corpus::sound())
}

#[test]
fn no_sound_file_is_refused() {
    for specimen in corpus::sound() {
        let (verdict, report) = judge(specimen.name, &specimen.bytes);
        let problems = report.expect("it opens").problems;
        assert_eq!(problems, [], "{}", specimen.name);
        let raw = specimen.name == "members-file";
        let expected = if raw {
            Verdict::NoDigest
        } else {
            Verdict::Sound
        };
        assert_eq!(verdict, expected, "{}", specimen.name);
    }
}

/// No verb gives numbers of a file that another calls damaged, and none refuses what another takes.
#[test]
fn all_verbs_are_of_one_mind() -> Result<()> {
    for specimen in [corpus::damaged(), corpus::sound()].concat() {
        let source = Arc::new(specimen.bytes.clone());
        let Ok(snapshot) = Snapshot::from_source(specimen.name, source) else {
            continue;
        };
        let (_, report) = judge(specimen.name, &specimen.bytes);
        let damaged = report?.problems.iter().any(|problem| {
            problem.severity == etcd_snap::Severity::Damaged
                && problem.code != etcd_snap::ProblemCode::DigestMismatch
        });
        let name = specimen.name;
        ensure!(status(&snapshot).is_err() == damaged, "{name}: status");
        let hash = hash_kv(&snapshot, &HashKvOptions::default());
        ensure!(hash.is_err() == damaged, "{name}: hash_kv");
    }
    Ok(())
}
