//! Against `snapshot status` of every minor.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::{golden, sample};

use crate::counts::Counts;
use crate::{Subject, is_found, kubernetes};

/// Some damage sends the tools round in circles for ever, or until they have taken all memory: they get little of both.
const LIMITED: &str = "ulimit -v 4000000; exec timeout --signal=KILL 20 \"$@\"";

/// Whether the tool fails, in whatever way.
fn refuses(etcd: &Binaries, file: &Path) -> Result<bool> {
    let status = Command::new("sh")
        .args(["-c", LIMITED, "sh"])
        .arg(etcd.offline_tool())
        .args(["snapshot", "status", "-w", "json"])
        .arg(file)
        .env("ETCDCTL_API", "3")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(!status.success())
}

#[test]
fn whatever_etcds_own_tools_refuse_is_found() -> Result<()> {
    let all = Version::ALL
        .map(Binaries::find)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("flipped.db");
    let own = [
        golden::snapshot(Version::V3_5),
        golden::snapshot(Version::V3_7),
    ];
    for snapshot in own.into_iter().chain(kubernetes().into_iter().take(1)) {
        let subject = Subject::new(&snapshot)?;
        let mut counts = Counts::new();
        for bit in sample(subject.bits.iter().copied(), 12) {
            let Some(file) = subject.resealed(bit) else {
                continue;
            };
            std::fs::write(&path, &file)?;
            let refusals = all
                .iter()
                .map(|etcd| refuses(etcd, &path))
                .collect::<Result<Vec<_>>>()
                .with_context(|| subject.what(bit))?;
            let found = is_found(&file)?;
            let region = subject.region(bit);
            counts.add(region, "flipped");
            if found {
                counts.add(region, "found");
            }
            for (etcd, refused) in all.iter().zip(&refusals) {
                if *refused {
                    counts.add(region, etcd.version.minor());
                }
            }
            // Also where no redundancy is: what a tool can tell, we can.
            let refused = refusals.contains(&true);
            ensure!(
                found || !refused,
                "{}: not found, and refused by {refusals:?}",
                subject.what(bit)
            );
            if found && !refused {
                counts.add(region, "only here");
            }
            if !found && !region.is_exempt() {
                counts.add(region, "missed");
                println!("missed by all: {}", subject.what(bit));
            }
        }
        println!("{}\n{counts}", subject.name);
    }
    Ok(())
}
