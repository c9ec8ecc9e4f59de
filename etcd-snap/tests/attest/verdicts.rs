//! What becomes of each answer.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_snap::{
    AttestOptions, AttestVerdict, CannotTell, Cluster, ErrorKind, Event, MemberVerdict, Observer,
    Phase, Revision, Snapshot, VerifyOptions, attest, attest_blocking, verify,
};
use etcd_snap_testdata::database::DatabaseBuilder;
use etcd_snap_testdata::fake::{Auth, Hash, HashAnswer, Server};
use tonic::Code;

use crate::*;

#[tokio::test]
async fn a_member_with_the_same_hash_proves_and_one_with_another_refutes() {
    let server = running(server(right()));
    let report = ask(&client(&server)).await;
    assert_eq!(report.verdict, AttestVerdict::Equal);
    assert_eq!(report.revision, Revision::new(REVISION));
    assert_eq!(report.compact_revision, Some(Revision::new(COMPACTED)));
    assert_eq!(report.cluster_id.unwrap().get(), CLUSTER);
    assert!(report.listed);
    let member = &report.members[0];
    assert_eq!(member.member_id.unwrap().to_string(), "8e9e05c52164694d");
    assert_eq!(member.name.as_deref(), Some("fake"));
    assert_eq!(member.endpoint, Some(server.endpoint()));
    let expected = MemberVerdict::Equal {
        hash: hash(COMPACTED),
        compact_revision: Some(Revision::new(COMPACTED)),
    };
    assert_eq!(member.verdict, expected);
    assert_eq!(report.clone().into_proven().unwrap(), report);

    let server = running(crate::server(wrong()));
    let report = ask(&client(&server)).await;
    assert_eq!(report.verdict, AttestVerdict::Differs);
    let expected = MemberVerdict::Differs {
        member_hash: hash(COMPACTED) ^ 1,
        snapshot_hash: hash(COMPACTED),
        compact_revision: Some(Revision::new(COMPACTED)),
    };
    assert_eq!(report.members[0].verdict, expected);
    let error = report.into_proven().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unproven);
}

#[tokio::test]
async fn compactions_since_the_snapshot_are_taken_into_account() {
    for compacted in [COMPACTED, 206, 210, REVISION] {
        let right = HashAnswer::at(REVISION, hash(compacted), compacted);
        let member = alone(server(right)).await;
        assert!(is_equal(&member), "{compacted}: {member}");
        let wrong = HashAnswer::at(REVISION, hash(compacted) ^ 1, compacted);
        let member = alone(server(wrong)).await;
        assert!(differs(&member), "{compacted}: {member}");
    }
    // Another compaction is another hash: the test would show nothing otherwise.
    assert_ne!(hash(COMPACTED), hash(210));
}

#[tokio::test]
async fn every_other_answer_has_its_reason() {
    let error = |code, message| server(HashAnswer::error(REVISION, code, message));
    for (server, reason, words) in [
        (
            error(
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
            ),
            CannotTell::CompactedPast,
            "compacted revision 215 away",
        ),
        (
            error(
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
            )
            .with_revision(100),
            CannotTell::Behind,
            "at revision 100 and the snapshot is at 215",
        ),
        (
            error(
                Code::FailedPrecondition,
                "etcdserver: rpc not supported for learner",
            ),
            CannotTell::Learner,
            "is a learner",
        ),
        (
            error(Code::Unavailable, "etcdserver: server stopped"),
            CannotTell::ServerError,
            "did not hash its keys: etcdserver: server stopped",
        ),
        (
            error(Code::PermissionDenied, "etcdserver: permission denied"),
            CannotTell::NoRight,
            "does not have the role root",
        ),
        (
            Server::serving(file()).unwrap(),
            CannotTell::Unreachable,
            "not as etcd does",
        ),
        (
            server(HashAnswer::at(REVISION, 1, REVISION + 1)),
            CannotTell::ServerError,
            "has compacted that away",
        ),
        (
            server(HashAnswer {
                revision: REVISION,
                hash: Hash::Of(7, hash(COMPACTED), COMPACTED),
            }),
            CannotTell::Unreachable,
            "name the members themselves",
        ),
    ] {
        cannot_tell(&alone(server).await, reason, words);
    }
}

/// A compaction leaves its hash with the member, which answers with it from then on: as compacted at the one before.
#[tokio::test]
async fn a_hash_kept_from_an_older_compaction_is_passed_over_where_that_can_be() {
    let kept = |now: HashAnswer, revision| {
        let kept = HashAnswer::at(REVISION, 1, 100);
        server(kept).with_hash(now).with_revision(revision)
    };
    let now = |hash, compacted| HashAnswer::at(0, hash, compacted);
    let right = now(hash(REVISION), REVISION);
    let member = alone(kept(right.clone(), REVISION)).await;
    assert!(is_equal(&member), "{member}");
    let member = alone(kept(now(hash(REVISION) ^ 1, REVISION), REVISION)).await;
    assert!(differs(&member), "{member}");
    // Once the member has gone on, nothing but the kept one is to be had.
    let member = alone(kept(right, 300)).await;
    let words =
        "kept a hash of revision 215, compacted at 100, and the snapshot is compacted at 205";
    cannot_tell(&member, CannotTell::CachedHash, words);
    // No compaction has left it there: the member has not got to the snapshot's.
    let member = alone(kept(now(1, -1), REVISION)).await;
    cannot_tell(&member, CannotTell::Behind, "it is never compacted");
}

/// etcd 3.4 calls the revision of its compaction compacted away.
#[tokio::test]
async fn a_member_that_stands_at_its_compaction_is_asked_without_a_revision() {
    let message = "etcdserver: mvcc: required revision has been compacted";
    let refused = || server(HashAnswer::error(REVISION, Code::OutOfRange, message));
    let now = || HashAnswer::at(0, hash(REVISION), REVISION);
    let member = alone(refused().with_hash(now()).with_revision(REVISION)).await;
    assert!(is_equal(&member), "{member}");
    let member = alone(refused().with_hash(now()).with_revision(300)).await;
    cannot_tell(&member, CannotTell::CompactedPast, "compacted revision 215");
}

#[tokio::test]
async fn who_may_not_ask_hears_which_right_is_missing() {
    for modern in [false, true] {
        for (is_root, user, words) in [
            (true, None, "takes a user with the role root"),
            (true, Some(("ann", "wrong")), "wrong user or password"),
            (false, Some(("ann", "right")), "does not have the role root"),
        ] {
            let auth = Auth {
                user: "ann".to_owned(),
                password: "right".to_owned(),
                is_root,
                modern,
            };
            let server = running(server(right()).with_auth(auth));
            let mut cluster = client(&server);
            if let Some((name, password)) = user {
                cluster = cluster.with_user(name, password);
            }
            let report = ask(&cluster).await;
            assert_eq!(report.verdict, AttestVerdict::CannotTell);
            cannot_tell(&report.members[0], CannotTell::NoRight, words);
        }
    }
}

#[tokio::test]
async fn a_member_that_says_nothing_is_not_waited_for_for_ever() {
    let silent = HashAnswer {
        revision: REVISION,
        hash: Hash::Silence,
    };
    let server = running(server(silent));
    let options = AttestOptions::default().with_answer_timeout(Duration::from_millis(50));
    let report = attest(&snapshot(), &client(&server), &options)
        .await
        .unwrap();
    cannot_tell(
        &report.members[0],
        CannotTell::Unreachable,
        "did not hash its keys within 50ms",
    );
}

/// Without a live key, hashes cover whatever old records there still are: a difference tells nothing, the same hash does.
#[tokio::test]
async fn where_no_key_lives_only_the_same_hash_tells() {
    let bytes = DatabaseBuilder::new(4096)
        .put("a", "1")
        .put("a", "2")
        .delete("a")
        .build();
    let snapshot = Snapshot::from_source("nothing lives", Arc::new(bytes)).unwrap();
    let hash = etcd_snap::hash_kv(&snapshot, &HashKvOptions::default())
        .unwrap()
        .hash;
    for (hash, is_right) in [(hash, true), (hash ^ 1, false)] {
        let server = running(server(HashAnswer::at(4, hash, -1)));
        let report = attest(&snapshot, &client(&server), &AttestOptions::default())
            .await
            .unwrap();
        if is_right {
            assert!(is_equal(&report.members[0]), "{report:?}");
        } else {
            let member = &report.members[0];
            cannot_tell(member, CannotTell::NoLiveKeys, "no key lives");
        }
    }
}

#[tokio::test]
async fn an_empty_store_has_a_hash_too() {
    let snapshot =
        Snapshot::from_source("empty", Arc::new(DatabaseBuilder::new(4096).build())).unwrap();
    let server = running(server(HashAnswer::at(1, 1_084_519_789, -1)));
    let report = attest(&snapshot, &client(&server), &AttestOptions::default())
        .await
        .unwrap();
    assert!(is_equal(&report.members[0]), "{report:?}");
    assert_eq!(report.compact_revision, None);
}

/// Counts how often the file is walked.
#[derive(Default)]
struct Walks(Mutex<usize>);

impl Observer for Walks {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if *event == Event::Started(Phase::Check) {
            *self.0.lock().unwrap() += 1;
        }
        ControlFlow::Continue(())
    }
}

#[tokio::test]
async fn the_file_is_hashed_once_for_each_compaction_that_members_have() {
    let mut walks = Vec::new();
    for compactions in [vec![205], vec![205, 205, 205], vec![205, 210, 210, 205]] {
        let servers: Vec<_> = (1..)
            .zip(&compactions)
            .map(|(id, compacted)| {
                let answer = HashAnswer::at(REVISION, hash(*compacted), *compacted);
                running(server(answer).with_member_id(id))
            })
            .collect();
        let cluster = Cluster::new(servers.iter().map(|server| server.endpoint())).unwrap();
        let counter = Arc::new(Walks::default());
        let options = AttestOptions::default().with_observer(Arc::clone(&counter) as _);
        let report = attest(&snapshot(), &cluster, &options).await.unwrap();
        assert_eq!(report.equal(), compactions.len(), "{report:?}");
        walks.push(*counter.0.lock().unwrap());
    }
    assert!(walks[0] > 0);
    assert_eq!(walks[1], walks[0]);
    assert_eq!(walks[2], 2 * walks[0]);
}

#[tokio::test]
async fn what_a_verification_has_found_is_not_looked_for_again() {
    let report = verify(&snapshot(), &VerifyOptions::default()).unwrap();
    for (answer, expected) in [(right(), true), (wrong(), false)] {
        let server = running(server(answer));
        let counter = Arc::new(Walks::default());
        let options = AttestOptions::default()
            .with_contents(report.contents.clone())
            .with_observer(Arc::clone(&counter) as _);
        let attested = attest(&snapshot(), &client(&server), &options)
            .await
            .unwrap();
        assert_eq!(is_equal(&attested.members[0]), expected);
        assert_eq!(differs(&attested.members[0]), !expected);
        assert_eq!(*counter.0.lock().unwrap(), 0);
    }
}

struct StopsAt(Phase);

impl Observer for StopsAt {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        match event {
            Event::Started(phase) if *phase == self.0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[tokio::test]
async fn an_observer_stops_it() {
    let server = running(server(right()));
    for phase in [Phase::Attest, Phase::Check] {
        let options = AttestOptions::default().with_observer(Arc::new(StopsAt(phase)));
        let error = attest(&snapshot(), &client(&server), &options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}

#[tokio::test]
async fn a_damaged_file_is_not_compared() {
    let mut bytes = std::fs::read(file()).unwrap();
    // The root page, whose number is in the meta page.
    let root = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize * 4096;
    bytes[root + 8] = 0xff;
    let damaged = Snapshot::from_source("damaged", Arc::new(bytes)).unwrap();
    let server = running(server(right()));
    let error = attest(&damaged, &client(&server), &AttestOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
}

#[test]
fn programs_without_a_runtime_can_ask_too() {
    let server = running(server(right()));
    let report = attest_blocking(&snapshot(), &client(&server), &AttestOptions::default()).unwrap();
    assert_eq!(report.verdict, AttestVerdict::Equal);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<AttestReport>(&json).unwrap(), report);
}

#[tokio::test]
async fn within_a_runtime_the_blocking_form_is_refused() {
    let cluster = Cluster::new(["127.0.0.1:1"]).unwrap();
    let error = attest_blocking(&snapshot(), &cluster, &AttestOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("await attest"), "{error}");
}

#[test]
fn the_future_may_change_threads() {
    fn is_send<T: Send>(_: &T) {}
    let cluster = Cluster::new(["127.0.0.1:1"]).unwrap();
    let (snapshot, options) = (snapshot(), AttestOptions::default());
    is_send(&attest(&snapshot, &cluster, &options));
}
