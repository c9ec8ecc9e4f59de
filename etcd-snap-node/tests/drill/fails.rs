//! What does not hold is named.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use etcd_snap::{
    ClusterId, MemberTarget, NewCluster, RestoreOptions, SaveOptions, Snapshot, restore,
    save_blocking,
};
use etcd_snap_node::{DrillVerdict, drill};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::database::{DatabaseBuilder, Image};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::golden;
use serde_json::json;

use crate::{Room, client_of};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn good() -> Vec<u8> {
    fs::read(golden::snapshot(Version::V3_6)).expect("a committed snapshot")
}

/// Twenty keys, all with this value.
fn store(value: &str) -> DatabaseBuilder {
    (0..20).fold(DatabaseBuilder::new(4096), |builder, n| {
        builder.put(format!("key-{n}"), value)
    })
}

/// A program that is called as etcd is.
fn script(room: &Room, lines: &str) -> Result<PathBuf> {
    let path = room.path().join("etcd");
    etcd_snap_testdata::write_program(&path, &format!("#!/bin/sh\n{lines}\n"))?;
    Ok(path)
}

#[test]
fn damage_is_named_before_anything_is_booted() -> Result<()> {
    let room = Room::new()?;
    let options = room.options(Version::V3_6)?;
    let mut flipped = good();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let flipped = room.put("flipped.db", &flipped)?;
    let report = room.fails(&flipped, &options, "verify", "SHA-256");
    ensure!(report.etcd.is_none() && report.snapshot.digest.is_none());

    let mut other = good();
    let digest = other.len() - 32;
    other[digest] ^= 1;
    let other = room.put("digest.db", &other)?;
    let _ = room.fails(&other, &options, "verify", "the digest at the end says");

    let text = room.put(
        "text.db",
        b"no snapshot at all, and long enough to be looked at",
    )?;
    let _ = room.fails(&text, &options, "verify", "text.db");

    let raw = room.put("raw.db", &Image::of_snapshot(good()).unsealed())?;
    let _ = room.fails(&raw, &options, "verify", "digest");
    let report = room.passes(&raw, &options.with_skip_hash_check(true));
    ensure!(report.notes.len() == 1 && report.notes[0].contains("no digest"));
    Ok(())
}

#[test]
fn a_snapshot_that_is_too_old_fails_by_the_time_of_its_file_and_by_its_manifest() -> Result<()> {
    let room = Room::new()?;
    let snapshot = room.put("old.db", &good())?;
    let now = SystemTime::now();
    File::options()
        .write(true)
        .open(&snapshot)?
        .set_times(FileTimes::new().set_modified(now - 30 * HOUR))?;
    let options = room.offline().with_max_age(26 * HOUR);
    let report = room.fails(&snapshot, &options, "conditions", "by the time of its file");
    ensure!(
        report
            .reason
            .as_deref()
            .is_some_and(|it| it.contains("30 h old"))
    );

    // A copy is young, and what it is a copy of is not.
    let young = room.put("young.db", &good())?;
    let report = drill(&young, &options)?;
    ensure!(report.verdict == DrillVerdict::NotBooted, "{report:?}");
    let saved_at = humantime_text(now - 30 * HOUR);
    manifest(&young, &json!({ "saved_at": saved_at }))?;
    let _ = room.fails(&young, &options, "conditions", "as its manifest says");
    manifest(&young, &json!({ "saved_at": humantime_text(now - HOUR) }))?;
    let report = drill(&young, &options)?;
    ensure!(report.verdict == DrillVerdict::NotBooted, "{report:?}");
    Ok(())
}

fn humantime_text(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

/// Writes the manifest of a snapshot, with these fields besides.
fn manifest(snapshot: &Path, more: &serde_json::Value) -> Result<()> {
    let opened = Snapshot::open(snapshot)?;
    let mut fields = json!({
        "size_bytes": opened.size_bytes(),
        "digest": opened.digest(),
    });
    let all = fields.as_object_mut().expect("an object");
    all.extend(more.as_object().expect("an object").clone());
    let path = etcd_snap::Manifest::path_for(snapshot);
    fs::write(path, serde_json::to_vec(&fields)?)?;
    Ok(())
}

#[test]
fn conditions_that_do_not_hold_are_all_listed() -> Result<()> {
    let room = Room::new()?;
    let options = room
        .options(Version::V3_6)?
        .with_expected_key("empty")
        .with_expected_key("nobody's")
        .with_expected_key(b"\xff\x00".as_slice())
        .with_expected_count("plain/>=1000".parse().map_err(anyhow::Error::msg)?);
    let snapshot = room.put("good.db", &good())?;
    let report = room.fails(
        &snapshot,
        &options,
        "conditions",
        "the key nobody's is not in the snapshot; the key 0xff00 is not in the snapshot; expected were keys below plain/ >= 1000",
    );
    // The rest is proven all the same: whoever reads it at night learns all there is.
    ensure!(report.serving_ms.is_some() && report.steps.len() == 13);
    Ok(())
}

#[test]
fn another_clusters_manifest_is_named() -> Result<()> {
    let room = Room::new()?;
    let living = Cluster::builder(Version::V3_6).start()?;
    living.etcdctl(["put", "a", "b"])?;
    let snapshot = room.path().join("new.db");
    let saving = SaveOptions::default().with_manifest(true);
    let saved = save_blocking(&client_of(&living)?, &snapshot, &saving)?;
    drop(living);
    let own = saved.cluster_id.expect("a cluster");
    let path = etcd_snap::Manifest::path_for(&snapshot);
    let written = fs::read(&path)?;

    let offline = room.offline();
    let report = drill(&snapshot, &offline.clone().with_cluster_id(own))?;
    ensure!(report.verdict == DrillVerdict::NotBooted, "{report:?}");
    let expected = offline.clone().with_cluster_id(ClusterId::new(7));
    let words = format!("another cluster: its manifest says {own}, expected is 7");
    let _ = room.fails(&snapshot, &expected, "origin", &words);

    // Of another file.
    let golden = room.put("golden.db", &good())?;
    fs::copy(&path, etcd_snap::Manifest::path_for(&golden))?;
    let _ = room.fails(&golden, &offline, "origin", "belongs to another file");

    // Of a cluster whose members the snapshot does not know.
    let text = String::from_utf8(written)?;
    let giver = saved.member_id.expect("a member").to_string();
    fs::write(&path, text.replace(&giver, "abc"))?;
    let words = "another cluster's: it says that the member abc gave the snapshot";
    let _ = room.fails(&snapshot, &offline, "origin", words);

    fs::remove_file(&path)?;
    let expected = offline.with_cluster_id(own);
    let _ = room.fails(&snapshot, &expected, "origin", "no manifest lies beside it");
    Ok(())
}

#[test]
fn an_etcd_that_is_too_old_is_named_before_anything_is_restored() -> Result<()> {
    let room = Room::new()?;
    for (snapshot, etcd, words) in [
        (Version::V3_7, Version::V3_4, "3.4.23 is too old"),
        (Version::V3_7, Version::V3_6, "which is of etcd 3.7"),
        (Version::V3_5, Version::V3_4, "which is of etcd 3.5"),
    ] {
        let options = room.options(etcd)?;
        let report = room.fails(&golden::snapshot(snapshot), &options, "etcd", words);
        ensure!(report.members.is_empty());
    }
    Ok(())
}

/// The same where it does not say its version: then it says what is wrong itself.
#[test]
fn an_etcd_that_is_too_old_and_does_not_say_so_fails_at_its_start() -> Result<()> {
    let room = Room::new()?;
    let old = Binaries::find(Version::V3_6)?.etcd;
    let lines = format!(
        "[ \"$1\" = --version ] && exit 0\nexec {} \"$@\"",
        old.display()
    );
    let options = room.offline().with_etcd(script(&room, &lines)?);
    let snapshot = golden::snapshot(Version::V3_7);
    let report = room.fails(&snapshot, &options, "start", "is not supported");
    ensure!(report.etcd.is_some_and(|etcd| etcd.version.is_none()));
    Ok(())
}

#[test]
fn an_etcd_that_does_not_start_is_quoted() -> Result<()> {
    let room = Room::new()?;
    let snapshot = room.put("good.db", &good())?;
    let failing = script(
        &room,
        "echo \"cannot open the database: bad luck\" >&2\nexit 1",
    )?;
    let options = room.offline().with_etcd(failing);
    let words =
        "etcd ended with code 1 before it served, as m1: cannot open the database: bad luck";
    let _ = room.fails(&snapshot, &options, "start", words);

    // That says nothing of the snapshot.
    for path in ["/no/such/etcd", "/"] {
        let error = drill(&snapshot, &room.offline().with_etcd(path)).unwrap_err();
        ensure!(error.to_string().contains(path), "{error}");
        ensure!(error.remedy().is_some());
    }
    Ok(())
}

#[test]
fn an_etcd_that_stays_silent_is_not_waited_for_beyond_its_time() -> Result<()> {
    let room = Room::new()?;
    let snapshot = room.put("good.db", &good())?;
    // What it started itself must go too.
    let lines = "[ \"$1\" = --version ] && exit 0\necho 'thinking it over'\nsleep 1000 &\nwait";
    let options = room
        .offline()
        .with_etcd(script(&room, lines)?)
        .with_timeout(Duration::from_secs(5));
    let words = "m1 did not serve within 5s";
    let report = room.fails(&snapshot, &options, "start", words);
    let reason = report.reason.unwrap_or_default();
    ensure!(
        reason.contains("its last words: thinking it over"),
        "{reason}"
    );
    Ok(())
}

/// It takes another directory than the one that was restored.
#[test]
fn an_etcd_that_serves_other_data_is_found_out_by_its_hash() -> Result<()> {
    let room = Room::new()?;
    let snapshot = room.put("one.db", &store("one").build())?;
    let other = room.put("other.db", &store("other").build())?;
    let elsewhere = room.path().join("elsewhere");
    restore(
        &Snapshot::open(other)?,
        &NewCluster::parse("m1=http://127.0.0.1:1", "other")?,
        &[MemberTarget::new("m1", &elsewhere)],
        &RestoreOptions::default(),
    )?;
    let etcd = Binaries::find(Version::V3_6)?.etcd;
    let lines = format!(
        "[ \"$1\" = --version ] && exec {etcd} --version\nexec {etcd} \"$@\" --data-dir={}",
        elsewhere.display(),
        etcd = etcd.display(),
    );
    let options = room.offline().with_etcd(script(&room, &lines)?);
    let report = room.fails(
        &snapshot,
        &options,
        "hash-kv",
        "holds other keys than the snapshot",
    );
    let hash = report.members[0].hash_kv.expect("both hashes");
    ensure!(hash.expected != hash.found);
    let failed: Vec<_> = report
        .steps
        .iter()
        .filter(|step| step.outcome == etcd_snap_node::DrillOutcome::Failed)
        .map(|step| step.code.as_str())
        .collect();
    ensure!(
        failed.contains(&"sample") && failed.contains(&"members"),
        "{failed:?}"
    );
    Ok(())
}

/// It founds a cluster of its own, without any data.
#[test]
fn an_etcd_that_serves_nothing_is_found_out() -> Result<()> {
    let room = Room::new()?;
    let snapshot = room.put("good.db", &good())?;
    let etcd = Binaries::find(Version::V3_6)?.etcd;
    let lines = format!(
        "[ \"$1\" = --version ] && exec {etcd} --version\nexec {etcd} \"$@\" --data-dir={}/empty --initial-cluster-state=new",
        room.path().display(),
        etcd = etcd.display(),
    );
    let options = room.offline().with_etcd(script(&room, &lines)?);
    let _ = room.fails(
        &snapshot,
        &options,
        "hash-kv",
        "m1 has no hash at revision 215",
    );
    Ok(())
}

#[test]
fn a_living_cluster_that_holds_something_else_is_a_failure() -> Result<()> {
    let room = Room::new()?;
    let living = Cluster::builder(Version::V3_6).start()?;
    for n in 0..20 {
        living.etcdctl(["put", &format!("key-{n}"), "other"])?;
    }
    let options = room.offline().with_living_cluster(client_of(&living)?);
    let snapshot = room.put("one.db", &store("one").build())?;
    let report = room.fails(&snapshot, &options, "attest", "1 of 1 member differs");
    ensure!(report.attest.is_some());
    Ok(())
}
