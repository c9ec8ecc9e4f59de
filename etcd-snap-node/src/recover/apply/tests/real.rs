//! Machines with a real etcd; some of the runs are killed.

use std::process::Command;

use anyhow::{Result, ensure};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::node::{Machine, Machines, Starter, What, expect_in_order};
use etcd_snap_testdata::sample;
use serde::{Deserialize, Serialize};

use super::*;
use crate::{ClientIdentity, ErrorKind, Node, PlanOptions, plan_recovery};

/// What is known of a machine.
fn described(machine: &Machine) -> Etcd {
    let mut etcd = etcd(machine.name());
    etcd.listen_client_urls = vec![machine.client_url()];
    etcd.advertise_client_urls = vec![machine.client_url()];
    etcd.listen_peer_urls = vec![machine.peer_url()];
    etcd.initial_advertise_peer_urls = vec![machine.peer_url()];
    let (folder, client) = match machine.starter() {
        Starter::Kubelet => ("/etc/kubernetes/pki/etcd", "healthcheck-client"),
        Starter::Systemd => ("/etc/etcd/pki", "client"),
    };
    let folder = Path::new(folder);
    etcd.client_identity = Some(ClientIdentity {
        authority: folder.join("ca.crt"),
        certificate: Some(folder.join(format!("{client}.crt"))),
        key: Some(folder.join(format!("{client}.key"))),
        because: "it is the one".into(),
    });
    if machine.starter() == Starter::Kubelet {
        etcd.layout = Layout::Kubeadm;
        etcd.run_by = RunBy::StaticPod {
            manifest: "/etc/kubernetes/manifests/etcd.yaml".into(),
            pod: "etcd".into(),
            container: "etcd".into(),
            image: None,
            mounts: Vec::new(),
            run_as_user: None,
            run_as_group: None,
        };
    }
    etcd
}

fn planned(machine: &Machine, backup: &Path, options: PlanOptions) -> Result<Recovery> {
    let node = Node {
        schema: 1,
        root: machine.root().to_owned(),
        host: None,
        etcds: vec![described(machine)],
        findings: Vec::new(),
    };
    let options = options.with_root(Root::new(machine.root()));
    let mut recovery = plan_recovery(&node, backup, &options)?;
    // That the cluster is well is just what speaks against it.
    recovery.findings.clear();
    Ok(recovery)
}

fn options(machine: &Machine) -> ApplyOptions {
    let options = ApplyOptions::default()
        .with_root(Root::new(machine.root()))
        .with_stop_timeout(Duration::from_secs(60))
        .with_start_timeout(Duration::from_secs(60))
        .with_quorum_patience(Duration::from_secs(3))
        .with_pause(Duration::from_millis(20));
    match machine.starter() {
        Starter::Systemd => options.with_systemctl(machine.systemd().systemctl()),
        Starter::Kubelet => options,
    }
}

/// What a process of its own is to do, and when it is to die.
#[derive(Serialize, Deserialize)]
struct Order {
    root: PathBuf,
    systemctl: Option<PathBuf>,
    recovery: Option<Recovery>,
    dies_at: String,
}

const ORDER: &str = "ETCD_SNAP_TEST_ORDER";

/// Started again as a process of its own by the tests that kill it.
#[test]
#[ignore = "a part of other tests"]
fn a_process_of_its_own() {
    struct Dying(String);
    impl Observer for Dying {
        fn event(&self, event: &Event) -> ControlFlow<()> {
            let text = match event {
                Event::StepStarted { number, .. } => format!("{number}?"),
                Event::StepDone { number, .. } => format!("{number}!"),
                _ => return ControlFlow::Continue(()),
            };
            if text == self.0 {
                let us = rustix::process::getpid();
                rustix::process::kill_process(us, rustix::process::Signal::KILL).unwrap();
            }
            ControlFlow::Continue(())
        }
    }
    let Some(order) = std::env::var_os(ORDER) else {
        return;
    };
    let order: Order = serde_json::from_slice(&fs::read(order).unwrap()).unwrap();
    let mut options = ApplyOptions::default()
        .with_root(Root::new(&order.root))
        .with_pause(Duration::from_millis(20))
        .with_observer(Arc::new(Dying(order.dies_at)));
    if let Some(systemctl) = order.systemctl {
        options = options.with_systemctl(systemctl);
    }
    match order.recovery {
        Some(recovery) => apply_recovery(&recovery, &options),
        None => roll_back_recovery(&options),
    }
    .unwrap();
}

/// A run that dies (SIGKILL) at an event; without a recovery: a roll-back.
fn killed(machine: &Machine, recovery: Option<&Recovery>, at: &str) -> Result<()> {
    let order = Order {
        root: machine.root().to_owned(),
        systemctl: options(machine).systemctl,
        recovery: recovery.cloned(),
        dies_at: at.to_owned(),
    };
    let file = machine.root().join("order.json");
    fs::write(&file, serde_json::to_vec(&order)?)?;
    let ended = Command::new(std::env::current_exe()?)
        .args([
            "recover::apply::tests::real::a_process_of_its_own",
            "--exact",
        ])
        .args(["--ignored", "--nocapture"])
        .env(ORDER, &file)
        .output()?;
    use std::os::unix::process::ExitStatusExt;
    let killed = ended.status.signal() == Some(9);
    ensure!(killed, "{at}: {}", String::from_utf8_lossy(&ended.stdout));
    Ok(())
}

fn has(machines: &Machines, key: &str) -> Result<bool> {
    Ok(machines.keys(0)?.iter().any(|(found, _)| found == key))
}

#[test]
fn keys_are_back_and_old_data_is_kept() -> Result<()> {
    for (version, starter) in [
        (Version::V3_4, Starter::Kubelet),
        (Version::V3_5, Starter::Systemd),
        (Version::V3_6, Starter::Kubelet),
    ] {
        let machines = Machines::builder(version).started_by(starter).start()?;
        let machine = machines.machine(0);
        machines.put("kept", "1")?;
        let backup = machines.save("backup.db")?;
        machines.put("lost", "1")?;
        let manifest = fs::read(machine.manifest()).ok();

        let recovery = planned(machine, &backup, PlanOptions::default())?;
        let report = apply_recovery(&recovery, &options(machine))?;
        ensure!(
            has(&machines, "kept")? && !has(&machines, "lost")?,
            "{version}"
        );
        ensure!(report.waiting_for_members == 0 && report.steps.len() == 8);
        ensure!(report.notes.len() == 1, "{version}: {:?}", report.notes);
        let old = report.old_data.expect("it is kept");
        ensure!(machine.on_disk(old).join("snap/db").exists());
        ensure!(machines.revision(0)? >= recovery.revision.get());
        ensure!(fs::read(machine.manifest()).ok() == manifest);
        if starter == Starter::Kubelet {
            let log = machine.kubelet().log();
            expect_in_order(
                &log,
                &[
                    ("kube-apiserver", What::Stopped),
                    ("etcd", What::Started),
                    ("kube-apiserver", What::Started),
                ],
            )?;
        }
    }
    Ok(())
}

/// At every event of every step; then on, and then, after another death, back.
#[test]
fn a_run_that_is_killed_anywhere_goes_on_and_goes_back() -> Result<()> {
    let events = (1..=8).flat_map(|number| [format!("{number}?"), format!("{number}!")]);
    let events = sample(events, 4);
    for starter in [Starter::Systemd, Starter::Kubelet] {
        let machines = Machines::builder(Version::V3_6)
            .started_by(starter)
            .start()?;
        let machine = machines.machine(0);
        for at in &events {
            machines.put("kept", at)?;
            let backup = machines.save(&format!("{starter:?}-{at}.db"))?;
            machines.put("lost", at)?;
            let recovery = planned(machine, &backup, PlanOptions::default())?;
            killed(machine, Some(&recovery), at)?;
            roll_back_recovery(&options(machine))?;
            ensure!(has(&machines, "lost")?, "{at}");

            let recovery = planned(machine, &backup, PlanOptions::default())?;
            killed(machine, Some(&recovery), at)?;
            resume_recovery(&options(machine))?;
            ensure!(has(&machines, "kept")? && !has(&machines, "lost")?, "{at}");
        }
    }
    Ok(())
}

#[test]
fn a_roll_back_that_is_killed_anywhere_is_finished() -> Result<()> {
    let events = (1..=6).flat_map(|number| [format!("{number}?"), format!("{number}!")]);
    let machines = Machines::builder(Version::V3_6)
        .started_by(Starter::Systemd)
        .start()?;
    let machine = machines.machine(0);
    let backup = machines.save("backup.db")?;
    machines.put("lost", "1")?;
    for at in sample(events, 3) {
        let recovery = planned(machine, &backup, PlanOptions::default())?;
        killed(machine, Some(&recovery), "7!")?;
        killed(machine, None, &at)?;
        let error = resume_recovery(&options(machine)).unwrap_err();
        ensure!(error.kind() == ErrorKind::Refused, "{at}: {error}");
        roll_back_recovery(&options(machine))?;
        ensure!(has(&machines, "lost")?, "{at}");
    }
    Ok(())
}

#[test]
fn a_member_waits_for_the_others_and_proves_them_later() -> Result<()> {
    let machines = Machines::builder(Version::V3_6)
        .machines(3)
        .started_by(Starter::Systemd)
        .start()?;
    machines.put("kept", "1")?;
    let backup = machines.save("backup.db")?;
    machines.put("lost", "1")?;
    for machine in machines.all() {
        machine.stop_all()?;
    }
    let first = planned(machines.machine(0), &backup, PlanOptions::default())?;
    let plan = first.restore.clone();
    let error = apply_recovery(&first, &options(machines.machine(0))).unwrap_err();
    ensure!(error.kind() == ErrorKind::Waiting, "{error:?}");
    ensure!(
        error.to_string().contains("waits for 1 more member"),
        "{error}"
    );
    for place in 1..3 {
        let machine = machines.machine(place);
        let given = PlanOptions::default().with_plan(plan.clone());
        apply_recovery(&planned(machine, &backup, given)?, &options(machine))?;
    }
    let report = resume_recovery(&options(machines.machine(0)))?;
    ensure!(report.notes.len() == 1, "{:?}", report.notes);
    ensure!(has(&machines, "kept")? && !has(&machines, "lost")?);
    Ok(())
}

/// The journal is made to expect something else than what was restored.
#[test]
fn a_member_that_holds_something_else_is_not_proven() -> Result<()> {
    let machines = Machines::builder(Version::V3_6).start()?;
    let machine = machines.machine(0);
    machines.put("kept", "1")?;
    let backup = machines.save("backup.db")?;
    let recovery = planned(machine, &backup, PlanOptions::default())?;
    killed(machine, Some(&recovery), "6!")?;
    let journal = machine.on_disk("/var/lib/etcd-snap/recovery.json");
    let sound = fs::read_to_string(&journal)?;
    let expecting = |place: &str, value: serde_json::Value| -> Result<()> {
        let mut edited: serde_json::Value = serde_json::from_str(&sound)?;
        *edited.pointer_mut(place).expect("it is there") = value;
        Ok(fs::write(&journal, edited.to_string())?)
    };
    for (place, value, words) in [
        ("/facts/expected/hash", 7.into(), "what was restored has 7"),
        (
            "/recovery/restore/initial-cluster-token",
            "another".into(),
            "started from other data",
        ),
    ] {
        expecting(place, value)?;
        let error = resume_recovery(&options(machine)).unwrap_err();
        ensure!(error.kind() == ErrorKind::Unproven, "{error:?}");
        ensure!(error.to_string().contains(words), "{error}");
        // Whoever would write waits outside.
        ensure!(!machine.api_server_answers());
        let kept = error
            .remedy()
            .expect("a remedy")
            .contains("the old member is kept as");
        ensure!(kept, "{error:?}");
    }
    fs::write(&journal, &sound)?;
    resume_recovery(&options(machine))?;
    machine.kubelet().wait_until_settled()?;
    ensure!(machine.api_server_answers() && has(&machines, "kept")?);
    Ok(())
}
