//! Snapshots against the living members of real clusters.

use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    Attest, AttestOptions, AttestReport, AttestVerdict, Bump, CannotTell, Cluster, ErrorKind,
    MemberVerdict, RestoreOptions, Revision, SaveOptions, SaveReport, Snapshot, attest_blocking,
    save_blocking,
};
use etcd_snap_testdata::cluster::{
    Bulk, Cluster as RealCluster, ROOT_PASSWORD, Security, Workload,
};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use crate::{Room, client, restore_plan, saved};

fn ask(client: &Cluster, room: &Room) -> Result<AttestReport> {
    let snapshot = Snapshot::open(room.target())?;
    Ok(attest_blocking(
        &snapshot,
        client,
        &AttestOptions::default(),
    )?)
}

/// Saves what every member has to bear out that can.
fn proven(client: &Cluster, room: &Room) -> Result<SaveReport> {
    let options = SaveOptions::default().with_attest(Attest::Required);
    Ok(save_blocking(client, room.target(), &options)?)
}

/// Expects the same hash from all, as compacted there; -1 is never.
fn all_equal(report: &AttestReport, members: usize, compacted: i64) -> Result<()> {
    ensure!(report.verdict == AttestVerdict::Equal, "{report:#?}");
    ensure!(report.members.len() == members, "{report:#?}");
    for member in &report.members {
        let MemberVerdict::Equal {
            compact_revision, ..
        } = member.verdict
        else {
            anyhow::bail!("{report:#?}");
        };
        let found = compact_revision.map_or(-1, Revision::get);
        ensure!(found == compacted, "{compacted}: {report:#?}");
    }
    Ok(())
}

/// Expects that no member can tell, all for one reason.
fn none_can_tell(report: &AttestReport, members: usize, expected: CannotTell) -> Result<()> {
    ensure!(report.verdict == AttestVerdict::CannotTell, "{report:#?}");
    ensure!(report.members.len() == members, "{report:#?}");
    for place in 0..members {
        cannot_tell(report, place, expected)?;
    }
    Ok(())
}

fn cannot_tell(report: &AttestReport, place: usize, expected: CannotTell) -> Result<()> {
    let verdict = &report.members[place].verdict;
    ensure!(
        matches!(verdict, MemberVerdict::CannotTell { reason, .. } if *reason == expected),
        "{expected:?}: {report:#?}"
    );
    Ok(())
}

/// Compacts, and waits until every member is done with it: one that keeps hashes gives the one that it has kept then.
fn compact(cluster: &RealCluster, revision: i64) -> Result<()> {
    let to = revision.to_string();
    cluster.etcdctl(["compact", &to, "--physical"])?;
    let patience = Instant::now() + Duration::from_secs(60);
    for member in 0..cluster.members().len() {
        // A question that goes through the log comes behind the compaction.
        cluster.etcdctl_at(member, ["get", "nothing"])?;
        while keeps_hashes(cluster.version())
            && cluster.hash_kv(member, revision)?.compact_revision == revision
        {
            ensure!(
                Instant::now() < patience,
                "no member finishes its compaction"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Whether members answer with the hash that a compaction has left.
fn keeps_hashes(version: Version) -> bool {
    version > Version::V3_4
}

#[test]
fn members_bear_a_snapshot_out_until_they_have_compacted_past_it() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        through_its_life(version).with_context(|| format!("etcd {version}"))?;
    }
    Ok(())
}

/// One cluster of three, and snapshots that stand at different places in its history.
fn through_its_life(version: Version) -> Result<()> {
    let keeps_hashes = keeps_hashes(version);
    let cluster = RealCluster::builder(version).members(3).start()?;
    // One endpoint is enough: the others are found.
    let client = client(&cluster, cluster.endpoint(0))?;
    let rooms = [Room::new()?, Room::new()?, Room::new()?];

    // Never compacted.
    cluster.etcdctl(["put", "a", "1"])?;
    let fresh = proven(&client, &rooms[0])?;
    let attest = fresh.attest.context("it was not attested")?;
    all_equal(&attest, 3, -1)?;
    ensure!(attest.listed && attest.known_members == Some(true));
    ensure!(attest.cluster_id == fresh.cluster_id);

    let load = Workload {
        keys: 100,
        users: false,
        ..Workload::default()
    };
    cluster.write(&load)?;
    let report = proven(&client, &rooms[1])?;
    let contents = report.contents.as_ref().context("a file")?;
    let (revision, compacted) = (
        contents.revision.get(),
        contents.compact_revision.context("a compaction")?.get(),
    );
    ensure!(compacted < revision);
    all_equal(&report.attest.context("it was not attested")?, 3, compacted)?;
    // The first one is compacted away.
    none_can_tell(&ask(&client, &rooms[0])?, 3, CannotTell::CompactedPast)?;

    // Life goes on: more of everything, then a compaction between the snapshot's own and its revision.
    cluster.etcdctl(["put", "a", "2"])?;
    cluster.etcdctl(["del", "--prefix", "txn/"])?;
    all_equal(&ask(&client, &rooms[1])?, 3, compacted)?;
    compact(&cluster, compacted + 3)?;
    all_equal(&ask(&client, &rooms[1])?, 3, compacted + 3)?;

    // Exactly at its revision, and beyond: members that keep hashes answer with the one that they kept.
    for at in [revision, revision + 1] {
        compact(&cluster, at)?;
        let report = ask(&client, &rooms[1])?;
        if keeps_hashes {
            all_equal(&report, 3, compacted + 3)?;
        } else {
            none_can_tell(&report, 3, CannotTell::CompactedPast)?;
        }
    }

    // The trap: taken after a compaction of all there is, the snapshot has not what the kept hash is made of.
    let newest = cluster.revision(0)?;
    compact(&cluster, newest)?;
    let report = proven(&client, &rooms[2])?;
    let contents = report.contents.context("a file")?;
    ensure!(contents.compact_revision == Some(Revision::new(newest)));
    let attest = report.attest.context("it was not attested")?;
    // Beyond the last record, where a server drops the deletes of that revision.
    ensure!(attest.revision == Revision::new(newest), "{attest:#?}");
    all_equal(&attest, 3, newest)?;
    cluster.etcdctl(["put", "a", "3"])?;
    cluster.agreed_hash_kv()?;
    let report = ask(&client, &rooms[2])?;
    let reason = if keeps_hashes {
        CannotTell::CachedHash
    } else {
        CannotTell::CompactedPast
    };
    none_can_tell(&report, 3, reason)
}

fn place_of(cluster: &RealCluster, report: &AttestReport, member: usize) -> Result<usize> {
    let name = cluster.members()[member].name();
    let mut members = report.members.iter();
    let place = members.position(|member| member.name.as_deref() == Some(name));
    place.with_context(|| format!("{name} is not in {report:#?}"))
}

#[test]
fn learners_and_members_that_are_down_cannot_tell() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let mut cluster = RealCluster::builder(version).members(3).start()?;
        cluster.etcdctl(["put", "a", "1"])?;
        cluster.add_learner()?;
        let client =
            client(&cluster, cluster.endpoint(0))?.with_connect_timeout(Duration::from_secs(2));
        let room = Room::new()?;
        let report = proven(&client, &room)?.attest.context("no report")?;
        ensure!(report.equal() == 3, "{report:#?}");
        cannot_tell(
            &report,
            place_of(&cluster, &report, 3)?,
            CannotTell::Learner,
        )?;

        // A learner's own snapshot is proven by the others.
        let learner = crate::client(&cluster, cluster.endpoint(3))?;
        let others = Cluster::new(cluster.endpoints())?;
        let others = match cluster.security() {
            Security::MutualTls => others.with_tls(crate::mutual(&cluster).build()?),
            _ => others,
        };
        if version > Version::V3_4 {
            saved(&learner, &room)?;
            ensure!(ask(&others, &room)?.equal() == 3);
        }

        cluster.stop(1)?;
        cluster.freeze(2)?;
        let report = ask(&client, &room)?;
        cluster.thaw(2)?;
        ensure!(report.equal() == 1, "{report:#?}");
        ensure!(report.verdict == AttestVerdict::Equal);
        for member in [1, 2] {
            let place = place_of(&cluster, &report, member)?;
            cannot_tell(&report, place, CannotTell::Unreachable)?;
            let endpoint = report.members[place].endpoint.as_deref();
            ensure!(endpoint == Some(cluster.endpoint(member)), "{report:#?}");
        }
    }
    Ok(())
}

#[test]
fn it_takes_the_role_root() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let cluster = RealCluster::builder(version)
            .security(Security::ServerTls)
            .members(3)
            .auth(true)
            .start()?;
        cluster.etcdctl(["put", "a", "1"])?;
        cluster.etcdctl(["user", "add", "guest:guest-password"])?;
        let nobody = client(&cluster, cluster.endpoint(0))?;
        let root = nobody.clone().with_user("root", ROOT_PASSWORD);
        let guest = nobody.clone().with_user("guest", "guest-password");
        let room = Room::new()?;
        let report = proven(&root, &room)?.attest.context("no report")?;
        all_equal(&report, 3, -1)?;
        for client in [nobody, guest] {
            let report = ask(&client, &room)?;
            let count = report.members.len();
            none_can_tell(&report, count, CannotTell::NoRight)?;
        }
    }
    Ok(())
}

#[test]
fn a_snapshot_of_another_cluster_is_not_borne_out() -> Result<()> {
    let [version] = sample(Version::ALL, 1)[..] else {
        return Ok(());
    };
    let (ours, theirs) = (
        RealCluster::builder(version).start()?,
        RealCluster::builder(version).token("another").start()?,
    );
    ours.etcdctl(["put", "a", "1"])?;
    theirs.etcdctl(["put", "a", "2"])?;
    let room = Room::new()?;
    proven(&client(&ours, ours.endpoint(0))?, &room)?;
    let other = client(&theirs, theirs.endpoint(0))?;
    let report = ask(&other, &room)?;
    ensure!(report.verdict == AttestVerdict::Differs, "{report:#?}");
    ensure!(report.known_members == Some(false), "{report:#?}");
    let error = report.into_proven().err().context("it is proven")?;
    ensure!(error.kind() == ErrorKind::Unproven);

    // What is restored holds the same, and has members that the snapshot does not know.
    for bump in [Bump::None, Bump::By(1000)] {
        let plan = RealCluster::builder(version).token("restored").plan()?;
        let options = RestoreOptions::default()
            .with_bump(bump)
            .with_mark_compacted(bump != Bump::None);
        restore_plan(&plan, &room.target(), &options)?;
        let restored = plan.start()?;
        let report = ask(&client(&restored, restored.endpoint(0))?, &room)?;
        ensure!(report.known_members == Some(false), "{report:#?}");
        if bump == Bump::None {
            all_equal(&report, 1, -1)?;
        } else {
            none_can_tell(&report, 1, CannotTell::CompactedPast)?;
        }
    }
    Ok(())
}

/// Members lag by moments, compact at other moments than the snapshot's, and agree all the same.
#[test]
fn members_that_are_written_to_and_compacted_never_seem_to_differ() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let cluster = RealCluster::builder(version).members(3).start()?;
        let busy = Bulk {
            prefix: "busy/".to_owned(),
            keys: 300,
            value_bytes: 2_000,
            puts_per_transaction: 3,
        };
        cluster.bulk(&busy)?;
        let writer = cluster.write_in_background(&busy)?;
        let done = AtomicI64::new(0);
        let equal = thread::scope(|scope| -> Result<_> {
            let compacting = scope.spawn(|| -> Result<()> {
                let mut compacted = 0;
                while done.load(Ordering::Relaxed) >= 0 {
                    // Far behind what is saved at the moment, so that somebody can tell.
                    let up_to = done.load(Ordering::Relaxed) - 1;
                    if up_to > compacted {
                        cluster.etcdctl(["compact", &up_to.to_string()])?;
                        compacted = up_to;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            });
            let equal = (0..6)
                .map(|round| {
                    let client = client(&cluster, cluster.endpoint(round % 3))?;
                    let room = Room::new()?;
                    let options = SaveOptions::default().with_attest(Attest::IfPossible);
                    let report = save_blocking(&client, room.target(), &options)?;
                    let contents = report.contents.context("a file")?;
                    done.store(contents.revision.get(), Ordering::Relaxed);
                    let attest = report.attest.context("no report")?;
                    ensure!(attest.members.len() == 3, "{attest:#?}");
                    Ok(attest.equal())
                })
                .collect::<Result<Vec<_>>>();
            done.store(-1, Ordering::Relaxed);
            compacting.join().expect("it does not panic")?;
            equal
        })?;
        writer.stop()?;
        ensure!(equal.iter().all(|equal| *equal > 0), "{equal:?}");
    }
    Ok(())
}
