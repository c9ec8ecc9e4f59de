//! What is refused, and what fails before anything has changed.

use super::*;

#[test]
fn a_copy_in_the_manifests_directory_is_refused() -> Result<()> {
    let machines = Machines::builder(Version::V3_6).start()?;
    let machine = machines.machine(0);
    let (_, last) = live_and_save(&machines)?;
    std::fs::copy(
        machine.manifest(),
        machine.manifests().join("etcd.yaml.bak"),
    )?;
    run(&machines, 0, &["recover", "backup.db", "--apply", "--yes"])?
        .code(REFUSED)
        .tells("etcd.yaml.bak");
    ensure!(machines.keys(0)? == last && machine.etcd_starts() == 1);
    ensure!(names(&machine.data_dir())? == ["member"]);
    Ok(())
}

#[test]
fn there_is_nothing_to_go_on_with_or_to_take_back() -> Result<()> {
    let machines = Machines::builder(Version::V3_6).start()?;
    for verb in ["--resume", "--rollback"] {
        let said = run(&machines, 0, &["recover", verb, "--yes"])?.code(3);
        ensure!(!said.stderr.is_empty(), "{said:?}");
    }
    Ok(())
}

/// The disk is full when the member is made, while etcd still runs: nothing has been stopped by then.
#[test]
fn a_member_that_cannot_be_written_stops_nothing() -> Result<()> {
    let machines = Machines::builder(Version::V3_6).start()?;
    let machine = machines.machine(0);
    let (saved, last) = live_and_save(&machines)?;
    let limited = || {
        let words = ["recover", "backup.db", "--apply", "--yes"];
        let recover = command(&machines, 0, &words);
        let mut limited = Command::new("/bin/sh");
        // In blocks of 512 bytes: less than a database, more than a journal.
        limited
            .args(["-c", "ulimit -f 64; exec \"$0\" \"$@\""])
            .arg(recover.get_program())
            .args(recover.get_args())
            .current_dir(machines.folder())
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::null());
        limited
    };
    let said = said(&mut limited())?;
    ensure!(said.code.is_some_and(|code| code != OK), "{said:?}");
    ensure!(machines.keys(0)? == last && machine.etcd_starts() == 1);
    ensure!(machine.api_server_answers());

    // With room for it the next run comes to its end, or the one that is half done is taken up.
    let resumed = run(&machines, 0, &["recover", "--resume", "--yes"])?;
    if resumed.code != Some(OK) {
        run(&machines, 0, &["recover", "backup.db", "--apply", "--yes"])?.code(OK);
    }
    machines.wait_until_healthy()?;
    ensure!(machines.keys(0)? == saved);
    Ok(())
}
