//! Plans of recoveries, as they are shown; what is applied is for the tests with real servers.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::support::{Room, golden, said};

/// A snapshot's member on a machine without TLS.
const MANIFEST: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: etcd, namespace: kube-system, labels: {component: etcd, tier: control-plane}}
spec:
  containers:
  - name: etcd
    image: registry.k8s.io/etcd:3.6.4-0
    command:
    - etcd
    - --name=m1
    - --data-dir=/var/lib/etcd
    - --listen-client-urls=http://127.0.0.1:2379
    - --advertise-client-urls=http://127.0.0.1:2379
    - --listen-peer-urls=http://10.0.0.1:2380
    - --initial-advertise-peer-urls=http://10.0.0.1:2380
    - --initial-cluster=m1=http://10.0.0.1:2380
    volumeMounts:
    - {name: data, mountPath: /var/lib/etcd}
  volumes:
  - name: data
    hostPath: {path: /var/lib/etcd, type: DirectoryOrCreate}  # the night shift knows it
";
const PLAN: &str = "recover good.db --root machine --initial-cluster m1=http://10.0.0.1:2380 \
     --initial-cluster-token word --bump-revision 1000";

fn room() -> Room {
    let room = Room::new();
    let manifests = room.path().join("machine/etc/kubernetes/manifests");
    fs::create_dir_all(&manifests).unwrap();
    fs::create_dir_all(room.path().join("machine/var/lib/etcd")).unwrap();
    fs::write(manifests.join("etcd.yaml"), MANIFEST).unwrap();
    room
}

/// Without what is different each time: the room, and the time in names, like 20261126T070625Z.
fn settled(room: &Room, text: &str) -> String {
    let text = text.replace(&room.path().display().to_string(), "ROOM");
    let mut settled = text;
    for kind in ["recovery-", "member.old-"] {
        let text = settled;
        let begins = format!("{kind}20");
        let mut pieces = text.split(&begins);
        settled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            settled.push_str(&format!("{kind}TIME"));
            settled.push_str(piece.get(14..).unwrap_or_default());
        }
    }
    // Whom the machine's data belongs to: whoever runs the tests.
    let owner = room.path().metadata().unwrap();
    settled.replace(
        &format!("--owner {}:{}", owner.uid(), owner.gid()),
        "--owner OWNER",
    )
}

#[test]
fn a_plan_says_all_and_changes_nothing() {
    let room = room();
    let before = room.names();
    let said = room.run(PLAN).code(0);
    golden("recover-plan.txt", &settled(&room, &said.stdout));
    let said = room
        .run(&format!("{PLAN} --new-data-dir /var/lib/etcd-new"))
        .code(0);
    golden(
        "recover-plan-new-data-dir.txt",
        &settled(&room, &said.stdout),
    );
    assert!(said.stdout.contains("+    hostPath: {path: /var/lib/etcd-new, type: DirectoryOrCreate}  # the night shift knows it"), "{said:?}");
    assert_eq!(room.names(), before);
    let manifest = room
        .path()
        .join("machine/etc/kubernetes/manifests/etcd.yaml");
    assert_eq!(fs::read_to_string(manifest).unwrap(), MANIFEST);
    assert_eq!(
        fs::read_dir(room.path().join("machine/var/lib/etcd"))
            .unwrap()
            .count(),
        0
    );
    // Without a terminal nobody agrees.
    room.run(&format!("{PLAN} --apply"))
        .code(2)
        .complains("--yes");
}

#[test]
fn what_a_plan_file_says_is_not_contradicted() {
    let room = room();
    room.run(&format!("{PLAN} --plan-file plan.yaml")).code(0);
    assert!(room.names().contains(&"plan.yaml".to_owned()));
    const FOLLOWED: &str = "recover good.db --root machine --plan-file plan.yaml";
    let said = room.run(FOLLOWED).code(0);
    assert!(said.stdout.contains("word"), "{said:?}");
    for (flags, words) in [
        (
            "--drop-leases",
            "--drop-leases is true, and the plan says false",
        ),
        ("--target-version 3.5", "--target-version is 3.5"),
        ("--initial-cluster-token other", "the plan has \"word\""),
        (
            "--bump-revision 7",
            "moved ahead by 7, and the plan says 1000",
        ),
    ] {
        room.run(&format!("{FOLLOWED} {flags}"))
            .code(2)
            .complains(words);
    }
}

#[test]
fn what_keeps_a_plan_from_being_applied_is_said_on_standard_error_too() {
    let room = room();
    let manifests = room.path().join("machine/etc/kubernetes/manifests");
    fs::write(manifests.join("etcd.yaml.bak"), MANIFEST).unwrap();
    for more in ["", " -w json", " --apply --yes"] {
        room.run(&format!(
            "{PLAN}{more} --etcd {}",
            "/etc/kubernetes/manifests/etcd.yaml"
        ))
        .code(15)
        .complains("the plan cannot be applied (")
        .complains("extra-manifest")
        .complains("nothing was changed");
    }
}

#[test]
fn several_members_are_not_recovered_without_a_plan_file() {
    let room = room();
    let before = room.names();
    let several = PLAN.replace(
        "m1=http://10.0.0.1:2380",
        "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380",
    );
    let several = several.replace("--initial-cluster-token word", "");
    room.run(&several).code(0);
    room.run(&format!("{several} --apply --yes"))
        .code(2)
        .complains("--plan-file")
        .complains("--alone");
    assert_eq!(room.names(), before);
}

#[test]
fn there_is_nothing_to_be_asked_about_where_nothing_is_to_be_rolled_back() {
    room().run("recover --rollback --root machine").code(3);
}

/// Where the journal is, only the flags of this run say.
#[test]
fn what_is_to_be_typed_has_the_flags_that_it_needs() {
    let room = room();
    fs::create_dir_all(room.path().join("machine/state")).unwrap();
    fs::write(room.path().join("machine/state/recovery.json"), "{").unwrap();
    let said = room
        .run("recover --resume --root machine --state-dir /state")
        .code(16);
    assert!(said.stderr.contains("/state/recovery.json"), "{said:?}");
    fs::remove_file(room.path().join("machine/state/recovery.json")).unwrap();
    room.run("recover --resume --root machine --state-dir /state")
        .code(3)
        .complains("`etcd-snap recover --root machine --state-dir /state SNAPSHOT --plan`");
}

const UNIT: &str = "\
[Service]
Type=notify
ExecStart=/usr/bin/etcd --name=m1 --data-dir=/var/lib/etcd --listen-client-urls=http://127.0.0.1:2379 \
--advertise-client-urls=http://127.0.0.1:2379 --listen-peer-urls=http://10.0.0.1:2380 \
--initial-advertise-peer-urls=http://10.0.0.1:2380 --initial-cluster=m1=http://10.0.0.1:2380
";

/// The one in `PATH` is that of the machine which the command runs on: it would stop an etcd that is in no way meant.
#[test]
fn this_machine_is_not_stopped_for_a_copied_tree() {
    let room = Room::new();
    let units = room.path().join("machine/etc/systemd/system");
    fs::create_dir_all(&units).unwrap();
    fs::create_dir_all(room.path().join("machine/var/lib/etcd")).unwrap();
    fs::write(units.join("etcd.service"), UNIT).unwrap();
    let bin = room.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let systemctl = bin.join("systemctl");
    let called = room.path().join("called");
    let lines = format!("#!/bin/sh\necho \"$@\" >> {}\nexit 1\n", called.display());
    etcd_snap_testdata::write_program(&systemctl, &lines).unwrap();
    let run = |words: &str| {
        let mut command = room.command(&format!("{PLAN} --apply --yes {words}"));
        let path = format!("{}:/usr/bin:/bin", bin.display());
        said(command.env("PATH", path))
    };

    run("--plan-file plan.yaml")
        .code(2)
        .complains("--systemctl");
    assert!(!called.exists());
    assert_eq!(room.names(), ["bin", "good.db", "machine"]);
    assert!(!room.path().join("machine/var/lib/etcd-snap").exists());

    // A stand-in that is named is meant.
    run("--systemctl bin/systemctl")
        .code(16)
        .complains("bin/systemctl");
    let calls = fs::read_to_string(&called).unwrap();
    assert_eq!(calls, "stop etcd.service\n");
    // Whoever goes on or back names it again.
    for verb in ["--resume", "--rollback"] {
        let mut command = room.command(&format!("recover --root machine {verb} --yes"));
        let path = format!("{}:/usr/bin:/bin", bin.display());
        said(command.env("PATH", path)).complains("--systemctl");
        assert_eq!(fs::read_to_string(&called).unwrap(), calls, "{verb}");
    }
}

#[test]
fn a_plan_that_goes_no_further_than_what_was_seen_is_refused() {
    let room = room();
    room.run(&format!("{PLAN} --plan-file plan.yaml")).code(0);
    const FOLLOWED: &str = "recover good.db --root machine --plan-file plan.yaml";
    for (command, code, words) in [
        (FOLLOWED, 15, "moved ahead by 1000: "),
        (PLAN, 15, "or leave it out"),
        (
            "recover good.db --root machine --initial-cluster m1=http://10.0.0.1:2380 --no-bump",
            0,
            "or without --no-bump",
        ),
    ] {
        let said = room
            .run(&format!("{command} --seen-revision 5000000"))
            .code(code);
        // As wide as it may be.
        let text: Vec<_> = said.stdout.split_whitespace().collect();
        let text = format!("{} ", text.join(" "));
        assert!(text.contains("[revision-was-seen]"), "{said:?}");
        assert!(text.contains(words), "{said:?}");
    }
}

#[test]
fn what_was_found_refuses_a_recovery_that_cannot_be_planned() {
    let room = room();
    let manifest = room
        .path()
        .join("machine/etc/kubernetes/manifests/etcd.yaml");
    let elsewhere = MANIFEST.replace("--data-dir=/var/lib/etcd", "--data-dir=/var/lib/restored");
    fs::write(manifest, elsewhere).unwrap();
    room.run(PLAN)
        .code(15)
        .complains("the data directory /var/lib/restored is in no volume");
}
