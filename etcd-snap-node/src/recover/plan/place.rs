//! Where the new member goes, and how etcd is stopped meanwhile.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component as Part, Path, PathBuf};

use etcd_snap::{MemberTarget, check_swap};

use super::PlanOptions;
use super::pods::{self, Manifest};
use crate::recover::files::sha256;
use crate::recover::{ConfiguredBy, MovedManifest, RecoveryTarget, StopBy};
use crate::{Error, ErrorKind, Etcd, Finding, Result, Root, RunBy};

/// What is made aside has this name, and then the time. No server takes it for a member, and no kubelet for a manifest.
const ASIDE: &str = ".etcd-snap-recovery-";

/// In the data directory itself: that may be a mount point, and what is beside it on another filesystem.
pub(super) fn target(etcd: &Etcd, options: &PlanOptions) -> Result<RecoveryTarget> {
    let data_dir = etcd.host_data_dir()?;
    let wal_dir = etcd.host_wal_dir()?;
    let Some(new) = &options.new_data_dir else {
        return Ok(in_place(&data_dir, wal_dir, options));
    };
    let new = clean(new)?;
    let refused = |sentence: String, remedy: &str| {
        Err(Error::new(ErrorKind::Refused, sentence)
            .with_path(&new)
            .with_remedy(remedy))
    };
    if let Some(wal_dir) = wal_dir {
        return refused(
            format!(
                "the WAL has a directory of its own, {}, which would have to change as well",
                wal_dir.display()
            ),
            "leave --new-data-dir out: the member is swapped in place then, its WAL too",
        );
    }
    if new.starts_with(&data_dir) || data_dir.starts_with(&new) {
        return refused(
            format!(
                "{} is in the data directory {}, or the other way round",
                new.display(),
                data_dir.display()
            ),
            "name a directory beside it, or leave --new-data-dir out",
        );
    }
    let on_disk = options.root.open_as(&new);
    match fs::read_dir(&on_disk).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => {
            return refused(
                format!("{} is not empty", new.display()),
                "name a directory that is absent or empty",
            );
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("look into", &new, e)),
    }
    Ok(RecoveryTarget::NewDataDir { data_dir: new })
}

/// With the WAL where the swap wants it.
fn in_place(data_dir: &Path, wal_dir: Option<PathBuf>, options: &PlanOptions) -> RecoveryTarget {
    let root = &options.root;
    let inside = data_dir.join("member/wal");
    let real_inside = root.real(data_dir).join("member/wal");
    let aside = format!("{ASIDE}{}", options.stamp());
    let with = |wal_dir: Option<PathBuf>| RecoveryTarget::InPlace {
        staged: data_dir.join(&aside),
        // A name of its own: where neither directory is there yet, both are tried out in the same one above.
        staged_wal: wal_dir.as_ref().map(|it| it.join(format!("{aside}-wal"))),
        data_dir: data_dir.to_owned(),
        wal_dir,
    };
    // Where it is without that setting too, it is none of its own, and comes and goes with its member.
    let wal_dir = wal_dir.filter(|wal| *wal != inside && root.real(wal) != real_inside);
    let is_own = wal_dir.is_some();
    let target = with(wal_dir);
    if !is_own && refused_swap(&target, root).is_some() {
        // On a filesystem of its own it stays in its place, and its segments have to be made there.
        let mounted = with(Some(inside));
        if refused_swap(&mounted, root).is_none() {
            return mounted;
        }
    }
    target
}

/// What the swap would refuse of the places, long after etcd was stopped for it.
pub(super) fn refused_swap(target: &RecoveryTarget, root: &Root) -> Option<etcd_snap::Error> {
    let RecoveryTarget::InPlace {
        data_dir,
        wal_dir,
        staged,
        staged_wal,
    } = target
    else {
        return None;
    };
    // Whose member it is has nothing to do with its places.
    let member = |data_dir: &Path, wal_dir: &Option<PathBuf>| {
        let member = MemberTarget::new("", root.open_as(data_dir));
        match wal_dir {
            Some(wal_dir) => member.with_wal_dir(root.open_as(wal_dir)),
            None => member,
        }
    };
    check_swap(&member(staged, staged_wal), &member(data_dir, wal_dir)).err()
}

/// Nothing is made of `..`, whose meaning depends on links.
fn clean(path: &Path) -> Result<PathBuf> {
    let odd = path
        .components()
        .any(|part| !matches!(part, Part::Normal(_) | Part::RootDir));
    let in_words = path
        .to_str()
        .is_some_and(|text| !text.chars().any(|it| it.is_control()) && text.trim() == text);
    if odd || !in_words || !path.is_absolute() || path.parent().is_none() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{} cannot be the new data directory: give an absolute path without `..`",
                path.display()
            ),
        ));
    }
    Ok(path.components().collect())
}

/// What of systemd's files, and etcd's own, decides how it runs.
pub(super) fn configured_by(etcd: &Etcd, root: &Root) -> Result<Vec<ConfiguredBy>> {
    let mut files: Vec<PathBuf> = Vec::new();
    if let RunBy::Systemd {
        unit_file,
        drop_ins,
        environment_files,
        ..
    } = &etcd.run_by
    {
        files.push(unit_file.clone());
        files.extend(drop_ins.iter().cloned());
        files.extend(environment_files.iter().cloned());
    }
    files.extend(
        etcd.config_file
            .as_ref()
            .and_then(|place| place.host.clone()),
    );
    files
        .into_iter()
        .map(|path| {
            let sha256 = sha256(root, &path)?;
            Ok(ConfiguredBy { path, sha256 })
        })
        .collect()
}

/// How etcd is stopped, and what was found on the way.
pub(super) struct Stopping {
    pub(super) stop: StopBy,
    /// All that kubelet would run, where it runs etcd.
    pub(super) manifests: Vec<Manifest>,
    pub(super) findings: Vec<Finding>,
}

pub(super) fn stopping(etcd: &Etcd, options: &PlanOptions) -> Result<Stopping> {
    let unit = |unit: &str| Stopping {
        stop: StopBy::Unit {
            unit: unit.to_owned(),
        },
        manifests: Vec::new(),
        findings: Vec::new(),
    };
    match &etcd.run_by {
        RunBy::StaticPod { manifest, .. } => by_kubelet(manifest, options),
        RunBy::Systemd { unit: name, .. } => Ok(unit(name)),
        RunBy::Embedded { service } => Ok(unit(service)),
        RunBy::Process => Err(Error::new(
            ErrorKind::Refused,
            format!(
                "nothing tells what starts {}: neither kubelet nor systemd does",
                etcd.title()
            ),
        )
        .with_remedy(
            "stop it yourself, `etcd-snap restore --replace --data-dir DIR`, and start it again",
        )),
    }
}

fn by_kubelet(manifest: &Path, options: &PlanOptions) -> Result<Stopping> {
    let root = &options.root;
    let directory = manifest.parent().unwrap_or(Path::new("/")).to_owned();
    let manifests = pods::manifests(root, &directory)?;
    let mut findings = Vec::new();
    let device = |path: &Path| fs::metadata(root.open_as(path)).map(|it| it.dev()).ok();
    let beside = directory.parent().unwrap_or(Path::new("/"));
    let aside = match device(beside) == device(&directory) {
        true => beside.join(format!("etcd-snap-recovery-{}", options.stamp())),
        false => {
            let inside = directory.join(format!("{ASIDE}{}", options.stamp()));
            findings.push(
                Finding::note(
                    "manifests-aside-inside",
                    format!(
                        "{} is a filesystem of its own, so that manifests are kept in {} meanwhile, a directory that kubelet does not \
                         look into",
                        directory.display(),
                        inside.display()
                    ),
                )
                .at(&directory),
            );
            inside
        }
    };
    let moved = pods::to_stop(&manifests, manifest)?
        .into_iter()
        .map(|manifest| MovedManifest {
            to: aside.join(manifest.path.file_name().unwrap_or_default()),
            from: manifest.path,
            pod: manifest.pod.unwrap_or_default(),
            sha256: manifest.sha256,
        })
        .collect();
    Ok(Stopping {
        stop: StopBy::Manifests {
            directory,
            aside,
            manifests: moved,
        },
        manifests,
        findings,
    })
}

/// The path itself, or the first directory above it that is there.
pub(super) fn nearest(path: &Path, root: &crate::Root) -> PathBuf {
    path.ancestors()
        .find(|it| root.open_as(it).is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned()
}
