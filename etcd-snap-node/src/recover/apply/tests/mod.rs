//! Recoveries of machines of the tests, most of them without a server; `real.rs` has those with one.

mod meanwhile;
mod mounted;
mod real;
mod refused;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use etcd_snap::{MemberTarget, NewCluster, RestoreOptions, RestorePlan, Snapshot, restore};

use super::*;
use crate::recover::{FileChange, MovedManifest, RecoveryStep, RecoveryTarget, StopBy};
use crate::{
    Action, Data, Etcd, Event, Finding, Layout, Observer, Place, Root, RunBy, TlsSettings,
};

fn testdata(name: &str) -> PathBuf {
    etcd_snap_testdata::folder().join(name)
}

/// An etcd that a unit starts, at ports where nobody listens.
fn etcd(name: &str) -> Etcd {
    let url = |port: u16| vec![format!("http://127.0.0.1:{port}")];
    Etcd {
        run_by: RunBy::Systemd {
            unit: "etcd.service".into(),
            unit_file: "/usr/lib/systemd/system/etcd.service".into(),
            drop_ins: Vec::new(),
            environment_files: Vec::new(),
            user: None,
        },
        layout: Layout::Systemd,
        name: name.into(),
        data_dir: Place::of_host("/var/lib/etcd"),
        wal_dir: None,
        listen_client_urls: url(1),
        advertise_client_urls: url(1),
        listen_peer_urls: url(2),
        initial_advertise_peer_urls: url(2),
        initial_cluster: Vec::new(),
        initial_cluster_state: "new".into(),
        initial_cluster_token: "etcd-cluster".into(),
        version: None,
        quota_bytes: None,
        client_tls: TlsSettings::default(),
        peer_tls: TlsSettings::default(),
        certificates: Vec::new(),
        client_identity: None,
        settings: std::collections::BTreeMap::new(),
        config_file: None,
        data: None,
        process: None,
        findings: Vec::new(),
    }
}

/// A tree with an old member, a program that stands in for `systemctl` and notes what it is asked, and a plan that ends when etcd is
/// started.
struct World {
    folder: tempfile::TempDir,
    recovery: Recovery,
    options: ApplyOptions,
}

const DATA: &str = "/var/lib/etcd";

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let data_dir = root.open_as(Path::new(DATA));
        member_in(&data_dir, "old");
        let systemctl = folder.path().join("systemctl");
        let log = folder.path().join("systemctl.log");
        program(&systemctl, &format!("echo \"$@\" >> {}", log.display()));
        let recovery = recovery(etcd("m1"), &folder.path().join("backup.db"));
        Self {
            options: ApplyOptions::default()
                .with_root(root)
                .with_systemctl(&systemctl)
                .with_stop_timeout(Duration::from_secs(60))
                .with_pause(Duration::from_millis(5)),
            folder,
            recovery,
        }
    }

    /// The same, with kubelet instead of systemd.
    fn of_kubelet() -> Self {
        let mut world = Self::new();
        let directory = PathBuf::from("/etc/kubernetes/manifests");
        let aside = PathBuf::from("/etc/kubernetes/aside");
        fs::create_dir_all(world.on_disk("/etc/kubernetes/manifests")).unwrap();
        let mut manifests = Vec::new();
        for pod in ["etcd", "kube-apiserver", "kube-scheduler"] {
            let from = directory.join(format!("{pod}.yaml"));
            fs::write(world.on_disk(&from), format!("# {pod}\n")).unwrap();
            manifests.push(MovedManifest {
                sha256: crate::recover::files::sha256(&world.options.root, &from)
                    .unwrap()
                    .unwrap(),
                to: aside.join(format!("{pod}.yaml")),
                pod: pod.into(),
                from,
            });
        }
        world.recovery.etcd.run_by = RunBy::StaticPod {
            manifest: directory.join("etcd.yaml"),
            pod: "etcd".into(),
            container: "etcd".into(),
            image: None,
            mounts: Vec::new(),
            run_as_user: None,
            run_as_group: None,
        };
        world.recovery.stop = StopBy::Manifests {
            directory,
            aside,
            manifests,
        };
        world
    }

    fn on_disk(&self, path: impl AsRef<Path>) -> PathBuf {
        self.options.root.open_as(path.as_ref())
    }

    fn database(&self) -> Vec<u8> {
        fs::read(self.on_disk(DATA).join("member/snap/db")).unwrap()
    }

    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("systemctl.log"));
        log.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn manifests(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.on_disk("/etc/kubernetes/manifests"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Journals, and what else is in the state directory.
    fn state(&self) -> Vec<String> {
        let names = self.options.root.names(Path::new("/var/lib/etcd-snap"));
        let names = names.unwrap().into_iter();
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    fn names_in_data(&self) -> Vec<String> {
        let names = self
            .options
            .root
            .names(Path::new(DATA))
            .unwrap()
            .into_iter();
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }
}

fn program(path: &Path, lines: &str) {
    etcd_snap_testdata::write_program(path, &format!("#!/bin/sh\n{lines}\n")).unwrap();
}

fn cluster(token: &str) -> NewCluster {
    NewCluster::parse("m1=http://127.0.0.1:2", token).unwrap()
}

fn member_in(data_dir: &Path, token: &str) {
    fs::create_dir_all(data_dir).unwrap();
    let snapshot = Snapshot::open(testdata("snapshots/3.6.db")).unwrap();
    let target = MemberTarget::new("m1", data_dir);
    restore(
        &snapshot,
        &cluster(token),
        &[target],
        &RestoreOptions::default(),
    )
    .unwrap();
}

fn steps(actions: &[Action]) -> Vec<RecoveryStep> {
    let steps = actions.iter().enumerate();
    steps
        .map(|(n, action)| RecoveryStep {
            number: n + 1,
            action: *action,
            title: format!("{action:?}"),
            by_hand: Vec::new(),
        })
        .collect()
}

fn recovery(etcd: Etcd, backup: &Path) -> Recovery {
    fs::copy(testdata("snapshots/3.6.db"), backup).unwrap();
    let snapshot = Snapshot::open(backup).unwrap();
    let options = RestoreOptions::default();
    let digest = RestorePlan::digest_of(&snapshot, &options, &etcd_snap::Silent).unwrap();
    let restore = RestorePlan::new(digest, &cluster("fresh"), &options).unwrap();
    Recovery {
        schema: 1,
        snapshot: backup.to_owned(),
        snapshot_sha256: digest,
        revision: etcd_snap::fast_status(&snapshot).unwrap().revision,
        etcd,
        restore,
        member: "m1".into(),
        target: RecoveryTarget::InPlace {
            data_dir: DATA.into(),
            wal_dir: None,
            staged: "/var/lib/etcd/.etcd-snap-recovery-1".into(),
            staged_wal: None,
        },
        owner: None,
        stop: StopBy::Unit {
            unit: "etcd.service".into(),
        },
        configured_by: Vec::new(),
        changes: Vec::new(),
        steps: steps(&[
            Action::Verify,
            Action::Stage,
            Action::Stop,
            Action::WaitUntilStopped,
            Action::Swap,
            Action::Start,
        ]),
        findings: Vec::new(),
        others: Vec::new(),
        afterwards: vec!["everything".into()],
    }
}

/// Notes steps, and stops the work when it is told so.
#[derive(Default)]
struct Watcher {
    seen: Mutex<Vec<String>>,
    stop_at: Option<&'static str>,
}

impl Watcher {
    fn stopping_at(event: &'static str) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            stop_at: Some(event),
        })
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Observer for Watcher {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        let text = match event {
            Event::StepStarted { title, .. } => format!("{title}?"),
            Event::StepDone { number, .. } => format!("{number}!"),
            Event::Waiting { .. } => "waiting".into(),
            _ => return ControlFlow::Continue(()),
        };
        let stops = self.stop_at.is_some_and(|at| text == at);
        self.seen.lock().unwrap().push(text);
        if stops {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

use std::sync::Arc;

#[test]
fn a_member_is_swapped_and_swapped_back() {
    let world = World::new();
    let old = world.database();
    let watcher = Arc::new(Watcher::default());
    let options = world.options.clone().with_observer(watcher.clone());

    let report = apply_recovery(&world.recovery, &options).unwrap();
    let new = world.database();
    assert_ne!(new, old);
    assert_eq!(
        world.calls(),
        ["stop etcd.service", "start --no-block etcd.service"]
    );
    let kept = report.old_data.unwrap();
    assert_eq!(fs::read(world.on_disk(&kept).join("snap/db")).unwrap(), old);
    assert_eq!(report.afterwards, ["everything"]);
    assert_eq!(report.steps.len(), 6);
    assert_eq!(watcher.seen()[..3], ["Verify?", "1!", "Stage?"]);
    assert_eq!(
        world.names_in_data().len(),
        2,
        "{:?}",
        world.names_in_data()
    );
    let state = world.state();
    assert_eq!(state.len(), 2, "{state:?}");
    assert!(!state.contains(&"recovery.json".to_owned()), "{state:?}");

    let error = resume_recovery(&world.options).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::NotFound, "{error}");
    // The last one that is over can be taken back, once.
    let report = roll_back_recovery(&world.options).unwrap();
    let told = report.afterwards.join(" ");
    assert!(told.contains("are not cancelled"), "{told}");
    let database = "/var/lib/etcd/member/snap/db";
    assert_eq!(fs::read(world.on_disk(database)).unwrap(), old);
    let error = roll_back_recovery(&world.options).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::NotFound, "{error}");
}

#[test]
fn manifests_go_clients_first_and_come_back_server_first() {
    let world = World::of_kubelet();
    let before = world.manifests();
    let watcher = Watcher::stopping_at("3!");
    let options = world.options.clone().with_observer(watcher);
    let error = apply_recovery(&world.recovery, &options).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Cancelled, "{error}");
    assert!(error.remedy().unwrap().contains("--rollback"), "{error:?}");
    assert_eq!(world.manifests(), [""; 0]);

    // etcd alone is back when it is to serve.
    let watcher = Watcher::stopping_at("6!");
    let options = world.options.clone().with_observer(watcher.clone());
    resume_recovery(&options).unwrap_err();
    assert_eq!(watcher.seen()[0], "Stop?");
    assert_eq!(world.manifests(), ["etcd.yaml"]);
    resume_recovery(&world.options).unwrap();
    assert_eq!(world.manifests(), before);
    assert!(!world.on_disk("/etc/kubernetes/aside").exists());
}

/// A run that is stopped between any two steps, or in one, goes on, and goes back.
#[test]
fn every_step_can_be_the_last_before_a_resume_or_a_roll_back() {
    let events = [
        "Verify?",
        "1!",
        "Stage?",
        "2!",
        "Stop?",
        "3!",
        "WaitUntilStopped?",
        "4!",
        "Swap?",
        "5!",
        "Start?",
        "6!",
    ];
    for at in events {
        for make in [World::new, World::of_kubelet] {
            let mut world = make();
            world.recovery.restore.initial_cluster_token = format!("fresh-{at}");
            let old = world.database();
            let stopping = |world: &World| {
                let options = world
                    .options
                    .clone()
                    .with_observer(Watcher::stopping_at(at));
                let error = apply_recovery(&world.recovery, &options).unwrap_err();
                assert_eq!(error.kind(), crate::ErrorKind::Cancelled, "{at}: {error}");
                // Another one does not begin.
                let error = apply_recovery(&world.recovery, &world.options).unwrap_err();
                assert_eq!(error.kind(), crate::ErrorKind::Busy, "{at}: {error}");
                assert!(
                    error.remedy().unwrap().contains("--resume"),
                    "{at}: {error:?}"
                );
            };
            stopping(&world);
            roll_back_recovery(&world.options).unwrap();
            assert_eq!(world.database(), old, "{at}");
            let left = world.names_in_data();
            assert!(
                left.iter()
                    .all(|name| name == "member" || name.starts_with("member.undone-")),
                "{at}: {left:?}"
            );

            stopping(&world);
            resume_recovery(&world.options).unwrap();
            assert_ne!(world.database(), old, "{at}");
            assert!(!world.state().contains(&"recovery.json".to_owned()), "{at}");
        }
    }
}

#[test]
fn a_roll_back_that_was_stopped_is_finished_by_another_one() {
    let events = [
        "stop etcd.service?",
        "1!",
        "2!",
        "put the old member back?",
        "3!",
        "4!",
        "5!",
        "6!",
    ];
    for at in events {
        let world = World::new();
        let old = world.database();
        let options = world
            .options
            .clone()
            .with_observer(Watcher::stopping_at("6!"));
        apply_recovery(&world.recovery, &options).unwrap_err();
        let options = world
            .options
            .clone()
            .with_observer(Watcher::stopping_at(at));
        let error = roll_back_recovery(&options).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Cancelled, "{at}: {error}");
        let error = resume_recovery(&world.options).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Refused, "{at}: {error}");
        let report = roll_back_recovery(&world.options).unwrap();
        assert_eq!(world.database(), old, "{at}");
        assert_eq!(report.old_data, None);
        let told = |note: &String| {
            note.contains("the restored member is kept as /var/lib/etcd/member.undone-")
        };
        assert!(report.notes.iter().any(told), "{at}: {:?}", report.notes);
    }
}

#[test]
fn a_data_directory_without_a_member_gets_one_and_loses_it_again() {
    let mut world = World::new();
    fs::remove_dir_all(world.on_disk(DATA)).unwrap();
    world.recovery.etcd.data = None;
    let options = world
        .options
        .clone()
        .with_observer(Watcher::stopping_at("6!"));
    apply_recovery(&world.recovery, &options).unwrap_err();
    assert!(!world.database().is_empty());
    roll_back_recovery(&world.options).unwrap();
    let left = world.names_in_data();
    assert!(
        left.len() == 1 && left[0].starts_with("member.undone-"),
        "{left:?}"
    );
}

#[test]
fn a_drop_in_is_made_and_removed_with_its_directory() {
    let mut world = World::new();
    let drop_in = PathBuf::from("/etc/systemd/system/etcd.service.d/90-etcd-snap.conf");
    world.recovery.target = RecoveryTarget::NewDataDir {
        data_dir: "/var/lib/etcd-new".into(),
    };
    world.recovery.changes = vec![FileChange {
        path: drop_in.clone(),
        before: None,
        after: "[Service]\n".into(),
        diff: "+[Service]\n".into(),
    }];
    world.recovery.steps = steps(&[
        Action::Verify,
        Action::Stage,
        Action::Stop,
        Action::WaitUntilStopped,
        Action::Change,
        Action::Start,
    ]);
    fs::create_dir_all(world.on_disk("/etc/systemd")).unwrap();
    let old = world.database();
    for at in ["4!", "Change?", "5!", "6!"] {
        let options = world
            .options
            .clone()
            .with_observer(Watcher::stopping_at(at));
        apply_recovery(&world.recovery, &options).unwrap_err();
        roll_back_recovery(&world.options).unwrap();
        assert!(!world.on_disk("/etc/systemd/system").exists(), "{at}");
        // What a server may have used stays.
        assert_eq!(
            world.on_disk("/var/lib/etcd-new").exists(),
            at == "6!",
            "{at}"
        );
    }
    fs::remove_dir_all(world.on_disk("/var/lib/etcd-new")).unwrap();
    apply_recovery(&world.recovery, &world.options).unwrap();
    assert_eq!(
        fs::read_to_string(world.on_disk(&drop_in)).unwrap(),
        "[Service]\n"
    );
    assert_eq!(world.database(), old);
    assert!(world.on_disk("/var/lib/etcd-new/member/snap/db").exists());
    let calls = world.calls();
    let last = &calls[calls.len() - 3..];
    assert_eq!(
        last,
        [
            "stop etcd.service",
            "daemon-reload",
            "start --no-block etcd.service"
        ]
    );
}

/// As a plan stages it: in the directories that it goes to.
#[test]
fn a_log_with_a_directory_of_its_own_goes_and_comes_back_with_its_member() {
    let segments = |world: &World| {
        let names = world.options.root.names(Path::new("/var/wal")).unwrap();
        let segments = names
            .into_iter()
            .filter(|name| name.to_string_lossy().ends_with(".wal"));
        segments
            .map(|name| fs::read(world.on_disk("/var/wal").join(name)).unwrap()[..2048].to_vec())
            .collect::<Vec<_>>()
    };
    for at in ["4!", "Swap?", "5!", "6!"] {
        let mut world = World::new();
        fs::rename(
            world.on_disk(DATA).join("member/wal"),
            world.on_disk("/var/wal"),
        )
        .unwrap();
        world.recovery.etcd.wal_dir = Some(Place::of_host("/var/wal"));
        world.recovery.target = RecoveryTarget::InPlace {
            data_dir: DATA.into(),
            wal_dir: Some("/var/wal".into()),
            staged: "/var/lib/etcd/.etcd-snap-recovery-1".into(),
            staged_wal: Some("/var/wal/.etcd-snap-recovery-1".into()),
        };
        let (old, log) = (world.database(), segments(&world));
        let options = world
            .options
            .clone()
            .with_observer(Watcher::stopping_at(at));
        apply_recovery(&world.recovery, &options).unwrap_err();
        roll_back_recovery(&world.options).unwrap();
        assert_eq!(
            (world.database(), segments(&world)),
            (old.clone(), log.clone()),
            "{at}"
        );

        apply_recovery(&world.recovery, &options).unwrap_err();
        resume_recovery(&world.options).unwrap();
        assert_ne!(world.database(), old, "{at}");
        assert!(
            segments(&world).len() == 1 && segments(&world) != log,
            "{at}"
        );
        assert!(
            !world.on_disk("/var/wal/.etcd-snap-recovery-1").exists(),
            "{at}"
        );
    }
}
