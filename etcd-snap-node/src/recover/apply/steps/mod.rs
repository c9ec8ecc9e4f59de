//! What each step does. Every one of them may have been done before, wholly or in part, by a run that died.

mod change;
mod prove;
mod serving;
mod stage;
mod start;
mod stop;
mod stopped;
mod swap;

pub(super) use stopped::listens;

use etcd_snap::{Snapshot, VerifyOptions, verify};

use super::checks::require_snapshot;
use super::run::Run;
use crate::Result;

impl Run<'_> {
    /// The snapshot is proven, and is the one of the plan.
    pub(super) fn verify(&mut self) -> Result<()> {
        let recovery = self.recovery();
        let snapshot = Snapshot::open(&recovery.snapshot)?;
        require_snapshot(recovery, &snapshot)?;
        if recovery.restore.skip_hash_check {
            // Hashed just now; pages and records are checked while they are restored.
            return Ok(());
        }
        let options = VerifyOptions::default().with_observer(self.of_library());
        verify(&snapshot, &options)?.into_proven()?;
        Ok(())
    }
}
