//! The version of etcd that a stopped member's data is laid out for.

mod options;
mod plan;
mod report;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

pub use options::MigrateOptions;
pub use report::MigrateReport;

use crate::backend::{StorageVersion, bucket, meta_key};
use crate::bbolt::{Edit, Records};
use crate::data_dir::{self, HeldDatabase};
use crate::observe::{Event, Phase, tell};
use crate::raft::log::{self, Segment};
use crate::verify::{Findings, Wants, look};
use crate::{Error, ErrorKind, Result, Snapshot};

/// Makes the data of a stopped member fit for another minor of etcd: `etcdutl migrate`, without a server.
///
/// etcd 3.6 and newer store a version in the database and refuse data of a newer one. Upwards it is set, downwards set to the
/// older one or, for 3.5, removed; nothing else changes. Downwards, the WAL must hold nothing behind its newest snapshot that the
/// target does not understand.
///
/// The database is proven first, as [`verify`](crate::verify) does, and locked as a server locks it. The change is made in place
/// and as a server commits: new pages behind all others, synced, and then the older of the two meta pages, synced. Whatever ends it,
/// the database is whole, with the old version or with the new one. The WAL is only read.
///
/// Blocks until it is done. Memory stays within a few megabytes beside what the proof takes.
///
/// # Errors
/// `InvalidInput` for a target below 3.5; `Unsupported` where the database does not tell its version, there is no way from it to
/// the target, or entries in the WAL are too new; `NotFound` where there is no database or no WAL; `Busy` where a server has the
/// lock; `Damaged` where database or WAL are; `NoSpace`, `Io` and `Cancelled`.
/// [`detail`](crate::Error::detail) has which of them it is in `refusal`, and the versions.
pub fn migrate(
    data_dir: impl AsRef<Path>,
    target: StorageVersion,
    options: &MigrateOptions,
) -> Result<MigrateReport> {
    let started = Instant::now();
    let (data_dir, target) = (data_dir.as_ref(), target.trimmed());
    if target < StorageVersion::V3_5 {
        return Err(Error::invalid(format!(
            "data cannot be made fit for {target}: 3.5 is the oldest that it can be made fit for"
        )));
    }

    tell(options.observer.as_ref(), &Event::Started(Phase::Lock))?;
    let held = HeldDatabase::take(options.storage.as_ref(), data_dir)?;
    prove(&held.snapshot, options)?;
    let mut edit = Edit::begin(held.file.as_ref(), &held.path, *held.snapshot.meta())?;
    let mut settings = edit.bucket(bucket::META)?;
    let current = detect(&settings, &held.snapshot)?;
    let mut report = MigrateReport {
        schema: 1,
        data_dir: data_dir.to_owned(),
        version_before: current.to_string(),
        version_after: target.to_string(),
        steps: Vec::new(),
        forced: None,
        duration_ms: 0,
    };
    if current == target {
        report.duration_ms = crate::milliseconds(started);
        return Ok(report);
    }

    let own = data_dir::wal(data_dir);
    let wal_dir = options.wal_dir.as_deref().unwrap_or(&own);
    let segments = data_dir::segments(options.storage.as_ref(), wal_dir)?;
    let detected = newest_entries(&segments)?;
    match plan::plan(current, target, options.newest)
        .and_then(|steps| understands(current, target, detected).map(|()| steps))
    {
        Ok(steps) => report.steps = steps.iter().map(ToString::to_string).collect(),
        Err(e) if options.force && e.kind() == ErrorKind::Unsupported => {
            report.forced = Some(e.to_string());
        }
        Err(e) => return Err(e),
    }
    if target < StorageVersion::V3_6 {
        settings.remove(meta_key::STORAGE_VERSION);
    } else {
        let version = target.to_string().into_bytes();
        settings.insert(meta_key::STORAGE_VERSION.to_vec(), version);
    }
    tell(options.observer.as_ref(), &Event::Started(Phase::Write))?;
    edit.replace(bucket::META, settings.clone())?;
    edit.commit_in_place()?;
    require_written(&held, &settings)?;
    report.duration_ms = crate::milliseconds(started);
    Ok(report)
}

fn prove(snapshot: &Snapshot, options: &MigrateOptions) -> Result<()> {
    const PROBLEMS: usize = 100;
    let mut findings = Findings::new(PROBLEMS);
    look(
        snapshot,
        Wants::default(),
        &mut findings,
        options.observer.as_ref(),
    )?;
    findings.require_sound(snapshot.name())
}

fn detect(settings: &Records, snapshot: &Snapshot) -> Result<StorageVersion> {
    StorageVersion::detect(settings).ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} does not tell which etcd wrote it, as it has no term: start and stop the etcd 3.5 that it belongs to",
                snapshot.name()
            ),
        )
        .with_detail("refusal", "no-term")
    })
}

fn newest_entries(segments: &[Segment]) -> Result<Option<StorageVersion>> {
    let stage = |stage| move |e: Error| e.with_detail("wal", stage);
    let snapshot = log::newest_snapshot(segments).map_err(stage("scan"))?;
    let segments = log::segments_from(segments, snapshot).map_err(stage("choose"))?;
    log::minimal_version(segments, snapshot).map_err(stage("read"))
}

fn understands(
    current: StorageVersion,
    target: StorageVersion,
    detected: Option<StorageVersion>,
) -> Result<()> {
    let Some(detected) = detected.filter(|detected| target < current && target < *detected) else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "the WAL holds entries of {detected}, which {target} does not understand: let the server of the newer version take \
             a snapshot first"
        ),
    )
    .with_detail("refusal", "newer-entries")
    .with_detail("target", target.to_string())
    .with_detail("detected", detected.to_string()))
}

/// Whatever is wrong then is our own fault, or the disk's.
fn require_written(held: &HeldDatabase, settings: &Records) -> Result<()> {
    let written = Snapshot::from_source(held.snapshot.name(), held.snapshot.source().clone())?;
    let edit = Edit::begin(held.file.as_ref(), &held.path, *written.meta())?;
    if edit.bucket(bucket::META)? == *settings {
        return Ok(());
    }
    Err(Error::damaged(format!(
        "{} does not read back as it was written",
        held.snapshot.name()
    ))
    .with_path(&held.path))
}
