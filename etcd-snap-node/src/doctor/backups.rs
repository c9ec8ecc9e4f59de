//! Directories with backups: whether the newest is one, and how old it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use etcd_snap::{ErrorKind, Manifest, Snapshot, VerifyOptions};

use super::machine::{free_bytes, size};
use super::{Chart, DoctorOptions};
use crate::observe::OfLibrary;
use crate::time::words;
use crate::{Finding, Result};

/// Clocks of two machines differ a little.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5 * 60);

/// A file that may be a snapshot.
struct Backup {
    path: PathBuf,
    snapshot: Snapshot,
    manifest: Option<Manifest>,
    /// When it was taken, and whether the manifest says so.
    taken: (SystemTime, bool),
}

pub(super) fn look(directory: &Path, options: &DoctorOptions, chart: &mut Chart) -> Result<()> {
    let shown = directory.display();
    let mut contents = match contents(directory) {
        Ok(contents) => contents,
        Err(e) => {
            chart.add(
                Finding::error(
                    "backups-unreadable",
                    format!("{shown}, where the backups are to be, cannot be read: {e}"),
                )
                .with_remedy(
                    "name the directory that the backup job writes to, and run this as its user",
                )
                .at(directory),
            );
            return Ok(());
        }
    };
    chart.saw(format!(
        "{} in {shown}",
        counted(contents.backups.len(), "snapshot")
    ));
    writable(directory, chart);
    for path in std::mem::take(&mut contents.unproven) {
        chart.add(
            Finding::warning(
                "backup-unproven",
                format!(
                    "{} was kept although the members did not bear it out",
                    path.display()
                ),
            )
            .with_remedy("find out which member differs before the next one is taken")
            .at(&path),
        );
    }
    contents
        .backups
        .sort_by_key(|backup| std::cmp::Reverse(backup.taken.0));
    let mut newest_first = contents.backups.iter();
    let Some(newest) = newest_first.next() else {
        chart.add(contents.without_backup(directory));
        return Ok(());
    };
    age(newest, options, chart);
    against_living(newest, chart);
    if let Some(before) = newest_first.next() {
        against_the_one_before(newest, before, chart);
    }
    room(directory, newest, chart);
    if options.proves {
        prove(newest, options, chart)?;
    }
    Ok(())
}

/// What is in a directory.
#[derive(Default)]
struct Contents {
    backups: Vec<Backup>,
    /// Files that are no snapshots.
    others: usize,
    /// Saves that run, or died.
    unfinished: usize,
    /// They are not looked into.
    directories: usize,
    unproven: Vec<PathBuf>,
}

impl Contents {
    /// What is said where none of it is a backup.
    fn without_backup(&self, directory: &Path) -> Finding {
        let mut there = Vec::new();
        if self.others > 0 {
            there.push(format!(
                "none of its {} is a snapshot that can be read as it is",
                counted(self.others, "file")
            ));
        }
        match self.unfinished {
            0 => {}
            1 => there.push("it holds 1 save that is not finished".to_owned()),
            n => there.push(format!("it holds {n} saves that are not finished")),
        }
        if self.directories > 0 {
            let directories = match self.directories {
                1 => "1 directory".to_owned(),
                n => format!("{n} directories"),
            };
            there.push(match there.is_empty() {
                true => format!("it holds no snapshots, only {directories}"),
                false => format!("the rest is {directories}"),
            });
        }
        if there.is_empty() {
            there.push("it is empty".to_owned());
        }
        let remedy = match self.directories {
            0 => {
                "`etcd-snap save` takes one; what is compressed or encrypted cannot be judged here"
            }
            _ => {
                "name the directory that holds the snapshots themselves, as directories in it are not looked into; `etcd-snap save` takes one"
            }
        };
        Finding::error(
            "no-backup",
            format!(
                "there is no backup in {}: {}",
                directory.display(),
                there.join("; ")
            ),
        )
        .with_remedy(remedy)
        .at(directory)
    }
}

fn contents(directory: &Path) -> std::io::Result<Contents> {
    let mut contents = Contents::default();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        // What is staged is hidden, and its run lives or has died.
        if name.starts_with('.') || name.ends_with(".manifest.json") {
            continue;
        }
        if metadata.is_dir() {
            contents.directories += 1;
            continue;
        }
        if !metadata.is_file() {
            continue;
        }
        // `etcdctl snapshot save` does not hide what it has not finished.
        if name.ends_with(".part") {
            contents.unfinished += 1;
            continue;
        }
        if name.ends_with(".unproven") {
            contents.unproven.push(path);
            continue;
        }
        let Ok(snapshot) = Snapshot::open(&path) else {
            contents.others += 1;
            continue;
        };
        let manifest = Manifest::beside(&snapshot).ok().flatten();
        let told = manifest
            .as_ref()
            .and_then(|manifest| manifest.saved_at.as_deref())
            .and_then(|text| humantime::parse_rfc3339(text).ok());
        let taken = match told {
            Some(at) => (at, true),
            None => (metadata.modified()?, false),
        };
        contents.backups.push(Backup {
            path,
            snapshot,
            manifest,
            taken,
        });
    }
    Ok(contents)
}

fn age(newest: &Backup, options: &DoctorOptions, chart: &mut Chart) {
    let (taken, is_told) = newest.taken;
    let by = if is_told {
        "by its manifest"
    } else {
        "by the time of its file"
    };
    match options.now.duration_since(taken) {
        Ok(age) if age > options.max_age => chart.add(
            Finding::error(
                "backup-too-old",
                format!(
                    "the newest backup, {}, is {} old {by}; {} are allowed",
                    newest.path.display(),
                    words(age.as_secs()),
                    words(options.max_age.as_secs())
                ),
            )
            .with_remedy("see why the backup job did not run, and run it now")
            .at(&newest.path),
        ),
        Ok(age) => chart.saw(format!(
            "the newest backup, {}, is {} old {by}",
            newest.path.display(),
            words(age.as_secs())
        )),
        Err(e) if e.duration() > CLOCKS_DIFFER => chart.add(
            Finding::warning(
                "backup-from-the-future",
                format!("{} was taken in the future, {by}", newest.path.display()),
            )
            .with_remedy("a clock is wrong: that of this machine, or of the one that took it")
            .at(&newest.path),
        ),
        Err(_) => {}
    }
}

/// A backup of another cluster in the same directory is the newest one of both.
fn against_living(newest: &Backup, chart: &mut Chart) {
    let Some(living) = chart.living else {
        return;
    };
    let Some(manifest) = &newest.manifest else {
        return;
    };
    let found = newest.path.display();
    match (manifest.cluster_id, manifest.revision) {
        (Some(id), _) if id != living.cluster_id => chart.add(
            Finding::warning(
                "backup-of-another-cluster",
                format!("{found} is from the cluster {id}, and the one that answers is {}", living.cluster_id),
            )
            .with_remedy("if this cluster was not restored or made anew since, the backup job asks the wrong one")
            .at(&newest.path),
        ),
        (_, Some(revision)) if revision > living.revision => chart.add(
            Finding::warning(
                "backup-ahead",
                format!("{found} is at revision {revision}, and the cluster only at {}: it has gone back", living.revision),
            )
            .with_remedy("if it was restored without a bump, clients that saw the newer revisions have to be restarted")
            .at(&newest.path),
        ),
        _ => {}
    }
}

fn against_the_one_before(newest: &Backup, before: &Backup, chart: &mut Chart) {
    let (now, then) = (newest.snapshot.size_bytes(), before.snapshot.size_bytes());
    if now < then / 2 {
        chart.add(
            Finding::warning(
                "backup-shrunk",
                format!(
                    "the newest backup has {}, less than half of the one before, {} with {}",
                    size(now),
                    before.path.display(),
                    size(then)
                ),
            )
            .with_remedy("a defragmentation does that, and so does a cluster that lost its keys: look which it was")
            .at(&newest.path),
        );
    }
}

fn room(directory: &Path, newest: &Backup, chart: &mut Chart) {
    let needed = newest.snapshot.size_bytes() + newest.snapshot.size_bytes() / 8;
    if let Some(free) = free_bytes(directory)
        && free < needed
    {
        chart.add(
            Finding::error(
                "no-space-for-backup",
                format!(
                    "{} are free in {}, and the next backup needs about {}",
                    size(free),
                    directory.display(),
                    size(needed)
                ),
            )
            .with_remedy("remove old backups, or let the job write to a larger disk")
            .at(directory),
        );
    }
}

fn writable(directory: &Path, chart: &mut Chart) {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if let Err(e) = rustix::fs::access(directory, access) {
        chart.add(
            Finding::warning(
                "backups-not-writable",
                format!(
                    "{} cannot be written to by this user: {e}",
                    directory.display()
                ),
            )
            .with_remedy("if the backup job runs as this user too, it fails")
            .at(directory),
        );
    }
}

fn prove(newest: &Backup, options: &DoctorOptions, chart: &mut Chart) -> Result<()> {
    let shown = newest.path.display();
    let observer = Arc::new(OfLibrary(Arc::clone(&options.observer)));
    let verify = VerifyOptions::default().with_observer(observer);
    let proven =
        etcd_snap::verify(&newest.snapshot, &verify).and_then(|report| report.into_proven());
    match proven {
        Ok(proof) => chart.saw(format!(
            "{shown} is proven: revision {}, {} keys",
            proof.contents.revision, proof.contents.live_keys
        )),
        Err(e) if e.kind() == ErrorKind::Cancelled => return Err(e.into()),
        Err(e) if e.kind() == ErrorKind::NoDigest => chart.add(
            Finding::warning(
                "backup-without-digest",
                format!("{shown} is sound, but has no digest: nothing proves that its bytes are those that a server sent"),
            )
            .with_remedy("take backups with `etcd-snap save` or `etcdctl snapshot save`, not by copying a database")
            .at(&newest.path),
        ),
        Err(e) => chart.add(
            Finding::error("backup-damaged", format!("the newest backup is none: {e}"))
                .with_remedy("take another one now, and find out what harmed this one: `etcd-snap verify` lists it all")
                .at(&newest.path),
        ),
    }
    Ok(())
}

fn counted(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}
