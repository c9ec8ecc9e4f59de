//! A server that is started while its data directory is being worked on.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    ErrorKind, Event, MemberTarget, NewCluster, Observer, Phase, RestoreOptions, Snapshot,
};
use etcd_snap_testdata::cluster::{Cluster, Security, Workload};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::{golden, sample};

/// Stops before the last step until it may go on.
pub(crate) struct Gate {
    arrived: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl Gate {
    /// The gate, who hears of it when the work is there, and who lets it go on.
    pub(crate) fn new() -> (Self, Receiver<()>, Sender<()>) {
        let (arrived, arrives) = channel();
        let (go_on, goes_on) = channel();
        let gate = Self {
            arrived: Mutex::new(arrived),
            go_on: Mutex::new(goes_on),
        };
        (gate, arrives, go_on)
    }
}

impl Observer for Gate {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if *event == Event::Started(Phase::Publish) {
            self.arrived.lock().unwrap().send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
        }
        ControlFlow::Continue(())
    }
}

/// The server of the only member, which nobody waits for.
pub(crate) fn start(cluster: &Cluster) -> Result<Child> {
    let member = &cluster.members()[0];
    let etcd = etcd_snap_testdata::stoppable(&cluster.binaries().etcd)
        .args(["--name", member.name(), "--logger", "zap", "--data-dir"])
        .arg(member.data_dir())
        .args(["--listen-client-urls", member.client_url()])
        .args(["--advertise-client-urls", member.client_url()])
        .args(["--listen-peer-urls", member.peer_url()])
        .args(["--initial-advertise-peer-urls", member.peer_url()])
        .args(["--initial-cluster", &cluster.initial_cluster()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(etcd)
}

pub(crate) fn wait_until_open(process: u32, file: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let file = file.canonicalize()?;
    while Instant::now() < deadline {
        // The process may be a wrapper that has not become the server yet.
        for entry in fs::read_dir(format!("/proc/{process}/fd"))?.flatten() {
            if fs::read_link(entry.path()).is_ok_and(|to| to == file) {
                return Ok(());
            }
        }
        std::thread::yield_now();
    }
    anyhow::bail!("the server did not open its database")
}

/// It has opened the old database and waits for its lock: with the new names it would run on the old data with the new log.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_was_started_during_a_replacement_keeps_its_data() -> Result<()> {
    let version = sample(Version::ALL, 1)[0];
    let mut cluster = Cluster::builder(version)
        .security(Security::Plain)
        .start()?;
    cluster.write(&Workload::default())?;
    let (revision, keys) = cluster.keys_at(0)?;
    cluster.stop(0)?;
    let member = &cluster.members()[0];
    let data_dir = member.data_dir().to_owned();
    let snapshot = Snapshot::open(golden::snapshot(Version::V3_4))?;
    let new = NewCluster::parse(&cluster.initial_cluster(), "replaced")?;
    let target = [MemberTarget::new(member.name(), &data_dir)];

    let (gate, arrives, go_on) = Gate::new();
    let options = RestoreOptions::default()
        .with_replace(true)
        .with_observer(Arc::new(gate));
    std::thread::scope(|scope| -> Result<()> {
        let restore = scope.spawn(|| etcd_snap::restore(&snapshot, &new, &target, &options));
        arrives.recv()?;
        let mut etcd = start(&cluster)?;
        let waits = wait_until_open(etcd.id(), &member.database());
        go_on.send(())?;
        let error = restore.join().expect("it does not panic").err();
        etcd.kill()?;
        etcd.wait()?;
        waits?;
        let error = error.context("it was replaced under a server")?;
        ensure!(error.kind() == ErrorKind::Busy, "{error:?}");
        let process = format!("process {} (etcd)", etcd.id());
        ensure!(error.to_string().contains(&process), "{error}");
        Ok(())
    })?;
    let names: Vec<_> = fs::read_dir(&data_dir)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    ensure!(names == ["member"], "{names:?}");

    cluster.start_member(0)?;
    ensure!(cluster.keys_at(0)? == (revision, keys));
    Ok(())
}
