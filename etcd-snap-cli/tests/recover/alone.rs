//! One machine.

use super::*;

/// The walk of the usual guides, which takes them a page: find the certificates, save, restore to another directory, edit the
/// volume, move manifests, wait, and look.
#[test]
fn two_commands_save_and_recover_a_node() -> Result<()> {
    for starter in [Starter::Kubelet, Starter::Systemd] {
        let machines = Machines::builder(Version::V3_6)
            .started_by(starter)
            .start()?;
        let machine = machines.machine(0);
        let (saved, last) = live_and_save(&machines)?;
        ensure!(saved != last);
        let before = (starter == Starter::Kubelet)
            .then(|| manifests(machine))
            .transpose()?;

        // Without being told to, it does nothing but say what it would do.
        run(&machines, 0, &["recover", "backup.db"])?.code(OK);
        ensure!(machines.keys(0)? == last);
        ensure!(names(&machine.data_dir())? == ["member"]);

        run(&machines, 0, &["recover", "backup.db", "--apply", "--yes"])?.code(OK);
        machines.wait_until_healthy()?;
        ensure!(machines.keys(0)? == saved, "{starter:?}");
        if let Some(before) = before {
            ensure!(manifests(machine)? == before);
        }

        // It is over, and clients may have written since.
        let said = run(&machines, 0, &["recover", "--rollback"])?.tells("with --yes only");
        ensure!(said.code != Some(OK), "{said:?}");
        ensure!(machines.keys(0)? == saved, "{starter:?}");
        run(&machines, 0, &["recover", "--rollback", "--yes"])?.code(OK);
        machines.wait_until_healthy()?;
        ensure!(machines.keys(0)? == last, "{starter:?}");
    }
    Ok(())
}

/// Nobody is at the terminal to say yes.
#[test]
fn nothing_is_applied_without_a_yes() -> Result<()> {
    let machines = Machines::builder(Version::V3_6).start()?;
    let (_, last) = live_and_save(&machines)?;
    let said = run(&machines, 0, &["recover", "backup.db", "--apply"])?.tells("--yes");
    ensure!(said.code != Some(OK), "{said:?}");
    ensure!(machines.keys(0)? == last);
    ensure!(machines.machine(0).etcd_starts() == 1);
    Ok(())
}
