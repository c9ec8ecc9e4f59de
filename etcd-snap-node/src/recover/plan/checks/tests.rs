use etcd_snap::RestoreOptions;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use crate::recover::plan::sample::{Machine, committed_snapshot};
use crate::recover::plan::{PlanOptions, plan_recovery};
use crate::{Finding, Place, Recovery, RecoveryTarget, RunBy, Severity, Version};

const ONE: &str = "m1=http://10.0.0.1:2380";
const TWO: &str = "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380";

fn plan(machine: &Machine, cluster: &str, options: PlanOptions) -> Recovery {
    let snapshot = machine.snapshot_of(cluster);
    // What the snapshot is made of here has no digest.
    let restore = options.restore.clone().with_skip_hash_check(true);
    plan_recovery(
        &machine.node,
        &snapshot,
        &options.with_restore_options(restore),
    )
    .unwrap()
}

fn severity(recovery: &Recovery, code: &str) -> Option<Severity> {
    let found = recovery.findings.iter().find(|it| it.code == code);
    found.map(|it| it.severity)
}

#[test]
fn a_recovery_under_way_is_resumed_or_taken_back_first() {
    let machine = Machine::kubeadm();
    machine.put("/var/lib/etcd-snap/recovery.json", "{}");
    let recovery = plan(&machine, ONE, machine.options());
    assert_eq!(
        severity(&recovery, "recovery-under-way"),
        Some(Severity::Error)
    );
    let elsewhere = machine.options().with_state_directory("/var/lib/elsewhere");
    let recovery = plan(&machine, ONE, elsewhere);
    assert_eq!(severity(&recovery, "recovery-under-way"), None);
    assert!(!recovery.is_refused(), "{:?}", recovery.findings);
}

#[test]
fn several_members_need_a_file_that_they_have_in_common() {
    let machine = Machine::kubeadm();
    let recovery = plan(&machine, TWO, machine.options());
    assert_eq!(
        severity(&recovery, "plan-file-needed"),
        Some(Severity::Warning)
    );
    for options in [
        machine.options().with_plan_file("/root/plan.yaml"),
        machine.options().with_alone(true),
        machine.options().with_token("t").with_bump(1000),
    ] {
        let recovery = plan(&machine, TWO, options);
        assert_eq!(severity(&recovery, "plan-file-needed"), None);
    }
}

#[test]
fn errors_of_discovery_count_unless_a_recovery_mends_them() {
    let mut machine = Machine::kubeadm();
    machine.etcd().findings = vec![
        Finding::error("unknown-flag", "x"),
        Finding::error("certificate-expired", "x"),
        Finding::error("owner-differs", "x"),
        Finding::warning("setting-deprecated", "x"),
    ];
    let recovery = plan(&machine, ONE, machine.options());
    assert_eq!(severity(&recovery, "unknown-flag"), Some(Severity::Error));
    assert_eq!(
        severity(&recovery, "certificate-expired"),
        Some(Severity::Warning)
    );
    assert_eq!(severity(&recovery, "owner-differs"), None);
    assert_eq!(severity(&recovery, "setting-deprecated"), None);
    assert_eq!(severity(&recovery, "cannot-prove"), None);

    machine.etcd().listen_client_urls = vec!["https://127.0.0.1:2379".into()];
    let recovery = plan(&machine, ONE, machine.options());
    assert_eq!(severity(&recovery, "cannot-prove"), Some(Severity::Error));
}

#[test]
fn a_certificate_counts_where_etcd_does_not_start_or_lets_nobody_in() {
    let mut machine = Machine::kubeadm();
    let server = "/etc/kubernetes/pki/etcd/server.crt";
    machine.etcd().client_tls.certificate = Some(Place::of_host(server));
    for (finding, expected) in [
        (
            Finding::error("certificate-expired", "x").at(server),
            Severity::Error,
        ),
        (
            Finding::error("certificate-expired", "x").at("/elsewhere/peer.crt"),
            Severity::Warning,
        ),
        (
            Finding::error("certificate-key-mismatch", "x").at("/elsewhere/peer.crt"),
            Severity::Error,
        ),
        (
            Finding::error("certificate-not-for-clients", "x").at(server),
            Severity::Warning,
        ),
    ] {
        machine.etcd().findings = vec![finding.clone()];
        let recovery = plan(&machine, ONE, machine.options());
        assert_eq!(
            severity(&recovery, &finding.code),
            Some(expected),
            "{finding:?}"
        );
    }
}

#[test]
fn an_etcd_that_is_too_old_for_the_data_is_told() {
    let mut machine = Machine::kubeadm();
    machine.etcd().version = Some(Version {
        text: "3.5.16".into(),
        from: "image".into(),
    });
    let recovery = plan(&machine, ONE, machine.options());
    assert_eq!(severity(&recovery, "etcd-too-old"), Some(Severity::Error));
    let prepared = machine.options().with_restore_options(
        RestoreOptions::default().with_target_version("3.5".parse().unwrap()),
    );
    let recovery = plan(&machine, ONE, prepared);
    assert_eq!(severity(&recovery, "etcd-too-old"), None);
}

#[test]
fn an_old_snapshot_is_told() {
    let machine = Machine::kubeadm();
    let snapshot = committed_snapshot();
    machine.put("/var/lib/etcd/placeholder", "");
    let taken = std::fs::metadata(&snapshot).unwrap().modified().unwrap();
    for (age, expected) in [(23, None), (25, Some(Severity::Warning))] {
        let now = taken + Duration::from_secs(age * 60 * 60);
        let options = machine.options().with_now(now).with_alone(true);
        let recovery = plan_recovery(&machine.node, &snapshot, &options).unwrap();
        assert_eq!(severity(&recovery, "snapshot-is-old"), expected, "{age} h");
    }
}

#[test]
fn the_user_of_the_unit_gets_the_member_where_no_data_tells() {
    let mut machine = Machine::systemd();
    machine.put(
        "/etc/passwd",
        "root:x:0:0::/:/bin/sh\netcd:x:977:976::/:/bin/false\n",
    );
    let RunBy::Systemd { user, .. } = &mut machine.etcd().run_by else {
        panic!();
    };
    *user = Some("etcd".into());
    let recovery = plan(&machine, ONE, machine.options());
    assert_eq!(recovery.owner.as_deref(), Some("977:976"));
    assert_eq!(severity(&recovery, "owner-differs"), Some(Severity::Error));

    // The user whom the data belongs to here, in another group than the data.
    let data = std::fs::metadata(machine.folder.path().join("var/lib/etcd")).unwrap();
    let (uid, gid) = (data.uid(), data.gid());
    let line = format!("etcd:x:{uid}:{}::/:/bin/false\n", gid + 1);
    machine.put("/etc/passwd", &line);
    let recovery = plan(&machine, ONE, machine.options());
    assert_eq!(recovery.owner, None);
    assert!(!recovery.is_refused(), "{:?}", recovery.findings);
    let elsewhere = machine.options().with_new_data_dir("/var/lib/other");
    let recovery = plan(&machine, ONE, elsewhere);
    assert_eq!(recovery.owner, Some(format!("{uid}:{gid}")));
}

/// D16. Only root may label files; where nobody may, there is nothing to say.
#[test]
fn a_label_of_selinux_is_told() {
    let machine = Machine::kubeadm();
    machine.put("/var/lib/etcd/placeholder", "");
    let data_dir = machine.folder.path().join("var/lib/etcd");
    let labelled = rustix::fs::setxattr(
        &data_dir,
        "security.selinux",
        b"system_u:object_r:container_file_t:s0\0",
        rustix::fs::XattrFlags::empty(),
    );
    let recovery = plan(&machine, ONE, machine.options());
    let expected = labelled.is_ok().then_some(Severity::Note);
    assert_eq!(severity(&recovery, "selinux-label"), expected);
}

fn with_member() -> Machine {
    let machine = Machine::kubeadm();
    machine.put("/var/lib/etcd/member/snap/db", "x");
    machine.put(
        "/var/lib/etcd/member/wal/0000000000000000-0000000000000000.wal",
        "x",
    );
    machine
}

fn wal_of(recovery: &Recovery) -> (Option<&Path>, Option<&Path>) {
    let RecoveryTarget::InPlace {
        wal_dir,
        staged_wal,
        ..
    } = &recovery.target
    else {
        panic!("{recovery:?}");
    };
    (wal_dir.as_deref(), staged_wal.as_deref())
}

/// Written out, the default is the default: the WAL is swapped with its member.
#[test]
fn a_wal_directory_where_it_is_anyway_is_none_of_its_own() {
    let mut machine = with_member();
    machine.etcd().wal_dir = Some(Place::of_host("/var/lib/etcd/member/wal"));
    let recovery = plan(&machine, ONE, machine.options());
    assert_eq!(wal_of(&recovery), (None, None));
    assert!(!recovery.is_refused(), "{:?}", recovery.findings);

    // etcd would go on to look for its WAL in the old data directory.
    let elsewhere = machine.options().with_new_data_dir("/var/lib/other");
    let snapshot = machine.snapshot_of(ONE);
    let error = plan_recovery(&machine.node, &snapshot, &elsewhere).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Refused, "{error}");

    // Another one in `member` stays there, and its segments are made in it.
    let log = Path::new("/var/lib/etcd/member/log");
    machine.etcd().wal_dir = Some(Place::of_host(log));
    let recovery = plan(&machine, ONE, machine.options());
    let staged = log.join(".etcd-snap-recovery-20261126T011944Z-wal");
    assert_eq!(wal_of(&recovery), (Some(log), Some(staged.as_path())));
    assert!(!recovery.is_refused(), "{:?}", recovery.findings);
    let by_hand = &recovery.steps[4].by_hand;
    assert!(
        by_hand
            .iter()
            .all(|line| !line.starts_with("mv /var/lib/etcd/member /")),
        "{by_hand:?}"
    );
}

#[test]
fn what_the_swap_would_refuse_is_found_by_the_plan() {
    let mut machine = with_member();
    machine.etcd().wal_dir = Some(Place::of_host("/var/lib/etcd/member/deep/log"));
    let recovery = plan(&machine, ONE, machine.options());
    assert_eq!(
        severity(&recovery, "swap-impossible"),
        Some(Severity::Error)
    );

    machine.etcd().wal_dir = None;
    let data = machine.folder.path().join("var/lib/etcd");
    let disk = machine.folder.path().join("disk");
    std::fs::rename(data.join("member"), &disk).unwrap();
    std::os::unix::fs::symlink("../../../disk", data.join("member")).unwrap();
    let recovery = plan(&machine, ONE, machine.options());
    let finding = recovery.findings.iter();
    let finding: Vec<_> = finding.filter(|it| it.code == "swap-impossible").collect();
    assert_eq!(finding.len(), 1, "{:?}", recovery.findings);
    assert!(finding[0].message.contains("symbolic link"), "{finding:?}");
    assert!(
        finding[0]
            .remedy
            .as_ref()
            .unwrap()
            .contains("--new-data-dir")
    );
    assert!(recovery.is_refused());

    let elsewhere = machine.options().with_new_data_dir("/var/lib/other");
    let recovery = plan(&machine, ONE, elsewhere);
    assert_eq!(severity(&recovery, "swap-impossible"), None);
}

#[test]
fn a_data_directory_on_a_disk_that_is_not_mounted_is_not_made_elsewhere() {
    for mut machine in [Machine::systemd(), Machine::kubeadm()] {
        let data_dir = machine.folder.path().join("var/lib/etcd");
        std::fs::remove_dir(&data_dir).unwrap();
        std::os::unix::fs::symlink("/mnt/ssd/etcd", &data_dir).unwrap();
        let recovery = plan(&machine, ONE, machine.options());
        let code = "data-dir-link-broken";
        assert_eq!(severity(&recovery, code), Some(Severity::Error));

        // What discovery says of the old directory does not count where another is made.
        machine.etcd().findings = recovery.findings;
        let elsewhere = machine.options().with_new_data_dir("/srv/etcd");
        let recovery = plan(&machine, ONE, elsewhere);
        assert_eq!(severity(&recovery, code), None);
        let below = machine.options().with_new_data_dir("/var/lib/etcd/new");
        let snapshot = machine.folder.path().join("backup.db");
        assert!(plan_recovery(&machine.node, &snapshot, &below).is_err());

        std::fs::create_dir_all(machine.folder.path().join("mnt/ssd/etcd")).unwrap();
        let recovery = plan(&machine, ONE, machine.options());
        assert_eq!(severity(&recovery, code), None);

        let wal = machine.folder.path().join("var/lib/wal");
        std::os::unix::fs::symlink("wal", &wal).unwrap();
        machine.etcd().wal_dir = Some(Place::of_host("/var/lib/wal"));
        let recovery = plan(&machine, ONE, machine.options());
        let found = recovery.findings.iter().find(|it| it.code == code);
        assert!(found.unwrap().message.contains("the WAL directory"));
    }
}

#[test]
fn a_name_that_only_a_shell_knows_is_no_members() {
    let mut machine = Machine::systemd();
    machine.etcd().name = "$(hostname)".into();
    let snapshot = machine.snapshot_of(ONE);
    let alone = machine.options().with_alone(true);
    let error = plan_recovery(&machine.node, &snapshot, &alone).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Refused, "{error}");
    assert!(
        error.to_string().contains("a shell decides about it"),
        "{error}"
    );
}

/// What is known of such an etcd may be its defaults.
#[test]
fn nothing_is_recovered_on_guesses() {
    for code in ["command-line-unknown", "config-file-unknown"] {
        let mut machine = Machine::systemd();
        machine.etcd().findings = vec![Finding::warning(code, "a shell decides")];
        let recovery = plan(&machine, ONE, machine.options());
        assert_eq!(severity(&recovery, code), Some(Severity::Error));
        assert!(recovery.is_refused());
    }
}
