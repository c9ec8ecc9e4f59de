//! The command against the machine it runs on: rights, full disks, kills, signals in the middle of a real transfer.

mod command;
mod full;
mod interrupted;
mod killed;
mod living;
mod places;
mod rights;

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::copy_program;
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

/// A command of such a user, with the copy that it runs.
struct Nobodys {
    command: Command,
    _place: Option<Arc<TempDir>>,
}

impl Deref for Nobodys {
    type Target = Command;

    fn deref(&self) -> &Command {
        &self.command
    }
}

impl DerefMut for Nobodys {
    fn deref_mut(&mut self) -> &mut Command {
        &mut self.command
    }
}

/// The command as a user who owns nothing: root may do anything, so root becomes nobody first. What an ordinary user runs is
/// run by that user.
fn as_nobody() -> Result<Nobodys> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Nobodys {
            command: bare(ETCD_SNAP),
            _place: None,
        });
    }
    // The build folder may lie where nobody can go. The copy goes with the last command that may run it.
    static PLACE: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut known = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = match known.upgrade() {
        Some(place) => place,
        None => {
            let folder = open_folder()?;
            copy_program(Path::new(ETCD_SNAP), &folder.path().join("etcd-snap"))?;
            let place = Arc::new(folder);
            *known = Arc::downgrade(&place);
            place
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
    Ok(Nobodys {
        command,
        _place: Some(place),
    })
}
