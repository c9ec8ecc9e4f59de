//! The end of a save: what is left to do when the last byte has arrived.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::cluster::{Cluster, Plan, Security};
use etcd_snap_testdata::etcd::Version;

use super::super::comparison::{Measured, Outcome, Role, sync};
use super::super::measure::{Cost, measure, measure_output};
use super::super::programs::{Programs, clean, own_name};
use super::goals;

/// Restores the snapshot, starts a server on it and saves it again and again, a pass of SHA-256 in between.
pub(super) fn measure_end(
    programs: &Programs,
    snapshot: &Path,
    folder: &Path,
    rounds: u64,
) -> Result<Outcome> {
    eprintln!("measuring {}", goals::SAVE);
    let quota = snapshot.metadata()?.len() * 4;
    let plan = Cluster::builder(Version::NEWEST)
        .security(Security::Plain)
        .argument(format!("--quota-backend-bytes={}", quota.max(2 << 30)))
        .folder(folder)
        .plan()?;
    restore(programs, snapshot, &plan)?;
    let data_dir = plan.members()[0].data_dir.clone();
    let cluster = plan.start()?;

    let saved = folder.join("saved.db");
    let mut save = clean(&programs.etcd_snap);
    save.arg("save").arg(&saved).args(["-q", "-w", "json"]);
    save.args(["--endpoints", cluster.endpoint(0)]);
    let mut hash = programs.hash(snapshot);
    let [mut ends, mut hashes] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        sync()?;
        ends.push(end_of(&mut save)?);
        std::fs::remove_file(&saved)?;
        sync()?;
        hashes.push(measure(&mut hash.command)?);
    }
    drop(cluster);
    std::fs::remove_dir_all(data_dir)?;
    let measured = |name, role, runs| Measured { name, role, runs };
    Ok(Outcome {
        work: goals::SAVE,
        contenders: vec![
            measured(own_name(), Role::Ours, ends),
            measured(hash.name, Role::Limit, hashes),
        ],
    })
}

/// What the save itself says of its end; processor time and memory are those of all of it.
fn end_of(save: &mut Command) -> Result<Cost> {
    let (cost, text) = measure_output(save)?;
    let report: serde_json::Value = serde_json::from_str(&text)?;
    let milliseconds = |field: &str| report["durations"][field].as_u64();
    let end = milliseconds("check_ms")
        .zip(milliseconds("publish_ms"))
        .with_context(|| format!("the report of the save has no durations: {text}"))?;
    Ok(Cost {
        wall: Duration::from_millis(end.0 + end.1),
        ..cost
    })
}

fn restore(programs: &Programs, snapshot: &Path, plan: &Plan) -> Result<()> {
    for member in plan.members() {
        let output = clean(&programs.etcd_snap)
            .arg("restore")
            .arg(snapshot)
            .arg("--data-dir")
            .arg(&member.data_dir)
            .args(["--name", &member.name])
            .args(["--initial-advertise-peer-urls", &member.peer_url])
            .args(["--initial-cluster", &plan.initial_cluster()])
            .args(["--initial-cluster-token", plan.token()])
            .arg("--quiet")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the restore failed: {said}");
    }
    Ok(())
}
