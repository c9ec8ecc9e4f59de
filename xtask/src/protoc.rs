//! `cargo xtask protoc`: what the build script of the crate etcd-client wants, which comes with the feature of that name.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::test::{cargo, succeed};

/// Make a protoc out of the package protox, and print its path, for the variable PROTOC
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<()> {
    println!("{}", provide()?.display());
    Ok(())
}

/// The one that `PROTOC` names, or ours.
pub(crate) fn provide() -> Result<PathBuf> {
    if let Some(named) = env::var_os("PROTOC") {
        return Ok(named.into());
    }
    succeed(&mut cargo(&[
        "build",
        "--quiet",
        "--package",
        "xtask",
        "--bin",
        "protoc",
    ]))?;
    // Not where cargo puts it: a later build may replace it there while a build script runs it.
    let built = etcd_snap_testdata::target_folder().join("debug/protoc");
    let path = place();
    let folder = path.parent().context("it lies in a folder")?;
    fs::create_dir_all(folder)?;
    let fresh = folder.join(format!("protoc.{}", std::process::id()));
    fs::copy(&built, &fresh).with_context(|| format!("cannot copy {}", built.display()))?;
    fs::rename(&fresh, &path)?;
    path.canonicalize()
        .with_context(|| format!("cannot find {}", path.display()))
}

/// Lets build scripts find ours, once it is there.
pub(crate) fn tell(command: &mut Command) {
    if env::var_os("PROTOC").is_none()
        && let Ok(path) = place().canonicalize()
    {
        command.env("PROTOC", path);
    }
}

fn place() -> PathBuf {
    etcd_snap_testdata::target_folder().join("tools/protoc")
}
