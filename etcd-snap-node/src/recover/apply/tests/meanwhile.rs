//! What others do while a recovery is under way, or when it is over; and what is left of a run that dies at a bad moment.

use serde_json::Value;

use super::*;
use crate::ErrorKind;

const JOURNAL: &str = "/var/lib/etcd-snap/recovery.json";
const NEW: &str = "/srv/etcd";

impl World {
    fn stopped_at(&self, at: &'static str) {
        let watcher = Watcher::stopping_at(at);
        let options = self.options.clone().with_observer(watcher);
        let error = apply_recovery(&self.recovery, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    }

    fn with_new_directory(mut self) -> Self {
        fs::create_dir_all(self.on_disk(NEW)).unwrap();
        self.recovery.target = RecoveryTarget::NewDataDir {
            data_dir: NEW.into(),
        };
        self.recovery.steps = steps(&[
            Action::Verify,
            Action::Stage,
            Action::Stop,
            Action::WaitUntilStopped,
            Action::Change,
            Action::Start,
        ]);
        self
    }

    fn change_journal(&self, change: impl FnOnce(&mut Value)) {
        let path = self.on_disk(JOURNAL);
        let mut journal = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut journal);
        fs::write(path, serde_json::to_vec(&journal).unwrap()).unwrap();
    }

    /// As a run leaves it that dies between the swap and its note.
    fn died_after_swap(&self) {
        self.stopped_at("5!");
        self.change_journal(|journal| {
            journal["facts"]["old_data"] = Value::Null;
            journal["forward"]["done"].as_array_mut().unwrap().pop();
        });
    }

    fn write_manifest(&self, name: &str, text: &str) {
        let directory = self.on_disk("/etc/kubernetes/manifests");
        fs::write(directory.join(name), text).unwrap();
    }

    fn manifest(&self, name: &str) -> String {
        let directory = self.on_disk("/etc/kubernetes/manifests");
        fs::read_to_string(directory.join(name)).unwrap()
    }
}

#[test]
fn another_snapshot_under_the_same_name_is_not_restored() {
    let world = World::new();
    let old = world.database();
    world.stopped_at("1!");
    fs::copy(testdata("snapshots/3.5.db"), &world.recovery.snapshot).unwrap();
    let error = resume_recovery(&world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("is not the snapshot"), "{error}");
    assert!(world.calls().is_empty());
    roll_back_recovery(&world.options).unwrap();
    assert_eq!(world.database(), old);
    assert_eq!(world.names_in_data(), ["member"]);
}

#[test]
fn a_member_without_a_database_comes_back_and_no_older_one() {
    for dies in [false, true] {
        let world = World::new();
        let member = world.on_disk(DATA).join("member");
        // Kept by hand; it sorts behind what a swap makes.
        let earlier = world.on_disk(DATA).join("member.old-of-hand");
        fs::create_dir_all(earlier.join("snap")).unwrap();
        fs::copy(member.join("snap/db"), earlier.join("snap/db")).unwrap();
        fs::remove_file(member.join("snap/db")).unwrap();
        fs::write(member.join("mark"), "").unwrap();
        match dies {
            false => drop(apply_recovery(&world.recovery, &world.options).unwrap()),
            true => world.died_after_swap(),
        }
        assert!(!member.join("mark").exists() && member.join("snap/db").exists());
        roll_back_recovery(&world.options).unwrap();
        assert!(member.join("mark").exists());
        assert!(earlier.join("snap/db").exists());
    }
}

#[test]
fn what_a_dead_run_has_swapped_is_known_by_what_was_kept_before() {
    let world = World::new();
    let old = world.database();
    let earlier = world.on_disk(DATA).join("member.old-of-hand");
    fs::create_dir_all(earlier.join("snap")).unwrap();
    fs::write(earlier.join("snap/db"), "").unwrap();
    world.died_after_swap();
    let report = resume_recovery(&world.options).unwrap();
    let kept = world.on_disk(report.old_data.unwrap());
    assert_eq!(fs::read(kept.join("snap/db")).unwrap(), old);
    roll_back_recovery(&world.options).unwrap();
    assert_eq!(world.database(), old);
}

#[test]
fn no_manifest_is_moved_where_one_was_changed() {
    let world = World::of_kubelet();
    let before = world.manifests();
    world.stopped_at("2!");
    world.write_manifest("etcd.yaml", "# another image\n");
    for _ in 0..2 {
        let error = resume_recovery(&world.options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("etcd.yaml"), "{error}");
        assert_eq!(world.manifests(), before);
    }
    roll_back_recovery(&world.options).unwrap();
    assert_eq!(world.manifests(), before);
    assert_eq!(world.manifest("etcd.yaml"), "# another image\n");
    assert!(!world.state().contains(&"recovery.json".to_owned()));
}

#[test]
fn a_manifest_that_was_changed_meanwhile_keeps_nobody_from_the_way_back() {
    for at in [
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
        "/etc/kubernetes/manifests/etcd.yaml",
    ] {
        let world = World::of_kubelet();
        let (before, old) = (world.manifests(), world.database());
        apply_recovery(&world.recovery, &world.options).unwrap();
        fs::write(world.on_disk(at), "# upgraded\n").unwrap();
        let report = roll_back_recovery(&world.options).unwrap();
        assert_eq!(world.database(), old);
        assert_eq!(world.manifests(), before);
        assert_eq!(
            fs::read_to_string(world.on_disk(at)).unwrap(),
            "# upgraded\n"
        );
        let told = report.notes.iter().any(|note| note.contains(at));
        assert!(told, "{:?}", report.notes);
    }
}

#[test]
fn what_cannot_be_put_back_keeps_nothing_else_out() {
    let world = World::of_kubelet();
    world.stopped_at("5!");
    fs::remove_file(world.on_disk("/etc/kubernetes/aside/etcd.yaml")).unwrap();
    let error = roll_back_recovery(&world.options).unwrap_err();
    assert!(error.to_string().contains("etcd.yaml"), "{error}");
    world.write_manifest("etcd.yaml", "# etcd\n");
    roll_back_recovery(&world.options).unwrap();
    assert_eq!(world.manifests().len(), 3);

    let world = World::of_kubelet();
    world.stopped_at("6!");
    fs::remove_file(world.on_disk("/etc/kubernetes/aside/kube-scheduler.yaml")).unwrap();
    let error = resume_recovery(&world.options).unwrap_err();
    assert!(error.to_string().contains("kube-scheduler"), "{error}");
    assert_eq!(world.manifests(), ["etcd.yaml", "kube-apiserver.yaml"]);
}

/// The machine was started again, and with it a unit that is enabled.
#[test]
fn etcd_is_stopped_again_until_it_is_to_be_started() {
    let (stop, start) = ("stop etcd.service", "start --no-block etcd.service");
    for at in ["4!", "5!"] {
        let world = World::new();
        world.stopped_at(at);
        resume_recovery(&world.options).unwrap();
        assert_eq!(world.calls(), [stop, stop, start], "{at}");
    }
    let world = World::new();
    apply_recovery(&world.recovery, &world.options).unwrap();
    let watcher = Watcher::stopping_at("2!");
    let options = world.options.clone().with_observer(watcher);
    roll_back_recovery(&options).unwrap_err();
    roll_back_recovery(&world.options).unwrap();
    assert_eq!(world.calls(), [stop, start, stop, stop, start]);
}

#[test]
fn a_directory_that_was_there_stays() {
    for at in ["2!", "4!"] {
        let world = World::new().with_new_directory();
        world.stopped_at(at);
        assert!(world.on_disk(NEW).join("member").exists());
        roll_back_recovery(&world.options).unwrap();
        let left = world.options.root.names(Path::new(NEW)).unwrap();
        assert!(left.is_empty() && world.on_disk(NEW).is_dir(), "{left:?}");
    }
}

/// Only root can give things away.
#[test]
fn a_directory_that_was_there_is_given_to_the_owner_of_the_data() {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut world = World::new().with_new_directory();
    world.recovery.owner = Some("54321:54322".into());
    world.stopped_at("2!");
    for path in [NEW.to_owned(), format!("{NEW}/member")] {
        let there = fs::metadata(world.on_disk(&path)).unwrap();
        assert_eq!((there.uid(), there.gid()), (54321, 54322), "{path}");
    }
}

#[test]
fn a_member_that_somebody_else_has_made_is_left_alone() {
    let world = World::new().with_new_directory();
    let foreign = world.on_disk(NEW).join("member/snap/db");
    member_in(&world.on_disk(NEW), "of somebody else");
    let content = fs::read(&foreign).unwrap();
    let error = apply_recovery(&world.recovery, &world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(
        error.to_string().contains("/srv/etcd has got something"),
        "{error}"
    );
    assert_eq!(fs::read(&foreign).unwrap(), content);

    for at in ["1!", "2!"] {
        fs::remove_dir_all(world.on_disk(NEW)).unwrap();
        world.stopped_at(at);
        let _ = fs::remove_dir_all(world.on_disk(NEW));
        member_in(&world.on_disk(NEW), "of somebody else");
        let content = fs::read(&foreign).unwrap();
        if at == "1!" {
            let error = resume_recovery(&world.options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains("has not made"), "{error}");
        }
        roll_back_recovery(&world.options).unwrap();
        assert_eq!(fs::read(&foreign).unwrap(), content, "{at}");
    }
}

#[test]
fn an_old_member_that_was_removed_cannot_come_back_and_nothing_is_stopped_for_it() {
    let world = World::new();
    let report = apply_recovery(&world.recovery, &world.options).unwrap();
    let new = world.database();
    let calls = world.calls();
    let old = world.on_disk(report.old_data.unwrap());
    let elsewhere = world.folder.path().join("elsewhere");
    fs::rename(&old, &elsewhere).unwrap();
    for _ in 0..2 {
        let error = roll_back_recovery(&world.options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(
            error.to_string().contains("the old member is gone"),
            "{error}"
        );
        assert_eq!(
            (world.database(), world.calls()),
            (new.clone(), calls.clone())
        );
    }
    fs::rename(&elsewhere, &old).unwrap();
    roll_back_recovery(&world.options).unwrap();
    assert_ne!(world.database(), new);
}

/// The journal says that it is over, and has not got the name that says so.
#[test]
fn a_recovery_that_is_over_is_not_gone_on_with() {
    let world = World::new();
    let old = world.database();
    for state in ["rolled-back", "done"] {
        world.stopped_at("2!");
        world.change_journal(|journal| journal["state"] = state.into());
        let error = resume_recovery(&world.options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert_eq!(world.database(), old);
        assert!(!world.state().contains(&"recovery.json".to_owned()));
        fs::remove_dir_all(world.on_disk("/var/lib/etcd/.etcd-snap-recovery-1")).unwrap();
    }
    apply_recovery(&world.recovery, &world.options).unwrap();
}

/// A way back that can only be refused takes nothing down, and leaves the recovery what it is: over.
#[test]
fn what_refuses_a_way_back_is_found_before_anything_is_stopped() {
    let in_state = |world: &World, name: &str| world.state().contains(&name.to_owned());
    // What was changed for the new directory is something else now.
    let mut world = World::of_kubelet().with_new_directory();
    let manifest = PathBuf::from("/etc/kubernetes/manifests/etcd.yaml");
    world.recovery.changes = vec![FileChange {
        path: manifest.clone(),
        before: Some("# etcd\n".into()),
        after: "# etcd of the new directory\n".into(),
        diff: String::new(),
    }];
    apply_recovery(&world.recovery, &world.options).unwrap();
    let before = world.manifests();
    fs::write(world.on_disk(&manifest), "# upgraded\n").unwrap();
    for _ in 0..2 {
        let error = roll_back_recovery(&world.options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert_eq!(world.manifests(), before);
        assert!(!in_state(&world, "recovery.json"), "{:?}", world.state());
    }
    let state = Path::new("/var/lib/etcd-snap");
    assert!(!crate::is_recovery_under_way(&world.options.root, state));
    assert!(crate::is_recovery_kept(&world.options.root, state));
    fs::write(world.on_disk(&manifest), "# etcd of the new directory\n").unwrap();
    roll_back_recovery(&world.options).unwrap();
    assert_eq!(world.manifest("etcd.yaml"), "# etcd\n");
    assert!(!crate::is_recovery_kept(&world.options.root, state));

    // etcd's own manifest is nowhere.
    let world = World::of_kubelet();
    apply_recovery(&world.recovery, &world.options).unwrap();
    fs::remove_file(world.on_disk(&manifest)).unwrap();
    let error = roll_back_recovery(&world.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert_eq!(
        world.manifests(),
        ["kube-apiserver.yaml", "kube-scheduler.yaml"]
    );
}

/// Another one is in both places, as something that manages files has put it back.
#[test]
fn another_manifest_in_both_places_is_said_when_all_else_is_back() {
    let world = World::of_kubelet();
    let old = world.database();
    world.stopped_at("5!");
    world.write_manifest("kube-scheduler.yaml", "# managed\n");
    let error = roll_back_recovery(&world.options).unwrap_err();
    assert!(error.to_string().contains("are both there"), "{error}");
    assert_eq!(world.database(), old);
    assert_eq!(world.manifests().len(), 3);
    fs::remove_file(world.on_disk("/etc/kubernetes/aside/kube-scheduler.yaml")).unwrap();
    roll_back_recovery(&world.options).unwrap();
    assert_eq!(world.manifest("kube-scheduler.yaml"), "# managed\n");
}

/// With the token of the old cluster the old member has the ids of the new one.
#[test]
fn an_old_member_with_the_same_ids_is_known_to_be_back() {
    let mut world = World::new();
    world.recovery.restore.initial_cluster_token = "old".into();
    fs::write(world.on_disk(DATA).join("member/mark"), "").unwrap();
    apply_recovery(&world.recovery, &world.options).unwrap();
    let watcher = Watcher::stopping_at("3!");
    let options = world.options.clone().with_observer(watcher);
    roll_back_recovery(&options).unwrap_err();
    world.change_journal(|journal| {
        journal["back"]["done"].as_array_mut().unwrap().pop();
    });
    roll_back_recovery(&world.options).unwrap();
    assert!(world.on_disk(DATA).join("member/mark").exists());
}
