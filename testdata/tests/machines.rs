//! The machines with their stand-ins for kubelet and systemd: what the tests of a recovery build on.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::node::{Machines, Starter, UNIT, What, expect_in_order, wait_for};

/// Every minor, started by both; three members with two minors.
#[test]
fn every_minor_serves_from_manifests_and_units() -> Result<()> {
    for version in Version::ALL {
        for starter in [Starter::Kubelet, Starter::Systemd] {
            let machines = Machines::builder(version).started_by(starter).start()?;
            machines.put("a", "1")?;
            machines.put_many("many", 120)?;
            ensure!(machines.keys(0)?.len() == 121, "{version} {starter:?}");
            ensure!(machines.revision(0)? == 4, "{version} {starter:?}");
            ensure!(machines.save("backup.db")?.exists());
            ensure!(machines.members(0)? == ["cp-1"]);
        }
    }
    Ok(())
}

#[test]
fn three_machines_are_one_cluster_and_a_member_that_lost_its_data_is_no_quorum() -> Result<()> {
    for starter in [Starter::Kubelet, Starter::Systemd] {
        let machines = Machines::builder(Version::V3_6)
            .machines(3)
            .started_by(starter)
            .start()?;
        machines.put("a", "1")?;
        for place in 0..3 {
            assert_eq!(machines.members(place)?, ["cp-1", "cp-2", "cp-3"]);
            assert_eq!(machines.keys(place)?, [("a".into(), "1".into())]);
        }
        machines.machine(1).damage_data()?;
        wait_for("it is started again and again", || {
            Ok(machines.machine(1).etcd_starts() > 3)
        })?;
        ensure!(machines.is_healthy(0)? && !machines.is_healthy(1)?);
        machines.machine(2).stop_all()?;
        ensure!(!machines.machine(2).etcd_runs() && !machines.machine(2).etcd_port_is_open());
        ensure!(!machines.is_healthy(0)?);
        machines.machine(2).start_all()?;
        wait_for("two of three are a quorum", || machines.is_healthy(2))?;
    }
    Ok(())
}

#[test]
fn kubelet_runs_what_its_directory_says() -> Result<()> {
    let machines = Machines::builder(Version::V3_6).start()?;
    let machine = machines.machine(0);
    let kubelet = machine.kubelet();
    ensure!(machine.api_server_answers() && kubelet.runs("kube-scheduler"));
    machines.put("a", "1")?;

    // A hidden file and a directory are nothing, anything else is a pod, whatever its name.
    let content = fs::read_to_string(machine.manifest())?;
    fs::write(machine.manifests().join(".etcd.yaml"), &content)?;
    fs::create_dir(machine.manifests().join("old"))?;
    fs::write(
        machine.manifests().join("etcd.yaml.bak"),
        content.replace("path:   '/var/lib/etcd' ", "path:   '/var/lib/other' "),
    )?;
    fs::write(machine.manifests().join("readme.txt"), "no pod\n")?;
    wait_for("the file that is none is noted", || {
        let log = kubelet.log();
        Ok(log
            .iter()
            .any(|it| it.file == "readme.txt" && matches!(it.what, What::Refused(_))))
    })?;
    fs::remove_file(machine.manifests().join("readme.txt"))?;

    // The one that was there first runs; when it goes the forgotten one takes its place, with data of its own.
    let starts = machine.etcd_starts();
    ensure!(starts == 1, "{starts}");
    fs::rename(machine.manifest(), machines.folder().join("etcd.yaml"))?;
    wait_for("the copy runs", || Ok(machine.etcd_starts() == 2))?;
    machines.wait_until_healthy()?;
    ensure!(machines.keys(0)?.is_empty());
    ensure!(machine.on_disk("/var/lib/other/member/snap/db").exists());
    fs::remove_file(machine.manifests().join("etcd.yaml.bak"))?;
    kubelet.wait_until_settled()?;
    ensure!(!machine.etcd_runs() && machine.api_server_answers());
    fs::rename(machines.folder().join("etcd.yaml"), machine.manifest())?;
    kubelet.wait_until_settled()?;
    machines.wait_until_healthy()?;
    assert_eq!(machines.keys(0)?, [("a".into(), "1".into())]);

    // A crash is followed by a start, and so is another content of the file.
    let starts = machine.etcd_starts();
    kubelet.crash_etcd()?;
    wait_for("it is started again", || {
        Ok(machine.etcd_starts() == starts + 1)
    })?;
    fs::write(machine.manifest(), format!("{content}# touched\n"))?;
    wait_for("it is started again", || {
        Ok(machine.etcd_starts() == starts + 2)
    })?;
    machines.wait_until_healthy()?;

    // Nothing happens while kubelet is down; and who does not hear is killed.
    kubelet.go_down();
    fs::remove_file(machine.manifest())?;
    fs::remove_file(machine.manifests().join("kube-apiserver.yaml"))?;
    ensure!(machines.is_healthy(0)? && machine.api_server_answers());
    kubelet.freeze_etcd()?;
    kubelet.set_grace(Duration::from_millis(50));
    kubelet.come_up();
    kubelet.wait_until_settled()?;
    ensure!(!machine.etcd_runs() && !machine.api_server_answers());
    expect_in_order(
        &kubelet.log(),
        &[
            ("etcd", What::Started),
            ("etcd", What::Stopped),
            ("etcd", What::Started),
            ("etcd", What::Started),
            ("kube-apiserver", What::Stopped),
            ("etcd", What::Killed),
        ],
    )
}

#[test]
fn an_upgrade_writes_the_manifest_anew() -> Result<()> {
    let machines = Machines::builder(Version::V3_5).start()?;
    machines.put("a", "1")?;
    let before = fs::read_to_string(machines.machine(0).manifest())?;
    machines.upgrade_with_kubeadm(0)?;
    let after = fs::read_to_string(machines.machine(0).manifest())?;
    ensure!(before.contains("do not move") && !after.contains("do not move"));
    wait_for("it is started again", || {
        Ok(machines.machine(0).etcd_starts() == 2)
    })?;
    machines.wait_until_healthy()?;
    assert_eq!(machines.keys(0)?.len(), 1);
    Ok(())
}

#[test]
fn systemctl_is_answered_as_by_systemd() -> Result<()> {
    let machines = Machines::builder(Version::V3_5)
        .started_by(Starter::Systemd)
        .start()?;
    let machine = machines.machine(0);
    let systemd = machine.systemd();
    assert_eq!(systemd.call(&["is-active", "etcd"])?, "active\n");
    let state = systemd.call(&["show", "--property=ActiveState,SubState", UNIT])?;
    assert_eq!(state, "ActiveState=active\nSubState=running\n");
    let unit = systemd.call(&["cat", "etcd"])?;
    ensure!(unit.contains("# /etc/systemd/system/etcd.service.d/10-limits.conf\n"));

    systemd.call(&["stop", UNIT])?;
    ensure!(!machine.etcd_runs() && !machine.etcd_port_is_open());
    ensure!(systemd.call(&["is-active", UNIT]).is_err());

    // A drop-in counts when it was loaded, and a blocking start ends when etcd serves.
    fs::write(
        machine.on_disk("/etc/systemd/system/etcd.service.d/20-data.conf"),
        "[Service]\nExecStart=\nExecStart=/usr/bin/etcd --data-dir=/var/lib/other --snapshot-count=10000\n\
         Environment=\nEnvironmentFile=\nEnvironmentFile=/etc/default/etcd\n",
    )?;
    systemd.call(&["start", UNIT])?;
    ensure!(machines.is_healthy(0)?);
    ensure!(!machine.on_disk("/var/lib/other").exists());
    systemd.call(&["daemon-reload"])?;
    fs::create_dir(machine.on_disk("/var/lib/other"))?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(
            machine.on_disk("/var/lib/other"),
            Some(52_379),
            Some(52_379),
        )?;
    }
    systemd.call(&["restart", UNIT])?;
    ensure!(machines.is_healthy(0)?);
    ensure!(machine.on_disk("/var/lib/other/member").exists());

    // What does not come up fails, and goes on failing until it is stopped.
    fs::remove_file(machine.on_disk("/etc/default/etcd"))?;
    let error = systemd.call(&["restart", UNIT]).unwrap_err().to_string();
    ensure!(error.contains("Job for etcd.service failed"), "{error}");
    let error = systemd.call(&["start", "none"]).unwrap_err().to_string();
    ensure!(error.contains("none.service not found"), "{error}");
    ensure!(systemd.calls().contains(&"daemon-reload".to_owned()));

    let elsewhere = tempfile::tempdir()?;
    let kept = elsewhere.path().join("systemctl");
    fs::copy(systemd.systemctl(), &kept)?;
    drop(machines);
    let output = std::process::Command::new(kept)
        .arg("daemon-reload")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("not been booted with systemd"),
        "{said}"
    );
    Ok(())
}

#[test]
fn an_open_watch_outlives_a_restart() -> Result<()> {
    let machines = Machines::builder(Version::V3_6).start()?;
    let watch = machines.watch(0)?;
    wait_for("the watch is open", || {
        machines.put("early", "1")?;
        Ok(watch.said().contains("early"))
    })?;
    let process = machines.machine(0).etcd_process_id();
    machines.machine(0).stop_all()?;
    machines.machine(0).start_all()?;
    machines.wait_until_healthy()?;
    assert_ne!(machines.machine(0).etcd_process_id(), process);
    // It comes back by itself, behind what it has seen.
    machines.put("late", "1")?;
    watch.wait_until_seen("late")
}
