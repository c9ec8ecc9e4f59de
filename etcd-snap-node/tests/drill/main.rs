//! Drills with real servers.

mod ends;
mod fails;
mod passes;

use std::path::{Path, PathBuf};

use anyhow::Result;
use etcd_snap::{Cluster, Tls};
use etcd_snap_node::{DrillOptions, DrillReport, DrillVerdict, drill};
use etcd_snap_testdata::cluster;
use etcd_snap_testdata::etcd::{Binaries, Version};
use tempfile::TempDir;

/// A place for a snapshot, and another one for drills, which has to be empty in the end.
pub(crate) struct Room {
    folder: TempDir,
    scratch: TempDir,
}

impl Room {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            scratch: tempfile::tempdir()?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Without an etcd.
    pub(crate) fn offline(&self) -> DrillOptions {
        DrillOptions::default().with_scratch(self.scratch.path())
    }

    pub(crate) fn options(&self, version: Version) -> Result<DrillOptions> {
        Ok(self.offline().with_etcd(Binaries::find(version)?.etcd))
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let left: Vec<_> = std::fs::read_dir(self.scratch.path())
            .expect("the scratch directory")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// Fails with the whole report if it has not passed.
    #[track_caller]
    pub(crate) fn passes(&self, snapshot: &Path, options: &DrillOptions) -> DrillReport {
        let report = drill(snapshot, options).expect("it can be done");
        assert_passed(&report);
        self.assert_clean();
        report
    }

    /// Fails with the whole report if it has not failed at this step, with these words.
    #[track_caller]
    pub(crate) fn fails(
        &self,
        snapshot: &Path,
        options: &DrillOptions,
        step: &str,
        words: &str,
    ) -> DrillReport {
        let report = drill(snapshot, options).expect("it can be done");
        assert_eq!(report.verdict, DrillVerdict::Failed, "{report:#?}");
        let first = report
            .steps
            .iter()
            .find(|step| step.outcome == etcd_snap_node::DrillOutcome::Failed);
        let first = first.expect("a step that failed");
        assert_eq!(first.code, step, "{report:#?}");
        let reason = report.reason.as_deref().expect("a reason");
        assert!(reason.contains(words), "no {words:?} in {reason:?}");
        self.assert_clean();
        report
    }
}

#[track_caller]
pub(crate) fn assert_passed(report: &DrillReport) {
    assert_eq!(report.verdict, DrillVerdict::Passed, "{report:#?}");
    assert!(report.reason.is_none() && report.serving_ms.is_some());
    for member in &report.members {
        let hash = member.hash_kv.expect("a hash");
        assert_eq!(hash.expected, hash.found);
        // Nobody elsewhere is told of it, and nobody elsewhere could reach it.
        for url in [&member.peer_url, &member.client_url] {
            assert!(url.starts_with("https://127.0.0.1:"), "{url}");
        }
    }
}

/// The library's way to a cluster of the tests.
pub(crate) fn client_of(living: &cluster::Cluster) -> Result<Cluster> {
    let files = living.tls();
    let tls = Tls::builder()
        .ca_file(&files.authority)
        .identity_files(&files.client.certificate, &files.client.key)
        .build()?;
    let cluster = Cluster::new(living.endpoints())?.with_tls(tls);
    Ok(match living.credentials() {
        Some((user, password)) => cluster.with_user(user, password.to_owned()),
        None => cluster,
    })
}
