//! Snapshot in, data directories out: everything is built aside, checked, synced, and then renamed.

mod amend;
mod bump;
mod compare;
mod database;
mod identity;
mod inventory;
mod layout;
mod leased;
mod notes;
mod old_members;
mod options;
mod owner;
mod plan;
mod read_back;
mod replace;
mod report;
mod room;
mod seen;
mod squeezed;
mod staging;
mod successor;
mod swap;
mod undo;
mod unfinished;
mod version;

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod places;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use bump::{Bumped, decide_bump};
pub use compare::{CompareOptions, CompareReport, ComparedBy, ComparedMember, compare_restored};
pub use inventory::{Dropped, FoundAlarm, FoundAuth, FoundLeases, FoundMember, Inventory};
pub use old_members::{SnapshotMember, snapshot_members};
pub use options::{Bump, MemberTarget, RestoreOptions};
pub use owner::Owner;
pub use plan::{PlanFile, PlannedMember, RestorePlan};
pub use report::{Replaced, RestoreReport, RestoredMember};
pub use seen::{Seen, SeenIn};
pub use swap::{SwapOptions, SwapReport, check_swap, swap_member};
pub use undo::{UndoOptions, UndoReport, undo_restore};
pub use unfinished::is_half_changed;

use crate::io::{Disk, NewFile, Storage};
use crate::observe::{Event, Phase, tell};
use crate::raft::{snap, wal};
use crate::verify::Findings;
use crate::{Error, NewCluster, NewMember, Result, Snapshot};
use layout::{Layout, Member, resolve};
use report::{Made, Told};
use staging::{Staging, lock_old};

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
/// A member that is there already is refused, or with [`with_replace`](RestoreOptions::with_replace) kept under another name; a
/// server that runs there is refused in any case. Where one rename is enough, the new member appears by it. Where names
/// change in several places, a journal says what is under way (`.etcd-snap-restore.json` in the data directory, or
/// `.NAME.etcd-snap-restore.json` beside one that is absent), and a short text stands in the place of each database, which no server
/// opens.
///
/// Blocks until it is done. Memory stays below 64 MiB.
///
/// # Errors
/// Before anything is made: `InvalidInput`, `Occupied` or `Unsupported` where names, URLs or targets do not fit; `Busy` where a
/// server or another run is at work there; `AccessDenied` and `NoSpace` where a directory may not be written to, or is too
/// small; `NoDigest` and `Damaged` where that shows at once. Later: `DigestMismatch` or `Damaged` where the snapshot is
/// not proven; `Io` where it is written to meanwhile; `NoSpace`, `AccessDenied`, `Io` where writing fails; `Cancelled` where
/// the observer asked to stop. After any of them all is as it was: what was staged is removed, what was renamed has its old
/// name.
///
/// Only a run that is killed leaves something: hidden names, which the next run to the same target removes when their lock
/// shows that nobody uses them, and perhaps its journal. The next run, and [`undo_restore`], first follow that: they finish
/// what was decided, and take back what was not.
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
    bump::require_all_members(cluster, targets, options)?;
    let mut notes = settle(storage, &members, options)?;
    let layout = Layout::plan(storage.as_ref(), &members, options)?;
    layout.require_source_apart(snapshot)?;
    database::require_restorable(snapshot, options)?;
    version::require_possible(snapshot, options)?;
    let bump = decide_bump(snapshot, targets, options)?;
    let options = &match &bump {
        Some(bump) => options.clone().with_decided_bump(bump.clone()),
        None => options.clone(),
    };
    notes.extend(doubts(snapshot, cluster, options));
    notes.extend(bump::behind(snapshot, bump.as_ref(), targets, options));
    let locks = lock_old(storage.as_ref(), &layout)?;
    require_place(storage.as_ref(), &layout, snapshot.database_bytes())?;
    notes.extend(layout.doubts());
    if options.dry_run {
        let made = database::rehearse(snapshot, options)?;
        let duration_ms = crate::milliseconds(started);
        let told = Told::of(snapshot, &made, bump, notes, options)?;
        return Ok(report::report(
            snapshot,
            cluster,
            &layout,
            made,
            told,
            duration_ms,
        ));
    }

    let mut staging = Staging::create(storage, &layout, locks, options)?;
    let mut finished: Option<database::Restored> = None;
    for member in &layout.members {
        let (path, file) = staging.create_database(member)?;
        finished = Some(match finished {
            None if options.rewrites() => {
                squeezed::build(snapshot, cluster, options, &file, &path)?
            }
            None => database::build(snapshot, cluster, options, &file, &path)?,
            Some(first) => {
                let name = member.target.name();
                database::copy_of(first, name, &file, &path, observer)?
            }
        });
    }
    let mut restored = finished.ok_or_else(|| Error::invalid("no member to restore was named"))?;

    tell(observer, &Event::Started(Phase::Write))?;
    for member in &layout.members {
        write_raft_files(&mut staging, cluster, member, options)?;
    }
    restored.sync()?;
    for (path, file) in staging.databases() {
        read_back::require_written(cluster, file, path)?;
    }
    let made = Made::from(&restored);
    let mut told = Told::of(snapshot, &made, bump, notes, options)?;
    tell(observer, &Event::Started(Phase::Publish))?;
    told.notes.extend(staging.publish()?);

    let duration_ms = crate::milliseconds(started);
    Ok(report::report(
        snapshot,
        cluster,
        &layout,
        made,
        told,
        duration_ms,
    ))
}

/// What a run that died has left half done comes first.
fn settle(
    storage: &Arc<dyn Storage>,
    members: &[(&NewMember, &MemberTarget)],
    options: &RestoreOptions,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for (_, target) in members {
        let data_dir = resolve(target.data_dir())?;
        if options.dry_run {
            unfinished::refuse_unfinished(storage, &data_dir)?;
        } else if let Some((_, note)) = unfinished::settle(storage, &data_dir)? {
            tell(options.observer.as_ref(), &Event::Note(note.clone()))?;
            notes.push(note);
        }
    }
    Ok(notes)
}

/// The directories may be written to, and there is room in them.
fn require_place(storage: &dyn Storage, layout: &Layout<'_>, database_bytes: u64) -> Result<()> {
    let needs = layout.needs(database_bytes);
    let changed = layout.changed();
    for directory in needs.iter().map(|(directory, _)| directory).chain(&changed) {
        owner::require_writable(directory)?;
    }
    room::require_room(storage, &needs)
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

/// What a person should know. Members that cannot be read are damage, which the restore finds itself.
fn doubts(snapshot: &Snapshot, cluster: &NewCluster, options: &RestoreOptions) -> Vec<String> {
    let old = snapshot_members(snapshot).unwrap_or_default();
    identity::doubts(cluster, &old, options.old_cluster)
}

/// WAL and `.snap`, written, synced and read back.
fn write_raft_files(
    staging: &mut Staging<'_, '_>,
    cluster: &NewCluster,
    member: &Member<'_>,
    options: &RestoreOptions,
) -> Result<()> {
    let segment = wal::first_segment(cluster, member.member)?;
    let (path, file) = staging.create_wal(member, options)?;
    write(&path, &file, &segment, wal::SEGMENT_SIZE_BYTES)?;
    let written = wal::FirstSegment::read(&file).map_err(|e| e.with_path(&path))?;
    if written != wal::FirstSegment::of(cluster, member.member) {
        return Err(read_back::not_as_written(&path));
    }

    let snap_file = snap::file(cluster)?;
    let (path, file) = staging.create_file(&member.snap(&snap::file_name(cluster)))?;
    write(&path, &file, &snap_file, snap_file.len() as u64)?;
    let mut written = vec![0; snap_file.len()];
    file.read_at(&mut written, 0)
        .map_err(|e| Error::io("read back", &path, e))?;
    if snap::Snap::read(&written)? != snap::Snap::of(cluster) {
        return Err(read_back::not_as_written(&path));
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
