//! The data goes to another directory, which changes what starts etcd; and a cluster that needs no recovery.

use std::os::unix::fs::MetadataExt as _;

use etcd_snap_node::{ErrorKind, Severity};
use etcd_snap_testdata::node::wait_for;

use super::*;

#[test]
fn another_data_directory_changes_one_line_of_the_manifest() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 1)?;
    let machine = scene.machine(0);
    let before = fs::read_to_string(machine.manifest())?;
    let options = plan_options(machine).with_new_data_dir("/var/lib/etcd-restored");
    let recovery = scene.plan_with(0, &options)?;
    apply(&scene, 0, &recovery)?;
    scene.machines.wait_until_healthy()?;
    scene.is_back(0)?;

    let after = fs::read_to_string(machine.manifest())?;
    let changed: Vec<_> = before
        .lines()
        .zip(after.lines())
        .filter(|(before, after)| before != after)
        .collect();
    assert_eq!(
        changed,
        [(
            "        path:   '/var/lib/etcd'    # do not move",
            "        path:   '/var/lib/etcd-restored'    # do not move"
        )]
    );
    assert_eq!(before.lines().count(), after.lines().count());
    ensure!(holds(
        &machine.data_dir().join("member/snap/db"),
        "only-here"
    )?);
    let restored = machine.on_disk("/var/lib/etcd-restored/member/snap/db");
    ensure!(restored.exists());

    // What is warned of: an upgrade writes its own manifest, and the old data is back.
    ensure!(
        recovery
            .findings
            .iter()
            .any(|finding| finding.message.contains("kubeadm")),
        "{:#?}",
        recovery.findings
    );

    Ok(())
}

#[test]
fn another_data_directory_of_a_unit_is_a_drop_in() -> Result<()> {
    let scene = Scene::new(Version::V3_5, Starter::Systemd, 1)?;
    let machine = scene.machine(0);
    let before = configuration(machine)?;
    let options = plan_options(machine).with_new_data_dir("/var/lib/etcd-restored");
    let recovery = scene.plan_with(0, &options)?;
    apply(&scene, 0, &recovery)?;
    scene.machines.wait_until_healthy()?;
    scene.is_back(0)?;
    let restored = machine.on_disk("/var/lib/etcd-restored/member/snap/db");
    ensure!(restored.exists());
    assert_eq!(
        fs::metadata(&restored)?.uid(),
        fs::metadata(machine.data_dir())?.uid()
    );
    let mut after = configuration(machine)?;
    let added: Vec<_> = after
        .keys()
        .filter(|path| !before.contains_key(*path))
        .cloned()
        .collect();
    ensure!(added.len() == 1, "{added:?}");
    ensure!(added[0].starts_with(machine.on_disk("/etc/systemd/system/etcd.service.d")));
    after.remove(&added[0]);
    ensure!(after == before, "a file of somebody else has changed");

    Ok(())
}

/// A member that can be replaced by the others needs no snapshot.
#[test]
fn a_quorum_that_is_there_is_a_reason_to_refuse() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 3)?;
    scene.machine(2).damage_data()?;
    wait_for("two of three do not serve", || scene.machines.is_healthy(0))?;
    let before = configuration(scene.machine(2))?;
    let recovery = scene.plan_with(
        2,
        &PlanOptions::default()
            .with_root(Root::new(scene.machine(2).root()))
            .with_questions(true),
    )?;
    let finding = recovery
        .findings
        .iter()
        .find(|finding| finding.code == "quorum-is-there")
        .with_context(|| format!("{:#?}", recovery.findings))?;
    assert_eq!(finding.severity, Severity::Error);
    let said = format!(
        "{} {}",
        finding.message,
        finding.remedy.as_deref().unwrap_or_default()
    );
    ensure!(said.contains("member remove"), "{said}");
    let error = apply_recovery(&recovery, &apply_options(scene.machine(2))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let forced = plan_options(scene.machine(2)).with_questions(true);
    let forced = scene.plan_with(2, &forced)?;
    ensure!(!forced.is_refused(), "{:#?}", forced.findings);
    ensure!(
        forced
            .findings
            .iter()
            .any(|finding| finding.code == "quorum-is-there")
    );
    ensure!(configuration(scene.machine(2))? == before);
    ensure!(names_like(&scene.machine(2).data_dir(), "")? == ["member"]);
    Ok(())
}

#[test]
fn a_member_that_serves_alone_is_asked_what_its_clients_have_seen() -> Result<()> {
    let scene = Scene::new(Version::V3_6, Starter::Kubelet, 1)?;
    let options = PlanOptions::default().with_root(Root::new(scene.machine(0).root()));
    let recovery = scene.plan_with(0, &options.clone().with_questions(true))?;
    let finding = recovery
        .findings
        .iter()
        .find(|finding| finding.code == "writes-are-lost")
        .with_context(|| format!("{:#?}", recovery.findings))?;
    assert_eq!(finding.severity, Severity::Warning);
    ensure!(finding.message.contains(&scene.revision.to_string()));
    ensure!(!recovery.is_refused(), "{:#?}", recovery.findings);
    // Above what was seen, and not by the billion of those who know nothing.
    let revision = recovery.revision.get();
    ensure!(
        revision > scene.revision && revision < 100_000_000,
        "{revision}"
    );

    let unasked = scene.plan_with(0, &options)?;
    ensure!(
        unasked
            .findings
            .iter()
            .all(|finding| finding.code != "writes-are-lost")
    );
    Ok(())
}
