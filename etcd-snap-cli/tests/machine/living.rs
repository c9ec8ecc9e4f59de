//! A server runs on the data directory that shall be replaced.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use etcd_snap_testdata::cluster::{Cluster, Security};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::{golden, sample};

use crate::{ETCD_SNAP, bare, expect, names};

const OCCUPIED: i32 = 10;

/// The names in a data directory and what is its `member`.
fn inside(data_dir: &Path) -> Result<(Vec<String>, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let member = data_dir.join("member").metadata()?.ino();
    Ok((names(data_dir)?, member))
}

/// With and without the flag, and also where its log is elsewhere.
#[test]
fn a_server_that_runs_keeps_its_data_and_goes_on() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let folder = tempfile::tempdir()?;
        let wal = folder.path().join("wal");
        for separate in [false, true] {
            let mut builder = Cluster::builder(version).security(Security::Plain);
            if separate {
                builder = builder.argument(format!("--wal-dir={}", wal.display()));
            }
            let mut cluster = builder.start()?;
            cluster.etcdctl(["put", "before", "the attempt"])?;
            let data_dir = cluster.members()[0].data_dir().to_owned();
            let before = inside(&data_dir)?;
            let beside = names(cluster.folder())?;
            for replace in [false, true] {
                let mut command = bare(ETCD_SNAP);
                command
                    .arg("restore")
                    .arg(golden::snapshot(Version::V3_4))
                    .arg("--data-dir")
                    .arg(&data_dir);
                if separate {
                    command.arg("--wal-dir").arg(&wal);
                }
                let mut words = vec!["m1.etcd".to_owned()];
                if replace {
                    command.arg("--replace");
                    let id = cluster.members()[0].process_id();
                    words.push(format!("{}", id.unwrap_or_default()));
                    words.push("etcd".to_owned());
                }
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                expect(&command.output()?, OCCUPIED, &words)?;
                ensure!(inside(&data_dir)? == before, "{version}: {before:?}");
                ensure!(names(cluster.folder())? == beside, "{version}");
                cluster.etcdctl(["put", "after", "the attempt"])?;
            }
            cluster.restart(0)?;
            let (_, keys) = cluster.keys_at(0)?;
            ensure!(keys.len() == 2, "{version}: {keys:?}");
            drop(cluster);
            if separate {
                fs::remove_dir_all(&wal)?;
            }
        }
    }
    Ok(())
}
