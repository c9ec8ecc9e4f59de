//! What the new members are made of: decided, and tried out as far as that goes without writing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcd_snap::{
    Bump, Bumped, Contents, MemberTarget, NewCluster, RestorePlan, Revision, Seen, Snapshot,
    VerifyOptions, decide_bump,
};

use super::options::PlannedBump;
use super::{PlanOptions, place};
use crate::observe::OfLibrary;
use crate::recover::RecoveryTarget;
use crate::{Error, ErrorKind, Etcd, Finding, Result};

/// What all nodes are given, and what it comes to.
pub(super) struct Decided {
    pub(super) restore: RestorePlan,
    pub(super) bump: Option<Bumped>,
}

/// Decides on everything that must not differ between nodes.
pub(super) fn decide(
    etcd: &Etcd,
    snapshot: &Snapshot,
    cluster: &NewCluster,
    seen: Option<Seen>,
    options: &PlanOptions,
) -> Result<Decided> {
    let watching = Arc::new(OfLibrary(Arc::clone(&options.observer)));
    if let Some(plan) = &options.given {
        let told = plan.options()?.with_observer(watching.clone());
        let digest = RestorePlan::digest_of(snapshot, &told, watching.as_ref())?;
        plan.require_snapshot(snapshot, digest)?;
        require_same_bump(plan, options)?;
        return Ok(Decided {
            restore: plan.clone(),
            bump: decide_bump(snapshot, &[], &told)?,
        });
    }
    let mut told = options.restore.clone().with_observer(watching.clone());
    told = match options.bump {
        PlannedBump::Automatic => told.with_bump(Bump::Automatic),
        PlannedBump::None => told.with_bump(Bump::None).with_mark_compacted(false),
        PlannedBump::By(by) => told.with_bump(Bump::By(by)).with_mark_compacted(true),
    };
    let told_of = options.seen.map(Seen::told);
    for seen in seen.into_iter().chain(told_of) {
        told = told.with_seen(seen);
    }
    let bump = decide_bump(snapshot, &[etcd.target(&options.root)?], &told)?;
    if let Some(bump) = &bump {
        told = told.with_decided_bump(bump.clone());
    }
    let digest = RestorePlan::digest_of(snapshot, &told, watching.as_ref())?;
    Ok(Decided {
        restore: RestorePlan::new(digest, cluster, &told)?,
        bump,
    })
}

fn require_same_bump(plan: &RestorePlan, options: &PlanOptions) -> Result<()> {
    let given = match options.bump {
        PlannedBump::Automatic => return Ok(()),
        PlannedBump::None => 0,
        PlannedBump::By(by) => by,
    };
    if given == plan.bump_revision {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!(
            "the revision is to be moved ahead by {given}, and the plan says {}",
            plan.bump_revision
        ),
    )
    .with_remedy("leave out what the plan decides, or make another plan for all nodes"))
}

/// What a restore would come to.
pub(super) struct Tried {
    /// Of the snapshot.
    pub(super) snapshot_revision: Revision,
    /// What the data is laid out for, and what the cluster was, as far as the snapshot says.
    pub(super) versions: Vec<String>,
    pub(super) findings: Vec<Finding>,
}

/// Everything that a restore checks, the whole snapshot among it; nothing is written.
pub(super) fn try_out(
    snapshot: &Snapshot,
    decided: &Decided,
    member: &str,
    target: &RecoveryTarget,
    options: &PlanOptions,
) -> Result<Tried> {
    let watching = Arc::new(OfLibrary(Arc::clone(&options.observer)));
    let told = decided
        .restore
        .options()?
        .with_dry_run(true)
        .with_observer(watching.clone());
    let cluster = decided.restore.cluster()?;
    let mut findings = Vec::new();
    match etcd_snap::restore(snapshot, &cluster, &[room(member, target, options)], &told) {
        Ok(report) => {
            let notes = report.notes.into_iter();
            findings.extend(notes.map(|note| Finding::warning("restore-note", note)));
            Ok(Tried {
                snapshot_revision: report.snapshot_revision,
                versions: versions(&report.contents),
                findings,
            })
        }
        Err(e) if e.kind() == etcd_snap::ErrorKind::NoSpace => {
            findings.push(Finding::error("no-space", e.to_string()).with_remedy(
                "make room: the old member is kept beside the new one, so that there is a way back",
            ));
            let proving = VerifyOptions::default().with_observer(watching);
            let proof = etcd_snap::verify(snapshot, &proving)?.into_proven()?;
            Ok(Tried {
                snapshot_revision: proof.contents.revision,
                versions: versions(&proof.contents),
                findings,
            })
        }
        Err(e) => Err(e.into()),
    }
}

fn versions(contents: &Contents) -> Vec<String> {
    let known = [&contents.storage_version, &contents.cluster_version];
    known.into_iter().flatten().cloned().collect()
}

/// On the filesystem where the member is going to be: nothing of a data directory need be there yet.
fn room(member: &str, target: &RecoveryTarget, options: &PlanOptions) -> MemberTarget {
    let there = |path: &Path| -> PathBuf {
        let name = path.file_name().unwrap_or_default();
        let above = place::nearest(path.parent().unwrap_or(Path::new("/")), &options.root);
        options.root.open_as(&above).join(name)
    };
    match target {
        RecoveryTarget::InPlace {
            staged, staged_wal, ..
        } => {
            let target = MemberTarget::new(member, there(staged));
            match staged_wal {
                Some(staged_wal) => target.with_wal_dir(there(staged_wal)),
                None => target,
            }
        }
        RecoveryTarget::NewDataDir { data_dir } => MemberTarget::new(member, there(data_dir)),
    }
}
