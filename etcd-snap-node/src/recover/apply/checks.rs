//! What speaks against beginning: nothing has been done when one of these fails.

use std::path::Path;

use etcd_snap::{RestorePlan, Snapshot};

use super::ApplyOptions;
use crate::recover::files::{sha256, text};
use crate::recover::{Recovery, RecoveryTarget, StopBy};
use crate::{Error, ErrorKind, Result, Root, Severity};

const NOTHING_DONE: &str = "nothing was changed";

/// What is so whatever the machine is like.
pub(super) fn require_applicable(recovery: &Recovery, options: &ApplyOptions) -> Result<()> {
    if recovery.schema != 1 {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the recovery has the form {}, and this version knows 1",
                recovery.schema
            ),
        )
        .with_remedy("use the version that planned it, or plan it again"));
    }
    if let Some(owner) = recovery.etcd.layout.owner() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{owner} owns {}, and undoes what others do to it",
                recovery.etcd.title()
            ),
        )
        .with_remedy(format!(
            "recover it in {owner}'s own way, as the plan describes; {NOTHING_DONE}"
        )));
    }
    let worst = recovery
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let worst: Vec<_> = worst.collect();
    if let Some(first) = worst.first() {
        let more = match worst.len() {
            1 => String::new(),
            n => format!(" (and {} more findings that keep it from that)", n - 1),
        };
        let remedy = first.remedy.clone().unwrap_or_default();
        return Err(Error::new(
            ErrorKind::Refused,
            format!("the plan cannot be applied: {}{more}", first.message),
        )
        .with_remedy(match remedy.as_str() {
            "" => format!("{NOTHING_DONE}; put it in order, and plan again"),
            remedy => format!("{remedy}; {NOTHING_DONE}"),
        }));
    }
    options.require_systemctl_for(&recovery.stop)?;
    // Whether it serves has to be asked at the end.
    recovery.etcd.cluster(&options.root).map(drop)
}

/// The machine and the snapshot are as they were when the plan was made.
pub(super) fn require_unchanged(recovery: &Recovery, root: &Root) -> Result<()> {
    if let StopBy::Manifests { manifests, .. } = &recovery.stop {
        for manifest in manifests {
            match sha256(root, &manifest.from)? {
                Some(digest) if digest == manifest.sha256 => {}
                Some(_) => return Err(changed(&manifest.from, "was changed")),
                None => return Err(changed(&manifest.from, "is gone")),
            }
            if root.entry(&manifest.to).symlink_metadata().is_ok() {
                return Err(changed(&manifest.to, "has appeared"));
            }
        }
    }
    for file in &recovery.configured_by {
        let found = sha256(root, &file.path)?;
        if found != file.sha256 {
            let what = match (&file.sha256, found) {
                (None, _) => "has appeared",
                (_, None) => "is gone",
                _ => "was changed",
            };
            return Err(changed(&file.path, what));
        }
    }
    for change in &recovery.changes {
        if text(root, &change.path)? != change.before {
            return Err(changed(&change.path, "was changed"));
        }
    }
    if let Some(data) = &recovery.etcd.data {
        let data_dir = recovery.etcd.host_data_dir()?;
        let has_member = root.exists(&data_dir.join("member/snap/db"));
        if has_member != data.has_member {
            let what = match has_member {
                true => "has got a member",
                false => "has lost its member",
            };
            return Err(changed(&data_dir, what));
        }
    }
    match &recovery.target {
        RecoveryTarget::InPlace { staged, .. } if root.exists(staged) => {
            return Err(changed(staged, "has appeared"));
        }
        RecoveryTarget::NewDataDir { data_dir } if !root.names(data_dir)?.is_empty() => {
            return Err(changed(data_dir, "has got something in it"));
        }
        _ => {}
    }
    let snapshot = Snapshot::open(&recovery.snapshot)?;
    require_snapshot(recovery, &snapshot)
}

/// The snapshot is the one of the plan.
pub(super) fn require_snapshot(recovery: &Recovery, snapshot: &Snapshot) -> Result<()> {
    let options = recovery.restore.options()?;
    let digest = RestorePlan::digest_of(snapshot, &options, &etcd_snap::Silent)?;
    if digest == recovery.snapshot_sha256 && digest == recovery.restore.snapshot_sha256 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "{} is not the snapshot that the plan was made for: its SHA-256 is {digest}, and the plan has {}",
            recovery.snapshot.display(),
            recovery.snapshot_sha256
        ),
    )
    .with_path(&recovery.snapshot)
    .with_remedy("name the file of the plan, or plan again"))
}

fn changed(path: &Path, what: &str) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("{} {what} since the plan was made", path.display()),
    )
    .with_path(path)
    .with_remedy(format!("{NOTHING_DONE}; plan again"))
}
