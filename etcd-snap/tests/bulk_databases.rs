//! The databases of `etcd_snap_testdata::bulk`, of which the benchmarks are made, before everybody: bbolt, the tools of every
//! minor, a server that starts from them, and the library all say what their builder says.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    DigestCheck, HashKvOptions, Snapshot, StatusOptions, VerifyOptions, hash_kv, status_with,
    verify,
};
use etcd_snap_testdata::bulk::{Bulk, Facts, History, Profile, Sample};
use etcd_snap_testdata::cluster::{Cluster, Security};
use etcd_snap_testdata::etcd::{Binaries, Version};

const SIZE_BYTES: u64 = 5_000_000;

const HISTORIES: [History; 3] = [
    History::Compacted,
    History::Interrupted,
    History::NeverCompacted,
];

fn every_kind() -> impl Iterator<Item = Bulk> {
    Profile::ALL.into_iter().flat_map(|profile| {
        HISTORIES.map(|history| Bulk::new(profile, SIZE_BYTES).history(history))
    })
}

#[test]
fn the_library_finds_in_them_what_their_builder_put_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("db");
    for bulk in every_kind() {
        let facts = bulk.write(&path)?;
        let snapshot = Snapshot::open(&path)?;
        let report = verify(&snapshot, &VerifyOptions::default())?;
        ensure!(
            report.problems.is_empty(),
            "{bulk:?}: {:?}",
            report.problems
        );
        let DigestCheck::Matches { digest } = report.digest else {
            panic!("{bulk:?}: {:?}", report.digest);
        };
        let found = report.contents;
        assert_eq!(digest.to_string(), facts.digest, "{bulk:?}");
        assert_eq!(found.hash, facts.status_hash, "{bulk:?}");
        assert_eq!(found.revision.get(), facts.revision, "{bulk:?}");
        assert_eq!(
            found.compact_revision.map(|revision| revision.get()),
            facts.compact_revision,
            "{bulk:?}"
        );
        assert_eq!(found.total_records, facts.total_records, "{bulk:?}");
        assert_eq!(found.live_keys, facts.live_keys, "{bulk:?}");
        assert_eq!(found.leases, facts.leases, "{bulk:?}");
        assert_eq!(found.free_pages, facts.free_pages, "{bulk:?}");
        assert_eq!(snapshot.size_bytes(), facts.size_bytes, "{bulk:?}");
        let status = status_with(&snapshot, &StatusOptions::default())?;
        assert_eq!(status.hash, facts.status_hash, "{bulk:?}");
        assert_eq!(status.live_keys, facts.live_keys, "{bulk:?}");
    }
    Ok(())
}

#[test]
fn etcd_finds_in_them_what_their_builder_put_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("db");
    let all = Version::ALL
        .map(Binaries::find)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    for bulk in every_kind() {
        let facts = bulk.write(&path)?;
        for etcd in &all {
            let what = || format!("{bulk:?} before etcd {}", etcd.version);
            etcd.check_pages([&path]).with_context(what)?;
            assert_status(etcd, &path, &facts).with_context(what)?;
        }
        assert_hash_kv(&path).with_context(|| format!("{bulk:?}"))?;
    }
    Ok(())
}

fn assert_status(etcd: &Binaries, path: &Path, facts: &Facts) -> Result<()> {
    let path = path.to_str().context("a name in UTF-8")?;
    let text = etcd.offline(["snapshot", "status", path, "-w", "json"])?;
    let theirs: serde_json::Value = serde_json::from_str(&text)?;
    let keys = if etcd.version < Version::V3_6 {
        facts.total_records
    } else {
        facts.live_keys
    };
    for (field, ours) in [
        ("hash", u64::from(facts.status_hash)),
        ("revision", facts.revision as u64),
        ("totalKey", keys),
        ("totalSize", facts.pages * 4096),
    ] {
        ensure!(
            theirs[field].as_u64() == Some(ours),
            "{field}: {ours} here, {text} there"
        );
    }
    Ok(())
}

/// Of a copy: the tool writes to what it looks at.
fn assert_hash_kv(path: &Path) -> Result<()> {
    let newest = Binaries::find(Version::NEWEST)?;
    let copy = path.with_extension("copy");
    fs::copy(path, &copy)?;
    let copy = copy.to_str().context("a name in UTF-8")?;
    let text = newest.offline(["hashkv", copy, "-w", "json"])?;
    let theirs: serde_json::Value = serde_json::from_str(&text)?;
    let ours = hash_kv(&Snapshot::open(path)?, &HashKvOptions::default())?;
    let compact_revision = ours.compact_revision.map_or(-1, |revision| revision.get());
    for (field, ours) in [
        ("hash", i64::from(ours.hash)),
        ("hashRevision", ours.revision.get()),
        ("compactRevision", compact_revision),
    ] {
        ensure!(
            theirs[field].as_i64() == Some(ours),
            "{field}: {ours} here, {text} there"
        );
    }
    Ok(())
}

#[test]
fn a_server_starts_from_them_and_gives_out_their_keys() -> Result<()> {
    let interrupted = Bulk::new(Profile::Small, SIZE_BYTES).history(History::Interrupted);
    let compacted = Profile::ALL.map(|profile| Bulk::new(profile, SIZE_BYTES));
    for bulk in compacted.iter().chain([&interrupted]) {
        boots(bulk).with_context(|| format!("{bulk:?}"))?;
    }
    Ok(())
}

fn boots(bulk: &Bulk) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("db");
    let facts = bulk.write(&path)?;
    let plan = Cluster::builder(Version::NEWEST)
        .security(Security::Plain)
        .plan()?;
    plan.restore_with_etcd(&path, &[])?;
    let cluster = plan.start()?;

    let ours = hash_kv(&Snapshot::open(&path)?, &HashKvOptions::default())?;
    let theirs = cluster.hash_kv(0, facts.revision)?;
    assert_eq!(theirs.revision, facts.revision);
    assert_eq!(theirs.hash, ours.hash);
    assert_eq!(Some(theirs.compact_revision), facts.compact_revision);

    ensure!(facts.samples.iter().any(|sample| sample.put.is_none()));
    let (_, lines) = cluster.keys_at(facts.revision)?;
    assert_eq!(lines.len() as u64, facts.live_keys);
    for sample in &facts.samples {
        assert_sample(&cluster, &lines, sample).with_context(|| sample.key.clone())?;
    }
    let leases = cluster.etcdctl(["lease", "list"])?;
    ensure!(
        leases.starts_with(&format!("found {} leases", facts.leases)),
        "{} leases, but {leases}",
        facts.leases
    );
    Ok(())
}

/// The dump has keys in Base64, so the key is looked up by itself.
fn assert_sample(cluster: &Cluster, dump: &[String], sample: &Sample) -> Result<()> {
    let text = cluster.etcdctl(["get", &sample.key, "-w", "fields"])?;
    let Some(put) = &sample.put else {
        ensure!(text.contains("\"Count\" : 0"), "not deleted: {text}");
        return Ok(());
    };
    for (field, ours) in [
        ("CreateRevision", put.create_revision),
        ("ModRevision", put.mod_revision),
        ("Version", put.version),
        ("Lease", put.lease),
    ] {
        let line = format!("\"{field}\" : {ours}\n");
        ensure!(text.contains(&line), "no {line} in {text}");
    }
    let line = format!(
        "\"create_revision\":{},\"mod_revision\":{},\"version\":{},\"lease\":\"{:x}\",\"value_bytes\":{},\"value_sha256\":\"{}\"",
        put.create_revision,
        put.mod_revision,
        put.version,
        put.lease,
        put.value_bytes,
        put.value_sha256
    );
    ensure!(
        dump.iter().any(|dumped| dumped.contains(&line)),
        "no {line} among the keys"
    );
    Ok(())
}

#[test]
fn the_same_options_make_the_same_file_and_another_seed_another() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, seed| -> Result<(PathBuf, Facts)> {
        let path = folder.path().join(name);
        let facts = Bulk::new(Profile::Kubernetes, 1_000_000)
            .seed(seed)
            .write(&path)?;
        Ok((path, facts))
    };
    let (first, facts) = write("first", 1)?;
    let (again, facts_again) = write("again", 1)?;
    let (other, _) = write("other", 2)?;
    assert!(fs::read(&first)? == fs::read(again)?);
    assert_eq!(facts, facts_again);
    assert!(fs::read(first)? != fs::read(other)?);
    Ok(())
}

/// Leaves as bbolt's allocator leaves them, and about as large as it was asked for.
#[test]
fn they_look_lived_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for profile in Profile::ALL {
        let size_bytes = 40_000_000;
        let path = folder.path().join("db");
        let facts = Bulk::new(profile, size_bytes).write(&path)?;
        let near = |what: &str, number: f64, low: f64, high: f64| {
            ensure!((low..high).contains(&number), "{profile}: {what} {number}");
            Ok(())
        };
        near("next", facts.next_share, 0.30, 0.36)?;
        near("behind", facts.behind_share, 0.24, 0.31)?;
        near("leaf fill", facts.leaf_fill, 0.6, 0.85)?;
        let free = facts.free_pages as f64 / facts.pages as f64;
        near("free", free, 0.06, 0.16)?;
        let size = facts.size_bytes as f64 / size_bytes as f64;
        near("size", size, 0.95, 1.10)?;
    }
    Ok(())
}
