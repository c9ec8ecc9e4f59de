//! What of a snapshot is restored: flags that a recovery has too.

use clap::Args;
use etcd_snap::{RestoreOptions, RestorePlan, StorageVersion};

use super::plan::differ;
use crate::failure::Result;

/// What of a snapshot is restored.
#[derive(Debug, Clone, Args)]
pub(crate) struct Contents {
    /// Leave out alarms: those of members that are gone block writes
    #[arg(long, help_heading = "Contents")]
    drop_alarms: bool,
    /// Leave out leases, and the keys that hang on them
    #[arg(long, help_heading = "Contents")]
    drop_leases: bool,
    /// Write only pages that are in use
    #[arg(long, help_heading = "Contents")]
    squeeze: bool,
    /// Prepare the data for servers of this minor, like 3.5 [default: the snapshot's]
    #[arg(long, value_name = "X.Y", help_heading = "Contents")]
    target_version: Option<StorageVersion>,
    /// Take a file without digest, or with a wrong one
    #[arg(long, help_heading = "Snapshot")]
    skip_hash_check: bool,
}

impl Contents {
    pub(crate) fn options(&self) -> RestoreOptions {
        let options = RestoreOptions::default()
            .with_skip_hash_check(self.skip_hash_check)
            .with_drop_alarms(self.drop_alarms)
            .with_drop_leases(self.drop_leases)
            .with_squeeze(self.squeeze);
        match self.target_version {
            Some(version) => options.with_target_version(version),
            None => options,
        }
    }

    /// Refuses flags that say something else than a plan.
    pub(crate) fn agree(&self, plan: &RestorePlan) -> Result<()> {
        for (flag, given, planned) in [
            (
                "--skip-hash-check",
                self.skip_hash_check,
                plan.skip_hash_check,
            ),
            ("--drop-alarms", self.drop_alarms, plan.drop_alarms),
            ("--drop-leases", self.drop_leases, plan.drop_leases),
            ("--squeeze", self.squeeze, plan.squeeze),
        ] {
            if given {
                differ(flag, &given, &planned)?;
            }
        }
        if let Some(version) = self.target_version {
            let planned = plan.target_version.as_deref().unwrap_or("the snapshot's");
            differ("--target-version", &version, &planned)?;
        }
        Ok(())
    }
}
