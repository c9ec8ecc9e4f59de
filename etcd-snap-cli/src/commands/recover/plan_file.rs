//! The plan that all nodes are given, as text: the one that `restore --plan` reads and writes too.

use std::path::Path;

use etcd_snap::{PlanFile, RestorePlan};

use crate::commands::restore::plan;
use crate::failure::Result;

const HEAD: &str = "\
# The plan of an etcd-snap recovery: with it, every node makes its member of the same cluster.
# `etcd-snap recover BACKUP --plan-file THIS --apply`
";

/// The plan in a file; `None` where there is no file yet.
pub(super) fn read(path: &Path) -> Result<Option<RestorePlan>> {
    plan::read(path)
}

/// Writes a plan where there is none yet.
pub(super) fn write(path: &Path, restore: &RestorePlan) -> Result<PlanFile> {
    plan::write_headed(path, HEAD, restore)
}
