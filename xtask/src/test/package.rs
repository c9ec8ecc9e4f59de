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

/// The packages as they would be published, in the order of their dependencies.
const PACKAGES: [&str; 3] = ["etcd-snap", "etcd-snap-node", "etcd-snap-cli"];

pub(super) fn check() -> Result<()> {
    packages_build()?;
    offline_program()
}

/// Unpacks the packages and builds the last with the others.
///
/// Cargo's own check of them unpacks into the registry in the user's home, once for each version: from then on it builds what
/// was in the package when it was first made at this place.
fn packages_build() -> Result<()> {
    let mut package = cargo(&["package", "--allow-dirty", "--no-verify"]);
    for name in PACKAGES {
        package.args(["-p", name]);
    }
    succeed(&mut package)?;

    let packages = etcd_snap_testdata::target_folder().join("package");
    let folder = tempfile::tempdir()?;
    let mut unpacked = Vec::new();
    for name in PACKAGES {
        let full_name = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
        let archive = packages.join(format!("{full_name}.crate"));
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(&archive).arg("-C").arg(folder.path());
        succeed(&mut tar)?;
        unpacked.push((name, folder.path().join(full_name)));
    }
    let mut check = cargo(&["check"]);
    for (name, path) in &unpacked {
        check
            .arg("--config")
            .arg(format!("patch.crates-io.{name}.path={path:?}"));
    }
    if let Some((_, path)) = unpacked.last() {
        check.current_dir(path);
    }
    check.env(
        "CARGO_TARGET_DIR",
        etcd_snap_testdata::target_folder().join("packaged"),
    );
    succeed(&mut check).context("the packages do not build by themselves")
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
