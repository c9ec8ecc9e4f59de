//! etcd is started, and later what uses it.

use super::Run;
use crate::recover::StopBy;
use crate::{Result, disk};

impl Run<'_> {
    /// etcd's manifest is put back, or its unit is started. Nobody waits for systemd to call it started: an etcd without quorum never
    /// is.
    pub(in super::super) fn start(&mut self) -> Result<()> {
        match &self.recovery().stop {
            StopBy::Unit { unit } => self.systemctl(&["start", "--no-block", unit]),
            StopBy::Manifests { .. } => self.put_back(true),
        }
    }

    /// The other manifests are put back, and the dated directory is removed.
    pub(in super::super) fn others_back(&mut self) -> Result<()> {
        let StopBy::Manifests { aside, .. } = &self.recovery().stop else {
            return Ok(());
        };
        let aside = self.on_disk(aside);
        self.put_back(false)?;
        disk::remove_empty_directory(&aside)
    }

    fn put_back(&mut self, etcds: bool) -> Result<()> {
        let mut manifests = self.etcd_last();
        manifests.retain(|manifest| self.is_etcds(manifest) == etcds);
        self.move_manifests(manifests.iter().rev().map(|it| (it, &*it.from)))
    }
}
