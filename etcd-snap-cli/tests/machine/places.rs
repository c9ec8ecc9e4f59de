//! Restores to places that are not like a home directory: mounts with what makes a filesystem, other filesystems, no `/proc`, and
//! no standard streams.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result, bail, ensure};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;

use crate::{ETCD_SNAP, bare, expect, names};

const FILES: i32 = 3;
/// What the scripts end with where nobody may mount.
const NO_MOUNTS: i32 = 99;

/// Runs a shell script in the folder; `$0` is the command, `$1` the snapshot.
fn script(folder: &Path, text: &str) -> Result<Output> {
    Ok(bare("/bin/sh")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(folder)
        .args(["-c", text, ETCD_SNAP])
        .arg(golden::snapshot(Version::V3_6))
        .output()?)
}

/// The same with mounts of its own, which end with it: what is wanted of them is said before. `None` where nobody may mount.
fn with_mounts(folder: &Path, mounts: &str, text: &str) -> Result<Option<Output>> {
    let inner = format!("{{ {mounts}; }} || exit {NO_MOUNTS}; {text}");
    let output = bare("/usr/bin/env")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(folder)
        .args(["unshare", "--mount", "--propagation", "private"])
        .args(["/bin/sh", "-c", &inner, ETCD_SNAP])
        .arg(golden::snapshot(Version::V3_6))
        .output()?;
    if rustix::process::geteuid().is_root() && output.status.code() != Some(NO_MOUNTS) {
        return Ok(Some(output));
    }
    // Only root can mount, and not in every container.
    eprintln!(
        "no mounts of our own: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(None)
}

/// What the scripts print of a place in the end.
const LIST: &str = "find . -mindepth 1 | sort | tr '\\n' ' '";

/// A data directory that a server starts from, and has the revision of the snapshot.
fn boots(folder: &Path) -> Result<()> {
    let cluster = Cluster::builder(Version::V3_6)
        .folder(folder)
        .plan()?
        .start()?;
    let revision = golden::facts(Version::V3_6)?["revision"].as_i64();
    ensure!(Some(cluster.revision(0)?) == revision);
    Ok(())
}

#[test]
fn without_standard_streams_nothing_is_written_where_it_does_not_belong() -> Result<()> {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let folder = tempfile::tempdir()?;
        let text = format!("exec \"$0\" restore \"$1\" --data-dir m1.etcd {closed}");
        expect(&script(folder.path(), &text)?, 0, &[]).context(text)?;
        ensure!(names(&folder.path().join("m1.etcd"))? == ["member"]);
        // A report that had gone into the database would show.
        boots(folder.path()).context(closed)?;
    }
    Ok(())
}

#[test]
fn without_proc_a_restore_works() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(output) = with_mounts(
        folder.path(),
        "mount -t tmpfs none /proc",
        "exec \"$0\" restore \"$1\" --data-dir m1.etcd",
    )?
    else {
        return Ok(());
    };
    expect(&output, 0, &[])?;
    boots(folder.path())
}

#[test]
fn a_filesystem_that_runs_nothing_takes_a_member() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(output) = with_mounts(
        folder.path(),
        "mount -t tmpfs -o noexec,nosuid,nodev none . && cd \"$PWD\"",
        &format!("\"$0\" restore \"$1\" --data-dir m1.etcd >/dev/null && {LIST}"),
    )?
    else {
        return Ok(());
    };
    expect(&output, 0, &[])?;
    let left = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(left.contains("./m1.etcd/member/snap/db "), "{left}");
    Ok(())
}

/// A disk of its own for the data, another one for the WAL, both as `mkfs` leaves them.
#[test]
fn mount_points_with_lost_and_found_are_empty() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mounts = "mkdir data wal && mount -t tmpfs none data && mount -t tmpfs none wal \
                  && mkdir -m 700 data/lost+found wal/lost+found";
    for (verb, wanted) in [
        (
            "\"$0\" restore \"$1\" --data-dir data",
            "./data/member/wal/0000000000000000-0000000000000000.wal ./wal ./wal/lost+found ",
        ),
        (
            "\"$0\" restore \"$1\" --data-dir data --wal-dir wal",
            "./wal ./wal/0000000000000000-0000000000000000.wal ./wal/lost+found ",
        ),
        (
            "\"$0\" restore \"$1\" --data-dir data --wal-dir wal/below",
            "./wal/below/0000000000000000-0000000000000000.wal ./wal/lost+found ",
        ),
    ] {
        let text = format!("{verb} >/dev/null && {LIST}");
        let Some(output) = with_mounts(folder.path(), mounts, &text)? else {
            return Ok(());
        };
        expect(&output, 0, &[]).context(verb)?;
        let left = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            left.contains(" ./data/lost+found ./data/member "),
            "{verb}: {left}"
        );
        ensure!(left.contains(wanted), "{verb}: {left}");
        ensure!(!left.contains("/."), "{verb}: {left}");
        for mount in ["data", "wal"] {
            fs::remove_dir(folder.path().join(mount))?;
        }
        let report = folder.path().join("data.restore-report.json");
        fs::remove_file(report)?;
    }
    Ok(())
}

#[test]
fn a_filesystem_that_is_read_only_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mounts = "mkdir -p data && mount -t tmpfs none data && mkdir data/empty \
                  && mount -o remount,ro data";
    for flags in [
        "--data-dir data/new",
        "--data-dir data/empty",
        "--data-dir other --wal-dir data/wal",
        "--data-dir other --wal-dir data/empty",
    ] {
        let text = format!("\"$0\" restore \"$1\" {flags}; code=$?; {LIST}; exit $code");
        let Some(output) = with_mounts(folder.path(), mounts, &text)? else {
            return Ok(());
        };
        expect(&output, FILES, &["Read-only file system", "data"]).context(flags)?;
        let left = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(left == "./data ./data/empty ", "{flags}: {left}");
    }
    Ok(())
}

/// Its segment cannot be renamed across, so it is staged on that filesystem too.
#[test]
fn a_wal_on_another_filesystem_is_made_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mounts = "mkdir disk && mount -t tmpfs none disk";
    let text = format!(
        "\"$0\" restore \"$1\" --data-dir m1.etcd --wal-dir disk/wal >/dev/null && cp -a --sparse=always disk/wal . && {LIST}"
    );
    let Some(output) = with_mounts(folder.path(), mounts, &text)? else {
        return Ok(());
    };
    expect(&output, 0, &[])?;
    let left = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(!left.contains("/."), "{left}");
    let wal = folder.path().join("wal");
    let cluster = Cluster::builder(Version::V3_6)
        .folder(folder.path())
        .argument(format!("--wal-dir={}", wal.display()))
        .plan()?
        .start()?;
    let revision = golden::facts(Version::V3_6)?["revision"].as_i64();
    ensure!(Some(cluster.revision(0)?) == revision);
    if names(&folder.path().join("m1.etcd/member"))?.contains(&"wal".to_owned()) {
        bail!("a second WAL");
    }
    Ok(())
}
