use etcd_snap::RestoreOptions;
use std::path::Path;

use super::sample::{MANIFESTS, Machine};
use super::*;
use crate::recover::{Action, RecoveryTarget};
use crate::{ErrorKind, Etcd};

const THREE: &str = "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380";

fn raw(machine: &Machine) -> PlanOptions {
    machine
        .options()
        .with_restore_options(RestoreOptions::default().with_skip_hash_check(true))
}

fn codes(recovery: &Recovery) -> Vec<&str> {
    recovery
        .findings
        .iter()
        .map(|it| it.code.as_str())
        .collect()
}

#[test]
fn a_node_of_kubeadm_is_swapped_in_place_and_nothing_is_changed_by_the_plan() {
    let machine = Machine::kubeadm();
    let snapshot = machine.snapshot_of("m1=http://10.0.0.1:2380");
    let before = machine.content();
    let recovery = plan_recovery(&machine.node, &snapshot, &raw(&machine)).unwrap();
    assert_eq!(machine.content(), before);

    let actions: Vec<_> = recovery.steps.iter().map(|step| step.action).collect();
    assert_eq!(
        actions,
        [
            Action::Verify,
            Action::Stage,
            Action::Stop,
            Action::WaitUntilStopped,
            Action::Swap,
            Action::Start,
            Action::WaitUntilServing,
            Action::Prove
        ]
    );
    let RecoveryTarget::InPlace {
        data_dir, staged, ..
    } = &recovery.target
    else {
        panic!("{recovery:?}");
    };
    assert_eq!(data_dir, Path::new("/var/lib/etcd"));
    assert_eq!(
        staged,
        Path::new("/var/lib/etcd/.etcd-snap-recovery-20261126T011944Z")
    );
    let StopBy::Manifests {
        manifests, aside, ..
    } = &recovery.stop
    else {
        panic!("{recovery:?}");
    };
    assert_eq!(
        aside,
        Path::new("/etc/kubernetes/etcd-snap-recovery-20261126T011944Z")
    );
    let pods: Vec<_> = manifests.iter().map(|it| it.pod.as_str()).collect();
    assert_eq!(
        pods,
        [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "etcd"
        ]
    );
    assert_eq!(recovery.revision.get(), 215 + 1_000_000_000);
    assert!(!recovery.is_refused(), "{:?}", recovery.findings);
    assert_eq!(recovery.others, [] as [&str; 0]);
    // What is journaled comes back as it was.
    let text = serde_json::to_string(&recovery).unwrap();
    assert_eq!(serde_json::from_str::<Recovery>(&text).unwrap(), recovery);
}

#[test]
fn the_members_are_those_of_the_snapshot_and_this_one_is_found_by_its_peer_url() {
    let mut machine = Machine::kubeadm();
    machine.etcd().name = "renamed".into();
    machine.etcd().initial_advertise_peer_urls = vec!["http://10.0.0.2:2380".into()];
    let snapshot = machine.snapshot_of(THREE);
    let options = raw(&machine).with_plan_file("/root/plan.yaml");
    let recovery = plan_recovery(&machine.node, &snapshot, &options).unwrap();
    assert_eq!(recovery.member, "m2");
    assert_eq!(recovery.restore.members.len(), 3);
    assert!(codes(&recovery).contains(&"member-name-differs"));
    assert_eq!(recovery.others.len(), 3, "{:?}", recovery.others);
    assert!(recovery.others[0].contains("--plan-file /root/plan.yaml --apply"));

    let etcd: &mut Etcd = machine.etcd();
    etcd.initial_advertise_peer_urls = vec!["http://10.0.0.9:2380".into()];
    let error = plan_recovery(&machine.node, &snapshot, &raw(&machine)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().contains("m3=http://10.0.0.3:2380"),
        "{error}"
    );

    machine.etcd().name = "m3".into();
    let recovery = plan_recovery(&machine.node, &snapshot, &raw(&machine)).unwrap();
    assert!(codes(&recovery).contains(&"peer-url-differs"));

    let alone = raw(&machine).with_alone(true);
    let recovery = plan_recovery(&machine.node, &snapshot, &alone).unwrap();
    assert_eq!(recovery.restore.members.len(), 1);
    assert_eq!(
        recovery.restore.members[0].peer_urls,
        ["http://10.0.0.9:2380"]
    );
    assert!(
        recovery.others[0].contains("m1 (http://10.0.0.1:2380), m2"),
        "{:?}",
        recovery.others
    );
}

#[test]
fn another_node_gets_the_same_token_bump_and_digest_and_no_other_snapshot() {
    let mut machine = Machine::kubeadm();
    let snapshot = machine.snapshot_of(THREE);
    let first = plan_recovery(&machine.node, &snapshot, &raw(&machine)).unwrap();
    machine.etcd().name = "m2".into();
    machine.etcd().initial_advertise_peer_urls = vec!["http://10.0.0.2:2380".into()];
    let given = PlanOptions {
        token: None,
        ..machine.options().with_plan(first.restore.clone())
    };
    let second = plan_recovery(&machine.node, &snapshot, &given).unwrap();
    assert_eq!(second.restore, first.restore);
    assert_eq!(
        (second.member.as_str(), second.revision),
        ("m2", first.revision)
    );

    for (options, words) in [
        (given.clone().with_bump(7), "moved ahead by 7"),
        (given.clone().with_bump(0), "moved ahead by 0"),
        (given.clone().with_token("other"), "\"other\""),
        (given.clone().with_alone(true), "alone"),
        (
            given
                .clone()
                .with_initial_cluster("m2=http://10.0.0.2:2380"),
            "initial cluster",
        ),
    ] {
        let error = plan_recovery(&machine.node, &snapshot, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let other = super::sample::committed_snapshot();
    let error = plan_recovery(&machine.node, &other, &given).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is not the snapshot of the plan"),
        "{error}"
    );
}

#[test]
fn a_second_etcd_in_the_manifests_directory_is_refused_and_its_neighbours_stay() {
    let machine = Machine::kubeadm();
    let snapshot = machine.snapshot_of("m1=http://10.0.0.1:2380");
    machine.put(
        &format!("{MANIFESTS}/etcd.yaml.bak"),
        super::sample::ETCD_YAML,
    );
    machine.put(
        &format!("{MANIFESTS}/kube-vip.yaml"),
        &super::sample::pod("kube-vip"),
    );
    machine.put(&format!("{MANIFESTS}/README"), "hello");
    machine.put(
        &format!("{MANIFESTS}/.etcd.yaml.swp"),
        super::sample::ETCD_YAML,
    );
    let recovery = plan_recovery(&machine.node, &snapshot, &raw(&machine)).unwrap();
    assert!(recovery.is_refused());
    let found: Vec<_> = recovery
        .findings
        .iter()
        .filter_map(|it| Some((it.code.as_str(), it.path.as_ref()?.file_name()?.to_str()?)))
        .collect();
    assert!(
        found.contains(&("extra-manifest", "etcd.yaml.bak")),
        "{found:?}"
    );
    assert!(found.contains(&("not-a-pod", "README")), "{found:?}");
    let StopBy::Manifests { manifests, .. } = &recovery.stop else {
        panic!("{recovery:?}");
    };
    assert_eq!(manifests.len(), 4);
}

#[test]
fn a_unit_is_stopped_and_started() {
    let machine = Machine::systemd();
    let snapshot = machine.snapshot_of("m1=http://10.0.0.1:2380");
    let recovery = plan_recovery(&machine.node, &snapshot, &raw(&machine)).unwrap();
    assert_eq!(
        recovery.stop,
        StopBy::Unit {
            unit: "etcd.service".into()
        }
    );
    assert_eq!(recovery.steps[2].by_hand, ["systemctl stop etcd.service"]);
}

#[test]
fn an_empty_node_whose_wal_is_beside_its_data_gets_a_plan() {
    let mut machine = Machine::systemd();
    let snapshot = machine.snapshot_of("m1=http://10.0.0.1:2380");
    machine.etcd().wal_dir = Some(crate::Place::of_host("/var/lib/etcd-wal"));
    std::fs::remove_dir(machine.folder.path().join("var/lib/etcd")).unwrap();
    let recovery = plan_recovery(&machine.node, &snapshot, &raw(&machine)).unwrap();
    assert!(!recovery.is_refused(), "{:?}", recovery.findings);
    let RecoveryTarget::InPlace { staged_wal, .. } = &recovery.target else {
        panic!("{recovery:?}");
    };
    assert_eq!(
        staged_wal.as_deref(),
        Some(Path::new(
            "/var/lib/etcd-wal/.etcd-snap-recovery-20261126T011944Z-wal"
        ))
    );
}
