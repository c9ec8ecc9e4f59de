//! The static binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::said;
use crate::test::{cargo, succeed};

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    Release,
    Dev,
}

/// Builds for the machine's architecture, with the C library inside.
///
/// The target has to be named although it is the host's: without it, flags for the program apply to procedural macros too,
/// and those cannot be static.
pub(super) fn build(profile: Profile) -> Result<PathBuf> {
    let target = host()?;
    ensure!(
        target.ends_with("-linux-gnu"),
        "the static binary is made on Linux with glibc, and this is {target}"
    );
    let mut command = cargo(&["build", "-p", "etcd-snap-cli", "--target", &target]);
    let folder = match profile {
        Profile::Release => {
            command.arg("--release");
            "release"
        }
        Profile::Dev => "debug",
    };
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static");
    succeed(command.env("RUSTFLAGS", flags.trim()))?;
    let folder = etcd_snap_testdata::target_folder()
        .join(target)
        .join(folder);
    Ok(folder.join("etcd-snap"))
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = said(Command::new(rustc).arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not say its host")?.to_owned())
}

/// Neither an interpreter nor a library is asked for.
pub(super) fn require_static(program: &Path) -> Result<()> {
    let headers = said(Command::new("readelf").args(["-lW"]).arg(program))?;
    let dynamic = said(Command::new("readelf").args(["-dW"]).arg(program))?;
    for (text, word) in [(&headers, "INTERP"), (&dynamic, "(NEEDED)")] {
        if let Some(line) = text.lines().find(|line| line.contains(word)) {
            bail!("{} is not static: {}", program.display(), line.trim());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wants_libraries_is_not_static() {
        let error = require_static(&std::env::current_exe().unwrap()).unwrap_err();
        assert!(error.to_string().contains("INTERP"), "{error}");
    }
}
