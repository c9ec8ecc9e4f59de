//! Who is asked.

use etcd_snap::{AttestOptions, AttestVerdict, CannotTell, Cluster, ClusterId, Tls, attest};
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::fake::Running;

use crate::*;

/// Members 1, 2, ... that all have the right hash, and list what is given.
fn members(count: u64) -> Vec<Running> {
    (1..=count)
        .map(|id| running(server(right()).with_member_id(id)))
        .collect()
}

/// Nobody listens there.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn ids(report: &AttestReport) -> Vec<Option<u64>> {
    report
        .members
        .iter()
        .map(|member| member.member_id.map(|id| id.get()))
        .collect()
}

#[tokio::test]
async fn every_listed_member_is_asked_once() {
    let servers = members(3);
    let urls: Vec<_> = servers.iter().map(Running::endpoint).collect();
    let list = [
        listed(1, &[&urls[0]]),
        // The first URL that works will do.
        listed(2, &[&nobody(), "unix:///run/etcd", &urls[1]]),
        listed(3, &[&urls[2]]),
    ];
    for server in &servers {
        server.list(&list);
    }
    let port = servers[2].address().port();
    for (endpoints, expected) in [
        (vec![urls[0].clone()], [1, 2, 3]),
        // Twice, by another name too, and in this order.
        (
            vec![
                format!("http://localhost:{port}"),
                urls[0].clone(),
                urls[2].clone(),
            ],
            [3, 1, 2],
        ),
    ] {
        let report = ask(&Cluster::new(&endpoints).unwrap()).await;
        assert_eq!(ids(&report), expected.map(Some), "{report:?}");
        assert_eq!(report.equal(), 3, "{report:?}");
        assert_eq!(report.members[0].endpoint.as_ref(), endpoints.first());
        assert!(report.listed);
    }
}

#[tokio::test]
async fn a_list_that_is_no_clusters_is_not_followed() {
    let servers = members(1);
    let url = servers[0].endpoint();
    let crowd: Vec<_> = (1..=65).map(|id| listed(id, &[&url])).collect();
    servers[0].list(&crowd);
    let report = ask(&client(&servers[0])).await;
    assert_eq!(ids(&report), [Some(1)]);
    assert!(!report.listed);
    // One that is named twice is one.
    servers[0].list(&[listed(1, &[&url]), listed(2, &[]), listed(2, &[])]);
    let report = ask(&client(&servers[0])).await;
    assert_eq!(ids(&report), [Some(1), Some(2)]);
}

#[tokio::test]
async fn a_member_that_cannot_be_reached_cannot_tell() {
    let servers = members(2);
    let (url, other, nobody) = (servers[0].endpoint(), servers[1].endpoint(), nobody());
    servers[0].list(&[
        listed(1, &[&url]),
        listed(7, &[]),
        listed(8, &[&nobody]),
        listed(9, &[&other]),
    ]);
    let report = ask(&client(&servers[0])).await;
    assert_eq!(ids(&report), [Some(1), Some(7), Some(8), Some(9)]);
    assert_eq!(report.verdict, AttestVerdict::Equal);
    let reason = CannotTell::Unreachable;
    let members = &report.members;
    cannot_tell(&members[1], reason, "may never have started");
    cannot_tell(&members[2], reason, "nothing listens there");
    assert_eq!(members[2].endpoint.as_ref(), Some(&nobody));
    assert_eq!(members[2].called(), "m8");
    cannot_tell(&members[3], reason, "leads to the member 2 from here");
}

#[tokio::test]
async fn a_given_endpoint_that_fails_is_its_members_or_stands_for_itself() {
    let servers = members(1);
    let (url, down, unknown) = (servers[0].endpoint(), nobody(), nobody());
    servers[0].list(&[listed(1, &[&url]), listed(2, &[&down])]);
    let report = ask(&Cluster::new([&down, &unknown, &url]).unwrap()).await;
    assert_eq!(ids(&report), [Some(1), None, Some(2)], "{report:?}");
    assert_eq!(report.members[1].endpoint.as_ref(), Some(&unknown));
    assert_eq!(report.members[1].called(), unknown);
    for member in &report.members[1..] {
        cannot_tell(member, CannotTell::Unreachable, "nothing listens there");
    }
}

#[tokio::test]
async fn where_nobody_is_reached_nothing_is_known() {
    let report = ask(&Cluster::new([nobody(), nobody()]).unwrap()).await;
    assert_eq!(report.verdict, AttestVerdict::CannotTell);
    assert_eq!(report.members.len(), 2);
    assert_eq!(report.cluster_id, None);
    assert_eq!(report.known_members, None);
    assert!(!report.listed);
}

#[tokio::test]
async fn members_of_another_cluster_cannot_tell() {
    let ours = running(server(right()).with_member_id(1));
    let theirs = running(server(right()).with_member_id(2).with_cluster_id(99));
    let cluster = Cluster::new([ours.endpoint(), theirs.endpoint()]).unwrap();
    let report = ask(&cluster).await;
    assert_eq!(report.cluster_id.unwrap().get(), CLUSTER);
    assert!(is_equal(&report.members[0]));
    let reason = CannotTell::OtherCluster;
    cannot_tell(&report.members[1], reason, "belongs to the cluster 63");

    // Which cluster the snapshot is from may be known.
    let options = AttestOptions::default().with_cluster_id(ClusterId::new(99));
    let report = attest(&snapshot(), &cluster, &options).await.unwrap();
    cannot_tell(&report.members[0], reason, "and not to 63");
    assert!(is_equal(&report.members[1]));
}

#[tokio::test]
async fn the_snapshot_knows_the_members_of_its_own_cluster() {
    let server = running(server(wrong()).with_member_id(1));
    let report = ask(&client(&server)).await;
    assert_eq!(report.known_members, Some(false));
    let error = report.into_proven().unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("from another cluster"), "{source}");
}

/// A list that a member gives must not lead a password out of TLS.
#[tokio::test]
async fn from_tls_no_list_leads_to_plain_text() {
    let authority = Authority::new("ca").unwrap();
    let identity = authority.issue(&Leaf::server()).unwrap();
    let guarded = running(
        server(right())
            .with_member_id(1)
            .with_tls(&identity, None)
            .unwrap(),
    );
    let plain = running(server(right()).with_member_id(2));
    guarded.list(&[
        listed(1, &[&guarded.endpoint()]),
        listed(2, &[&plain.endpoint()]),
    ]);
    let tls = Tls::builder().ca_pem(authority.certificate_pem());
    let tls = tls.build().unwrap();
    let cluster = Cluster::new([guarded.endpoint()])
        .unwrap()
        .with_tls(tls.clone());
    let report = ask(&cluster).await;
    assert!(is_equal(&report.members[0]), "{report:?}");
    let reason = CannotTell::Unreachable;
    cannot_tell(&report.members[1], reason, "is without TLS");

    // Who names it himself means it.
    let cluster = Cluster::new([guarded.endpoint(), plain.endpoint()]).unwrap();
    let report = ask(&cluster.with_tls(tls)).await;
    assert_eq!(report.equal(), 2, "{report:?}");
}
