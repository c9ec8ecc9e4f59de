//! What else comes back with the data, on real servers: alarms that block, leases, users, versions; and what is squeezed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    Bump, RestoreOptions, Snapshot, SqueezeOptions, StorageVersion, VerifyOptions, squeeze, verify,
};
use etcd_snap_testdata::cluster::{Cluster, ClusterState, Plan, Security, Workload};
use etcd_snap_testdata::database::{AlarmKind, DatabaseBuilder, Image, Model};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::sample;

use super::restore_plan;

fn databases(plan: &Plan) -> Vec<PathBuf> {
    let members = plan.members().iter();
    members
        .map(|member| member.data_dir.join("member/snap/db"))
        .collect()
}

/// Of 3.4 there is no checker: the page format is the same in all.
fn checker(version: Version) -> Result<Binaries> {
    Binaries::find(version.max(Version::V3_5))
}

fn version_of(version: Version) -> Result<StorageVersion> {
    Ok(version.minor().parse()?)
}

fn is_leased(line: &str) -> bool {
    !line.contains("\"lease\":\"0\"")
}

#[test]
fn keys_without_a_lease_come_back_and_those_with_one_do_not() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        let source = Cluster::builder(version)
            .security(Security::Plain)
            .start()?;
        source.write(&Workload::default())?;
        let granted = source.etcdctl(["lease", "grant", "3600"])?;
        let lease = granted.split_whitespace().nth(1).context("a lease")?;
        let lease = format!("--lease={lease}");
        source.etcdctl(["put", "leased-later", "an older value"])?;
        source.etcdctl(["put", "free-later", "leased", &lease])?;
        source.etcdctl(["put", "free-later", "free"])?;
        // The last change is one of those that do not come back.
        source.etcdctl(["put", "leased-later", "leased", &lease])?;
        let snapshot = source.folder().join("snapshot.db");
        source.save_with_etcdctl(0, &snapshot)?;
        let (revision, keys) = source.keys_at(0)?;
        let (leased, free): (Vec<_>, Vec<_>) = keys.into_iter().partition(|line| is_leased(line));
        ensure!(leased.len() > 1, "{leased:?}");

        let plan = Cluster::builder(version)
            .security(Security::Plain)
            .members(3)
            .token("unleased")
            .plan()?;
        let options = RestoreOptions::default().with_drop_leases(true);
        let report = restore_plan(&plan, &snapshot, &options)?;
        ensure!(
            report.dropped.leased_keys == leased.len() as u64,
            "{:?}",
            report.dropped
        );
        ensure!(report.dropped.leases == 4, "{:?}", report.dropped);
        let databases = databases(&plan);
        checker(version)?.check_pages(&databases)?;

        let mut cluster = plan.start()?;
        ensure!(
            cluster.keys_at(0)? == (revision, free),
            "{version}: other keys"
        );
        ensure!(cluster.leases()?.is_empty());
        cluster.agreed_hash_kv()?;
        cluster.etcdctl(["put", "after", "the restore"])?;
        ensure!(cluster.revision(0)? == revision + 1, "{version}");
        // The compaction goes over the holes, and over the record that stands for the last revision.
        let now = cluster.revision(0)?.to_string();
        cluster.etcdctl(["compact", "--physical", &now])?;
        cluster.agreed_hash_kv()?;
        for member in 0..3 {
            cluster.restart(member)?;
        }
        cluster.agreed_hash_kv()?;
        ensure!(cluster.revision(0)? == revision + 1, "{version}");
        for member in 0..3 {
            cluster.stop(member)?;
        }
        checker(version)?.check_pages(&databases)?;
    }
    Ok(())
}

#[test]
fn an_alarm_of_the_old_cluster_blocks_the_new_one_unless_it_is_dropped() -> Result<()> {
    const OLD_MEMBER: u64 = 0xDEAD;
    let with_alarm = DatabaseBuilder::new(4096)
        .put("key", "value")
        .alarm(AlarmKind::NoSpace, OLD_MEMBER)
        .build();
    for version in sample(Version::ALL, 2) {
        for drop in [false, true] {
            let plan = Cluster::builder(version)
                .security(Security::Plain)
                .token("alarmed")
                .plan()?;
            let source = plan.folder().join("source.db");
            fs::write(&source, &with_alarm)?;
            let options = RestoreOptions::default()
                .with_target_version(version_of(version)?)
                .with_drop_alarms(drop);
            let report = restore_plan(&plan, &source, &options)?;
            let [alarm] = report.found.alarms.as_slice() else {
                anyhow::bail!("{:?}", report.found);
            };
            ensure!(alarm.member_id.get() == OLD_MEMBER && alarm.kind == "NOSPACE");
            ensure!(report.dropped.alarms.len() == usize::from(drop));
            let told = report
                .notes
                .iter()
                .any(|note| note.contains("--drop-alarms"));
            ensure!(told != drop, "{:?}", report.notes);
            checker(version)?.check_pages(databases(&plan))?;

            let cluster = plan.start()?;
            let put = cluster.try_etcdctl(["put", "after", "the restore"]);
            let listed = cluster.etcdctl(["alarm", "list"])?;
            if drop {
                put.with_context(|| format!("{version}"))?;
                ensure!(listed.trim().is_empty(), "{version}: {listed}");
            } else {
                let refused = put.is_err_and(|e| format!("{e:#}").contains("space exceeded"));
                ensure!(refused, "{version}: the old alarm does nothing");
                ensure!(listed.contains("NOSPACE"), "{version}: {listed}");
            }
        }
    }
    Ok(())
}

/// Byte by byte, as copied and as written anew; what differs is `confState`, which etcd's tools leave as it was. That of 3.4 does
/// something else (formats.md 5.3).
#[test]
fn a_bump_is_that_of_etcds_own_tool_in_every_byte_of_key_and_meta() -> Result<()> {
    for version in sample(Version::V3_5.and_newer(), 2) {
        let snapshot = etcd_snap_testdata::folder()
            .join("snapshots")
            .join(format!("{}.db", version.minor()));
        let restored = |squeeze: Option<bool>| -> Result<Model> {
            let plan = Cluster::builder(version)
                .security(Security::Plain)
                .token("bumped")
                .plan()?;
            match squeeze {
                None => {
                    let bump = ["--bump-revision", "1000", "--mark-compacted"];
                    plan.restore_with_etcd(&snapshot, &bump)?;
                }
                Some(squeeze) => {
                    let options = RestoreOptions::default()
                        .with_bump(Bump::By(1000))
                        .with_mark_compacted(true)
                        .with_squeeze(squeeze);
                    restore_plan(&plan, &snapshot, &options)?;
                }
            }
            let database = fs::read(&databases(&plan)[0])?;
            Ok(Image::new(database, 4096).model())
        };
        let theirs = restored(None)?;
        for squeeze in [false, true] {
            let ours = restored(Some(squeeze))?;
            ensure!(
                ours.entries("key").eq(theirs.entries("key")),
                "{version}: other records"
            );
            let meta = |model: &Model| -> Vec<(Vec<u8>, Vec<u8>)> {
                let entries = model.entries("meta");
                let entries = entries.filter(|(key, _)| *key != b"confState");
                entries
                    .map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .collect()
            };
            let (ours, theirs) = (meta(&ours), meta(&theirs));
            ensure!(ours == theirs, "{version}: {ours:?} instead of {theirs:?}");
        }
    }
    Ok(())
}

#[test]
fn users_must_log_in_as_before_and_the_report_says_so() -> Result<()> {
    let version = sample(Version::ALL, 1)[0];
    let source = Cluster::builder(version)
        .security(Security::Plain)
        .auth(true)
        .start()?;
    source.etcdctl(["put", "key", "value"])?;
    let snapshot = source.folder().join("snapshot.db");
    source.save_with_etcdctl(0, &snapshot)?;
    let plan = Cluster::builder(version)
        .security(Security::Plain)
        .token("users")
        .plan()?
        .with_restored_auth();
    let options = RestoreOptions::default()
        .with_squeeze(true)
        .with_drop_leases(true);
    let report = restore_plan(&plan, &snapshot, &options)?;
    ensure!(report.found.auth.enabled && report.found.auth.has_root);
    ensure!(report.notes.iter().any(|note| note.contains("must log in")));
    let cluster = plan.start()?;
    ensure!(
        cluster
            .etcdctl(["get", "key", "--print-value-only"])?
            .trim()
            == "value"
    );
    let output = etcd_snap_testdata::stoppable(&cluster.binaries().etcdctl)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", cluster.endpoint(0), "get", "key"])
        .output()?;
    ensure!(
        !output.status.success(),
        "{version}: nobody asked for a password"
    );
    Ok(())
}

/// The table of formats.md 6.3: what servers refuse as it is, they take when it was prepared for them.
#[test]
fn older_servers_start_from_what_was_prepared_for_them() -> Result<()> {
    let pairs = [
        (Version::V3_7, Version::V3_6),
        (Version::V3_7, Version::V3_5),
        (Version::V3_7, Version::V3_4),
        (Version::V3_6, Version::V3_5),
        (Version::V3_6, Version::V3_4),
    ];
    for (n, (from, to)) in sample(pairs, 3).into_iter().enumerate() {
        let snapshot = etcd_snap_testdata::folder()
            .join("snapshots")
            .join(format!("{}.db", from.minor()));
        let plan = Cluster::builder(to)
            .security(Security::Plain)
            .members(1 + 2 * (n % 2))
            .token("older")
            .plan()?;
        let options = RestoreOptions::default()
            .with_target_version(version_of(to)?)
            .with_squeeze(n % 2 == 1);
        let report = restore_plan(&plan, &snapshot, &options)?;
        let stored = (to >= Version::V3_6).then(|| format!("{}.0", to.minor()));
        ensure!(
            report.contents.storage_version == stored,
            "{:?}",
            report.contents
        );
        ensure!(report.contents.cluster_version == Some(format!("{}.0", to.minor())));
        let databases = databases(&plan);
        checker(to)?.check_pages(&databases)?;
        let what = || format!("a snapshot of {from} prepared for {to}");
        let mut cluster = plan.start().with_context(what)?;
        cluster.etcdctl(["put", "after", "the restore"])?;
        cluster.agreed_hash_kv()?;
        cluster.restart(0)?;
        ensure!(
            cluster.revision(0)? == report.contents.revision.get() + 1,
            "{}",
            what()
        );
        for member in 0..databases.len() {
            cluster.stop(member)?;
        }
        checker(to)?.check_pages(&databases)?;
    }
    Ok(())
}

#[test]
fn a_server_refuses_a_newer_snapshot_that_was_not_prepared_for_it() -> Result<()> {
    let snapshot = etcd_snap_testdata::folder().join("snapshots/3.7.db");
    let plan = Cluster::builder(Version::V3_6).token("newer").plan()?;
    restore_plan(&plan, &snapshot, &RestoreOptions::default())?;
    let said = match plan.start() {
        Ok(_) => anyhow::bail!("etcd 3.6 starts from a snapshot of 3.7"),
        Err(e) => format!("{e:#}"),
    };
    ensure!(said.contains("ended with"), "{said}");
    ensure!(
        said.contains("not supported") || said.contains("invalid downgrade"),
        "{said}"
    );
    Ok(())
}

fn boots(
    version: Version,
    snapshot: &std::path::Path,
    options: &RestoreOptions,
    state: &ClusterState,
    hash: u32,
) -> Result<()> {
    let plan = Cluster::builder(version).token("squeezed").plan()?;
    restore_plan(&plan, snapshot, options)?;
    let databases = databases(&plan);
    checker(version)?.check_pages(&databases)?;
    let mut cluster = plan.start()?;
    ensure!(cluster.state()? == *state, "the state differs");
    let agreed = cluster.agreed_hash_kv()?;
    ensure!(agreed.hash == hash, "HashKV differs: {agreed:?}");
    cluster.etcdctl(["put", "after", "the restore"])?;
    cluster.restart(0)?;
    cluster.stop(0)?;
    checker(version)?.check_pages(&databases)
}

#[test]
fn what_is_squeezed_is_as_small_as_etcd_makes_it_and_boots_everywhere() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        let cluster = Cluster::builder(version).start()?;
        cluster.write(&Workload::default())?;
        cluster.etcdctl(["put", "large", &"x".repeat(100_000)])?;
        cluster.etcdctl(["del", "large"])?;
        let revision = cluster.revision(0)?.to_string();
        cluster.etcdctl(["compact", "--physical", &revision])?;
        cluster.etcdctl(["put", "behind", "the compaction"])?;
        let snapshot = cluster.folder().join("snapshot.db");
        cluster.save_with_etcdctl(0, &snapshot)?;
        let (state, hash) = (cluster.state()?, cluster.agreed_hash_kv()?.hash);

        let squeezed = cluster.folder().join("squeezed.db");
        let source = Snapshot::open(&snapshot)?;
        let report = squeeze(&source, &squeezed, &SqueezeOptions::default())?;
        ensure!(
            report.file_after_bytes < report.file_before_bytes,
            "{report:?}"
        );
        verify(&Snapshot::open(&squeezed)?, &VerifyOptions::default())?.into_proven()?;

        // What etcd's own tool makes of the same database.
        let theirs = cluster.folder().join("theirs");
        fs::create_dir_all(theirs.join("member/snap"))?;
        let database = &fs::read(&snapshot)?[..source.database_bytes() as usize];
        fs::write(theirs.join("member/snap/db"), database)?;
        let newest = Binaries::find(Version::NEWEST)?;
        let output = etcd_snap_testdata::stoppable(newest.offline_tool())
            .args(["defrag", "--data-dir"])
            .arg(&theirs)
            .output()?;
        ensure!(output.status.success(), "{output:?}");
        let theirs = Snapshot::open(theirs.join("member/snap/db"))?;
        let theirs = verify(&theirs, &VerifyOptions::default())?.contents;
        ensure!(
            report.contents.total_size_bytes * 100 <= theirs.total_size_bytes * 102,
            "{} bytes instead of {}",
            report.contents.total_size_bytes,
            theirs.total_size_bytes
        );

        for newer in sample(version.and_newer(), 2) {
            let what = || format!("a snapshot of {version} on {newer}");
            let plain = RestoreOptions::default();
            boots(newer, &squeezed, &plain, &state, hash).with_context(what)?;
            let squeezing = RestoreOptions::default().with_squeeze(true);
            boots(newer, &snapshot, &squeezing, &state, hash).with_context(what)?;
        }
    }
    Ok(())
}
