//! Recoveries from end to end: real etcd servers on trees that look like nodes, started and stopped by stand-ins for kubelet and
//! systemd.

mod elsewhere;
mod killed;
mod odd;
mod several;
mod whole;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etcd_snap_node::{
    Action, ApplyOptions, DiscoverOptions, Event, Node, Observer, PlanOptions, Recovery,
    RecoveryReport, Root, apply_recovery, discover, plan_recovery,
};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::node::{Machine, Machines, Starter};

const BOTH: [Starter; 2] = [Starter::Kubelet, Starter::Systemd];

/// Machines whose cluster has a snapshot, and keys that are younger than that.
struct Scene {
    machines: Arc<Machines>,
    snapshot: PathBuf,
    /// What the snapshot has.
    saved: Vec<(String, String)>,
    /// What was there at last.
    last: Vec<(String, String)>,
    /// The revision then.
    revision: i64,
}

impl Scene {
    fn new(version: Version, starter: Starter, count: usize) -> Result<Self> {
        let machines = Machines::builder(version)
            .machines(count)
            .started_by(starter)
            .start()?;
        machines.put_many("saved", 150)?;
        machines.put("changes", "early")?;
        let saved = machines.keys(0)?;
        let snapshot = machines.save("backup.db")?;
        machines.put("changes", "late")?;
        machines.put("after/the-snapshot", "only-here")?;
        Ok(Self {
            saved,
            snapshot,
            last: machines.keys(0)?,
            revision: machines.revision(0)?,
            machines: Arc::new(machines),
        })
    }

    fn machine(&self, place: usize) -> &Machine {
        self.machines.machine(place)
    }

    fn plan(&self, place: usize) -> Result<Recovery> {
        self.plan_with(place, &plan_options(self.machine(place)))
    }

    fn plan_with(&self, place: usize, options: &PlanOptions) -> Result<Recovery> {
        let node = describe(self.machine(place))?;
        Ok(plan_recovery(&node, &self.snapshot, options)?)
    }

    /// Life goes on after a recovery, until the next one: keys come that the snapshot does not have.
    fn live_on(&mut self) -> Result<()> {
        self.machines.put("changes", "late")?;
        self.machines.put("after/the-snapshot", "only-here")?;
        self.last = self.machines.keys(0)?;
        self.revision = self.machines.revision(0)?;
        Ok(())
    }

    /// What the snapshot has is back, at a revision above all that was seen.
    fn is_back(&self, place: usize) -> Result<()> {
        ensure!(self.machines.keys(place)? == self.saved, "other keys");
        let revision = self.machines.revision(place)?;
        ensure!(
            revision > self.revision,
            "revision {revision} after {} was seen",
            self.revision
        );
        Ok(())
    }
}

/// What discovery finds on a machine.
fn describe(machine: &Machine) -> Result<Node> {
    let root = Root::new(machine.root());
    Ok(discover(&DiscoverOptions::default().with_root(root))?)
}

fn plan_options(machine: &Machine) -> PlanOptions {
    PlanOptions::default()
        .with_root(Root::new(machine.root()))
        .with_force_with_quorum(true)
}

fn apply_options(machine: &Machine) -> ApplyOptions {
    let options = ApplyOptions::default()
        .with_root(Root::new(machine.root()))
        // Members that are there find a leader in much less.
        .with_quorum_patience(Duration::from_secs(60));
    match machine.starter() {
        Starter::Kubelet => options,
        Starter::Systemd => options.with_systemctl(machine.systemd().systemctl()),
    }
}

/// Applies, and sees to it that nothing ran while members were exchanged.
fn apply(scene: &Scene, place: usize, recovery: &Recovery) -> Result<RecoveryReport> {
    let witness = Arc::new(Witness::new(scene, place, recovery));
    let options = apply_options(scene.machine(place)).with_observer(witness.clone());
    let report = apply_recovery(recovery, &options)?;
    witness.check(recovery)?;
    Ok(report)
}

/// Notes what runs while steps begin and end.
struct Witness {
    machines: Arc<Machines>,
    place: usize,
    actions: Vec<Action>,
    seen: Mutex<Vec<Seen>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    action: Action,
    is_done: bool,
    etcd_port_is_open: bool,
    api_server_answers: bool,
}

impl Witness {
    fn new(scene: &Scene, place: usize, recovery: &Recovery) -> Self {
        Self {
            machines: scene.machines.clone(),
            place,
            actions: recovery.steps.iter().map(|step| step.action).collect(),
            seen: Mutex::default(),
        }
    }

    fn check(&self, recovery: &Recovery) -> Result<()> {
        let seen = self.seen.lock().expect("no panic").clone();
        let done: Vec<_> = seen.iter().filter(|it| it.is_done).collect();
        ensure!(
            done.len() == recovery.steps.len(),
            "not every step was done: {seen:#?}"
        );
        for it in &seen {
            ensure!(
                it.action != Action::Swap || !(it.etcd_port_is_open || it.api_server_answers),
                "something runs: {it:?}"
            );
        }
        Ok(())
    }
}

impl Observer for Witness {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        let (number, is_done) = match event {
            Event::StepStarted { number, .. } => (*number, false),
            Event::StepDone { number, .. } => (*number, true),
            _ => return ControlFlow::Continue(()),
        };
        let machine = self.machines.machine(self.place);
        let seen = Seen {
            action: self.actions[number - 1],
            is_done,
            etcd_port_is_open: machine.etcd_port_is_open(),
            api_server_answers: machine.api_server_answers(),
        };
        self.seen.lock().expect("no panic").push(seen);
        ControlFlow::Continue(())
    }
}

/// Files with their content, owner and mode.
type Files = BTreeMap<PathBuf, (Vec<u8>, u32, u32)>;

/// Every file of the machine that says how something runs.
fn configuration(machine: &Machine) -> Result<Files> {
    let mut files = BTreeMap::new();
    for directory in ["etc", "usr/lib"] {
        read_below(&machine.root().join(directory), &mut files)?;
    }
    Ok(files)
}

fn read_below(directory: &Path, files: &mut Files) -> Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            read_below(&path, files)?;
        } else {
            let about = fs::metadata(&path)?;
            let content = fs::read(&path).with_context(|| path.display().to_string())?;
            files.insert(path, (content, about.uid(), about.mode()));
        }
    }
    Ok(())
}

/// The names in a directory that begin like this.
fn names_like(directory: &Path, beginning: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(beginning) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a database still holds these bytes.
fn holds(database: &Path, words: &str) -> Result<bool> {
    let bytes = fs::read(database).with_context(|| database.display().to_string())?;
    Ok(bytes
        .windows(words.len())
        .any(|window| window == words.as_bytes()))
}
