//! The directory that a drill works in. It goes with the drill, and a killed one's goes with the next.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::statvfs;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::process;
use crate::{Error, ErrorKind, Result, disk};

const PREFIX: &str = "etcd-snap-drill-";
/// Held while the drill lives.
const LOCK: &str = "lock";
/// The data directories of the members are in it.
const MEMBERS: &str = "members";
/// What etcd preallocates: the segment of its WAL, and the next one.
const WAL_BYTES: u64 = 128_000_000;
/// Certificates, logs, what a probe and a restart write.
const BESIDE_BYTES: u64 = 32_000_000;

/// A directory for one drill, for its owner only. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: TempDir,
    _lock: File,
}

impl Scratch {
    /// In `base`, which has to have room. Says what was left there by drills that were killed, and is gone now.
    pub(super) fn make(base: &Path) -> Result<(Self, Vec<String>)> {
        let failed = |e: io::Error| {
            Error::io("make a scratch directory in", base, e)
                .with_remedy("--scratch names another place for it")
        };
        // As the servers are told, and as their words are found again.
        let base = &fs::canonicalize(base).map_err(failed)?;
        let removed = remove_litter(base);
        loop {
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(base)
                .map_err(failed)?;
            // Whoever looks for litter leaves a directory without lock alone while it is young.
            let lock = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(directory.path().join(LOCK))
                .map_err(failed)?;
            lock.lock().map_err(failed)?;
            // Between these two somebody may have taken it for litter.
            if lock.metadata().map_err(failed)?.nlink() == 0 {
                continue;
            }
            let scratch = Self {
                directory,
                _lock: lock,
            };
            disk::make_directory(&scratch.members(), 0o700)?;
            return Ok((scratch, removed));
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn members(&self) -> PathBuf {
        self.path().join(MEMBERS)
    }

    /// Removes it, and says so where that fails.
    pub(super) fn remove(self) -> Result<()> {
        let path = self.path().to_owned();
        self.directory
            .close()
            .map_err(|e| Error::io("remove the scratch directory", &path, e))
    }
}

/// That there is room for so many members.
pub(super) fn require_room(base: &Path, members: usize, database_bytes: u64) -> Result<()> {
    let there = statvfs(base).map_err(|e| {
        Error::io("ask for the free space of", base, e.into())
            .with_remedy("--scratch names another place for the members")
    })?;
    let free = there.f_bavail.saturating_mul(there.f_frsize);
    let needed = (members as u64)
        .saturating_mul(database_bytes.saturating_add(WAL_BYTES))
        .saturating_add(BESIDE_BYTES);
    if needed <= free {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NoSpace,
        format!(
            "a drill with {members} members needs about {needed} bytes in {}, and there are {free} left",
            base.display()
        ),
    )
    .with_path(base)
    .with_remedy("--scratch names another place, and --members=1 needs less"))
}

/// Removes what drills left in `base` that were killed: their locks are free. Servers that still run on it are ended first.
fn remove_litter(base: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(base) else {
        return Vec::new();
    };
    let mut removed = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        let is_own_directory = fs::symlink_metadata(&path)
            .is_ok_and(|it| it.is_dir() && it.uid() == geteuid().as_raw());
        if is_ours && is_own_directory && is_dead(&path) {
            end_servers(&path);
            if disk::remove_tree(&path).is_ok() {
                removed.push(format!(
                    "removed {}, left by a drill that was killed",
                    path.display()
                ));
            }
        }
    }
    removed
}

fn is_dead(directory: &Path) -> bool {
    const YOUNG: Duration = Duration::from_secs(60 * 60);
    match File::open(directory.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok() && lock.metadata().is_ok_and(|it| it.nlink() > 0),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let changed = fs::metadata(directory).and_then(|it| it.modified());
            let age = changed.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
            age.is_ok_and(|age| age > YOUNG)
        }
        Err(_) => false,
    }
}

/// Those that were told to use a data directory in there, and no others.
fn end_servers(scratch: &Path) {
    const PATIENCE: Duration = Duration::from_secs(5);
    let data_dirs = format!("--data-dir={}/", scratch.join(MEMBERS).display());
    let Ok(processes) = fs::read_dir("/proc") else {
        return;
    };
    let mut killed = Vec::new();
    for process in processes.flatten() {
        let number = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else {
            continue;
        };
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let is_server = words
            .split(|byte| *byte == 0)
            .any(|word| word.starts_with(data_dirs.as_bytes()));
        if is_server && kill_process(pid, Signal::KILL).is_ok() {
            killed.push(process.path());
        }
    }
    // What still writes would be in the way of the removal. A process that is only not yet buried has no words any more.
    let began = Instant::now();
    while began.elapsed() < PATIENCE
        && killed
            .iter()
            .any(|process| fs::read(process.join("cmdline")).is_ok_and(|words| !words.is_empty()))
    {
        process::pause();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_its_drill() {
        let base = tempfile::tempdir().unwrap();
        let (scratch, removed) = Scratch::make(base.path()).unwrap();
        assert!(scratch.members().is_dir() && removed.is_empty());
        let (other, removed) = Scratch::make(base.path()).unwrap();
        assert!(removed.is_empty(), "a living one is left alone");
        drop(other);
        scratch.remove().unwrap();
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_one_left_goes_with_the_next() {
        let base = tempfile::tempdir().unwrap();
        let killed = base.path().join("etcd-snap-drill-abc");
        fs::create_dir_all(killed.join("members/m1")).unwrap();
        fs::write(killed.join("lock"), "").unwrap();
        // Made a moment ago, and not locked yet.
        let young = base.path().join("etcd-snap-drill-def");
        fs::create_dir(&young).unwrap();
        let somebody = base.path().join("etcd-snap-drills");
        fs::create_dir(&somebody).unwrap();
        let (_scratch, removed) = Scratch::make(base.path()).unwrap();
        assert_eq!(removed.len(), 1);
        assert!(removed[0].contains("etcd-snap-drill-abc"), "{removed:?}");
        assert!(!killed.exists() && young.exists() && somebody.exists());
    }

    #[test]
    fn room_is_asked_for_before_anything_is_made() {
        let base = tempfile::tempdir().unwrap();
        require_room(base.path(), 1, 1).unwrap();
        let error = require_room(base.path(), 3, u64::MAX / 8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.remedy().unwrap().contains("--scratch"));
    }
}
