//! The WAL and the `.snap` of restored members against those that etcd's own tools wrote (formats.md 5.5, 5.6).

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use etcd_snap::{MemberTarget, NewCluster, RestoreOptions, Snapshot, restore};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;

const ONE: &str = "default=http://localhost:2380";
const THREE: &str = "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380";

#[test]
fn the_wal_has_the_bytes_of_etcdutl_3_5_and_3_6() -> Result<()> {
    each_restored_member(|name, member| {
        let wal = member.join("wal/0000000000000000-0000000000000000.wal");
        let written = head(&wal)?;
        for version in [Version::V3_5, Version::V3_6] {
            let golden = fs::read(golden::restored_wal_head(version, name))?;
            ensure!(
                written == golden,
                "the WAL of {name} is not that of {version}"
            );
        }
        Ok(())
    })
}

#[test]
fn the_wal_has_the_size_of_a_segment_and_zeros_behind_its_records() -> Result<()> {
    let folder = tempfile::tempdir()?;
    restore_all(ONE, folder.path())?;
    let wal = fs::read(
        folder
            .path()
            .join("default/member/wal/0000000000000000-0000000000000000.wal"),
    )?;
    ensure!(wal.len() == 64_000_000);
    ensure!(
        wal.iter()
            .skip(golden::WAL_HEAD_BYTES)
            .all(|byte| *byte == 0)
    );
    Ok(())
}

#[test]
fn the_snap_file_has_the_bytes_of_etcd_3_4_and_3_5() -> Result<()> {
    each_restored_member(|name, member| {
        let index = if name == "default" { 1 } else { 3 };
        let written = fs::read(member.join(format!("snap/0000000000000001-{index:016x}.snap")))?;
        for version in [Version::V3_4, Version::V3_5] {
            let golden = fs::read(golden::restored_snap(version, name))?;
            ensure!(
                written == golden,
                "the .snap of {name} is not that of {version}"
            );
        }
        Ok(())
    })
}

/// Restores one member and three, and looks at the `member` folder of each.
fn each_restored_member(look: impl Fn(&str, &Path) -> Result<()>) -> Result<()> {
    for initial_cluster in [ONE, THREE] {
        let folder = tempfile::tempdir()?;
        for name in restore_all(initial_cluster, folder.path())? {
            look(&name, &folder.path().join(&name).join("member"))?;
        }
    }
    Ok(())
}

fn restore_all(initial_cluster: &str, folder: &Path) -> Result<Vec<String>> {
    let snapshot = Snapshot::open(golden::snapshot(Version::V3_5))?;
    let cluster = NewCluster::parse(initial_cluster, "etcd-cluster")?;
    let names: Vec<_> = cluster
        .members()
        .iter()
        .map(|member| member.name().to_owned())
        .collect();
    let targets: Vec<_> = names
        .iter()
        .map(|name| MemberTarget::new(name, folder.join(name)))
        .collect();
    restore(&snapshot, &cluster, &targets, &RestoreOptions::default())?;
    Ok(names)
}

fn head(path: &Path) -> Result<Vec<u8>> {
    let mut head = vec![0; golden::WAL_HEAD_BYTES];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut head))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(head)
}
