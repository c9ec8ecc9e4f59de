//! What goes wrong: each time it is said what is still as it was, and the way on or back works.

use etcd_snap_node::{ErrorKind, Severity, resume_recovery, roll_back_recovery};
use etcd_snap_testdata::node::wait_for;

use super::*;

/// Does something at one moment of a step, and once.
struct At<F> {
    number: usize,
    is_done: bool,
    act: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send> At<F> {
    fn step(recovery: &Recovery, action: Action, is_done: bool, act: F) -> Arc<Self> {
        let step = recovery.steps.iter().find(|step| step.action == action);
        Arc::new(Self {
            number: step.expect("such a step").number,
            is_done,
            act: Mutex::new(Some(act)),
        })
    }
}

impl<F: FnOnce() + Send> Observer for At<F> {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        let (number, is_done) = match event {
            Event::StepStarted { number, .. } => (*number, false),
            Event::StepDone { number, .. } => (*number, true),
            _ => return ControlFlow::Continue(()),
        };
        if (number, is_done) == (self.number, self.is_done)
            && let Some(act) = self.act.lock().expect("no panic").take()
        {
            act();
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_second_recovery_is_refused_while_one_is_under_way() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 1)?;
    let machine = scene.machine(0);
    let recovery = scene.plan(0)?;
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let (kinds, recovery, options) = (kinds.clone(), recovery.clone(), apply_options(machine));
        At::step(&recovery.clone(), Action::Swap, false, move || {
            let mut kinds = kinds.lock().expect("no panic");
            kinds.push(apply_recovery(&recovery, &options).map_err(|e| e.kind()));
            kinds.push(resume_recovery(&options).map_err(|e| e.kind()));
            kinds.push(roll_back_recovery(&options).map_err(|e| e.kind()));
        })
    };
    apply_recovery(&recovery, &apply_options(machine).with_observer(observer))?;
    let kinds = kinds.lock().expect("no panic");
    assert_eq!(kinds.len(), 3);
    for kind in kinds.iter() {
        assert_eq!(kind.as_ref().err(), Some(&ErrorKind::Busy), "{kind:?}");
    }
    scene.machines.wait_until_healthy()?;
    scene.is_back(0)
}

/// The manifests are away, and etcd does not hear that it shall end.
#[test]
fn a_wait_for_an_etcd_that_does_not_stop_runs_out_and_is_resumed() -> Result<()> {
    for starter in BOTH {
        let scene = Scene::new(Version::V3_6, starter, 1)?;
        let machine = scene.machine(0);
        let recovery = scene.plan(0)?;
        let observer = {
            let machines = scene.machines.clone();
            At::step(&recovery, Action::Stop, false, move || {
                machines.machine(0).freeze_etcd().expect("etcd runs");
            })
        };
        let short = apply_options(machine)
            .with_stop_timeout(Duration::from_secs(2))
            .with_observer(observer);
        let error = apply_recovery(&recovery, &short).unwrap_err();
        ensure!(
            [ErrorKind::Late, ErrorKind::Command].contains(&error.kind()),
            "{starter:?}: {error}"
        );
        ensure!(
            error.remedy().is_some_and(|it| it.contains("--resume")),
            "{error:?}"
        );
        ensure!(machine.etcd_runs());
        ensure!(names_like(&machine.data_dir(), "member.old-")?.is_empty());

        machine.thaw_etcd()?;
        resume_recovery(&apply_options(machine)).with_context(|| format!("{starter:?}"))?;
        scene.machines.wait_until_healthy()?;
        scene.is_back(0)?;
    }
    Ok(())
}

#[test]
fn without_a_kubelet_nothing_stops_and_the_way_back_is_open() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 1)?;
    let machine = scene.machine(0);
    let before = configuration(machine)?;
    let recovery = scene.plan(0)?;
    machine.kubelet().go_down();
    let short = || apply_options(machine).with_stop_timeout(Duration::from_secs(2));
    let error = apply_recovery(&recovery, &short()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Late, "{error}");
    ensure!(scene.machines.is_healthy(0)?);
    roll_back_recovery(&short())?;
    ensure!(configuration(machine)? == before);
    machine.kubelet().come_up();
    machine.kubelet().wait_until_settled()?;
    scene.machines.wait_until_healthy()?;
    assert_eq!(scene.machines.keys(0)?, scene.last);
    assert_eq!(machine.etcd_starts(), 1);
    Ok(())
}

/// The member is in its place, and the server ends for a reason of its own.
#[test]
fn an_etcd_that_does_not_come_up_is_taken_back() -> Result<()> {
    for starter in BOTH {
        let scene = Scene::new(Version::V3_6, starter, 1)?;
        let machine = scene.machine(0);
        let before = configuration(machine)?;
        let recovery = scene.plan(0)?;
        let certificate = match starter {
            Starter::Kubelet => "/etc/kubernetes/pki/etcd/peer.crt",
            Starter::Systemd => "/etc/etcd/pki/peer.crt",
        };
        let certificate = machine.on_disk(certificate);
        let aside = scene.machines.folder().join("peer.crt");
        let observer = {
            let (from, to) = (certificate.clone(), aside.clone());
            At::step(&recovery, Action::Swap, true, move || {
                fs::rename(from, to).expect("the certificate is there");
            })
        };
        let short = apply_options(machine)
            .with_start_timeout(Duration::from_secs(3))
            .with_observer(observer);
        let error = apply_recovery(&recovery, &short).unwrap_err();
        ensure!(
            [ErrorKind::Late, ErrorKind::Command].contains(&error.kind()),
            "{starter:?}: {error}"
        );
        fs::rename(&aside, &certificate)?;
        roll_back_recovery(&apply_options(machine)).with_context(|| format!("{starter:?}"))?;
        scene.machines.wait_until_healthy()?;
        assert_eq!(scene.machines.keys(0)?, scene.last);
        ensure!(configuration(machine)? == before);
    }
    Ok(())
}

#[test]
fn a_manifest_that_changes_between_plan_and_apply_is_refused() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 1)?;
    let machine = scene.machine(0);
    let recovery = scene.plan(0)?;
    let text = fs::read_to_string(machine.manifest())?;
    fs::write(machine.manifest(), format!("{text}# by somebody else\n"))?;
    wait_for("etcd is not started again", || {
        Ok(machine.etcd_starts() == 2)
    })?;
    scene.machines.wait_until_healthy()?;
    let before = configuration(machine)?;
    let error = apply_recovery(&recovery, &apply_options(machine)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    ensure!(configuration(machine)? == before);
    ensure!(names_like(&machine.data_dir(), "")? == ["member"]);
    assert_eq!(scene.machines.keys(0)?, scene.last);
    assert_eq!(machine.etcd_starts(), 2);
    Ok(())
}

/// Kubelet would run the copy as soon as the manifest is away.
#[test]
fn a_copy_in_the_manifests_directory_is_refused() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 1)?;
    let machine = scene.machine(0);
    fs::copy(
        machine.manifest(),
        machine.manifests().join("etcd.yaml.bak"),
    )?;
    let recovery = scene.plan(0)?;
    let finding = recovery
        .findings
        .iter()
        .find(|it| it.severity == Severity::Error && it.message.contains("etcd.yaml.bak"));
    ensure!(finding.is_some(), "{:#?}", recovery.findings);
    let error = apply_recovery(&recovery, &apply_options(machine)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert_eq!(scene.machines.keys(0)?, scene.last);
    assert_eq!(machine.etcd_starts(), 1);
    Ok(())
}

#[test]
fn a_snapshot_that_changes_between_plan_and_apply_is_refused() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 1)?;
    let recovery = scene.plan(0)?;
    scene.machines.put("later", "1")?;
    let other = scene.machines.save("other.db")?;
    fs::rename(other, &scene.snapshot)?;
    let machine = scene.machine(0);
    let error = apply_recovery(&recovery, &apply_options(machine)).unwrap_err();
    ensure!(
        [ErrorKind::Refused, ErrorKind::Library].contains(&error.kind()),
        "{error}"
    );
    ensure!(scene.machines.is_healthy(0)?);
    assert_eq!(machine.etcd_starts(), 1);
    ensure!(names_like(&machine.data_dir(), "")? == ["member"]);
    Ok(())
}
