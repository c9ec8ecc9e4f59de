//! Loopback ports that no other test of this machine takes, not even while their server is down.

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};

/// Below the range that Linux takes outgoing connections from, so that a stopped member finds its port free again.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port on 127.0.0.1, reserved among all test processes by a lock file for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    pub(crate) fn reserve() -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let folder = std::env::temp_dir().join("etcd-snap-test-ports");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        // Tests of other users reserve here as well; it fails when the folder is theirs, which is fine.
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777));
        let start = (std::process::id() % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            let number = FIRST + ((u32::from(start) + u32::from(step)) % u32::from(COUNT)) as u16;
            let Ok(lock) = OpenOptions::new()
                .create(true)
                .append(true)
                .open(folder.join(number.to_string()))
            else {
                continue;
            };
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Port {
                    number,
                    _lock: lock,
                });
            }
        }
        bail!("no free port on 127.0.0.1 from {FIRST} on")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}
