//! What runs, beside what is configured.

use super::compose::{Described, Starter, View, describe};
use crate::config::configure;
use crate::process::{self, Process};
use crate::{Error, ErrorKind, Finding, Root, RunBy, RunningProcess};

/// Gives each process to the etcd that is configured so, and describes those that nobody configures.
pub(super) fn add(root: &Root, known: &mut Vec<Described>, findings: &mut Vec<Finding>) {
    for process in process::etcds(root) {
        let owner = known.iter_mut().find(|it| is_its_own(it, &process));
        match owner {
            Some(described) => take(root, described, &process),
            None => add_unknown(root, process, known, findings),
        }
    }
}

fn as_running(process: &Process) -> RunningProcess {
    RunningProcess {
        pid: process.pid,
        uid: process.uid,
        executable: process.executable.clone(),
    }
}

/// By its unit; of a container, by its name and its data directory, as both sides of the container call it.
fn is_its_own(described: &Described, process: &Process) -> bool {
    if described.etcd.process.is_some() {
        return false;
    }
    if let (RunBy::Systemd { unit, .. }, Some(of)) = (&described.etcd.run_by, &process.unit)
        && unit == of
    {
        return true;
    }
    let unread =
        |path: &std::path::Path| Err(Error::new(ErrorKind::NotFound, path.display().to_string()));
    let running = configure(&process.invocation, &unread);
    match (&described.configuration.config_file, &running.config_file) {
        (Some(configured), Some(running)) => configured == running,
        (None, None) => {
            running.name() == described.configuration.name()
                && (running.data_dir() == described.configuration.data_dir()
                    || running.listen_peer_urls() == described.configuration.listen_peer_urls())
        }
        _ => false,
    }
}

fn take(root: &Root, described: &mut Described, process: &Process) {
    described.etcd.process = Some(as_running(process));
    // Of a file, only what is in it now is known.
    if described.configuration.config_file.is_some() {
        return;
    }
    let unread =
        |path: &std::path::Path| Err(Error::new(ErrorKind::NotFound, path.display().to_string()));
    let running = configure(&process.invocation, &unread);
    described.learn(root, &running, process.pid);
    // Without its variables nobody knows with what all it was started.
    if !process.variables_read {
        return;
    }
    let differences = process::differs(&described.configuration, &running);
    if differences.is_empty() {
        return;
    }
    let remedy = match &described.etcd.run_by {
        RunBy::Systemd { unit, .. } => format!(
            "`systemctl daemon-reload`, then `systemctl restart {unit}`, or take the change back"
        ),
        _ => "the pod was not started anew since its manifest changed: see what kubelet says of it"
            .to_owned(),
    };
    described.etcd.findings.push(
        Finding::warning(
            "configuration-not-loaded",
            format!(
                "the running etcd (process {}) is not the one that is configured: {}",
                process.pid,
                differences.join("; ")
            ),
        )
        .with_remedy(remedy),
    );
}

fn add_unknown(
    root: &Root,
    process: Process,
    known: &mut Vec<Described>,
    findings: &mut Vec<Finding>,
) {
    let running = as_running(&process);
    let view = match process.in_container {
        true => View::Unknown,
        false => View::Machine,
    };
    let starter = Starter {
        run_by: RunBy::Process,
        invocation: process.invocation,
        view,
        image: None,
        layout: None,
        findings: vec![Finding::note(
            "starter-unknown",
            format!(
                "nothing on this machine that was looked at starts the etcd with the process number {}",
                running.pid
            ),
        )],
    };
    match describe(root, starter) {
        Ok(mut described) => {
            described.etcd.process = Some(running);
            known.push(described);
        }
        Err(more) => findings.extend(more),
    }
}
