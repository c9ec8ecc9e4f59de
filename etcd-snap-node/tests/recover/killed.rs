//! A recovery is killed at the beginning and at the end of each of its steps. Then it is resumed, or taken back; also that may be
//! killed.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use etcd_snap_node::{ErrorKind, resume_recovery, roll_back_recovery};
use etcd_snap_testdata::sample;
use rustix::process::{Signal, getpid, kill_process};

use super::*;

/// What the process that is killed has to do: `apply`, `resume` or `rollback`.
const VERB: &str = "ETCD_SNAP_TEST_VERB";
/// Where its machine begins.
const ROOT: &str = "ETCD_SNAP_TEST_ROOT";
/// The file with what was planned.
const PLAN: &str = "ETCD_SNAP_TEST_PLAN";
/// The program that stops and starts units.
const SYSTEMCTL: &str = "ETCD_SNAP_TEST_SYSTEMCTL";
/// When it is killed.
const MOMENT: &str = "ETCD_SNAP_TEST_MOMENT";

/// When a process kills itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Begins(usize),
    Ends(usize),
}

impl Moment {
    fn of(event: &Event) -> Option<Self> {
        match event {
            Event::StepStarted { number, .. } => Some(Self::Begins(*number)),
            Event::StepDone { number, .. } => Some(Self::Ends(*number)),
            _ => None,
        }
    }

    fn all(steps: usize) -> impl Iterator<Item = Self> {
        (1..=steps).flat_map(|number| [Self::Begins(number), Self::Ends(number)])
    }
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Resume,
    /// It is killed again in a step, and resumed again.
    ResumeTwice,
    RollBack,
    /// Taking it back is killed too, in its first step, and begun again.
    RollBackTwice,
}

struct Killer(String);

impl Observer for Killer {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if Moment::of(event).is_some_and(|moment| format!("{moment:?}") == self.0) {
            let _ = kill_process(getpid(), Signal::KILL);
        }
        ControlFlow::Continue(())
    }
}

#[test]
#[ignore = "the process that the others start and kill"]
fn it_is_killed() -> Result<()> {
    let given = |name| env::var(name).with_context(|| format!("{name} is not set"));
    let mut options = ApplyOptions::default()
        .with_root(Root::new(given(ROOT)?))
        .with_observer(Arc::new(Killer(given(MOMENT)?)));
    if let Ok(systemctl) = env::var(SYSTEMCTL) {
        options = options.with_systemctl(systemctl);
    }
    match given(VERB)?.as_str() {
        "apply" => {
            let recovery: Recovery = serde_json::from_slice(&fs::read(given(PLAN)?)?)?;
            apply_recovery(&recovery, &options)?;
        }
        "resume" => drop(resume_recovery(&options)?),
        _ => drop(roll_back_recovery(&options)?),
    }
    Ok(())
}

/// Runs a verb in a process of its own that kills itself at this moment; whether it got there.
fn killed(scene: &Scene, verb: &str, moment: Moment) -> Result<bool> {
    let machine = scene.machine(0);
    let mut command = Command::new(env::current_exe()?);
    command
        .args([
            "--exact",
            "killed::it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(VERB, verb)
        .env(ROOT, machine.root())
        .env(PLAN, scene.machines.folder().join("plan.json"))
        .env(MOMENT, format!("{moment:?}"));
    if machine.starter() == Starter::Systemd {
        command.env(SYSTEMCTL, machine.systemd().systemctl());
    }
    let output = command.output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.success() {
        return Ok(false);
    }
    ensure!(
        output.status.signal() == Some(Signal::KILL.as_raw()),
        "{verb} failed: {said}"
    );
    Ok(true)
}

/// All names of the machine's own directories, and what its configuration says.
type State = (Vec<PathBuf>, Files);

fn state(machine: &Machine) -> Result<State> {
    let mut places = Vec::new();
    for directory in ["/var/lib", "/var/lib/etcd", "/etc/kubernetes"] {
        let directory = machine.on_disk(directory);
        if directory.is_dir() {
            for name in names_like(&directory, "")? {
                // Journals stay, and what the restored member had become: nothing is deleted for good.
                if name != "etcd-snap" && !name.starts_with("member.undone-") {
                    places.push(directory.join(name));
                }
            }
        }
    }
    Ok((places, configuration(machine)?))
}

fn case(scene: &mut Scene, recovery: &Recovery, moment: Moment, then: Then) -> Result<()> {
    fs::write(
        scene.machines.folder().join("plan.json"),
        serde_json::to_vec(recovery)?,
    )?;
    let before = state(scene.machine(0))?;
    let starts = scene.machine(0).etcd_starts();
    ensure!(killed(scene, "apply", moment)?, "it was not killed");

    let error = apply_recovery(recovery, &apply_options(scene.machine(0))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");

    let machine = scene.machine(0);
    match then {
        Then::Resume | Then::ResumeTwice => {
            if then == Then::ResumeTwice {
                let next = match moment {
                    Moment::Begins(number) => Moment::Ends(number),
                    Moment::Ends(number) => Moment::Begins(number + 1),
                };
                killed(scene, "resume", next)?;
            }
            match resume_recovery(&apply_options(machine)) {
                Ok(report) => assert_eq!(report.waiting_for_members, 0),
                // The second run came to the end.
                Err(error) if then == Then::ResumeTwice && error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
            scene.machines.wait_until_healthy()?;
            scene.is_back(0)?;
            ensure!(configuration(machine)? == before.1, "a file has changed");
            ensure!(machine.etcd_starts() > starts);
        }
        Then::RollBack | Then::RollBackTwice => {
            // Where nothing had been done there is no step to be killed in.
            let is_over =
                then == Then::RollBackTwice && !killed(scene, "rollback", Moment::Begins(1))?;
            if !is_over {
                roll_back_recovery(&apply_options(machine))?;
            }
            scene.machines.wait_until_healthy()?;
            assert_eq!(scene.machines.keys(0)?, scene.last);
            let after = state(machine)?;
            ensure!(after.1 == before.1, "a file has changed");
            assert_eq!(after.0, before.0);
        }
    }
    if machine.starter() == Starter::Kubelet {
        machine.kubelet().wait_until_settled()?;
        ensure!(machine.api_server_answers());
    }
    let error = resume_recovery(&apply_options(machine)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    scene.live_on()
}

/// Each way out at sampled moments, one after the other on the same machine.
fn kill_and_go_on(starter: Starter) -> Result<()> {
    let mut scene = Scene::new(Version::V3_6, starter, 1)?;
    let steps = scene.plan(0)?.steps.len();
    let ways = [
        Then::Resume,
        Then::RollBack,
        Then::ResumeTwice,
        Then::RollBackTwice,
    ];
    let cases = ways
        .into_iter()
        .flat_map(|then| Moment::all(steps).map(move |moment| (moment, then)));
    for (moment, then) in sample(cases, 6) {
        let recovery = scene.plan(0)?;
        case(&mut scene, &recovery, moment, then)
            .with_context(|| format!("{starter:?}, {moment:?}, then {then:?}"))?;
    }
    Ok(())
}

#[test]
fn a_recovery_with_manifests_goes_on_or_back_wherever_it_was_killed() -> Result<()> {
    kill_and_go_on(Starter::Kubelet)
}

#[test]
fn a_recovery_with_a_unit_goes_on_or_back_wherever_it_was_killed() -> Result<()> {
    kill_and_go_on(Starter::Systemd)
}

/// The same with another data directory: the file that is changed is as it was, or leads to the new one.
fn kill_on_the_way_elsewhere(starter: Starter) -> Result<()> {
    let scene = Scene::new(Version::V3_6, starter, 1)?;
    let machine = scene.machine(0);
    let before = configuration(machine)?;
    let plan = |directory: &str| {
        let options = plan_options(machine).with_new_data_dir(directory);
        let recovery = scene.plan_with(0, &options)?;
        fs::write(
            scene.machines.folder().join("plan.json"),
            serde_json::to_vec(&recovery)?,
        )?;
        anyhow::Ok(recovery)
    };
    let steps = plan("/var/lib/etcd-0")?.steps.len();
    for (n, moment) in sample(Moment::all(steps), 3).into_iter().enumerate() {
        plan(&format!("/var/lib/etcd-{n}"))?;
        let taken_back = || -> Result<()> {
            ensure!(killed(&scene, "apply", moment)?, "it was not killed");
            roll_back_recovery(&apply_options(machine))?;
            scene.machines.wait_until_healthy()?;
            assert_eq!(scene.machines.keys(0)?, scene.last);
            ensure!(configuration(machine)? == before, "a file has changed");
            Ok(())
        };
        taken_back().with_context(|| format!("{starter:?}, {moment:?}, then back"))?;
    }
    let moment = sample(Moment::all(steps), 1)[0];
    plan("/var/lib/etcd-at-last")?;
    ensure!(killed(&scene, "apply", moment)?, "it was not killed");
    resume_recovery(&apply_options(machine)).with_context(|| format!("{starter:?}, {moment:?}"))?;
    scene.machines.wait_until_healthy()?;
    scene.is_back(0)?;
    ensure!(configuration(machine)? != before, "nothing was changed");
    ensure!(machine.on_disk("/var/lib/etcd-at-last/member").is_dir());
    Ok(())
}

#[test]
fn a_recovery_to_another_directory_goes_on_or_back_wherever_it_was_killed() -> Result<()> {
    BOTH.into_iter().try_for_each(kill_on_the_way_elsewhere)
}
