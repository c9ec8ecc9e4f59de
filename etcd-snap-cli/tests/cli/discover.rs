//! What is found on a machine, and what is done with it instead of being told.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::node::{Machines, Starter};
use serde_json::Value;

use crate::support::{Room, Said, said};

const MANIFEST: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: etcd
  namespace: kube-system
  labels:
    component: etcd
    tier: control-plane
spec:
  hostNetwork: true
  containers:
  - name: etcd
    image: registry.k8s.io/etcd:3.6.5-0
    command:
    - etcd
    - --name=cp-1
    - --data-dir=/var/lib/etcd
    - --listen-client-urls=http://127.0.0.1:2379
    - --advertise-client-urls=http://127.0.0.1:2379
    - --listen-peer-urls=http://127.0.0.1:2380
    - --initial-advertise-peer-urls=http://127.0.0.1:2380
    - --initial-cluster=cp-1=http://127.0.0.1:2380
    volumeMounts:
    - mountPath: /var/lib/etcd
      name: etcd-data
  volumes:
  - name: etcd-data
    hostPath:
      path: /var/lib/etcd
      type: DirectoryOrCreate
";

const UNIT: &str = "\
[Service]
ExecStart=/usr/bin/etcd --name m1 --data-dir /srv/etcd
";

/// A machine in `machine`, with these files.
fn room(files: &[(&str, &str)]) -> Room {
    let room = Room::new();
    fs::create_dir_all(room.path().join("machine/var/lib/etcd")).unwrap();
    for (name, content) in files {
        let path = room.path().join("machine").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    room
}

fn kubeadm() -> Room {
    room(&[("etc/kubernetes/manifests/etcd.yaml", MANIFEST)])
}

#[test]
fn an_etcd_is_described_in_three_forms() {
    let room = kubeadm();
    let text = room.run("discover --root machine");
    for words in [
        "cp-1 (/etc/kubernetes/manifests/etcd.yaml)",
        "kubelet, from /etc/kubernetes/manifests/etcd.yaml",
        "http://127.0.0.1:2379",
        "cp-1=http://127.0.0.1:2380",
        "/var/lib/etcd",
        "3.6.5",
    ] {
        assert!(text.stdout.contains(words), "no {words:?} in {text:#?}");
    }
    let json = room.run("discover --root machine -w json");
    let node: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(node["etcds"][0]["name"], "cp-1");
    assert_eq!(node["etcds"][0]["layout"], "kubeadm");
    assert_eq!(node["etcds"][0]["data_dir"]["host"], "/var/lib/etcd");
    let table = said(
        room.command("discover --root machine -w table")
            .env("COLUMNS", "60"),
    );
    assert!(table.stdout.contains("cp-1"), "{table:#?}");
    for line in table.stdout.lines() {
        assert!(line.chars().count() <= 60, "{line:?}");
    }
    assert_eq!((text.code, json.code), (table.code, table.code));
}

#[test]
fn of_several_one_is_named() {
    let room = room(&[
        ("etc/kubernetes/manifests/etcd.yaml", MANIFEST),
        ("etc/systemd/system/etcd.service", UNIT),
    ]);
    let both = room.run("discover --root machine");
    assert!(both.stdout.contains("cp-1 (/etc"), "{both:#?}");
    assert!(both.stdout.contains("m1 (etcd.service)"), "{both:#?}");
    let one = room.run("discover --root machine --etcd etcd.service");
    assert!(!one.stdout.contains("cp-1 (/etc"), "{one:#?}");
    assert!(one.stdout.contains("m1 (etcd.service)"), "{one:#?}");
    for command in [
        "save new.db",
        "drill --report drill.json",
        "restore good.db",
    ] {
        room.run(&format!("{command} --discover --root machine"))
            .code(2)
            .complains("there are 2 etcds here");
    }
    room.run("save new.db --discover --root machine --etcd other")
        .code(3)
        .complains("no etcd here is called \"other\"");
    assert_eq!(room.names(), ["good.db", "machine"]);
}

#[test]
fn none_is_a_missing_file() {
    let room = room(&[]);
    let none = room.run("discover --root machine").code(3);
    assert!(none.stdout.contains("No etcd was found"), "{none:#?}");
    let none = room.run("discover --root machine -w table").code(3);
    assert!(none.stdout.contains("No etcd was found"), "{none:#?}");
    let ill = room.run("doctor --root machine").code(18);
    assert!(ill.stdout.contains("[no-etcd]"), "{ill:#?}");
    room.run("save new.db --discover --root machine")
        .code(3)
        .complains("no etcd was found on this machine");
}

/// The shell of a unit knows its address, and a recovery needs that for nothing.
#[test]
fn a_node_of_which_only_its_shell_knows_the_address_can_be_recovered() {
    for (before, address) in [("IP=$(hostname -i); ", "$IP"), ("", "`hostname -i`")] {
        let script = format!(
            "{before}exec /usr/bin/etcd --name m1 --data-dir /var/lib/etcd --listen-client-urls http://{address}:2379 --advertise-client-urls http://{address}:2379"
        );
        let unit = format!("[Service]\nExecStart=/bin/bash -c '{script}'\n");
        let room = room(&[("etc/systemd/system/etcd.service", &unit)]);
        let found = room.run("discover --root machine").code(0);
        assert!(found.stdout.contains("is not known here"), "{found:#?}");
        assert!(!found.stdout.contains("write ${NAME}"), "{found:#?}");
        let plan = room
            .run("recover good.db --root machine --initial-cluster m1=http://localhost:2380 --initial-cluster-token word --bump-revision 1000")
            .code(0);
        assert!(plan.stdout.contains("/var/lib/etcd"), "{plan:#?}");
    }
}

#[test]
fn a_member_is_not_restored_under_what_only_its_shell_knows() {
    const RESTORE: &str = "restore good.db --discover --root machine --initial-cluster-token new";
    for (words, missing, given) in [
        (
            "--name $(hostname)",
            "--name",
            "--name m1 --initial-cluster m1=http://localhost:2380",
        ),
        (
            "--name m1 --initial-advertise-peer-urls http://`hostname -i`:2380",
            "--initial-advertise-peer-urls",
            "--initial-advertise-peer-urls http://10.0.0.1:2380 --initial-cluster m1=http://10.0.0.1:2380",
        ),
        (
            "--name m1 --initial-cluster $(cat /etc/cluster)",
            "--initial-cluster",
            "--initial-cluster m1=http://localhost:2380",
        ),
    ] {
        let unit = format!(
            "[Service]\nExecStart=/bin/sh -c 'exec etcd --data-dir=/var/lib/etcd {words}'\n"
        );
        let room = room(&[("etc/systemd/system/etcd.service", &unit)]);
        let found = room.run("discover --root machine").code(0);
        assert!(!found.stdout.contains("founded as"), "{found:#?}");
        room.run(RESTORE)
            .code(2)
            .complains("is not known here")
            .complains(&format!("say it with {missing}"));
        room.run(&format!("{RESTORE} {given}")).code(0);
    }
}

#[test]
fn what_is_found_is_not_named_too() {
    let room = kubeadm();
    for arguments in [
        "save new.db --discover --endpoints 127.0.0.1:1",
        "save new.db --discover --discovery-srv example.org",
        "save new.db --root machine",
        "save new.db --etcd cp-1",
        "drill --discover --endpoints 127.0.0.1:1",
        "restore good.db --discover --all-members --output-dir out",
        "restore good.db --discover --from-member m1",
    ] {
        room.run(arguments).code(2);
    }
    assert_eq!(room.names(), ["good.db", "machine"]);
}

#[test]
fn a_restore_has_the_identity_of_the_machine() {
    let room = kubeadm();
    let restored = room
        .run("restore good.db --discover --root machine --initial-cluster-token new")
        .code(0)
        .complains("found cp-1 (/etc/kubernetes/manifests/etcd.yaml)")
        .complains("--name cp-1 --initial-cluster cp-1=http://127.0.0.1:2380")
        .complains("--data-dir machine/var/lib/etcd");
    assert!(restored.stdout.contains("cp-1"), "{restored:#?}");
    assert!(
        room.path()
            .join("machine/var/lib/etcd/member/snap/db")
            .exists()
    );
    // What flags say comes first.
    room.run(
        "restore good.db --discover --root machine --data-dir other --initial-cluster-token new",
    )
    .code(0);
    assert!(room.path().join("other/member/snap/db").exists());
}

#[test]
fn a_restore_puts_the_log_where_the_machine_has_it_and_gives_all_to_whom_the_data_belongs() {
    const UNIT: &str = "[Service]\nExecStart=/usr/bin/etcd --name m1 --data-dir /var/lib/etcd --wal-dir /var/lib/etcd-wal\n";
    let room = room(&[("usr/lib/systemd/system/etcd.service", UNIT)]);
    let data_dir = room.path().join("machine/var/lib/etcd");
    let restored = room
        .run("restore good.db --discover --root machine --initial-cluster-token new -w json")
        .code(0);
    let report: Value = serde_json::from_str(&restored.stdout).unwrap();
    let wal = room.path().join("machine/var/lib/etcd-wal");
    assert_eq!(report["members"][0]["wal_dir"], wal.to_str().unwrap());
    assert!(wal.is_dir() && !data_dir.join("member/wal").exists());
    let (theirs, ours) = (
        data_dir.metadata().unwrap(),
        data_dir.join("member/snap/db").metadata().unwrap(),
    );
    assert_eq!((theirs.uid(), theirs.gid()), (ours.uid(), ours.gid()));
    let said = format!("--owner {}:{}", theirs.uid(), theirs.gid());
    restored.complains(&said);
}

#[test]
fn data_in_a_container_is_not_restored() {
    let (without_volume, _) = MANIFEST.split_once("    volumeMounts:").unwrap();
    let room = room(&[("etc/kubernetes/manifests/etcd.yaml", without_volume)]);
    room.run("restore good.db --discover --root machine")
        .code(2)
        .complains("/var/lib/etcd")
        .complains("container");
}

#[test]
fn the_endpoint_that_can_be_reached_is_taken() -> Result<()> {
    let living = Cluster::builder(Version::V3_6).start()?;
    let plain = living.endpoints();
    let endpoint = plain.first().context("an endpoint")?;
    let manifest = MANIFEST.replace(
        "--listen-client-urls=http://127.0.0.1:2379",
        &format!("--listen-client-urls=http://127.0.0.1:1,{endpoint}"),
    );
    let room = room(&[("etc/kubernetes/manifests/etcd.yaml", &manifest)]);
    with_tls(
        &mut room.command("save new.db --discover --root machine"),
        &living,
    )
    .code(0)
    .complains(&format!("asked at {endpoint} with the certificates"));
    room.run("verify new.db").code(0);
    Ok(())
}

#[test]
fn a_machine_that_was_told_of_itself_alone_is_pointed_to_recover() -> Result<()> {
    let room = kubeadm();
    let three = Cluster::builder(Version::V3_6).members(3).start()?;
    let endpoints = three.endpoints().join(",");
    with_tls(
        &mut room.command(&format!("save three.db --endpoints {endpoints}")),
        &three,
    )
    .code(0);
    drop(three);
    let dry = "restore three.db --discover --root machine --initial-cluster-token new --dry-run";
    room.run(dry)
        .code(0)
        .complains("the snapshot has 3 members, and this machine was told of itself alone")
        .complains("etcd-snap recover");
    let named = room.run(&format!(
        "{dry} --initial-cluster cp-1=http://127.0.0.1:2380"
    ));
    assert!(!named.stderr.contains("itself alone"), "{named:#?}");
    Ok(())
}

fn with_tls(command: &mut Command, cluster: &Cluster) -> Said {
    let tls = cluster.tls();
    command.arg("--cacert").arg(&tls.authority);
    command.arg("--cert").arg(&tls.client.certificate);
    said(command.arg("--key").arg(&tls.client.key))
}

fn with_root(command: &mut Command, machines: &Machines) -> Said {
    said(command.arg("--root").arg(machines.machine(0).root()))
}

#[test]
fn a_node_is_saved_restored_and_drilled_without_another_flag() -> Result<()> {
    let machines = Machines::builder(Version::V3_6)
        .started_by(Starter::Kubelet)
        .start()?;
    machines.put("before", "the fire")?;
    let machine = machines.machine(0);
    let room = Room::new();

    // What is set for another member does not count.
    with_root(
        room.command("save new.db --discover")
            .env("ETCDCTL_ENDPOINTS", "127.0.0.1:1")
            .env("ETCDCTL_CACERT", "/nowhere/ca.crt"),
        &machines,
    )
    .code(0)
    .complains("found cp-1 (/etc/kubernetes/manifests/etcd.yaml), asked at https://127.0.0.1");
    room.run("verify new.db").code(0);

    let planned = with_root(
        &mut room.command("restore new.db --discover --data-dir aside --dry-run"),
        &machines,
    )
    .code(0);
    assert!(planned.stdout.contains("cp-1"), "{planned:#?}");
    // It runs: the same in place is refused.
    with_root(
        &mut room.command("restore new.db --discover --replace"),
        &machines,
    )
    .code(10);

    let mut drill = room.command("drill --discover --report drill.json");
    drill.arg("--etcd").arg(&machines.binaries().etcd);
    let drilled = with_root(&mut drill, &machines).code(0);
    assert!(drilled.stdout.contains("passed"), "{drilled:#?}");
    // On this machine itself, where its process is seen: its program is the one that is booted.
    let process = machine.etcd_process_id().context("a process")?;
    let drilled = room
        .run(&format!(
            "drill --discover --etcd-name {process} --report drill.json"
        ))
        .code(0);
    assert!(drilled.stdout.contains("passed"), "{drilled:#?}");
    let program = machines.binaries().etcd.canonicalize()?;
    let report = fs::read_to_string(room.path().join("drill.json"))?;
    assert!(
        report.contains(&program.display().to_string()),
        "no {program:?} in {report}"
    );

    let pki = machine.on_disk("/etc/kubernetes/pki");
    let aside = room.path().join("pki");
    fs::create_dir(&aside)?;
    for entry in fs::read_dir(pki.join("etcd"))?.chain(fs::read_dir(&pki)?) {
        let path = entry?.path();
        let name = path.file_name().context("a name")?.to_owned();
        if name.to_string_lossy().contains("client") {
            fs::rename(&path, aside.join(name))?;
        }
    }
    // Those of etcd itself may be for clients as well.
    for name in ["server.key", "peer.key"] {
        fs::rename(pki.join("etcd").join(name), aside.join(name))?;
    }
    with_root(&mut room.command("save again.db --discover"), &machines)
        .code(2)
        .complains("no certificate was found that fits a client of cp-1")
        .complains("--cacert, --cert and --key");
    // Named ones are taken instead. etcd reads its own key anew for each connection.
    for name in ["server.key", "peer.key"] {
        fs::rename(aside.join(name), pki.join("etcd").join(name))?;
    }
    with_root(
        room.command("save again.db --discover")
            .arg("--cacert")
            .arg(pki.join("etcd/ca.crt"))
            .arg("--cert")
            .arg(aside.join("healthcheck-client.crt"))
            .arg("--key")
            .arg(aside.join("healthcheck-client.key")),
        &machines,
    )
    .code(0)
    .complains("with the certificates that were named");
    Ok(())
}
