//! Disks that are too small, and limits on the size of files.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::fake::{Running, Server};
use etcd_snap_testdata::golden;

use crate::{ETCD_SNAP, bare, expect, names};

const FILES: i32 = 3;

fn server() -> Result<Running> {
    Server::serving(golden::snapshot(Version::V3_6))?.start()
}

/// Runs a shell script in a folder; `$0` is the command, `$1` the snapshot, `$2` the endpoint.
fn script(folder: &Path, text: &str, endpoint: &str) -> Result<Output> {
    Ok(bare("/bin/sh")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(folder)
        .args(["-c", text, ETCD_SNAP])
        .arg(golden::snapshot(Version::V3_6))
        .arg(endpoint)
        .output()?)
}

/// `ulimit -f` ends programs that take no precautions with a signal, in the middle of their work.
#[test]
fn a_limit_on_the_size_of_files_is_a_failure_that_leaves_nothing() -> Result<()> {
    let server = server()?;
    let folder = tempfile::tempdir()?;
    for ignoring in ["", "trap '' XFSZ; "] {
        for verb in [
            "save backup.db --endpoints \"$2\"",
            "restore \"$1\" --data-dir new",
            "restore \"$1\" --data-dir new --wal-dir wal",
        ] {
            let text = format!("{ignoring}ulimit -f 100; exec \"$0\" {verb}");
            let output = script(folder.path(), &text, &server.endpoint())?;
            expect(&output, FILES, &["File too large"]).with_context(|| text.clone())?;
            ensure!(
                names(folder.path())?.is_empty(),
                "{text}: {:?}",
                names(folder.path())?
            );
        }
    }
    Ok(())
}

/// A disk of its own for the command, in a namespace that ends with it: what is left there is listed before.
#[test]
fn a_full_disk_is_a_failure_that_leaves_nothing() -> Result<()> {
    let server = server()?;
    let folder = tempfile::tempdir()?;
    let disk = |size: &str, script_text: &str| -> Result<Output> {
        let text = format!(
            "exec unshare --mount --propagation private /bin/sh -c '\
             mount -t tmpfs -o size={size} none . && cd \"$PWD\" && echo an older backup > old.db || exit 99; \
             {script_text}; code=$?; \
             echo \"left: $(find . -mindepth 1 | sort | tr \"\\n\" \" \")\" >&2; cat old.db; exit $code' \
             \"$0\" \"$1\" \"$2\""
        );
        script(folder.path(), &text, server.endpoint().as_str())
    };
    let enough = disk(
        "80m",
        "\"$0\" save new.db --endpoints \"$2\" && \"$0\" restore new.db --data-dir new",
    )?;
    if enough.status.code() == Some(99) || !rustix::process::geteuid().is_root() {
        // Only root can mount, and not in every container; the limit above fails in the same places.
        eprintln!(
            "no disk of our own: {}",
            String::from_utf8_lossy(&enough.stderr)
        );
        return Ok(());
    }
    expect(
        &enough,
        0,
        &["left: ./new ./new.db ./new.restore-report.json ./new/member "],
    )?;
    const FULL: &str = "No space left on device";
    // A restore asks before it makes anything.
    const TOO_SMALL: &str = "make room, or name another place";
    for (size, verb, why) in [
        ("64k", "\"$0\" save new.db --endpoints \"$2\"", FULL),
        ("64k", "\"$0\" save old.db --endpoints \"$2\"", FULL),
        ("64k", "\"$0\" restore \"$1\" --data-dir new", TOO_SMALL),
        // Enough for the database, and not for the log.
        ("8m", "\"$0\" restore \"$1\" --data-dir new", TOO_SMALL),
        (
            "8m",
            "\"$0\" restore \"$1\" --data-dir new --wal-dir wal",
            TOO_SMALL,
        ),
    ] {
        let output = disk(size, verb)?;
        expect(&output, FILES, &[why, "left: ./old.db \n"])
            .with_context(|| format!("{size}: {verb}"))?;
        ensure!(output.stdout == b"an older backup\n", "{output:?}");
    }
    // An existing empty data directory stays, and stays empty.
    let output = disk("8m", "mkdir kept && \"$0\" restore \"$1\" --data-dir kept")?;
    expect(&output, FILES, &[TOO_SMALL, "left: ./kept ./old.db \n"])?;
    ensure!(fs::read_dir(folder.path())?.count() == 0);
    Ok(())
}
