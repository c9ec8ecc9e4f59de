//! What uses etcd, and etcd itself, are stopped.

use std::path::{Path, PathBuf};

use etcd_snap::Digest;

use super::Run;
use crate::recover::files::{digest_of, sha256};
use crate::recover::{MovedManifest, StopBy};
use crate::{Error, ErrorKind, Result, RunBy, disk};

impl Run<'_> {
    /// Manifests are moved out, those that use etcd first; or the unit is stopped.
    pub(in super::super) fn stop(&mut self) -> Result<()> {
        if self.journal.facts.served.is_none() {
            let status = self.serves_now();
            self.journal.facts.served = Some(status.is_some());
            let header = status.and_then(|status| status.header);
            self.journal.facts.served_cluster_id = header.map(|header| header.cluster_id);
            self.save()?;
        }
        // None is moved where another one cannot be.
        for manifest in self.etcd_last() {
            if self.place_of(&manifest)? == manifest.from {
                self.require_known(&manifest, &manifest.from)?;
            }
        }
        self.stop_all()
    }

    pub(in super::super) fn stop_all(&mut self) -> Result<()> {
        match &self.recovery().stop {
            StopBy::Unit { unit } => self.systemctl(&["stop", unit]),
            StopBy::Manifests {
                directory, aside, ..
            } => {
                let (directory, aside) = (directory.clone(), aside.clone());
                let on_disk = self.on_disk(&directory);
                if !on_disk.is_dir() {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!("{} is not there any more", directory.display()),
                    )
                    .with_path(directory));
                }
                let manifests = self.etcd_last();
                for manifest in &manifests {
                    if let Err(e) = self.place_of(manifest) {
                        self.go_without(manifest, e)?;
                    }
                }
                disk::make_directory(&self.on_disk(&aside), 0o700)?;
                for manifest in &manifests {
                    if let Err(e) = self.move_manifest(manifest, &manifest.to) {
                        self.go_without(manifest, e)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// On the way back etcd's own manifest counts; what is wrong with another one is said again when all are put back.
    fn go_without(&mut self, manifest: &MovedManifest, error: Error) -> Result<()> {
        if self.journal.back.is_none() || self.is_etcds(manifest) {
            return Err(error);
        }
        self.note(error.to_string())
    }

    /// In the order of stopping: etcd has no client any more when it goes.
    pub(in super::super) fn etcd_last(&self) -> Vec<MovedManifest> {
        let StopBy::Manifests { manifests, .. } = &self.recovery().stop else {
            return Vec::new();
        };
        let rank = |manifest: &MovedManifest| match manifest.pod.as_str() {
            _ if self.is_etcds(manifest) => 4,
            pod if pod.starts_with("kube-apiserver") => 0,
            pod if pod.starts_with("kube-controller-manager") => 1,
            pod if pod.starts_with("kube-scheduler") => 2,
            _ => 3,
        };
        let mut manifests = manifests.clone();
        manifests.sort_by_key(rank);
        manifests
    }

    pub(in super::super) fn is_etcds(&self, manifest: &MovedManifest) -> bool {
        match &self.recovery().etcd.run_by {
            RunBy::StaticPod { manifest: own, .. } => *own == manifest.from,
            _ => false,
        }
    }

    /// What may be in a manifest: what was planned with, and what it is changed to.
    fn known(&self, manifest: &MovedManifest) -> Vec<Digest> {
        let changed = self.recovery().changes.iter();
        let changed = changed.filter(|change| change.path == manifest.from);
        let after = changed.map(|change| digest_of(&change.after));
        std::iter::once(manifest.sha256).chain(after).collect()
    }

    /// Where a manifest is: in its directory, or out of it.
    pub(in super::super) fn place_of(&self, manifest: &MovedManifest) -> Result<PathBuf> {
        let (from, to) = (&manifest.from, &manifest.to);
        let is_there = |path: &Path| self.root().entry(path).symlink_metadata().is_ok();
        match (is_there(from), is_there(to)) {
            (true, false) => Ok(from.clone()),
            (false, true) => Ok(to.clone()),
            (true, true) => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "{} and {} are both there: somebody has put a manifest in meanwhile",
                    from.display(),
                    to.display()
                ),
            )
            .with_path(from)
            .with_remedy(format!(
                "look at both, and move the wrong one away from {}",
                from.display()
            ))),
            (false, false) => Err(Error::new(
                ErrorKind::Refused,
                format!("neither {} nor {} is there", from.display(), to.display()),
            )
            .with_path(from)
            .with_remedy(format!(
                "put the manifest of {} back to {}: its SHA-256 was {}",
                manifest.pod,
                from.display(),
                manifest.sha256
            ))),
        }
    }

    fn is_known(&self, manifest: &MovedManifest, place: &Path) -> Result<bool> {
        let found = sha256(self.root(), place)?;
        Ok(found.is_some_and(|found| self.known(manifest).contains(&found)))
    }

    fn require_known(&self, manifest: &MovedManifest, place: &Path) -> Result<()> {
        if self.is_known(manifest, place)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!("{} was changed by somebody meanwhile", place.display()),
        )
        .with_path(place)
        .with_remedy(format!(
            "make it what it was (its SHA-256 was {}); or roll back, which leaves it as it is, and plan again",
            manifest.sha256
        )))
    }

    /// Renames manifests, each to one of its two places, where it may be already. One that cannot be renamed keeps no other one from it.
    pub(in super::super) fn move_manifests<'m>(
        &mut self,
        manifests: impl Iterator<Item = (&'m MovedManifest, &'m Path)>,
    ) -> Result<()> {
        let mut moved = Ok(());
        for (manifest, to) in manifests {
            moved = moved.and(self.move_manifest(manifest, to));
        }
        moved
    }

    fn move_manifest(&mut self, manifest: &MovedManifest, to: &Path) -> Result<()> {
        let place = self.place_of(manifest)?;
        // Who has changed it there meant it.
        if place == to {
            return Ok(());
        }
        if !self.is_known(manifest, &place)? {
            // On the way back it is put where it was in any case: what it was nobody can bring back.
            if self.journal.back.is_none() {
                return self.require_known(manifest, &place);
            }
            self.note(format!(
                "{} was changed by somebody meanwhile, and stays as it is now",
                manifest.from.display()
            ))?;
        }
        disk::rename_new(&self.root().entry(&place), &self.root().entry(to))
    }
}
