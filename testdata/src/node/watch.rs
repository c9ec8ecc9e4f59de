//! A watch that is open while a cluster is brought back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::wait_for;
use crate::process::Process;

/// A client that watches, as a controller of Kubernetes does: when its connection ends it comes back, and goes on behind what it
/// has seen.
#[derive(Debug)]
pub struct Watch {
    process: Process,
    log: PathBuf,
}

impl Watch {
    pub(super) fn start(etcdctl: &Path, mut command: Command, log: PathBuf) -> Result<Self> {
        command.args(["watch", "--prefix", ""]);
        let process = Process::spawn(etcdctl, command, &log)?;
        Ok(Self { process, log })
    }

    /// What it has printed.
    pub fn said(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Waits until it has seen these words.
    pub fn wait_until_seen(&self, words: &str) -> Result<()> {
        wait_for(&format!("the watch does not see {words:?}"), || {
            Ok(self.said().contains(words))
        })
    }

    /// Waits until it is told that what it asks for is gone, which makes a controller list everything anew.
    pub fn wait_until_cancelled(&mut self) -> Result<()> {
        wait_for("the watch is not cancelled", || {
            Ok(self.process.ended()?.is_some() || self.said().contains("compacted"))
        })?;
        let said = self.said();
        anyhow::ensure!(said.contains("compacted"), "the watch ended: {said}");
        Ok(())
    }
}
