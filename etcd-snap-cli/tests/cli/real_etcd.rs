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

/// A plan by hand, as it would lie on all nodes, and the members that it leads to.
#[test]
fn three_members_of_one_plan_boot_and_go_on_above_all_that_was_seen() -> Result<()> {
    let room = Room::new();
    let old = Cluster::builder(Version::V3_5).members(3).start()?;
    old.etcdctl(["put", "before", "the fire"])?;
    let tls = old.tls();
    let mut save = room.command("save new.db --manifest");
    save.args(["--endpoints", &old.endpoints().join(",")]);
    for (flag, file) in [
        ("--cacert", &tls.authority),
        ("--cert", &tls.client.certificate),
        ("--key", &tls.client.key),
    ] {
        save.arg(flag).arg(file);
    }
    said(&mut save).code(0);
    drop(old);

    let plan = Cluster::builder(Version::V3_6).members(3).plan()?;
    let snapshot = etcd_snap::Snapshot::open(room.path().join("new.db"))?;
    let mut text = format!(
        "schema: 1\nsnapshot-sha256: {}\ninitial-cluster-token: {}\nbump-revision: 5000\nmark-compacted: true\nmembers:\n",
        snapshot.digest().context("a digest")?,
        plan.token()
    );
    for member in plan.members() {
        text.push_str(&format!(
            "- name: {}\n  peer-urls: [\"{}\"]\n  data-dir: {}\n",
            member.name,
            member.peer_url,
            member.data_dir.display()
        ));
    }
    room.put("plan.yaml", text.as_bytes());
    // Each on its node, and in one run for those that are left.
    let names: Vec<_> = plan.members().iter().map(|it| it.name.clone()).collect();
    room.run(&format!(
        "restore new.db --plan plan.yaml --name {} --kubernetes",
        names[0]
    ))
    .code(0);
    room.run(&format!(
        "restore new.db --plan plan.yaml --members {},{}",
        names[1], names[2]
    ))
    .code(0);
    let mut compare = room.command("restore --compare");
    let data_dirs: Vec<_> = plan
        .members()
        .iter()
        .map(|it| it.data_dir.clone())
        .collect();
    said(compare.args(&data_dirs)).code(0);

    let mut cluster = plan.start()?;
    let value = cluster.etcdctl(["get", "before", "--print-value-only"])?;
    ensure!(value.trim() == "the fire", "found {value:?}");
    let before = cluster.revision(0)?;
    ensure!(before > 5000, "at {before}");
    cluster.etcdctl(["put", "after", "the fire"])?;
    ensure!(cluster.revision(1)? == before + 1);
    cluster.agreed_hash_kv()?;
    for member in 0..3 {
        cluster.stop(member)?;
    }
    let mut compare = room.command("restore --compare");
    let compared = said(compare.args(&data_dirs)).code(0);
    ensure!(
        compared.stdout.contains("a server has run in it"),
        "{compared:?}"
    );
    Ok(())
}
