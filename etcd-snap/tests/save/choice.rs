//! Which of several endpoints gives the snapshot, and what happens when it does not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_snap::{
    Cluster, EndpointPolicy, ErrorKind, Event, Observer, PassedOver, PassedOverReason, SaveOptions,
    SaveReport, Target, save,
};
use etcd_snap_testdata::fake::{Auth, Fault, Health, Running, Server};
use tonic::Code;

use crate::{Room, failure, said, server};

/// A member of one cluster; member 1 leads it.
fn member(id: u64) -> Server {
    server().with_member_id(id)
}

fn ill(id: u64, change: impl FnOnce(&mut Health)) -> Server {
    let mut health = Health::default();
    change(&mut health);
    member(id).with_health(health)
}

fn running(servers: impl IntoIterator<Item = Server>) -> Vec<Running> {
    let started = servers.into_iter().map(|server| server.start().unwrap());
    started.collect()
}

fn cluster(servers: &[Running]) -> Cluster {
    Cluster::new(servers.iter().map(Running::endpoint)).unwrap()
}

fn with(policy: EndpointPolicy) -> SaveOptions {
    SaveOptions::default().with_endpoint_policy(policy)
}

async fn saved(cluster: &Cluster, options: &SaveOptions) -> SaveReport {
    let room = Room::new();
    let report = save(cluster, room.target(), options).await.unwrap();
    assert_eq!(room.names(), ["backup.db"]);
    report
}

fn reasons(report: &SaveReport) -> Vec<PassedOverReason> {
    report
        .passed_over
        .iter()
        .map(|passed| passed.reason)
        .collect()
}

/// Accepts connections and says nothing.
fn black_hole() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

#[tokio::test]
async fn a_policy_chooses_by_role_and_then_by_order() {
    use PassedOverReason::{Leader, NotLeader, NotNeeded};
    let servers = running([member(1), member(2), member(3)]);
    for (policy, used, reasons_expected) in [
        (EndpointPolicy::Auto, 2, [Leader, NotNeeded]),
        (EndpointPolicy::First, 1, [NotNeeded, NotNeeded]),
        (EndpointPolicy::Leader, 1, [NotLeader, NotLeader]),
        (EndpointPolicy::Follower, 2, [Leader, NotNeeded]),
    ] {
        let report = saved(&cluster(&servers), &with(policy)).await;
        assert_eq!(report.member_id.unwrap().get(), used, "{policy:?}");
        assert_eq!(reasons(&report), reasons_expected, "{policy:?}");
        for passed in &report.passed_over {
            assert!(passed.message.starts_with(&passed.endpoint), "{passed}");
            assert!(!passed.reason.is_fault());
        }
    }
    let report = saved(&cluster(&servers[..1]), &SaveOptions::default()).await;
    assert_eq!(report.member_id.unwrap().get(), 1);
    assert_eq!(report.passed_over, []);
}

#[tokio::test]
async fn whoever_is_unfit_is_left_out_with_the_reason() {
    for (unfit, reason, words) in [
        (
            ill(2, |health| health.is_learner = true),
            PassedOverReason::Learner,
            "is a learner",
        ),
        (
            ill(2, |health| health.leader = 0),
            PassedOverReason::NoLeader,
            "knows no leader",
        ),
        (
            ill(2, |health| {
                health.errors = vec!["memberID:2 alarm:CORRUPT ".to_owned()];
            }),
            PassedOverReason::Corrupt,
            "raised the alarm CORRUPT",
        ),
        (
            ill(2, |health| health.applied_index = 1_000),
            PassedOverReason::Lagging,
            "99000 entries fewer",
        ),
        (
            member(2).with_cluster_id(7),
            PassedOverReason::OtherCluster,
            "belongs to the cluster 7",
        ),
        (
            member(2)
                .with_auth(Auth {
                    user: "ann".to_owned(),
                    password: "right".to_owned(),
                    is_root: true,
                    modern: true,
                })
                .with_version("3.4.23"),
            PassedOverReason::Denied,
            "auth is enabled",
        ),
    ] {
        let servers = running([unfit, member(1), member(3)]);
        let notes = Arc::new(Notes::default());
        let options = SaveOptions::default().with_observer(Arc::clone(&notes) as _);
        let report = saved(&cluster(&servers), &options).await;
        assert_eq!(report.member_id.unwrap().get(), 3, "{report:?}");
        let [passed, leader] = &report.passed_over[..] else {
            panic!("{report:?}")
        };
        assert_eq!(passed.reason, reason, "{passed}");
        assert!(passed.message.contains(words), "{passed}");
        assert_eq!(passed.endpoint, servers[0].endpoint());
        assert_eq!(leader.reason, PassedOverReason::Leader);
        assert!(notes.0.lock().unwrap().contains(&passed.message));
        // Who is asked alone is used all the same; who asks for the first means it.
        if reason != PassedOverReason::Denied {
            let alone = saved(&cluster(&servers[..1]), &SaveOptions::default()).await;
            assert_eq!(alone.member_id.unwrap().get(), 2);
            let first = saved(&cluster(&servers), &with(EndpointPolicy::First)).await;
            assert_eq!(first.member_id.unwrap().get(), 2);
        }
    }
}

#[tokio::test]
async fn a_silent_endpoint_holds_nobody_up() {
    // With the patience of an hour this test would not end if anybody waited for them.
    let (_listener, silent) = black_hole();
    let servers = running([ill(2, |health| health.silent = true), member(3), member(1)]);
    let mut endpoints = vec![silent.clone()];
    endpoints.extend(servers.iter().map(Running::endpoint));
    let cluster = Cluster::new(&endpoints)
        .unwrap()
        .with_connect_timeout(Duration::from_secs(3600));
    let report = saved(&cluster, &SaveOptions::default()).await;
    assert_eq!(report.member_id.unwrap().get(), 3);
    use PassedOverReason::{Leader, Slow};
    assert_eq!(reasons(&report), [Slow, Slow, Leader]);
    assert_eq!(report.passed_over[0].endpoint, silent);
}

/// The day on which a cluster is lost.
#[tokio::test]
async fn where_nobody_knows_a_leader_the_newest_is_taken_all_the_same() {
    let alone = |id, applied_index| {
        ill(id, |health| {
            health.leader = 0;
            health.applied_index = applied_index;
        })
    };
    let servers = running([
        ill(1, |health| health.is_learner = true),
        alone(2, 100_000),
        alone(3, 100_007),
    ]);
    let report = saved(&cluster(&servers), &SaveOptions::default()).await;
    assert_eq!(report.member_id.unwrap().get(), 3);
    use PassedOverReason::{Learner, NotNeeded};
    assert_eq!(reasons(&report), [Learner, NotNeeded]);
    // Who insists on a role wants no other.
    let error = failure(&cluster(&servers), &with(EndpointPolicy::Follower)).await;
    assert!(error.to_string().contains("knows no leader"), "{error}");
}

#[tokio::test]
async fn where_nobody_is_fit_everybody_is_named() {
    let servers = running([
        ill(2, |health| health.is_learner = true),
        ill(3, |health| {
            health.errors = vec!["memberID:3 alarm:CORRUPT ".to_owned()];
        }),
    ]);
    let error = failure(&cluster(&servers), &SaveOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::Server, "{error}");
    for words in [
        "none of the 2 endpoints can be used",
        "a learner",
        "is corrupt",
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
    for (policy, id, words) in [
        (EndpointPolicy::Leader, 2, "is not the leader"),
        (EndpointPolicy::Follower, 1, "is the leader"),
    ] {
        let servers = running([member(id)]);
        let error = failure(&cluster(&servers), &with(policy)).await;
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.endpoint(), Some(&*servers[0].endpoint()));
    }
}

#[tokio::test]
async fn a_wrong_password_is_wrong_everywhere() {
    let auth = Auth {
        user: "ann".to_owned(),
        password: "right".to_owned(),
        is_root: true,
        modern: true,
    };
    let servers = running([1, 2].map(|id| member(id).with_auth(auth.clone())));
    for policy in [EndpointPolicy::Auto, EndpointPolicy::First] {
        let cluster = cluster(&servers).with_user("ann", "wrong");
        let error = failure(&cluster, &with(policy)).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert_eq!(error.endpoint(), Some(&*servers[0].endpoint()), "{error}");
    }
}

#[tokio::test]
async fn a_token_goes_instead_of_a_login() {
    let auth = Auth {
        user: "ann".to_owned(),
        password: "right".to_owned(),
        is_root: true,
        modern: true,
    };
    let servers = running([member(1).with_auth(auth).with_token("e30.e30.c2ln")]);
    let cluster = cluster(&servers);
    saved(
        &cluster.clone().with_token("e30.e30.c2ln"),
        &SaveOptions::default(),
    )
    .await;
    // Whoever comes last counts.
    let twice = cluster
        .clone()
        .with_user("ann", "wrong")
        .with_token("e30.e30.c2ln");
    saved(&twice, &SaveOptions::default()).await;
    let error = failure(
        &cluster.clone().with_token("other"),
        &SaveOptions::default(),
    )
    .await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let error = failure(&cluster.with_token("two\nlines"), &SaveOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(!said(&error).contains("lines"), "{error}");
}

#[tokio::test]
async fn a_transfer_that_fails_is_begun_again_at_the_next_one() {
    for (fault, words) in [
        (Fault::ResetAfter(40_000), "broke"),
        (Fault::EndAfter(40_000), "before the end of the database"),
        (Fault::SilentAfter(40_000), "sent nothing for"),
        (Fault::EmptyAfter(40_000), "empty messages"),
        (Fault::WrongDigest, "SHA-256"),
        (Fault::FlipByte(40_000), "SHA-256"),
        (
            Fault::ErrorAfter(0, Code::Unavailable, "etcdserver: no".to_owned()),
            "etcdserver: no",
        ),
        (
            Fault::ErrorAfter(40_000, Code::Unavailable, "etcdserver: no".to_owned()),
            "etcdserver: no",
        ),
    ] {
        let servers = running([member(2).with_fault(fault.clone()), member(3), member(1)]);
        let notes = Arc::new(Notes::default());
        let options = SaveOptions::default()
            .with_stall_timeout(Duration::from_secs(1))
            .with_observer(Arc::clone(&notes) as _);
        let report = saved(&cluster(&servers), &options).await;
        assert_eq!(report.member_id.unwrap().get(), 3, "{fault:?}");
        let passed = &report.passed_over[0];
        assert_eq!(passed.reason, PassedOverReason::Failed, "{passed}");
        assert_eq!(passed.member_id.unwrap().get(), 2);
        assert!(passed.message.contains(words), "{passed}");
        assert!(passed.message.contains(&servers[0].endpoint()), "{passed}");
        assert!(notes.0.lock().unwrap().contains(&passed.message));
    }
}

#[tokio::test]
async fn a_damaged_member_does_not_spoil_the_save() {
    let damaged = std::fs::read(crate::snapshot())
        .map(without_a_root)
        .unwrap();
    let servers = running([Server::serving_bytes(damaged).with_member_id(2), member(1)]);
    let report = saved(&cluster(&servers), &SaveOptions::default()).await;
    assert_eq!(report.member_id.unwrap().get(), 1);
    assert_eq!(reasons(&report), [PassedOverReason::Failed]);
}

/// Both metas are no metas any more, and the digest is right.
fn without_a_root(mut snapshot: Vec<u8>) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let database = snapshot.len() - 32;
    snapshot[..8192].fill(0);
    let digest = Sha256::digest(&snapshot[..database]);
    snapshot[database..].copy_from_slice(&digest);
    snapshot
}

#[tokio::test]
async fn what_fails_everywhere_is_told_of_everyone() {
    let servers = running([
        member(2).with_fault(Fault::EndAfter(40_000)),
        member(3).with_fault(Fault::NoDigest),
    ]);
    let error = failure(&cluster(&servers), &SaveOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::Stream);
    for words in [
        "none of the 2 endpoints gave a snapshot",
        "at byte 40000 of",
        "without the digest",
        &servers[1].endpoint(),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// The next one may have changed meanwhile, or be gone.
#[tokio::test]
async fn the_next_one_is_looked_at_again() {
    let servers = running([member(2).with_fault(Fault::EndAfter(40_000)), member(3)]);
    let cluster = cluster(&servers);
    let mut servers = servers;
    let begins = |event: &Event| matches!(event, Event::Started(etcd_snap::Phase::Receive));
    let options = SaveOptions::default().with_observer(Arc::new(Ends::at(begins, servers.pop())));
    let error = failure(&cluster, &options).await;
    assert!(
        error.to_string().contains("nothing listens there"),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::Stream, "{error}");
}

#[tokio::test]
async fn what_is_ours_is_nobody_elses_to_try() {
    // The observer's wish.
    let servers = running([member(2), member(3)]);
    let options = SaveOptions::default().with_observer(Arc::new(Stop));
    let error = failure(&cluster(&servers), &options).await;
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");

    // What was written to a pipe.
    let servers = running([member(2).with_fault(Fault::EndAfter(40_000)), member(3)]);
    let notes = Arc::new(Notes::default());
    let options = SaveOptions::default().with_observer(Arc::clone(&notes) as _);
    let target = Target::writer("the pipe", std::io::sink());
    let error = save(&cluster(&servers), target, &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stream, "{error}");
    assert_eq!(error.endpoint(), Some(&*servers[0].endpoint()));
    let notes = notes.0.lock().unwrap();
    assert!(
        notes
            .iter()
            .any(|note| note.contains("cannot be begun again")),
        "{notes:?}"
    );
}

/// Nothing has left before the stream is open.
#[tokio::test]
async fn a_pipe_takes_the_next_one_as_long_as_nothing_has_left() {
    let mut servers = running([member(3), member(2)]);
    let cluster = Cluster::new([servers[1].endpoint(), servers[0].endpoint()]).unwrap();
    // That it is chosen is the last that is told before the stream is asked for.
    let ends = Ends::at(|event| matches!(event, Event::Note(_)), servers.pop());
    let options = SaveOptions::default().with_observer(Arc::new(ends));
    let target = Target::writer("the pipe", std::io::sink());
    let report = save(&cluster, target, &options).await.unwrap();
    assert_eq!(report.member_id.unwrap().get(), 3);
    assert_eq!(reasons(&report), [PassedOverReason::Failed]);
}

#[tokio::test]
async fn a_disk_that_is_too_small_is_known_before_the_transfer() {
    let servers = running([
        ill(2, |health| health.database_bytes = i64::MAX / 2).with_fault(Fault::SilentAfter(0))
    ]);
    let error = failure(&cluster(&servers), &SaveOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    let required = (i64::MAX / 2 + 32).to_string();
    assert!(error.to_string().contains(&required), "{error}");
    let detail: Vec<_> = error.detail().collect();
    assert_eq!(detail[0], ("required", &*required));
    let ("free", free) = detail[1] else {
        panic!("{detail:?}")
    };
    assert!(error.to_string().contains(free), "{error}");
    // What is no file has no disk.
    let target = Target::writer("the pipe", std::io::sink());
    let options = SaveOptions::default().with_stall_timeout(Duration::from_millis(50));
    let error = save(&cluster(&servers), target, &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled, "{error}");
}

#[test]
fn a_report_of_before_has_no_other_endpoints() {
    let passed = r#"{"endpoint":"a:1","member_id":null,"reason":"other-cluster","message":"m"}"#;
    let passed: PassedOver = serde_json::from_str(passed).unwrap();
    assert_eq!(passed.reason, PassedOverReason::OtherCluster);
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: &Event) -> std::ops::ControlFlow<()> {
        if let Event::Note(note) = event {
            self.0.lock().unwrap().push(note.clone());
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// Ends a server when something happens.
struct Ends {
    at: fn(&Event) -> bool,
    server: Mutex<Option<Running>>,
}

impl Ends {
    fn at(at: fn(&Event) -> bool, server: Option<Running>) -> Self {
        Self {
            at,
            server: Mutex::new(server),
        }
    }
}

impl Observer for Ends {
    fn event(&self, event: &Event) -> std::ops::ControlFlow<()> {
        if (self.at)(event) {
            drop(self.server.lock().unwrap().take());
        }
        std::ops::ControlFlow::Continue(())
    }
}

struct Stop;

impl Observer for Stop {
    fn event(&self, event: &Event) -> std::ops::ControlFlow<()> {
        match event {
            Event::Progress { .. } => std::ops::ControlFlow::Break(()),
            _ => std::ops::ControlFlow::Continue(()),
        }
    }
}
