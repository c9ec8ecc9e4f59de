//! What clients can have seen, of members that live and of one that was killed; and whether directories belong together, before
//! and after servers have run in them.

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    Bump, CompareOptions, CompareReport, ComparedBy, MemberTarget, NewCluster, RestoreOptions,
    Revision, Seen, SeenIn, Snapshot, compare_restored,
};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Security};
use etcd_snap_testdata::etcd::Version;

use crate::migrate::copy;
use crate::{Room, client, saved};

fn of_cluster(cluster: &etcd_snap::Cluster) -> Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(Seen::of_cluster(cluster))?)
}

/// A server brings to its database what it has agreed on only now and then; what it has answered is in the log.
#[test]
fn of_a_member_that_was_killed_the_log_counts_too() -> Result<()> {
    for version in [Version::V3_5, Version::V3_6, Version::V3_7] {
        let mut cluster = RealCluster::builder(version)
            .security(Security::Plain)
            .argument("--backend-batch-interval=1h")
            .argument("--backend-batch-limit=1000000")
            .start()?;
        cluster.etcdctl(["put", "key", "before"])?;
        let room = Room::new()?;
        let living = client(&cluster, cluster.endpoint(0))?;
        let snapshot_revision = saved(&living, &room)?.contents.context("a file")?.revision;
        for n in 0..30 {
            cluster.etcdctl(["put", "key", &format!("later {n}")])?;
        }
        let revision = Revision::new(cluster.revision(0)?);
        ensure!(snapshot_revision < revision);
        ensure!(of_cluster(&living)?.revision == revision, "{version}");
        let data_dir = cluster.members()[0].data_dir().to_owned();
        let running = Seen::of_data_dir(&data_dir).map_err(|e| e.kind());
        ensure!(running == Err(etcd_snap::ErrorKind::Busy), "{running:?}");

        cluster.kill(0);
        let seen = Seen::of_data_dir(&data_dir)?;
        ensure!(seen.revision >= revision, "{version}: {seen} of {revision}");
        ensure!(seen.notes.is_empty(), "{version}: {seen:?}");
        let SeenIn::DataDir {
            database_revision,
            log_entries,
            ..
        } = &seen.from
        else {
            anyhow::bail!("{seen:?}");
        };
        // Otherwise the test would not show what it is for.
        ensure!(*database_revision < revision, "{version}: {seen:?}");
        ensure!(*log_entries >= 30, "{version}: {seen:?}");

        let report = etcd_snap::restore(
            &Snapshot::open(room.target())?,
            &NewCluster::parse("m1=http://10.0.0.1:2380", "after")?,
            &[MemberTarget::new("m1", cluster.folder().join("restored"))],
            &RestoreOptions::default()
                .with_bump(Bump::Automatic)
                .with_seen(seen.clone()),
        )?;
        let bump = report.bump.context("a bump")?;
        ensure!(bump.seen == [seen.clone()], "{bump:?}");
        let margin = bump.revision.get() - seen.revision.get();
        ensure!(margin == 1_000_000, "{version}: {bump:?}");
        ensure!(report.contents.revision == bump.revision);
    }
    Ok(())
}

fn compared(data_dirs: &[std::path::PathBuf]) -> Result<CompareReport> {
    Ok(compare_restored(data_dirs, &CompareOptions::default())?)
}

#[test]
fn members_belong_together_before_and_after_they_have_run() -> Result<()> {
    for version in [Version::V3_4, Version::V3_7] {
        let plan = RealCluster::builder(version).members(3).plan()?;
        let snapshot = etcd_snap_testdata::golden::snapshot(Version::V3_4);
        crate::restore_plan(&plan, &snapshot, &RestoreOptions::default())?;
        let data_dirs: Vec<_> = plan
            .members()
            .iter()
            .map(|it| it.data_dir.clone())
            .collect();
        let made = compared(&data_dirs)?;
        made.require_equal()?;
        ensure!(made.compared == ComparedBy::Bytes, "{version}: {made:?}");

        // One that was kept as it was made is not what the others have become.
        let kept = plan.folder().join("kept");
        copy(&data_dirs[2], &kept)?;
        let mut cluster = plan.with_restored_auth().start()?;
        for n in 0..20 {
            cluster.etcdctl(["put", "after", &format!("the restore {n}")])?;
        }
        cluster.agreed_hash_kv()?;
        for member in 0..3 {
            cluster.stop(member)?;
        }
        let run = compared(&data_dirs)?;
        run.require_equal()?;
        ensure!(
            matches!(run.compared, ComparedBy::HashKv { .. }),
            "{version}: {run:?}"
        );
        ensure!(run.members.iter().all(|member| member.has_run));
        let twice = compared(&[data_dirs[0].clone(), data_dirs[2].clone(), kept])?;
        ensure!(!twice.belong_together, "{version}: {twice:?}");
    }
    Ok(())
}

/// Why it is pointed out that ids are those of the old members. One of them that still runs makes a quorum with a restored one, and
/// writes its old log into it a second time; or, if it is still the leader, tells it to commit what it does not have, of which the
/// restored one dies.
#[test]
fn an_old_member_takes_a_restored_one_with_the_same_ids_for_its_own() -> Result<()> {
    let mut cluster = RealCluster::builder(Version::V3_6)
        .members(3)
        .security(Security::Plain)
        .start()?;
    for n in 0..20 {
        cluster.etcdctl(["put", "key", &format!("value {n}")])?;
    }
    let room = Room::new()?;
    saved(&client(&cluster, cluster.endpoint(0))?, &room)?;
    let revision = cluster.revision(0)?;
    cluster.kill(0);
    cluster.kill(1);
    let data_dir = cluster.members()[0].data_dir().to_owned();
    std::fs::remove_dir_all(&data_dir)?;
    let report = etcd_snap::restore(
        &Snapshot::open(room.target())?,
        &NewCluster::parse(&cluster.initial_cluster(), "etcd-snap-test")?,
        &[MemberTarget::new(cluster.members()[0].name(), &data_dir)],
        &RestoreOptions::default(),
    )?;
    ensure!(report.notes.len() == 1, "{:?}", report.notes);
    ensure!(report.notes[0].contains("could talk to the new ones"));

    // Two of three are a quorum, so it waits until both answer.
    if let Err(died) = cluster.start_member(0) {
        let log = format!("{died:#}");
        ensure!(
            log.contains("member m1 ended") && log.contains("commitTo"),
            "{log}"
        );
        return Ok(());
    }
    let (restored, old) = (cluster.revision(0)?, cluster.revision(2)?);
    ensure!(
        old == revision && restored > revision,
        "{restored} and {old}"
    );
    Ok(())
}
