//! What bringing this node back takes: decided in every detail, checked beforehand, and nothing done.
//!
//! ```text
//! members.rs    who the new members are, and which one is this node's
//! prove.rs      bump, digest, and everything that a restore checks without writing
//! seen.rs       whether the revision is above what clients of this node have seen
//! place.rs      where the member goes, what is stopped        pods.rs      the files in kubelet's directory
//! change/       --new-data-dir: a scalar of a manifest or of a configuration file, or a drop-in for a unit
//! checks/       what speaks against it: data, machine, cluster, snapshot
//! because.rs    why nothing can be planned
//! steps.rs      the steps, and what a person would type       shell.rs     words as a shell takes them
//! elsewhere.rs  other nodes, and what is restarted            owners.rs    distributions that have a way of their own
//! ```

mod because;
mod change;
mod checks;
pub(in crate::recover) mod elsewhere;
mod members;
mod options;
mod owners;
mod place;
mod pods;
mod prove;
#[cfg(test)]
mod sample;
mod seen;
mod shell;
mod steps;
#[cfg(test)]
mod tests;

use std::path::Path;

use etcd_snap::{Snapshot, snapshot_members};

#[cfg(fuzzing)]
pub(crate) use change::fuzzed;
pub use options::PlanOptions;

use super::{Recovery, RecoveryTarget, StopBy};
use crate::{Error, ErrorKind, Finding, Node, Result, Severity};

/// Says what bringing back this node takes, and checks beforehand what could go wrong. Changes nothing at all.
///
/// A recovery with a finding of [`Severity::Error`] is not applied.
///
/// # Errors
/// `NotFound` and `InvalidInput` where it is not clear which etcd is meant, or an option contradicts another; `Refused` where nothing can
/// be planned: no member of the new cluster is this node's, nothing tells what starts etcd, what starts it cannot be changed safely, or
/// discovery has found what is wrong, which is said first then; `Misconfigured` where it has not, and nothing tells where the data is;
/// those of the library where the snapshot is not sound.
pub fn plan_recovery(node: &Node, snapshot: &Path, options: &PlanOptions) -> Result<Recovery> {
    let path = std::path::absolute(snapshot)
        .map_err(|e| Error::io("find the absolute path of", snapshot, e))?;
    let snapshot = Snapshot::open(&path)?;
    let etcd = node.etcd(options.etcd.as_deref())?;

    let explained = |e| because::of_findings(etcd, options, e);
    let members = members::members(etcd, &snapshot, options).map_err(explained)?;
    let target = place::target(etcd, options).map_err(|e| match e.kind() {
        ErrorKind::Misconfigured => explained(e),
        // Another directory that was asked for does not go.
        _ => e,
    })?;
    let stopping = place::stopping(etcd, options)?;
    let (changes, doubts) = match &target {
        RecoveryTarget::InPlace { .. } => Default::default(),
        RecoveryTarget::NewDataDir { data_dir } => change::changes(etcd, data_dir, options)?,
    };

    let old = snapshot_members(&snapshot)?;
    let living = checks::ask(etcd, &old, options)?;
    let seen = living.as_ref().map(|living| living.seen.clone());
    let decided = prove::decide(etcd, &snapshot, &members.cluster, seen.clone(), options)?;
    let contradicted = seen::contradicted(
        etcd,
        &snapshot,
        &members.cluster,
        &decided,
        seen.as_ref(),
        options,
    )?;
    let tried = prove::try_out(&snapshot, &decided, &members.own, &target, options)?;
    let revision = match &decided.bump {
        Some(bump) => bump.revision,
        None => tried.snapshot_revision,
    };

    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(owners::owned(etcd, &path));
    findings.extend(members.findings.iter().cloned());
    findings.extend(doubts);
    findings.extend(stopping.findings);
    findings.extend(contradicted);
    findings.extend(tried.findings);
    if let StopBy::Manifests { .. } = &stopping.stop
        && let crate::RunBy::StaticPod { manifest, .. } = &etcd.run_by
    {
        findings.extend(pods::extra(&stopping.manifests, manifest, node));
    }
    let owner = checks::owner(etcd, &target, &options.root);
    findings.extend(checks::look(&checks::Planned {
        etcd,
        snapshot: &snapshot,
        members: &members.cluster,
        target: &target,
        stop: &stopping.stop,
        changes: &changes,
        living: living.as_ref(),
        revision: tried.snapshot_revision,
        versions: &tried.versions,
        restore: &decided.restore,
        known: &findings,
        options,
    })?);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));

    let all = members.cluster.members().len();
    let stamp = options.stamp();
    let steps = steps::steps(&steps::Making {
        snapshot: &path,
        etcd,
        restore: &decided.restore,
        member: &members.own,
        target: &target,
        owner: owner.as_deref(),
        stop: &stopping.stop,
        changes: &changes,
        stamp: &stamp,
        revision: revision.get(),
        waits_for: elsewhere::quorum(all) - 1,
    });
    let configured_by = place::configured_by(etcd, &options.root)?;
    let stops_components =
        matches!(&stopping.stop, StopBy::Manifests { manifests, .. } if manifests.len() > 1);
    Ok(Recovery {
        schema: 1,
        snapshot_sha256: decided.restore.snapshot_sha256,
        revision,
        etcd: etcd.clone(),
        member: members.own.clone(),
        others: elsewhere::others(&members, &old, etcd, &path, options),
        afterwards: elsewhere::afterwards(
            etcd,
            stops_components,
            all,
            match decided.restore.bump_revision {
                0 => elsewhere::Watches::Left,
                _ => elsewhere::Watches::Cancelled,
            },
        ),
        snapshot: path,
        restore: decided.restore,
        target,
        owner,
        stop: stopping.stop,
        configured_by,
        changes,
        steps,
        findings,
    })
}

impl Recovery {
    /// Whether something was found that keeps it from being applied.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }
}
