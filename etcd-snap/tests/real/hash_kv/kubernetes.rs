//! Snapshots with what a Kubernetes API server stores. They are not part of the repository.

use std::path::Path;

use anyhow::{Result, ensure};
use etcd_snap::{RestoreOptions, Snapshot, VerifyOptions, verify};
use etcd_snap_testdata::cluster::Cluster as RealCluster;
use etcd_snap_testdata::etcd::Version;

use super::{Answers, Taken};
use crate::restore_plan;

#[test]
fn snapshots_of_kubernetes_are_proven_and_hash_as_etcd_says() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let shared = workspace
        .map(|above| above.join("shared/testdata/kubernetes"))
        .find(|folder| folder.is_dir());
    let Some(folder) = shared else {
        eprintln!("skipped: there is no ../shared/testdata/kubernetes beside the repository");
        return Ok(());
    };
    for (name, revision, keys) in [
        ("cluster-3.6.db", 185, 162),
        ("cluster-encrypted-3.6.db", 140, 117),
    ] {
        let path = folder.join(name);
        let report = verify(&Snapshot::open(&path)?, &VerifyOptions::default())?;
        let contents = report.into_proven()?.contents;
        ensure!((contents.revision.get(), contents.live_keys) == (revision, keys));

        let taken = Taken::open(path)?;
        taken.agrees_with_tools()?;
        let plan = RealCluster::builder(Version::V3_6)
            .token("kubernetes")
            .plan()?;
        restore_plan(&plan, &taken.path, &RestoreOptions::default())?;
        let cluster = plan.start()?;
        let answers = Answers::of(&cluster, 0)?;
        ensure!(answers.now == taken.own()?, "{:?}", answers.now);
        taken.explains(&answers)?;
    }
    Ok(())
}
