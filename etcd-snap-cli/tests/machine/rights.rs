//! Files and directories that belong to somebody else.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use anyhow::{Result, ensure};
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::fake::{Running, Server};
use etcd_snap_testdata::golden;

use crate::{ETCD_SNAP, as_nobody, bare, expect, names, open_folder, set_mode};

const USAGE: i32 = 2;
const FILES: i32 = 3;

fn server() -> Result<Running> {
    Server::serving(golden::snapshot(Version::V3_6))?.start()
}

/// Makes the path one that the user who runs the command owns.
fn give(path: &Path) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(65534), Some(65534))?;
    }
    Ok(())
}

#[test]
fn a_save_to_where_nobody_may_write_is_refused_and_leaves_nothing() -> Result<()> {
    let server = server()?;
    let folder = open_folder()?;
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign)?;
    fs::write(foreign.join("old.db"), "an older backup")?;
    set_mode(&foreign, 0o555)?;
    let own = folder.path().join("own");
    fs::create_dir_all(own.join("directory"))?;
    fs::write(own.join("file"), "a file")?;
    give(&own)?;
    let locked = folder.path().join("locked");
    fs::create_dir(&locked)?;
    set_mode(&locked, 0o000)?;
    for (target, code, words) in [
        (foreign.join("new.db"), FILES, "Permission denied"),
        (foreign.join("old.db"), FILES, "Permission denied"),
        (locked.join("new.db"), FILES, "Permission denied"),
        (own.join("none/new.db"), FILES, "does not exist: make it"),
        (own.join("file/new.db"), FILES, "Not a directory"),
        (own.join("directory"), USAGE, "is a directory"),
    ] {
        let output = as_nobody()?
            .arg("save")
            .arg(&target)
            .args(["--endpoints", &server.endpoint()])
            .output()?;
        let named = target.parent().unwrap_or(&target).display().to_string();
        expect(&output, code, &[words, &named])?;
        ensure!(output.stdout.is_empty(), "{output:?}");
    }
    ensure!(names(&foreign)? == ["old.db"]);
    ensure!(fs::read(foreign.join("old.db"))? == b"an older backup");
    ensure!(names(&own)? == ["directory", "file"]);
    ensure!(names(&own.join("directory"))?.is_empty());
    set_mode(&locked, 0o755)?;
    ensure!(names(&locked)?.is_empty());

    // The same user, the same server, and a directory of its own.
    let target = own.join("new.db");
    let saved = as_nobody()?
        .arg("save")
        .arg(&target)
        .args(["--endpoints", &server.endpoint()])
        .output()?;
    expect(&saved, 0, &[])?;
    ensure!(fs::read(target)? == fs::read(golden::snapshot(Version::V3_6))?);
    Ok(())
}

/// As in `/tmp`: everybody may create names there, and nobody may take those of others.
#[test]
fn a_file_of_somebody_else_in_a_shared_directory_is_not_replaced() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        // It takes two users.
        return Ok(());
    }
    let server = server()?;
    let folder = open_folder()?;
    let shared = folder.path().join("shared");
    fs::create_dir(&shared)?;
    set_mode(&shared, 0o1777)?;
    let target = shared.join("backup.db");
    fs::write(&target, "of root")?;
    let output = as_nobody()?
        .arg("save")
        .arg(&target)
        .args(["--endpoints", &server.endpoint()])
        .output()?;
    expect(
        &output,
        FILES,
        &[
            "cannot give the finished file its name",
            "Operation not permitted",
        ],
    )?;
    ensure!(names(&shared)? == ["backup.db"], "{:?}", names(&shared)?);
    ensure!(fs::read(target)? == b"of root");
    Ok(())
}

#[test]
fn certificates_and_keys_that_cannot_be_read_are_named() -> Result<()> {
    let folder = open_folder()?;
    let authority = Authority::new("any")?;
    let ca = authority.write(folder.path(), "ca")?;
    let client = authority
        .issue(&Leaf::client("root"))?
        .write(folder.path(), "client")?;
    set_mode(&client.certificate, 0o644)?;
    let command = || -> Result<_> {
        let mut command = as_nobody()?;
        command
            .arg("save")
            .arg(folder.path().join("never.db"))
            .args(["--endpoints", "https://127.0.0.1:1"])
            .arg("--cacert")
            .arg(&ca)
            .arg("--cert")
            .arg(&client.certificate)
            .arg("--key")
            .arg(&client.key);
        Ok(command)
    };
    set_mode(&ca, 0o644)?;
    set_mode(&client.key, 0o000)?;
    expect(
        &command()?.output()?,
        FILES,
        &["client.key", "Permission denied"],
    )?;
    set_mode(&ca, 0o000)?;
    expect(
        &command()?.output()?,
        FILES,
        &["ca.crt", "Permission denied"],
    )?;
    ensure!(names(folder.path())? == ["ca.crt", "client.crt", "client.key"]);
    Ok(())
}

#[test]
fn a_snapshot_that_cannot_be_read_is_named_by_every_verb() -> Result<()> {
    let folder = open_folder()?;
    let path = folder.path().join("secret.db");
    fs::copy(golden::snapshot(Version::V3_6), &path)?;
    set_mode(&path, 0o000)?;
    let own = folder.path().join("own");
    fs::create_dir(&own)?;
    give(&own)?;
    for verb in ["verify", "status", "restore"] {
        let output = as_nobody()?
            .current_dir(&own)
            .arg(verb)
            .arg(&path)
            .output()?;
        expect(
            &output,
            FILES,
            &["cannot open", "secret.db", "Permission denied"],
        )?;
        ensure!(output.stdout.is_empty(), "{output:?}");
    }
    ensure!(names(&own)?.is_empty());
    Ok(())
}

#[test]
fn a_restore_to_where_nobody_may_write_is_refused_and_leaves_nothing() -> Result<()> {
    let folder = open_folder()?;
    let snapshot = folder.path().join("good.db");
    fs::copy(golden::snapshot(Version::V3_6), &snapshot)?;
    set_mode(&snapshot, 0o444)?;
    let foreign = folder.path().join("foreign");
    fs::create_dir_all(foreign.join("empty"))?;
    set_mode(&foreign.join("empty"), 0o555)?;
    set_mode(&foreign, 0o555)?;
    let own = folder.path().join("own");
    fs::create_dir_all(own.join("empty"))?;
    give(&own)?;
    give(&own.join("empty"))?;
    let restored = |data: &Path, wal: Option<&Path>| -> Result<_> {
        let mut command = as_nobody()?;
        command
            .arg("restore")
            .arg(&snapshot)
            .arg("--data-dir")
            .arg(data);
        if let Some(wal) = wal {
            command.arg("--wal-dir").arg(wal);
        }
        Ok(command.output()?)
    };
    for (data, wal) in [
        (foreign.join("new"), None),
        (foreign.join("empty"), None),
        (own.join("new"), Some(foreign.join("wal"))),
        (own.join("new"), Some(foreign.join("empty"))),
        (own.join("empty"), Some(foreign.join("wal"))),
        (own.join("empty"), Some(foreign.join("empty"))),
    ] {
        let output = restored(&data, wal.as_deref())?;
        expect(&output, FILES, &["Permission denied", "foreign"])?;
        ensure!(output.stdout.is_empty(), "{output:?}");
        ensure!(names(&foreign)? == ["empty"] && names(&foreign.join("empty"))?.is_empty());
        ensure!(names(&own)? == ["empty"] && names(&own.join("empty"))?.is_empty());
    }
    expect(&restored(&own.join("empty"), None)?, 0, &[])?;
    expect(&restored(&own.join("new"), Some(&own.join("wal")))?, 0, &[])?;
    let reports = ["empty.restore-report.json", "new.restore-report.json"];
    ensure!(names(&own)? == ["empty", reports[0], "new", reports[1], "wal"]);
    // Into a directory of one's own that lies where nobody may write: the member is what counts.
    set_mode(&foreign, 0o755)?;
    give(&foreign.join("empty"))?;
    set_mode(&foreign.join("empty"), 0o755)?;
    set_mode(&foreign, 0o555)?;
    let output = restored(&foreign.join("empty"), None)?;
    expect(
        &output,
        0,
        &["their report is not written", "Permission denied"],
    )?;
    ensure!(names(&foreign)? == ["empty"]);
    Ok(())
}

/// A server that could no longer write its database would be a poor thanks.
#[test]
fn a_defragmented_database_belongs_to_whom_it_belonged() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        // It takes two users.
        return Ok(());
    }
    let folder = open_folder()?;
    let snap = folder.path().join("member/snap");
    let database = snap.join("db");
    fs::create_dir_all(&snap)?;
    let mut bytes = fs::read(golden::snapshot(Version::V3_6))?;
    bytes.truncate(bytes.len() - 32);
    fs::write(&database, &bytes)?;
    chown(&database, Some(12_345), Some(23_456))?;
    set_mode(&database, 0o660)?;
    let output = bare(ETCD_SNAP)
        .args(["defrag", "--data-dir"])
        .arg(folder.path())
        .output()?;
    expect(&output, 0, &[])?;
    let about = database.metadata()?;
    ensure!(about.len() < bytes.len() as u64);
    ensure!((about.uid(), about.gid()) == (12_345, 23_456));
    ensure!(about.mode() & 0o7777 == 0o660);

    // Who may replace the file and not give it away leaves it alone.
    fs::write(&database, &bytes)?;
    set_mode(&database, 0o666)?;
    give(&snap)?;
    let output = as_nobody()?
        .args(["defrag", "--data-dir"])
        .arg(folder.path())
        .output()?;
    expect(
        &output,
        FILES,
        &["the owner and the mode of", "Operation not permitted"],
    )?;
    ensure!(fs::read(&database)? == bytes);
    ensure!(names(&snap)? == ["db"]);
    Ok(())
}
