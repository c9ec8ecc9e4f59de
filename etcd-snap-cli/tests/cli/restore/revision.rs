//! How far the revision moves ahead, and what is said about it.

use std::fs;

use anyhow::{Result, ensure};
use etcd_snap_testdata::cluster::{Cluster, Security};
use etcd_snap_testdata::etcd::Version;
use serde_json::Value;

use crate::support::{Room, golden, said};

#[test]
fn without_anything_to_look_at_it_is_a_billion() {
    let room = Room::new();
    let simple = room
        .run("restore good.db --bump-revision auto --initial-cluster-token t")
        .code(0);
    let lines: Vec<_> = simple.stdout.lines().skip(1).collect();
    golden("restore-auto.txt", &(lines.join("\n") + "\n"));
    let again = "restore good.db --data-dir b --initial-cluster-token t \
                 --bump-revision 1000000000 --mark-compacted";
    room.run(again).code(0);
    room.run("restore --compare default.etcd b")
        .code(11)
        .complains("it is the member");
    let databases = ["default.etcd", "b"].map(|it| room.path().join(it).join("member/snap/db"));
    let [automatic, given] = databases.map(|path| fs::read(path).unwrap());
    assert!(automatic == given);
}

#[test]
fn kubernetes_says_what_to_restart() {
    let room = Room::new();
    let simple = room
        .run("restore good.db --kubernetes --data-dir a --initial-cluster-token t")
        .code(0);
    let lines: Vec<_> = simple.stdout.lines().skip(1).collect();
    golden("restore-kubernetes.txt", &(lines.join("\n") + "\n"));
    let json = room
        .run("restore good.db --kubernetes --data-dir b --bump-revision 5000 -w json")
        .code(0);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["bump"]["by"], 5000);
    assert_eq!(report["bump"]["automatic"], false);
    assert_eq!(report["again"], Value::Null);
    assert!(
        report["restart"][0]
            .as_str()
            .unwrap()
            .contains("kube-apiserver")
    );
    let table = said(
        room.command("restore good.db --kubernetes --data-dir c -w table")
            .env("COLUMNS", "50"),
    )
    .code(0);
    for line in table.stdout.lines() {
        assert!(line.chars().count() <= 50, "{line}");
    }
}

#[test]
fn what_separate_runs_would_decide_differently_is_refused() {
    let room = Room::new();
    let cluster = "--initial-cluster m1=http://a:1,m2=http://b:1 --name m1 --data-dir x";
    for (flags, words) in [
        (
            "--bump-revision auto",
            "--bump-revision=auto would be decided again",
        ),
        (
            "--kubernetes",
            "--kubernetes without --bump-revision would be",
        ),
        (
            "--initial-cluster-token auto",
            "--initial-cluster-token=auto would be",
        ),
        (
            "--kubernetes --members m1 --output-dir out",
            "cannot be used with",
        ),
    ] {
        room.run(&format!("restore good.db {cluster} {flags}"))
            .code(2)
            .complains(words);
        assert_eq!(room.names(), ["good.db"]);
    }
    room.run(&format!(
        "restore good.db {cluster} --kubernetes --bump-revision 9"
    ))
    .code(0);
}

#[test]
fn revisions_that_cannot_be_are_refused_before_anything_is_made() {
    let room = Room::new();
    for (flags, words) in [
        (
            "--bump-revision 4611686018427387904",
            "beyond 4611686018427387904",
        ),
        (
            "--bump-revision 18446744073709551615",
            "beyond 4611686018427387904",
        ),
        (
            "--bump-revision 18446744073709551616",
            "write a number, or auto",
        ),
        ("--bump-revision soon", "write a number, or auto"),
        ("--bump-revision 5", "--mark-compacted"),
    ] {
        let said = room.run(&format!("restore good.db --mark-compacted {flags}"));
        if flags == "--bump-revision 5" {
            said.code(0);
            room.run("restore good.db --data-dir x --bump-revision 5")
                .code(2)
                .complains(words);
        } else {
            said.code(2).complains(words);
            assert_eq!(room.names(), ["good.db"]);
        }
    }
    let before = room.names();
    room.run("restore good.db --data-dir x --bump-revision auto --endpoints 127.0.0.1:1 --connect-timeout 1s")
        .code(4)
        .complains("leave --endpoints out");
    room.run("restore good.db --data-dir x --bump-revision auto --endpoints http://a:1/x")
        .code(2)
        .complains("has a path");
    room.run("restore good.db --data-dir x --kubernetes -d two..dots")
        .code(2)
        .complains("is no domain");
    assert_eq!(room.names(), before);
    room.run("restore good.db --data-dir z --endpoints 127.0.0.1:1")
        .code(0)
        .complains("a restore is offline");
    // Variables that are about asking are nothing to one who asks nobody.
    said(
        room.command("restore good.db --data-dir y")
            .env("ETCDCTL_DIAL_TIMEOUT", "soon")
            .env("ETCDCTL_CERT", "nowhere.pem"),
    )
    .code(0);
}

#[test]
fn a_living_member_says_what_clients_have_seen() -> Result<()> {
    let room = Room::new();
    let cluster = Cluster::builder(Version::V3_6)
        .security(Security::Plain)
        .start()?;
    for n in 0..9 {
        cluster.etcdctl(["put", "key", &format!("value {n}")])?;
    }
    let endpoint = cluster.endpoint(0);
    room.run(&format!("save new.db --manifest --endpoints {endpoint}"))
        .code(0);
    let manifest: Value =
        serde_json::from_slice(&fs::read(room.path().join("new.db.manifest.json"))?)?;
    ensure!(manifest["contents"]["revision"] == 10, "{manifest}");
    ensure!(
        manifest["saved_at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    for _ in 0..5 {
        cluster.etcdctl(["put", "key", "later"])?;
    }
    let said = room
        .run(&format!(
            "restore new.db -w json --bump-revision auto --endpoints {endpoint},127.0.0.1:1"
        ))
        .code(0)
        .complains("127.0.0.1:1");
    let report: Value = serde_json::from_str(&said.stdout)?;
    ensure!(report["bump"]["seen"][0]["revision"] == 15, "{report}");
    ensure!(report["contents"]["revision"] == 1_000_015, "{report}");
    ensure!(
        report["again"][0] == "--bump-revision 1000005 --mark-compacted",
        "{report}"
    );
    ensure!(report["saved_at"] == manifest["saved_at"], "{report}");
    Ok(())
}

/// What a killed server has answered and not yet written into its database is in its log, and clients have seen it.
#[test]
fn a_member_that_was_killed_is_replaced_and_goes_on_above_what_it_has_answered() -> Result<()> {
    let room = Room::new();
    let mut cluster = Cluster::builder(Version::V3_6)
        .security(Security::Plain)
        .argument("--backend-batch-interval=1h")
        .argument("--backend-batch-limit=1000000")
        .start()?;
    cluster.etcdctl(["put", "key", "before"])?;
    let endpoint = cluster.endpoint(0).to_owned();
    room.run(&format!("save new.db --endpoints {endpoint}"))
        .code(0);
    for n in 0..20 {
        cluster.etcdctl(["put", "key", &format!("later {n}")])?;
    }
    let seen = cluster.revision(0)?;
    let data_dir = cluster.members()[0].data_dir().to_owned();
    let mut restore = room.command(
        "restore new.db --from-member m1 --initial-cluster-token auto --kubernetes --replace -w json --data-dir",
    );
    let running = said(restore.arg(&data_dir)).code(10);
    ensure!(running.stderr.contains("etcd"), "{running:?}");
    cluster.kill(0);
    let done = said(&mut restore).code(0);
    let report: Value = serde_json::from_str(&done.stdout)?;
    let from = &report["bump"]["seen"][0]["from"];
    ensure!(from["log_entries"].as_i64() >= Some(20), "{report}");
    ensure!(
        report["bump"]["seen"][0]["revision"].as_i64() >= Some(seen),
        "{report}"
    );

    cluster.start_member(0)?;
    let value = cluster.etcdctl(["get", "key", "--print-value-only"])?;
    ensure!(value.trim() == "before", "{value}");
    cluster.etcdctl(["put", "key", "after"])?;
    ensure!(cluster.revision(0)? > seen + 1_000_000);
    Ok(())
}
