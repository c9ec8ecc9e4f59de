//! Loopback ports that no other test of this machine takes, not even while their server is down.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};

/// Below the range that Linux takes outgoing connections from, so that a stopped member finds its port free again.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port on 127.0.0.1, reserved among all test processes by a lock file for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    file: PathBuf,
    _lock: File,
}

impl Port {
    pub(crate) fn reserve() -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = (std::process::id() % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            let number = FIRST + ((u32::from(start) + u32::from(step)) % u32::from(COUNT)) as u16;
            let file = folder().join(number.to_string());
            let Some(lock) = lock(&file)? else {
                continue;
            };
            let port = Port {
                number,
                file,
                _lock: lock,
            };
            if TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(port);
            }
        }
        bail!("no free port on 127.0.0.1 from {FIRST} on")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    /// Leaves nothing behind: the file goes while it is still locked, the folder with the last file in it.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_dir(folder());
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir().join("etcd-snap-test-ports")
}

/// Creates and locks the file; `None` when another process has it.
fn lock(file: &Path) -> Result<Option<File>> {
    let lock = match open(file) {
        // Whoever was the last removed the folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder()?;
            open(file)
        }
        opened => opened,
    };
    let Ok(lock) = lock else {
        return Ok(None);
    };
    if lock.try_lock().is_err() {
        return Ok(None);
    }
    // Between opening and locking the file may have been removed, and the next process has made a new one.
    let is_the_one = fs::metadata(file)
        .is_ok_and(|now| lock.metadata().is_ok_and(|ours| now.ino() == ours.ino()));
    Ok(is_the_one.then_some(lock))
}

fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(file)
}

fn make_folder() -> Result<()> {
    let folder = folder();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Tests of other users reserve here as well; it fails when the folder is theirs, which is fine.
    let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_nobody_elses_until_it_is_dropped() -> Result<()> {
        let port = Port::reserve()?;
        assert_eq!(port.file, folder().join(port.number().to_string()));
        assert!(lock(&port.file)?.is_none());
        Ok(())
    }
}
