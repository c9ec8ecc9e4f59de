//! What is refused, and what is said then.

use std::net::TcpListener;

use super::*;
use crate::{ConfiguredBy, ErrorKind};

fn nothing_happened(world: &World, old: &[u8]) {
    assert_eq!(world.database(), old);
    assert_eq!(world.names_in_data(), ["member"]);
    assert!(!world.state().contains(&"recovery.json".to_owned()));
}

#[test]
fn a_plan_that_does_not_fit_the_machine_any_more_is_refused() {
    type Change = fn(&mut World);
    let cases: [(Change, ErrorKind, &str); 9] = [
        (
            |world| {
                let unit = "/etc/default/etcd";
                let file = ConfiguredBy {
                    path: unit.into(),
                    sha256: None,
                };
                world.recovery.configured_by.push(file);
                let path = world.on_disk(unit);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "ETCD_DATA_DIR=/elsewhere").unwrap();
            },
            ErrorKind::Refused,
            "/etc/default/etcd has appeared since the plan was made",
        ),
        (
            |world| {
                let finding = Finding::error("extra-manifest", "two manifests are there");
                world
                    .recovery
                    .findings
                    .push(finding.with_remedy("move one away"));
            },
            ErrorKind::Refused,
            "two manifests are there",
        ),
        (
            |world| world.recovery.etcd.layout = Layout::K3s,
            ErrorKind::Unsupported,
            "k3s owns",
        ),
        (
            |world| fs::write(world.on_disk("/etc/kubernetes/manifests/etcd.yaml"), "x").unwrap(),
            ErrorKind::Refused,
            "etcd.yaml was changed since the plan was made",
        ),
        (
            |world| {
                fs::remove_file(world.on_disk("/etc/kubernetes/manifests/kube-apiserver.yaml"))
                    .unwrap();
            },
            ErrorKind::Refused,
            "kube-apiserver.yaml is gone since",
        ),
        (
            |world| {
                let other = testdata("snapshots/3.5.db");
                fs::copy(other, &world.recovery.snapshot).unwrap();
            },
            ErrorKind::Refused,
            "is not the snapshot that the plan was made for",
        ),
        (
            |world| {
                world.recovery.etcd.data = Some(Data {
                    exists: true,
                    has_member: false,
                    database_bytes: None,
                    uid: None,
                    gid: None,
                    mode: None,
                    others: Vec::new(),
                });
            },
            ErrorKind::Refused,
            "/var/lib/etcd has got a member since",
        ),
        (
            |world| world.recovery.schema = 2,
            ErrorKind::Unsupported,
            "this version knows 1",
        ),
        (
            |world| world.recovery.etcd.listen_client_urls = vec!["https://127.0.0.1:1".into()],
            ErrorKind::Misconfigured,
            "no certificate was found",
        ),
    ];
    for (change, kind, words) in cases {
        let mut world = World::of_kubelet();
        let old = world.database();
        change(&mut world);
        let error = apply_recovery(&world.recovery, &world.options).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.remedy().is_some(), "{error:?}");
        nothing_happened(&world, &old);
    }
}

#[test]
fn the_units_of_this_machine_are_not_stopped_for_a_tree() {
    let mut world = World::new();
    let old = world.database();
    world.options.systemctl = None;
    let error = apply_recovery(&world.recovery, &world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("is not this machine"), "{error}");
    assert!(error.remedy().unwrap().contains("--systemctl"), "{error:?}");
    nothing_happened(&world, &old);

    let mut options = world
        .options
        .clone()
        .with_systemctl(world.folder.path().join("systemctl"))
        .with_observer(Watcher::stopping_at("3!"));
    apply_recovery(&world.recovery, &options).unwrap_err();
    options.systemctl = None;
    let calls = world.calls();
    for verb in [resume_recovery, roll_back_recovery] {
        let error = verb(&options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert_eq!(world.calls(), calls);
    }
}

#[test]
fn what_systemctl_says_is_repeated_and_what_hangs_is_ended() {
    let world = World::new();
    let old = world.database();
    let systemctl = world.folder.path().join("systemctl");
    program(&systemctl, "echo 'Access denied by policy' >&2; exit 4");
    let error = apply_recovery(&world.recovery, &world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Command, "{error:?}");
    assert!(
        error.to_string().contains("Access denied by policy"),
        "{error}"
    );
    let remedy = error.remedy().unwrap();
    assert!(
        remedy.contains("the data in /var/lib/etcd is as it was"),
        "{remedy}"
    );

    program(&systemctl, "exec sleep 1000");
    let short = world.options.clone();
    let short = short.with_stop_timeout(Duration::from_millis(50));
    let error = resume_recovery(&short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Late, "{error:?}");
    program(&systemctl, "exit 0");
    roll_back_recovery(&world.options).unwrap();
    nothing_happened(&world, &old);
}

#[test]
fn an_etcd_that_does_not_stop_is_named_and_waited_for_again() {
    let mut world = World::new();
    let old = world.database();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", port.local_addr().unwrap());
    world.recovery.etcd.listen_peer_urls = vec![url.clone()];
    world.options = world.options.with_stop_timeout(Duration::from_secs(2));
    let error = apply_recovery(&world.recovery, &world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Late, "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&format!("still listens at {url}")),
        "{error}"
    );
    assert!(
        error
            .remedy()
            .unwrap()
            .contains("systemctl status etcd.service"),
        "{error:?}"
    );
    assert_eq!(world.database(), old);

    drop(port);
    let database = world.on_disk(DATA).join("member/snap/db");
    let server = fs::File::open(&database).unwrap();
    server.lock().unwrap();
    let error = resume_recovery(&world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Late, "{error:?}");
    assert!(error.to_string().contains("is in use"), "{error}");
    drop(server);
    resume_recovery(&world.options).unwrap();
    assert_ne!(world.database(), old);
}

#[test]
fn whoever_changes_a_manifest_meanwhile_is_told() {
    let world = World::of_kubelet();
    let old = world.database();
    let options = world
        .options
        .clone()
        .with_observer(Watcher::stopping_at("5!"));
    apply_recovery(&world.recovery, &options).unwrap_err();
    let moved = world.on_disk("/etc/kubernetes/aside/etcd.yaml");
    let text = fs::read(&moved).unwrap();
    fs::write(&moved, "other").unwrap();
    let error = resume_recovery(&world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(
        error.to_string().contains("was changed by somebody"),
        "{error}"
    );
    fs::write(&moved, text).unwrap();
    // kubeadm has written a new one meanwhile.
    let place = world.on_disk("/etc/kubernetes/manifests/etcd.yaml");
    fs::write(&place, "new").unwrap();
    let error = roll_back_recovery(&world.options).unwrap_err();
    assert!(error.to_string().contains("are both there"), "{error}");
    fs::remove_file(&place).unwrap();
    roll_back_recovery(&world.options).unwrap();
    assert_eq!(world.database(), old);
}

#[test]
fn two_runs_do_not_meet() {
    struct Second(ApplyOptions, Mutex<Option<crate::Error>>);
    impl Observer for Second {
        fn event(&self, event: &Event) -> ControlFlow<()> {
            if let Event::StepDone { number: 2, .. } = event {
                *self.1.lock().unwrap() = Some(resume_recovery(&self.0).unwrap_err());
            }
            ControlFlow::Continue(())
        }
    }
    let world = World::new();
    let second = Arc::new(Second(world.options.clone(), Mutex::default()));
    let options = world.options.clone().with_observer(second.clone());
    apply_recovery(&world.recovery, &options).unwrap();
    let error = second.1.lock().unwrap().take().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    let us = format!("process {}, since ", std::process::id());
    assert!(error.to_string().contains(&us), "{error}");
}

#[test]
fn clients_that_have_seen_more_than_the_plan_knows_stop_it_before_the_swap() {
    let mut world = World::new();
    let old = world.database();
    world.recovery.restore.bump_revision = 1;
    world.recovery.restore.mark_compacted = true;
    world.recovery.revision = etcd_snap::Revision::new(2);
    let error = apply_recovery(&world.recovery, &world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("which is too little"), "{error}");
    roll_back_recovery(&world.options).unwrap();
    nothing_happened(&world, &old);
}

#[test]
fn a_journal_that_cannot_be_read_is_left_alone() {
    let world = World::new();
    let options = world
        .options
        .clone()
        .with_observer(Watcher::stopping_at("2!"));
    apply_recovery(&world.recovery, &options).unwrap_err();
    let journal = world.on_disk("/var/lib/etcd-snap/recovery.json");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, &text[..100]).unwrap();
    for verb in [resume_recovery, roll_back_recovery] {
        let error = verb(&world.options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error:?}");
    }
    assert_eq!(fs::read_to_string(&journal).unwrap(), text[..100]);
}
