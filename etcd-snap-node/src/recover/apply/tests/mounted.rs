//! A WAL on a disk of its own, which is mounted where the WAL is by default.

use std::process::Command;

use super::*;
use crate::{Node, PlanOptions, plan_recovery};

const ITSELF: &str = "recover::apply::tests::mounted::where_it_may_mount";

/// The test binary again, with mounts of its own.
fn namespace() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    command
}

#[test]
fn a_log_on_a_disk_of_its_own_stays_there_and_comes_back() {
    let may = namespace()
        .args(["mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    if !may.is_ok_and(|it| it.status.success()) {
        // Not every machine lets tests mount.
        return;
    }
    let ended = namespace()
        .arg(std::env::current_exe().unwrap())
        .args([ITSELF, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("it was mounted"),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// Started again by the test above.
#[test]
#[ignore = "a part of another test"]
fn where_it_may_mount() {
    let world = World::new();
    let old = world.database();
    let wal = world.on_disk("/var/lib/etcd/member/wal");
    fs::remove_dir_all(&wal).unwrap();
    fs::create_dir(&wal).unwrap();
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-t", "tmpfs", "none"]).arg(&wal).status();
    if !mounted.is_ok_and(|it| it.success()) {
        return;
    }
    println!("it was mounted");
    let segment = "0000000000000000-0000000000000000.wal";
    fs::write(wal.join(segment), "the old one").unwrap();

    let mut node = Node {
        schema: 1,
        root: world.folder.path().to_owned(),
        host: None,
        etcds: vec![etcd("m1")],
        findings: Vec::new(),
    };
    let planned = |node: &Node| {
        let options = PlanOptions::default()
            .with_root(world.options.root.clone())
            .with_initial_cluster("m1=http://127.0.0.1:2");
        let mut recovery = plan_recovery(node, &world.recovery.snapshot, &options).unwrap();
        assert!(!recovery.is_refused(), "{:?}", recovery.findings);
        // No server is started here.
        recovery.steps.truncate(6);
        recovery
    };
    let recovery = planned(&node);
    // Whether that is said or not.
    node.etcds[0].wal_dir = Some(Place::of_host("/var/lib/etcd/member/wal"));
    let said = planned(&node);
    for (recovery, verb) in [(&recovery, "not said"), (&said, "said")] {
        apply_recovery(recovery, &world.options).expect(verb);
        assert_ne!(world.database(), old, "{verb}");
        let written = fs::metadata(wal.join(segment)).unwrap().len();
        assert!(written > 1 << 20, "{verb}: {written}");
        roll_back_recovery(&world.options).expect(verb);
        assert_eq!(world.database(), old, "{verb}");
        assert_eq!(
            fs::read(wal.join(segment)).unwrap(),
            b"the old one",
            "{verb}"
        );
    }
}
