//! The demo from outside: it passes, it leaves nothing behind, and it fails when what it shows does not work.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;
use rustix::process::{Pid, Signal, kill_process};

const BEFORE_EVERY_LINE: &str = "no real etcd|";

fn demo(arguments: &[&str]) -> Command {
    let mut command = etcd_snap_testdata::stoppable(env!("CARGO_BIN_EXE_xtask"));
    command
        .arg("demo")
        .args(arguments)
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

/// The offline demo, in a folder for temporary files of its own.
fn offline(temporary: &Path, arguments: &[&str]) -> Result<Output> {
    let arguments = [&["--offline"], arguments].concat();
    Ok(demo(&arguments).env("TMPDIR", temporary).output()?)
}

fn is_empty(folder: &Path) -> Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

/// The folder that the demo says it works in. It may be told on two lines.
fn folder_in(told: &str) -> Result<PathBuf> {
    let path = told
        .split_whitespace()
        .find(|word| word.contains("etcd-snap-demo-"));
    Ok(path
        .context("the demo names no folder")?
        .trim_end_matches(',')
        .into())
}

/// Whether any process has the folder in its command line, as its servers do.
fn is_worked_in(folder: &Path) -> Result<bool> {
    let folder = folder.display().to_string();
    Ok(fs::read_dir("/proc")?.flatten().any(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&folder)
    }))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_etcd_it_passes_and_says_so_on_every_line() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let output = offline(temporary.path(), &[])?;
    let told = text(&output.stdout);
    ensure!(output.status.success(), "{told}{}", text(&output.stderr));
    for line in told.lines() {
        ensure!(line.starts_with(BEFORE_EVERY_LINE), "{line:?}");
    }
    ensure!(!told.contains('\u{1b}'), "colours in a pipe: {told:?}");
    ensure!(told.contains("sound: backup.db") && told.contains("m3.etcd/member/snap/db is sound"));
    ensure!(told.contains("Together"), "{told}");
    ensure!(is_empty(temporary.path())?);
    Ok(())
}

#[test]
fn what_it_made_is_kept_where_that_is_wanted() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let output = offline(temporary.path(), &["--keep"])?;
    let told = text(&output.stdout);
    ensure!(output.status.success(), "{told}{}", text(&output.stderr));
    let folder = folder_in(&told)?;
    ensure!(fs::read(folder.join("backup.db"))? == fs::read(golden::snapshot(Version::V3_6))?);
    ensure!(folder.join("m2.etcd/member/snap/db").exists());
    Ok(())
}

#[test]
fn a_cluster_is_lost_and_comes_back() -> Result<()> {
    let output = demo(&[]).output()?;
    let told = text(&output.stdout);
    ensure!(output.status.success(), "{told}{}", text(&output.stderr));
    ensure!(!told.contains('\u{1b}'), "colours in a pipe: {told:?}");
    for proof in [
        "on every member, as before",
        "put at m1, is read from m3",
        "Together",
    ] {
        ensure!(told.contains(proof), "{proof:?} is not in:\n{told}");
    }
    let folder = folder_in(&told)?;
    ensure!(!folder.exists() && !is_worked_in(&folder)?);
    Ok(())
}

/// Starts the demo, and sends it a signal when it has begun this step.
fn stopped_at(step: &str, arguments: &[&str]) -> Result<()> {
    let mut child = demo(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
    let mut told = String::new();
    for line in lines.by_ref() {
        told += &(line? + "\n");
        if told.contains(step) {
            break;
        }
    }
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    for line in lines {
        told += &(line? + "\n");
    }
    let output = child.wait_with_output()?;
    let errors = text(&output.stderr);
    ensure!(
        output.status.code() == Some(143),
        "{}: {told}{errors}",
        output.status
    );
    ensure!(errors.contains("Everything is removed again."), "{errors}");
    let folder = folder_in(&told)?;
    ensure!(!folder.exists(), "{} is still there", folder.display());
    ensure!(
        !is_worked_in(&folder)?,
        "a server still works in {}",
        folder.display()
    );
    Ok(())
}

#[test]
fn a_signal_leaves_nothing_behind_whatever_step_it_meets() -> Result<()> {
    // Steps that take long enough, or have such behind them, that the demo cannot be over before the signal comes.
    for step in 3..=8 {
        stopped_at(&format!("[{step}/9]"), &[])?;
    }
    Ok(())
}

#[test]
fn without_etcd_a_signal_leaves_nothing_behind_either() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (verb, step) in [("save", "[3/6]"), ("restore", "[5/6]")] {
        let slow = liar(folder.path(), &format!("[ $1 = {verb} ] && exec sleep 600"))?;
        stopped_at(
            step,
            &["--offline", "--etcd-snap", &slow.display().to_string()],
        )?;
    }
    Ok(())
}

/// An etcd-snap that does as the real one but for one thing, which the shell commands do before it comes to its turn: `$1` is
/// the verb, `$real` the real one.
fn liar(folder: &Path, lie: &str) -> Result<PathBuf> {
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(etcd_snap_testdata::folder())
        .args(["build", "--quiet", "-p", "etcd-snap-cli"])
        .status()?;
    ensure!(built.success());
    let real = etcd_snap_testdata::target_folder().join("debug/etcd-snap");
    let script = format!(
        "#!/bin/sh\nreal='{}'\n{lie}\nexec \"$real\" \"$@\"\n",
        real.display()
    );
    let path = folder.join("liar");
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Another snapshot than the one that was saved.
fn other() -> String {
    golden::snapshot_with_alarm().display().to_string()
}

#[test]
fn without_etcd_it_fails_when_the_command_lies() -> Result<()> {
    let other = other();
    for (lie, failure) in [
        ("[ $1 = save ] && exit 0".to_owned(), "Save it"),
        (
            format!("[ $1 = save ] && exec cp '{other}' backup.db"),
            "backup.db is not the snapshot that was served",
        ),
        (
            "[ $1 = verify ] && exit 7".to_owned(),
            "`etcd-snap verify backup.db` ended with exit code 7",
        ),
        (
            "[ $2 = damaged.db ] && exit 0".to_owned(),
            "`etcd-snap verify damaged.db` ended with exit code 0",
        ),
        (
            "[ $1 = restore ] && exit 0".to_owned(),
            "m1.etcd/member/snap/db",
        ),
        (
            format!("[ $1 = restore ] && shift 2 && set -- restore '{other}' \"$@\""),
            "instead of revision 215",
        ),
    ] {
        let (folder, temporary) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let liar = liar(folder.path(), &lie)?;
        let output = offline(
            temporary.path(),
            &["--etcd-snap", &liar.display().to_string()],
        )?;
        let errors = text(&output.stderr);
        ensure!(
            output.status.code() == Some(1),
            "{lie}: {}",
            text(&output.stdout)
        );
        ensure!(errors.contains(failure), "{lie}: {errors}");
        ensure!(is_empty(temporary.path())?, "{lie}");
    }
    Ok(())
}

#[test]
fn it_fails_when_the_members_come_back_with_other_data() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let lie = format!(
        "[ $1 = restore ] && shift 2 && set -- restore '{}' \"$@\"",
        other()
    );
    let liar = liar(folder.path(), &lie)?;
    let output = demo(&["--etcd-snap", &liar.display().to_string()]).output()?;
    let errors = text(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}", text(&output.stdout));
    ensure!(errors.contains("[9/9] Compare: HashKV was"), "{errors}");
    let told = folder_in(&text(&output.stdout))?;
    ensure!(!told.exists() && !is_worked_in(&told)?);
    Ok(())
}
