//! Signals in the middle of a transfer from a real server.

use std::fs;
use std::process::Stdio;

use anyhow::{Result, ensure};
use etcd_snap_testdata::cluster::{Bulk, Cluster};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::relay::Relay;
use etcd_snap_testdata::sample;
use rustix::process::{Pid, Signal, kill_process};

use crate::{ETCD_SNAP, bare, connection, expect, names};

#[test]
fn a_save_that_is_stopped_in_mid_stream_leaves_what_was_there() -> Result<()> {
    let cluster = Cluster::builder(sample(Version::ALL, 1)[0]).start()?;
    cluster.bulk(&Bulk {
        keys: 30,
        value_bytes: 1_000_000,
        ..Bulk::default()
    })?;
    let relay = Relay::to(cluster.members()[0].client_address())?;
    let endpoint = format!("https://{}", relay.address());
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("backup.db");
    for (signal, code, words) in [
        (Signal::INT, 130, "error: stopped by SIGINT"),
        (Signal::TERM, 143, "error: stopped by SIGTERM"),
        (Signal::HUP, 129, "error: stopped by SIGHUP"),
    ] {
        for old in [false, true] {
            let before = if old { &["backup.db"][..] } else { &[] };
            if old {
                fs::write(&target, "an older backup")?;
            }
            relay.hold_after(5 << 20);
            let child = bare(ETCD_SNAP)
                .envs(connection(&cluster, &endpoint))
                .arg("save")
                .arg(&target)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            relay.wait_until_holding()?;
            let staged = names(folder.path())?.len();
            kill_process(Pid::from_child(&child), signal)?;
            let output = child.wait_with_output()?;
            relay.release();
            // Something lay there while it ran, or this shows nothing.
            ensure!(staged == before.len() + 1, "{staged} files in the middle");
            expect(&output, code, &[words])?;
            ensure!(output.stdout.is_empty(), "{output:?}");
            ensure!(
                names(folder.path())? == before,
                "{:?}",
                names(folder.path())?
            );
            if old {
                ensure!(fs::read(&target)? == b"an older backup");
                fs::remove_file(&target)?;
            }
        }
    }
    let output = bare(ETCD_SNAP)
        .envs(connection(&cluster, &endpoint))
        .arg("save")
        .arg(&target)
        .output()?;
    expect(&output, 0, &[])?;
    ensure!(names(folder.path())? == ["backup.db"]);
    Ok(())
}
