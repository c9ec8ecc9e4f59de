//! One machine, from the plan to the proof, and back.

use std::os::unix::fs::MetadataExt as _;

use etcd_snap_node::{ErrorKind, resume_recovery, roll_back_recovery};
use etcd_snap_testdata::node::{UNIT, What, expect_in_order};
use etcd_snap_testdata::sample;

use super::*;

/// Every minor, by both starters.
#[test]
fn a_member_is_swapped_in_place_and_nothing_else_changes() -> Result<()> {
    let cases = Version::ALL.map(|version| BOTH.map(|starter| (version, starter)));
    for (version, starter) in sample(cases.into_iter().flatten(), 3) {
        in_place(version, starter).with_context(|| format!("{version} {starter:?}"))?;
    }
    Ok(())
}

fn in_place(version: Version, starter: Starter) -> Result<()> {
    let scene = Scene::new(version, starter, 1)?;
    let machine = scene.machine(0);
    let before = configuration(machine)?;
    let owner = fs::metadata(machine.data_dir())?;
    let mut watch = scene.machines.watch(0)?;
    etcd_snap_testdata::node::wait_for("the watch is not open", || {
        scene.machines.put("changes", "late")?;
        Ok(watch.said().contains("late"))
    })?;

    let recovery = scene.plan(0)?;
    ensure!(recovery.changes.is_empty(), "{:#?}", recovery.changes);
    let report = apply(&scene, 0, &recovery)?;
    assert_eq!(report.waiting_for_members, 0, "{report:#?}");

    scene.machines.wait_until_healthy()?;
    scene.is_back(0)?;
    ensure!(configuration(machine)? == before, "a file has changed");
    watch.wait_until_cancelled()?;
    let kept = names_like(&machine.data_dir(), "member.old-")?;
    ensure!(kept.len() == 1, "{kept:?}");
    let kept = machine.data_dir().join(&kept[0]);
    ensure!(holds(&kept.join("snap/db"), "only-here")?);
    let database = fs::metadata(machine.data_dir().join("member/snap/db"))?;
    assert_eq!((database.uid(), database.gid()), (owner.uid(), owner.gid()));
    match starter {
        Starter::Kubelet => {
            ensure!(machine.api_server_answers());
            expect_in_order(
                &machine.kubelet().log(),
                &[
                    ("kube-apiserver", What::Stopped),
                    ("etcd", What::Started),
                    ("kube-apiserver", What::Started),
                ],
            )?;
        }
        Starter::Systemd => {
            let calls = machine.systemd().calls().join("\n");
            ensure!(calls.contains("stop"), "{calls}");
            ensure!(machine.systemd().runs(UNIT));
        }
    }
    Ok(())
}

#[test]
fn a_recovery_that_is_over_is_over_and_another_one_may_follow() -> Result<()> {
    for starter in BOTH {
        let mut scene = Scene::new(Version::V3_6, starter, 1)?;
        for round in 1..=2 {
            apply(&scene, 0, &scene.plan(0)?)?;
            scene.machines.wait_until_healthy()?;
            scene.is_back(0)?;
            let error = resume_recovery(&apply_options(scene.machine(0))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            let kept = names_like(&scene.machine(0).data_dir(), "member.old-")?;
            assert_eq!(kept.len(), round, "{kept:?}");
            scene.live_on()?;
        }
    }
    Ok(())
}

/// Somebody sees only then that it was the wrong snapshot.
#[test]
fn a_recovery_that_is_over_is_taken_back_once() -> Result<()> {
    for starter in BOTH {
        let scene = Scene::new(Version::V3_6, starter, 1)?;
        let machine = scene.machine(0);
        let before = configuration(machine)?;
        apply(&scene, 0, &scene.plan(0)?)?;
        scene.machines.wait_until_healthy()?;
        scene.is_back(0)?;
        roll_back_recovery(&apply_options(machine))?;
        scene.machines.wait_until_healthy()?;
        assert_eq!(scene.machines.keys(0)?, scene.last, "{starter:?}");
        ensure!(configuration(machine)? == before);
        let error = roll_back_recovery(&apply_options(machine)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    Ok(())
}

/// The manifest stays as kubeadm made it, so what kubeadm writes later leads to the same data.
#[test]
fn an_upgrade_after_a_recovery_in_place_does_not_bring_old_data_back() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 1)?;
    let machine = scene.machine(0);
    let recovery = scene.plan(0)?;
    apply(&scene, 0, &recovery)?;
    scene.machines.wait_until_healthy()?;
    scene.machines.put("later", "kept")?;
    let starts = machine.etcd_starts();
    scene.machines.upgrade_with_kubeadm(0)?;
    etcd_snap_testdata::node::wait_for("etcd is not started again", || {
        Ok(machine.etcd_starts() > starts)
    })?;
    scene.machines.wait_until_healthy()?;
    let mut expected = scene.saved.clone();
    expected.push(("later".into(), "kept".into()));
    expected.sort();
    assert_eq!(scene.machines.keys(0)?, expected);
    Ok(())
}

/// What a backup is for: the data is gone, or etcd cannot start from it.
#[test]
fn lost_and_damaged_data_is_recovered() -> Result<()> {
    let cases = [true, false].map(|lost| BOTH.map(|starter| (lost, starter)));
    for (lost, starter) in sample(cases.into_iter().flatten(), 2) {
        let scene = Scene::new(Version::V3_5, starter, 1)?;
        let machine = scene.machine(0);
        if lost {
            machine.lose_data()?;
            scene.machines.wait_until_healthy()?;
            ensure!(scene.machines.keys(0)?.is_empty());
        } else {
            machine.damage_data()?;
            let starts = machine.etcd_starts();
            etcd_snap_testdata::node::wait_for("etcd does not crash", || {
                Ok(machine.etcd_starts() > starts + 1)
            })?;
        }
        let recovery = scene
            .plan(0)
            .with_context(|| format!("lost {lost}, {starter:?}"))?;
        apply(&scene, 0, &recovery).with_context(|| format!("lost {lost}, {starter:?}"))?;
        scene.machines.wait_until_healthy()?;
        ensure!(scene.machines.keys(0)? == scene.saved);
    }
    Ok(())
}
