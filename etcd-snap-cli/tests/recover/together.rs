//! Three machines and one plan file.

use etcd_snap_testdata::node::wait_for;

use super::*;

#[test]
fn three_machines_come_back_by_the_plan_file_of_the_first() -> Result<()> {
    let machines = Machines::builder(Version::V3_5).machines(3).start()?;
    let (saved, _) = live_and_save(&machines)?;
    for place in [1, 2] {
        machines.machine(place).damage_data()?;
    }
    wait_for("the quorum is not lost", || Ok(!machines.is_healthy(0)?))?;

    let words = [
        "recover",
        "backup.db",
        "--plan-file",
        "plan.json",
        "--apply",
        "--yes",
    ];
    run(&machines, 0, &words)?.code(WAITING);
    run(&machines, 0, &["recover", "--resume", "--yes"])?.code(WAITING);
    ensure!(machines.folder().join("plan.json").exists());
    run(&machines, 1, &words)?.code(OK);
    run(&machines, 0, &["recover", "--resume", "--yes"])?.code(OK);
    run(&machines, 2, &words)?.code(OK);
    machines.wait_until_healthy()?;
    for place in 0..3 {
        ensure!(machines.keys(place)? == saved);
        assert_eq!(machines.members(place)?, ["cp-1", "cp-2", "cp-3"]);
    }
    Ok(())
}
