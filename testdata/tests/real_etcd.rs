//! The harness itself, on every minor of etcd: what other tests build on.

use anyhow::Result;
use etcd_snap_testdata::cluster::{Cluster, Workload};
use etcd_snap_testdata::etcd::Version;

/// Writes to a cluster, takes a snapshot with etcdctl, lets bbolt judge it, restores it with etcd's own tool and compares.
fn round_trip(version: Version, members: usize) -> Result<()> {
    let source = Cluster::builder(version).members(members).start()?;
    let revision = source.write(&Workload::default())?;
    let agreed = source.agreed_hash_kv()?;
    assert_eq!(agreed.revision, revision);
    assert!(agreed.compact_revision > 0);

    let snapshot = source.folder().join("snapshot.db");
    source.save_with_etcdctl(members - 1, &snapshot)?;
    source.binaries().check_pages([&snapshot])?;

    let plan = Cluster::builder(version)
        .members(members)
        .token("restored")
        .plan()?;
    plan.restore_with_etcd(&snapshot, &[])?;
    let restored = plan.start()?;
    assert_eq!(restored.state()?, source.state()?);
    assert_eq!(restored.agreed_hash_kv()?.hash, agreed.hash);
    Ok(())
}

macro_rules! on_every_minor {
    ($($name:ident: $version:ident, $members:literal;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            round_trip(Version::$version, $members)
        }
    )*};
}

on_every_minor! {
    one_member_of_3_4_saves_and_restores: V3_4, 1;
    one_member_of_3_5_saves_and_restores: V3_5, 1;
    one_member_of_3_6_saves_and_restores: V3_6, 1;
    one_member_of_3_7_saves_and_restores: V3_7, 1;
    three_members_of_3_4_save_and_restore: V3_4, 3;
    three_members_of_3_5_save_and_restore: V3_5, 3;
    three_members_of_3_6_save_and_restore: V3_6, 3;
    three_members_of_3_7_save_and_restore: V3_7, 3;
}
