//! Snapshot in, data directories out: everything is built aside, checked, synced, and then renamed.

mod amend;
mod bump;
mod database;
mod layout;
mod options;
mod report;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use options::{Bump, MemberTarget, RestoreOptions};
pub use report::{RestoreReport, RestoredMember};

use crate::io::{Disk, NewFile, Storage};
use crate::observe::{Event, Phase, tell};
use crate::raft::{snap, wal};
use crate::verify::Findings;
use crate::{Error, NewCluster, NewMember, Result, Snapshot};
use layout::{Layout, Member, Staging};

/// Builds the data directory of each target, a member of the new cluster, from the snapshot.
///
/// The database gets the new membership; old members, and a downgrade that was under way, are forgotten; everything else in
/// it stays. WAL and `.snap` are those of a cluster that was founded with these members (formats.md 5). A server of any minor
/// that can read the data starts from the result.
///
/// Everything is staged beside the targets. The snapshot is read once: the digest is compared, and pages and records are checked,
/// while the database is copied; what was changed in the copy is read back. Further members get a clone of it. All of it is on the
/// disk before the first name is given.
///
/// Blocks until it is done. Memory stays below 64 MiB.
///
/// # Errors
/// `Io` where the snapshot is written to meanwhile; `InvalidInput` or `Occupied` before anything is written, where names, URLs or targets do not fit; `NoDigest`,
/// `DigestMismatch` or `Damaged` where the snapshot is not proven; `NoSpace`, `AccessDenied`, `Io` where writing fails;
/// `Cancelled` where the observer asked to stop. After any of them there is no member: what was staged is removed, an
/// existing empty directory is empty again. Only a process that is killed leaves something: hidden names that end in
/// `.restoring` or `.part`, beside the target or in the directory that was empty, which no later run minds and which may be
/// removed; and, if it was killed between two of its last renames, some of the members or a WAL directory without its member.
pub fn restore(
    snapshot: &Snapshot,
    cluster: &NewCluster,
    targets: &[MemberTarget],
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let disk: Arc<dyn Storage> = Arc::new(Disk);
    restore_with(&disk, snapshot, cluster, targets, options)
}

fn restore_with(
    storage: &Arc<dyn Storage>,
    snapshot: &Snapshot,
    cluster: &NewCluster,
    targets: &[MemberTarget],
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let started = Instant::now();
    let observer = options.observer.as_ref();

    options.check()?;
    let members = members(cluster, targets)?;
    let layout = Layout::plan(&members)?;
    database::require_restorable(snapshot, options)?;

    let mut staging = layout.stage(storage)?;
    let mut finished: Option<database::Restored> = None;
    for member in &layout.members {
        let (path, file) = staging.create_file(&member.database())?;
        finished = Some(match finished {
            None => database::build(snapshot, cluster, options, &file, &path)?,
            Some(first) => database::copy_of(first, &file, &path, observer)?,
        });
    }
    let mut restored = finished.ok_or_else(|| Error::invalid("no member to restore was named"))?;

    tell(observer, &Event::Started(Phase::Write))?;
    for member in &layout.members {
        write_raft_files(&mut staging, cluster, member)?;
    }
    restored.sync()?;
    tell(observer, &Event::Started(Phase::Publish))?;
    staging.publish()?;

    Ok(report::report(
        snapshot,
        cluster,
        &layout,
        restored,
        crate::milliseconds(started),
    ))
}

/// The members that the targets name, in their order; what they say must fit the cluster.
fn members<'a>(
    cluster: &'a NewCluster,
    targets: &'a [MemberTarget],
) -> Result<Vec<(&'a NewMember, &'a MemberTarget)>> {
    let mut members: Vec<(&NewMember, &MemberTarget)> = Vec::new();
    for target in targets {
        let member = cluster.member(target.name())?;
        if let Some(advertised) = target.advertised() {
            member.check_advertised(advertised)?;
        }
        if members.iter().any(|(other, _)| other.id() == member.id()) {
            return Err(Error::invalid(format!(
                "the member {:?} is named twice",
                target.name()
            )));
        }
        members.push((member, target));
    }
    Ok(members)
}

/// WAL and `.snap`, written, synced and read back.
fn write_raft_files(
    staging: &mut Staging,
    cluster: &NewCluster,
    member: &Member<'_>,
) -> Result<()> {
    let segment = wal::first_segment(cluster, member.member)?;
    let (path, file) = staging.create_wal(member)?;
    write(&path, &file, &segment, wal::SEGMENT_SIZE_BYTES)?;
    let written = wal::FirstSegment::read(&file).map_err(|e| e.with_path(&path))?;
    if written != wal::FirstSegment::of(cluster, member.member) {
        return Err(Error::damaged(format!(
            "{} does not read back as it was written",
            path.display()
        ))
        .with_path(&path));
    }

    let snap_file = snap::file(cluster)?;
    let (path, file) = staging.create_file(&member.snap(&snap::file_name(cluster)))?;
    write(&path, &file, &snap_file, snap_file.len() as u64)?;
    let mut written = vec![0; snap_file.len()];
    file.read_at(&mut written, 0)
        .map_err(|e| Error::io("read back", &path, e))?;
    if snap::Snap::read(&written)? != snap::Snap::of(cluster) {
        return Err(Error::damaged(format!(
            "{} does not read back as it was written",
            path.display()
        ))
        .with_path(&path));
    }
    Ok(())
}

fn write(path: &Path, file: &Arc<dyn NewFile>, bytes: &[u8], size_bytes: u64) -> Result<()> {
    let failed = |e| Error::io("write", path, e);
    if size_bytes > bytes.len() as u64 {
        file.reserve(size_bytes).map_err(failed)?;
    }
    file.write_at(bytes, 0).map_err(failed)?;
    file.sync().map_err(failed)
}

/// Findings that only ask whether there is damage.
fn findings() -> Findings {
    const SHOWN: usize = 10;
    Findings::new(SHOWN)
}
