//! What speaks against a recovery, found before anything is done.
//!
//! ```text
//! cluster.rs     members that live: a quorum, writes that would be lost      snapshot.rs   its age, the versions it needs
//! discovered.rs  what discovery found and a recovery does not mend           machine.rs    who starts and stops, another API server
//! access.rs      what may be written and swapped, and by whom the data has to be owned
//! ```

mod access;
mod cluster;
mod discovered;
mod machine;
mod snapshot;
#[cfg(test)]
mod tests;

use etcd_snap::{NewCluster, RestorePlan, Revision, Snapshot};

use super::PlanOptions;
use crate::recover::under_way;
use crate::recover::{FileChange, RecoveryTarget, StopBy};
use crate::{Etcd, Finding, Result};

pub(super) use access::owner;
pub(super) use cluster::{Living, ask};
pub(super) use discovered::is_of_certificates;

/// All that is decided so far.
pub(super) struct Planned<'a> {
    pub(super) etcd: &'a Etcd,
    pub(super) snapshot: &'a Snapshot,
    pub(super) members: &'a NewCluster,
    pub(super) target: &'a RecoveryTarget,
    pub(super) stop: &'a StopBy,
    pub(super) changes: &'a [FileChange],
    pub(super) living: Option<&'a Living>,
    /// Of the snapshot.
    pub(super) revision: Revision,
    /// Of etcd, that the snapshot needs.
    pub(super) versions: &'a [String],
    pub(super) restore: &'a RestorePlan,
    /// What was found already.
    pub(super) known: &'a [Finding],
    pub(super) options: &'a PlanOptions,
}

pub(super) fn look(planned: &Planned<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    findings.extend(under_way(
        &planned.options.root,
        &planned.options.state_directory,
    ));
    findings.extend(cluster::judge(planned));
    findings.extend(cluster::plan_file(planned));
    findings.extend(discovered::look(planned));
    findings.extend(machine::look(planned));
    findings.extend(access::look(planned));
    findings.extend(snapshot::look(planned)?);
    Ok(findings)
}
