//! The published form: the packages build by themselves, and the offline half brings nothing of the network along.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{cargo, succeed};
use crate::workspace;

/// What a program that only verifies and restores must not have to build.
const ONLINE_CRATES: [&str; 5] = ["tokio", "tonic", "rustls", "hyper", "aws-lc-rs"];

/// A program outside the workspace, as a user would write it.
const PROGRAM: &str = r#"
fn main() -> etcd_snap::Result<()> {
    let snapshot = etcd_snap::Snapshot::open(std::env::args().nth(1).unwrap_or_default())?;
    let proof = etcd_snap::verify(&snapshot, &etcd_snap::VerifyOptions::default())?.into_proven()?;
    println!("revision {}", proof.contents.revision);
    Ok(())
}
"#;

pub(super) fn check() -> Result<()> {
    succeed(&mut cargo(&[
        "package",
        "--allow-dirty",
        "-p",
        "etcd-snap",
        "-p",
        "etcd-snap-cli",
    ]))?;
    offline_program()
}

fn offline_program() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let library = workspace().join("etcd-snap").canonicalize()?;
    let manifest = format!(
        "[package]\nname = \"offline\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         etcd-snap = {{ path = {library:?}, default-features = false }}\n\n[workspace]\n"
    );
    fs::write(folder.path().join("Cargo.toml"), manifest)?;
    // The versions that the workspace is tested with.
    fs::copy(
        workspace().join("Cargo.lock"),
        folder.path().join("Cargo.lock"),
    )?;
    fs::create_dir(folder.path().join("src"))?;
    fs::write(folder.path().join("src/main.rs"), PROGRAM)?;

    let target = etcd_snap_testdata::target_folder().join("offline-program");
    let run = |arguments: &[&str]| -> Command {
        let mut command = cargo(arguments);
        command
            .current_dir(folder.path())
            .env("CARGO_TARGET_DIR", &target);
        command
    };
    let tree = run(&["tree", "--prefix", "none", "--edges", "normal"]).output()?;
    ensure!(
        tree.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout)?;
    for name in ONLINE_CRATES {
        ensure!(
            !tree
                .lines()
                .any(|line| line.split(' ').next() == Some(name)),
            "without default features the library still brings {name}"
        );
    }
    let golden = etcd_snap_testdata::golden::snapshot(etcd_snap_testdata::etcd::Version::V3_6);
    succeed(run(&["run", "--quiet", "--"]).arg(golden))
        .context("a program outside the workspace does not build or run")
}
