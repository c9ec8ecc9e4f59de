//! Three members over mutual TLS, each of them in turn in trouble: another one gives the snapshot, and the report says why.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    Cluster, EndpointPolicy, PassedOver, PassedOverReason, SaveOptions, SaveReport, save_blocking,
};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Workload};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::relay::Relay;
use etcd_snap_testdata::sample;

use crate::{Room, mutual, saved};

/// For elections that are under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// These endpoints, in this order.
fn client(cluster: &RealCluster, endpoints: &[String]) -> Result<Cluster> {
    Ok(Cluster::new(endpoints)?.with_tls(mutual(cluster).build()?))
}

/// The endpoints, with that of one member first, so that nothing but its state keeps it from being used.
fn first(cluster: &RealCluster, member: usize) -> Vec<String> {
    let mut endpoints = cluster.endpoints();
    endpoints.swap(0, member);
    endpoints
}

fn passed<'a>(report: &'a SaveReport, endpoint: &str) -> Result<&'a PassedOver> {
    let mut passed_over = report.passed_over.iter();
    let passed = passed_over.find(|passed| passed.endpoint == endpoint);
    passed.with_context(|| format!("{endpoint} was used: {report:?}"))
}

/// Saves until the others have a leader again: the troubled one is passed over for one of these reasons.
fn saved_without(
    client: &Cluster,
    endpoint: &str,
    reasons: &[PassedOverReason],
) -> Result<SaveReport> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = saved(client, &Room::new()?)?;
        let passed = passed(&report, endpoint)?;
        ensure!(reasons.contains(&passed.reason), "{report:?}");
        let others = report
            .passed_over
            .iter()
            .filter(|passed| passed.endpoint != endpoint);
        let roles: Vec<_> = others.map(|passed| passed.reason).collect();
        // One follower is used, and the other one leads.
        if roles == [PassedOverReason::Leader] {
            return Ok(report);
        }
        ensure!(Instant::now() < deadline, "{report:?}");
    }
}

#[test]
fn a_member_in_trouble_is_passed_over() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let mut cluster = RealCluster::builder(version).members(3).start()?;
        cluster.write(&Workload::default())?;
        for member in 0..3 {
            trouble(&mut cluster, member)
                .with_context(|| format!("etcd {version}, member {member}"))?;
        }
        learner(&mut cluster).with_context(|| format!("etcd {version}"))?;
        let member = sample(0..3, 1)[0];
        alone(&mut cluster, member).with_context(|| format!("etcd {version}, member {member}"))?;
    }
    Ok(())
}

fn trouble(cluster: &mut RealCluster, member: usize) -> Result<()> {
    use PassedOverReason::{Slow, Unreachable};
    let endpoints = first(cluster, member);
    let own = &endpoints[0];

    // A black hole.
    let hole = TcpListener::bind(("127.0.0.1", 0))?;
    let mut around = endpoints.clone();
    around[0] = format!("https://{}", hole.local_addr()?);
    let report = saved(&client(cluster, &around)?, &Room::new()?)?;
    ensure!(passed(&report, &around[0])?.reason == Slow, "{report:?}");
    // Nobody else is there to be waited for.
    let limit = Duration::from_secs(5);
    let alone = client(cluster, &around)?.with_connect_timeout(limit);
    let options = SaveOptions::default().with_endpoint_policy(EndpointPolicy::First);
    let report = save_blocking(&alone, Room::new()?.target(), &options)?;
    ensure!(
        passed(&report, &around[0])?.reason == Unreachable,
        "{report:?}"
    );
    ensure!(report.endpoint.as_ref() == Some(&around[1]), "{report:?}");

    // The connection breaks in the middle.
    let relay = Relay::to(cluster.members()[member].client_address())?;
    let mut through = endpoints.clone();
    through[0] = format!("https://{}", relay.address());
    relay.hold_after(16 << 10);
    std::thread::scope(|scope| {
        let cut = scope.spawn(|| {
            relay.wait_until_holding()?;
            relay.cut();
            anyhow::Ok(())
        });
        let report = save_blocking(&client(cluster, &through)?, Room::new()?.target(), &options)?;
        cut.join().expect("it does not panic")?;
        let passed = passed(&report, &through[0])?;
        ensure!(passed.reason == PassedOverReason::Failed, "{report:?}");
        ensure!(report.endpoint.as_ref() == Some(&through[1]), "{report:?}");
        anyhow::Ok(())
    })?;

    // Paused.
    let any = client(cluster, &endpoints)?.with_connect_timeout(Duration::from_secs(5));
    cluster.freeze(member)?;
    let paused = saved_without(&any, own, &[Slow, Unreachable]);
    cluster.thaw(member)?;
    paused?;
    cluster.wait_until_healthy()?;

    // Down.
    cluster.kill(member);
    let report = saved_without(&any, own, &[Unreachable])?;
    ensure!(
        passed(&report, own)?.message.contains("nothing listens"),
        "{report:?}"
    );
    cluster.start_member(member)?;
    Ok(())
}

/// All others are gone, so it has lost its leader. (A server that never had one answers nobody.)
fn alone(cluster: &mut RealCluster, member: usize) -> Result<()> {
    let endpoints = cluster.endpoints();
    let all = client(cluster, &endpoints)?;
    for other in (0..endpoints.len()).filter(|other| *other != member) {
        cluster.kill(other);
    }
    let options = SaveOptions::default().with_endpoint_policy(EndpointPolicy::Follower);
    let deadline = Instant::now() + PATIENCE;
    loop {
        // It takes some heartbeats until it knows.
        match save_blocking(&all, Room::new()?.target(), &options) {
            Err(e) if e.to_string().contains("knows no leader") => break,
            outcome => ensure!(Instant::now() < deadline, "{outcome:?}"),
        }
    }
    let report = saved(&all, &Room::new()?)?;
    ensure!(
        report.endpoint.as_ref() == Some(&endpoints[member]),
        "{report:?}"
    );
    let mut reasons = report.passed_over.iter().map(|passed| passed.reason);
    ensure!(
        reasons.all(|reason| reason == PassedOverReason::Unreachable),
        "{report:?}"
    );
    Ok(())
}

fn learner(cluster: &mut RealCluster) -> Result<()> {
    let place = cluster.add_learner()?;
    let endpoints = first(cluster, place);
    // Until it has found its way in, it may be slow to answer.
    let patience = Instant::now() + Duration::from_secs(60);
    let report = loop {
        let report = saved(&client(cluster, &endpoints)?, &Room::new()?)?;
        if passed(&report, &endpoints[0])?.reason != PassedOverReason::Slow {
            break report;
        }
        ensure!(Instant::now() < patience, "{report:?}");
    };
    ensure!(
        passed(&report, &endpoints[0])?.reason == PassedOverReason::Learner,
        "{report:?}"
    );
    // By the role that it has, and by what the servers themselves say of it.
    for policy in [EndpointPolicy::Leader, EndpointPolicy::Follower] {
        let options = SaveOptions::default().with_endpoint_policy(policy);
        let report = save_blocking(
            &client(cluster, &endpoints)?,
            Room::new()?.target(),
            &options,
        )?;
        let id = report.member_id.context("a member gave it")?.get();
        let said = cluster.etcdctl_at(place, ["endpoint", "status", "-w", "json"])?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        let leads = said[0]["Status"]["leader"].as_u64() == Some(id);
        ensure!(
            leads == (policy == EndpointPolicy::Leader),
            "{said}: {report:?}"
        );
    }
    Ok(())
}
