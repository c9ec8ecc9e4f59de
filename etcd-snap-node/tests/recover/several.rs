//! Three machines that come back by one plan.

use etcd_snap_node::{ErrorKind, resume_recovery};
use etcd_snap_testdata::node::wait_for;

use super::*;

/// Two of three members end as often as they are started.
fn without_quorum(starter: Starter) -> Result<Scene> {
    let scene = Scene::new(Version::V3_6, starter, 3)?;
    for place in [1, 2] {
        scene.machine(place).damage_data()?;
    }
    wait_for("the quorum is not lost", || {
        Ok(!scene.machines.is_healthy(0)?)
    })?;
    Ok(scene)
}

#[test]
fn the_first_of_three_waits_and_the_second_one_makes_a_quorum() -> Result<()> {
    for starter in BOTH {
        let scene = without_quorum(starter)?;
        let first = scene.plan(0)?;
        assert_eq!(first.restore.members.len(), 3, "{:#?}", first.restore);
        ensure!(!first.others.is_empty());
        let impatient =
            || apply_options(scene.machine(0)).with_quorum_patience(Duration::from_secs(3));
        let error = apply_recovery(&first, &impatient()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Waiting, "{error}");
        ensure!(error.to_string().contains("1 more member"), "{error}");
        // Nothing has come meanwhile, so going on says the same again.
        let error = resume_recovery(&impatient()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Waiting, "{error}");

        let with_plan = |place| plan_options(scene.machine(place)).with_plan(first.restore.clone());
        let second = scene.plan_with(1, &with_plan(1))?;
        let report = apply(&scene, 1, &second)?;
        assert_eq!(report.waiting_for_members, 0, "{report:#?}");
        scene.is_back(1)?;
        let report = resume_recovery(&apply_options(scene.machine(0)))?;
        assert_eq!(report.waiting_for_members, 0, "{report:#?}");
        let error = resume_recovery(&apply_options(scene.machine(0))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

        let third = scene.plan_with(2, &with_plan(2))?;
        apply(&scene, 2, &third)?;
        scene.machines.wait_until_healthy()?;
        for place in 0..3 {
            scene.is_back(place)?;
            assert_eq!(scene.machines.members(place)?, ["cp-1", "cp-2", "cp-3"]);
        }
    }
    Ok(())
}

/// With a snapshot of another day the members would differ for ever.
#[test]
fn another_snapshot_than_the_plan_says_is_refused() -> Result<()> {
    let mut scene = Scene::new(Version::V3_6, Starter::Kubelet, 3)?;
    let other = scene.machines.save("other.db")?;
    for place in [1, 2] {
        scene.machine(place).damage_data()?;
    }
    wait_for("the quorum is not lost", || {
        Ok(!scene.machines.is_healthy(0)?)
    })?;
    let first = scene.plan(0)?;
    scene.snapshot = other;
    let options = plan_options(scene.machine(1)).with_plan(first.restore);
    let error = scene.plan_with(1, &options).unwrap_err().to_string();
    ensure!(error.contains("not the snapshot of the plan"), "{error}");
    Ok(())
}
