//! Good snapshots, with every etcd that has to take them.

use anyhow::{Result, ensure};
use etcd_snap::{SaveOptions, save_blocking};
use etcd_snap_node::{DrillOutcome, drill_cluster};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::database::DatabaseBuilder;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;

use crate::{Room, assert_passed, client_of};

/// What real servers left: leases, users, a compaction, deleted keys.
#[test]
fn snapshots_of_every_minor_pass_with_every_etcd_that_is_not_older() -> Result<()> {
    for version in Version::ALL {
        let room = Room::new()?;
        for newer in version.and_newer() {
            let options = room.options(newer)?.with_expected_key("empty");
            let report = room.passes(&golden::snapshot(version), &options);
            ensure!(report.members.len() == 1 && report.snapshot.keys == Some(226));
            let etcd = report.etcd.expect("an etcd");
            let said = etcd.version.expect("a version");
            ensure!(said.starts_with(newer.minor()), "{said}");
        }
    }
    Ok(())
}

#[test]
fn three_members_pass_at_every_minor() -> Result<()> {
    for version in Version::ALL {
        let room = Room::new()?;
        let options = room.options(version)?.with_members(3);
        let report = room.passes(&golden::snapshot(version), &options);
        ensure!(report.members.len() == 3);
    }
    Ok(())
}

/// Taken for the drill, from a cluster that goes on living beside its restored twin and never hears of it.
#[test]
fn a_living_cluster_of_three_is_drilled_with_three_and_bears_it_out() -> Result<()> {
    let room = Room::new()?;
    let living = Cluster::builder(Version::V3_6).members(3).start()?;
    for n in 0..150 {
        living.etcdctl(["put", &format!("key/{n}"), "value"])?;
    }
    let options = room
        .options(Version::V3_6)?
        .with_expected_count("key/=150".parse().map_err(anyhow::Error::msg)?);
    let before = living.agreed_hash_kv()?;
    let report = drill_cluster(&client_of(&living)?, None, &options)?;
    assert_passed(&report);
    room.assert_clean();
    ensure!(report.members.len() == 3);
    ensure!(report.snapshot.members == ["m1", "m2", "m3"]);
    let attested = report.attest.expect("the living members were asked");
    ensure!(attested.equal() == 3, "{attested:?}");
    ensure!(attested.cluster_id == report.snapshot.cluster_id);
    // The probe was written to the twin alone.
    ensure!(living.agreed_hash_kv()? == before);

    // Into a file that is named: it stays, with its manifest.
    let kept = room.path().join("kept.db");
    let report = drill_cluster(&client_of(&living)?, Some(&kept), &options)?;
    assert_passed(&report);
    let mut names: Vec<_> = std::fs::read_dir(room.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    names.sort();
    ensure!(names == ["kept.db", "kept.db.manifest.json"], "{names:?}");
    let options = options.with_cluster_id(report.snapshot.cluster_id.expect("a cluster"));
    let _ = room.passes(&kept, &options);
    Ok(())
}

/// With auth enabled, nobody answers but to root, whose password nobody knows: its certificate will do.
#[test]
fn snapshots_with_auth_enabled_pass_at_every_minor() -> Result<()> {
    for version in Version::ALL {
        let room = Room::new()?;
        let living = Cluster::builder(version).auth(true).start()?;
        living.etcdctl(["put", "a", "b"])?;
        let snapshot = room.path().join("auth.db");
        save_blocking(&client_of(&living)?, &snapshot, &SaveOptions::default())?;
        drop(living);
        let report = room.passes(&snapshot, &room.options(version)?.with_members(2));
        ensure!(report.snapshot.auth_enabled == Some(true));
    }
    Ok(())
}

#[test]
fn an_alarm_of_the_snapshot_is_no_fault_of_the_restore() -> Result<()> {
    let room = Room::new()?;
    let report = room.passes(
        &golden::snapshot_with_alarm(),
        &room.options(Version::V3_6)?,
    );
    let alarms = report.steps.iter().find(|step| step.code == "alarms");
    let alarms = &alarms.expect("a step").detail;
    ensure!(alarms.contains("NOSPACE of member"), "{alarms}");
    Ok(())
}

/// What has no history, what has only history, what was bumped, and what its own server had not finished compacting.
#[test]
fn odd_stores_pass() -> Result<()> {
    let often = |keys: i32| {
        (0..300).fold(DatabaseBuilder::new(4096), |builder, n| {
            builder.put(format!("key-{}", n % keys), format!("value {n}"))
        })
    };
    for (what, builder) in [
        ("empty", DatabaseBuilder::new(4096)),
        ("all deleted", often(30).delete_all()),
        ("deleted and compacted", {
            let gone = often(30).delete_all();
            let now = gone.revision();
            gone.compact(now)
        }),
        ("bumped", often(30).compact(90).bump(1000)),
        ("half compacted", often(30).compact_partly(200, 100)),
        (
            "half compacted to the end",
            often(30).compact_partly(301, 100),
        ),
        (
            "short leases",
            (0..20).fold(often(3).lease(7, 1), |builder, n| {
                builder.put_with_lease(format!("gone-{n}"), "soon", 7)
            }),
        ),
    ] {
        let room = Room::new()?;
        let snapshot = room.put("odd.db", &builder.build())?;
        for version in [Version::V3_6, Version::V3_7] {
            let report = etcd_snap_node::drill(&snapshot, &room.options(version)?)?;
            ensure!(report.reason.is_none(), "{what}: {report:#?}");
            assert_passed(&report);
        }
        room.assert_clean();
    }
    Ok(())
}

#[test]
fn what_is_skipped_says_why() -> Result<()> {
    let room = Room::new()?;
    let options = room.options(Version::V3_7)?.with_sample(0);
    let report = room.passes(&golden::snapshot(Version::V3_7), &options);
    let skipped: Vec<_> = report
        .steps
        .iter()
        .filter(|step| step.outcome == DrillOutcome::Skipped)
        .map(|step| (step.code.as_str(), step.detail.as_str()))
        .collect();
    let expected = [
        ("origin", "no manifest lies beside it"),
        ("sample", "none was asked for"),
    ];
    ensure!(skipped == expected, "{skipped:?}");
    Ok(())
}
