//! From a real cluster over mutual TLS to a member that boots, with nothing but the command.

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::cluster::{Cluster, ROOT_PASSWORD};
use etcd_snap_testdata::etcd::Version;

use crate::support::{Room, said};

#[test]
fn save_verify_restore_boot() -> Result<()> {
    let room = Room::new();
    let cluster = Cluster::builder(Version::V3_6).auth(true).start()?;
    cluster.etcdctl(["put", "before", "the fire"])?;
    let tls = cluster.tls();
    said(
        room.command("save new.db --user root")
            .env("ETCDCTL_ENDPOINTS", cluster.endpoints().join(","))
            .env("ETCDCTL_PASSWORD", ROOT_PASSWORD)
            .arg("--cacert")
            .arg(&tls.authority)
            .arg("--cert")
            .arg(&tls.client.certificate)
            .arg("--key")
            .arg(&tls.client.key),
    )
    .code(0);
    drop(cluster);
    room.run("verify new.db").code(0);

    let plan = Cluster::builder(Version::V3_6).token("after").plan()?;
    let member = plan.members().first().context("a member")?;
    said(
        room.command("restore new.db --initial-cluster-token after")
            .args(["--name", &member.name])
            .args(["--initial-cluster", &plan.initial_cluster()])
            .args(["--initial-advertise-peer-urls", &member.peer_url])
            .arg("--data-dir")
            .arg(&member.data_dir),
    )
    .code(0);
    let cluster = plan.with_restored_auth().start()?;
    let value = cluster.etcdctl(["get", "before", "--print-value-only"])?;
    ensure!(value.trim() == "the fire", "found {value:?}");
    Ok(())
}
