//! What uses etcd, and etcd itself, are stopped.

use std::path::Path;

use etcd_snap::Digest;

use super::Run;
use crate::recover::files::{digest_of, sha256};
use crate::recover::{MovedManifest, StopBy};
use crate::{Error, ErrorKind, Result, RunBy, disk};

impl Run<'_> {
    /// Manifests are moved out, those that use etcd first; or the unit is stopped.
    pub(in super::super) fn stop(&mut self) -> Result<()> {
        if self.journal.facts.served.is_none() {
            self.journal.facts.served = Some(self.serves_now());
            self.save()?;
        }
        self.stop_all()
    }

    pub(in super::super) fn stop_all(&self) -> Result<()> {
        match &self.recovery().stop {
            StopBy::Unit { unit } => self.systemctl(&["stop", unit]),
            StopBy::Manifests {
                directory, aside, ..
            } => {
                let on_disk = self.on_disk(directory);
                if !on_disk.is_dir() {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!("{} is not there any more", directory.display()),
                    )
                    .with_path(directory));
                }
                disk::make_directory(&self.on_disk(aside), 0o700)?;
                for manifest in self.etcd_last() {
                    self.move_manifest(&manifest, &manifest.from, &manifest.to)?;
                }
                Ok(())
            }
        }
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

    /// Renames a manifest that may have been renamed already.
    pub(in super::super) fn move_manifest(
        &self,
        manifest: &MovedManifest,
        from: &Path,
        to: &Path,
    ) -> Result<()> {
        let is_there = |path: &Path| self.root().entry(path).symlink_metadata().is_ok();
        let refused = |sentence: String, remedy: String| {
            Err(Error::new(ErrorKind::Refused, sentence)
                .with_path(from)
                .with_remedy(remedy))
        };
        let place = match (is_there(from), is_there(to)) {
            (true, false) => from,
            (false, true) => to,
            (true, true) => {
                return refused(
                    format!(
                        "{} and {} are both there: somebody has put a manifest in meanwhile",
                        from.display(),
                        to.display()
                    ),
                    format!(
                        "look at both, and move the wrong one away from {}",
                        from.display()
                    ),
                );
            }
            (false, false) => {
                return refused(
                    format!("neither {} nor {} is there", from.display(), to.display()),
                    format!(
                        "put the manifest of {} back to {}: its SHA-256 was {}",
                        manifest.pod,
                        from.display(),
                        manifest.sha256
                    ),
                );
            }
        };
        if !sha256(self.root(), place)?.is_some_and(|found| self.known(manifest).contains(&found)) {
            return refused(
                format!("{} was changed by somebody meanwhile", place.display()),
                format!(
                    "make it what it was (its SHA-256 was {}), or move it away and plan again",
                    manifest.sha256
                ),
            );
        }
        if place == to {
            return Ok(());
        }
        disk::rename_new(&self.root().entry(from), &self.root().entry(to))
    }
}
