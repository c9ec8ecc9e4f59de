//! The command against the machine it runs on: rights, full disks, kills, signals in the middle of a real transfer.

mod command;
mod full;
mod interrupted;
mod killed;
mod living;
mod places;
mod rights;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use command::{ETCD_SNAP, bare, connection};

/// A folder that everybody may enter and read, which temporary folders are not by themselves.
fn open_folder() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    set_mode(folder.path(), 0o755)?;
    Ok(folder)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}

/// All names in a folder, sorted, hidden ones too.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Expects this exit code, and these words on standard error.
fn expect(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code),
        "{} and not {code}: {said}",
        output.status
    );
    for words in words {
        ensure!(said.contains(words), "{words:?} is not in: {said}");
    }
    Ok(())
}

/// The command as a user who owns nothing: root may do anything, so root becomes nobody first. What an ordinary user runs is
/// run by that user.
fn as_nobody() -> Result<Command> {
    if !rustix::process::geteuid().is_root() {
        return Ok(bare(ETCD_SNAP));
    }
    // The build folder may lie where nobody can go.
    static PLACE: OnceLock<TempDir> = OnceLock::new();
    let place = match PLACE.get() {
        Some(place) => place,
        None => {
            let folder = open_folder()?;
            fs::copy(ETCD_SNAP, folder.path().join("etcd-snap"))?;
            PLACE.get_or_init(|| folder)
        }
    };
    let mut command = bare("setpriv");
    command
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--",
        ])
        .arg(place.path().join("etcd-snap"));
    Ok(command)
}
