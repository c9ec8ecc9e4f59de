//! Directories with backups.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use etcd_snap_node::{DoctorOptions, Severity};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;

use crate::{ask, found, troubles};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn at(path: &Path, time: SystemTime) -> Result<()> {
    Ok(fs::File::options()
        .write(true)
        .open(path)?
        .set_modified(time)?)
}

#[test]
fn the_newest_backup_counts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let now = SystemTime::now();
    let options = DoctorOptions::default()
        .with_backups(folder.path())
        .with_now(now);
    let report = ask(&options)?;
    ensure!(
        troubles(&report) == [("no-backup", Severity::Error)],
        "{report:#?}"
    );

    fs::write(folder.path().join("notes.txt"), "about the backups")?;
    fs::write(
        folder.path().join(".staged.db.0123456789abcdef.part"),
        "half",
    )?;
    let report = ask(&options)?;
    let finding = found(&report, "no-backup")?;
    ensure!(
        finding.message.contains("none of its 1 file"),
        "{finding:?}"
    );

    let old = folder.path().join("old.db");
    fs::copy(golden::snapshot(Version::V3_5), &old)?;
    at(&old, now - 27 * HOUR)?;
    let report = ask(&options)?;
    ensure!(
        troubles(&report) == [("backup-too-old", Severity::Error)],
        "{report:#?}"
    );
    let finding = found(&report, "backup-too-old")?;
    ensure!(
        finding.message.contains("27 h old by the time of its file"),
        "{finding:?}"
    );
    let report = ask(&options.clone().with_max_age(28 * HOUR))?;
    ensure!(troubles(&report).is_empty(), "{report:#?}");

    let new = folder.path().join("new.db");
    fs::copy(golden::snapshot(Version::V3_6), &new)?;
    at(&new, now - HOUR)?;
    let report = ask(&options)?;
    ensure!(troubles(&report).is_empty(), "{report:#?}");
    ensure!(
        report
            .looked_at
            .iter()
            .any(|it| it.contains("new.db is proven")),
        "{report:#?}"
    );

    at(&new, now + HOUR)?;
    let report = ask(&options)?;
    ensure!(
        troubles(&report) == [("backup-from-the-future", Severity::Warning)],
        "{report:#?}"
    );
    Ok(())
}

#[test]
fn a_newest_backup_that_is_none_is_an_error() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("backup.db");
    let whole = fs::read(golden::snapshot(Version::V3_6))?;
    let options = DoctorOptions::default().with_backups(folder.path());

    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&file, &flipped)?;
    let report = ask(&options)?;
    ensure!(
        troubles(&report) == [("backup-damaged", Severity::Error)],
        "{report:#?}"
    );
    let report = ask(&options.clone().with_proving(false))?;
    ensure!(troubles(&report).is_empty(), "{report:#?}");

    fs::write(&file, &whole[..whole.len() - 32])?;
    let report = ask(&options)?;
    ensure!(
        troubles(&report) == [("backup-without-digest", Severity::Warning)],
        "{report:#?}"
    );

    fs::write(&file, &whole)?;
    fs::write(folder.path().join("backup.db.unproven"), &whole)?;
    let report = ask(&options)?;
    ensure!(
        troubles(&report) == [("backup-unproven", Severity::Warning)],
        "{report:#?}"
    );
    Ok(())
}

/// `etcdctl snapshot save` writes into `NAME.part`, in the same directory, while it runs.
#[test]
fn a_save_that_is_not_finished_is_no_backup() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = DoctorOptions::default().with_backups(folder.path());
    let whole = fs::read(golden::snapshot(Version::V3_6))?;
    let part = folder.path().join("tonight.db.part");
    fs::write(&part, &whole[..whole.len() / 4])?;
    let report = ask(&options)?;
    let finding = found(&report, "no-backup")?;
    ensure!(
        finding
            .message
            .ends_with("it holds 1 save that is not finished"),
        "{finding:?}"
    );

    let backup = folder.path().join("yesterday.db");
    fs::write(&backup, &whole)?;
    at(&backup, SystemTime::now() - HOUR)?;
    let report = ask(&options)?;
    ensure!(troubles(&report).is_empty(), "{report:#?}");
    ensure!(
        report
            .looked_at
            .iter()
            .any(|it| it.starts_with("1 snapshot in")),
        "{report:#?}"
    );
    Ok(())
}

#[test]
fn a_directory_of_directories_is_not_called_empty() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = DoctorOptions::default().with_backups(folder.path());
    for (name, expected) in [
        ("2026-11-25", "it holds no snapshots, only 1 directory"),
        ("2026-11-26", "it holds no snapshots, only 2 directories"),
    ] {
        fs::create_dir(folder.path().join(name))?;
        let report = ask(&options)?;
        let finding = found(&report, "no-backup")?;
        ensure!(finding.message.ends_with(expected), "{finding:?}");
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        ensure!(remedy.contains("not looked into"), "{finding:?}");
    }
    fs::write(folder.path().join("notes.txt"), "about the backups")?;
    let report = ask(&options)?;
    let finding = found(&report, "no-backup")?;
    ensure!(
        finding.message.contains("none of its 1 file") && finding.message.contains("2 directories"),
        "{finding:?}"
    );
    Ok(())
}

#[test]
fn a_directory_that_is_not_there_is_an_error() -> Result<()> {
    let options = DoctorOptions::default().with_backups("/nonexistent/backups");
    let report = ask(&options)?;
    ensure!(
        troubles(&report) == [("backups-unreadable", Severity::Error)],
        "{report:#?}"
    );
    Ok(())
}
