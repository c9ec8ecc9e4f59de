//! Memory stays small whatever the size of the database: what the kernel counted for the whole process.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use etcd_snap_testdata::cluster::{Bulk, Cluster};
use etcd_snap_testdata::etcd::Version;
use nix::sys::resource::{UsageWho, getrusage};

use crate::{ETCD_SNAP, bare, connection};

/// Makes a copy of this program run the command, and nothing else that the kernel could count with it.
const MEASURED: &str = "MEASURED_ARGUMENTS";
const LIMIT_KIB: i64 = 64 << 10;

/// Runs the command in a copy of this program and returns the most memory that it had, in KiB.
fn peak_kib<A: AsRef<OsStr>>(
    environment: &[(&'static str, PathBuf)],
    arguments: impl IntoIterator<Item = A>,
) -> Result<i64> {
    let mut listed = OsString::new();
    for argument in arguments {
        listed.push(argument);
        listed.push("\n");
    }
    let output = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "--nocapture",
            "memory::large_databases_take_little_memory",
        ])
        .envs(environment.iter().map(|(name, value)| (*name, value)))
        .env(MEASURED, listed)
        .output()?;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let told = stdout
        .split_once("peak=")
        .and_then(|(_, told)| told.split_once(' '));
    let Some((peak, _)) = told.filter(|_| output.status.success()) else {
        bail!("{}: {stdout}{stderr}", output.status);
    };
    Ok(peak.parse()?)
}

/// In the copy.
fn measure(arguments: &str) -> Result<()> {
    let mut command = bare(ETCD_SNAP);
    for (name, value) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ETCDCTL_") {
            command.env(name, value);
        }
    }
    let status = command.args(arguments.lines()).status()?;
    ensure!(status.success(), "{status}");
    println!(
        "peak={} KiB",
        getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss()
    );
    Ok(())
}

#[test]
fn large_databases_take_little_memory() -> Result<()> {
    if let Ok(arguments) = std::env::var(MEASURED) {
        return measure(&arguments);
    }
    let cluster = Cluster::builder(Version::NEWEST).start()?;
    // Large values, and many small keys: what is held of either must not add up.
    cluster.bulk(&Bulk {
        prefix: "large/".to_owned(),
        keys: 270,
        value_bytes: 1_000_000,
        ..Bulk::default()
    })?;
    cluster.bulk(&Bulk {
        prefix: "small/".to_owned(),
        keys: 150_000,
        value_bytes: 200,
        puts_per_transaction: 128,
    })?;
    let folder = tempfile::tempdir()?;
    let snapshot = folder.path().join("large.db");
    let restored = folder.path().join("restored");
    let environment = connection(&cluster, cluster.endpoint(0));

    let save = peak_kib(&environment, ["save".as_ref(), snapshot.as_os_str()])?;
    drop(cluster);
    let size = snapshot.metadata().context("it was saved")?.len();
    ensure!(size > 300_000_000, "only {size} bytes");
    let verify = peak_kib(&[], ["verify".as_ref(), snapshot.as_os_str()])?;
    let status = peak_kib(&[], ["status".as_ref(), snapshot.as_os_str()])?;
    let restore = peak_kib(
        &[],
        [
            "restore".as_ref(),
            snapshot.as_os_str(),
            "--data-dir".as_ref(),
            restored.as_os_str(),
        ],
    )?;
    println!("KiB at most: save {save}, verify {verify}, status {status}, restore {restore}");
    for (verb, peak) in [
        ("save", save),
        ("verify", verify),
        ("status", status),
        ("restore", restore),
    ] {
        ensure!(
            (1..LIMIT_KIB).contains(&peak),
            "{verb} took {peak} KiB for {size} bytes"
        );
    }
    Ok(())
}
