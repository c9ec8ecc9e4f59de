//! Snapshots against members that say what they are told to say.

mod members;
mod save;
mod verdicts;

use std::path::PathBuf;

use etcd_snap::{
    AttestOptions, AttestReport, AttestedMember, CannotTell, Cluster, HashKvOptions, MemberVerdict,
    Revision, Snapshot, attest, hash_kv,
};
use etcd_snap_testdata::fake::{HashAnswer, Listed, Running, Server};

/// Where the snapshot stands that [`file`] names.
const REVISION: i64 = 215;
const COMPACTED: i64 = 205;

const CLUSTER: u64 = 0xcdf8_1818_e32c_b7cd;

/// A small snapshot of a real server.
fn file() -> PathBuf {
    etcd_snap_testdata::folder().join("snapshots/3.6.db")
}

fn snapshot() -> Snapshot {
    Snapshot::open(file()).unwrap()
}

/// What a member that is compacted there answers, if it holds what the snapshot holds.
fn hash(compact_revision: i64) -> u32 {
    let options = HashKvOptions::default()
        .with_revision(Revision::new(REVISION))
        .with_compact_revision(Revision::new(compact_revision));
    hash_kv(&snapshot(), &options).unwrap().hash
}

fn right() -> HashAnswer {
    HashAnswer::at(REVISION, hash(COMPACTED), COMPACTED)
}

fn wrong() -> HashAnswer {
    HashAnswer::at(REVISION, hash(COMPACTED) ^ 1, COMPACTED)
}

/// A member that gives the snapshot, and this answer.
fn server(answer: HashAnswer) -> Server {
    Server::serving(file()).unwrap().with_hash(answer)
}

fn running(server: Server) -> Running {
    server.start().unwrap()
}

fn client(server: &Running) -> Cluster {
    Cluster::new([server.endpoint()]).unwrap()
}

/// The list entry of a member that clients reach there.
fn listed(id: u64, urls: &[&str]) -> Listed {
    Listed {
        id,
        name: format!("m{id}"),
        client_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
    }
}

async fn ask(cluster: &Cluster) -> AttestReport {
    attest(&snapshot(), cluster, &AttestOptions::default())
        .await
        .unwrap()
}

/// The only member of a cluster with one that answers so.
async fn alone(server: Server) -> AttestedMember {
    let server = running(server);
    let mut report = ask(&client(&server)).await;
    assert_eq!(report.members.len(), 1, "{report:?}");
    report.members.remove(0)
}

/// Expects that the member cannot tell, for this reason and in these words.
#[track_caller]
fn cannot_tell(member: &AttestedMember, expected: CannotTell, words: &str) {
    match &member.verdict {
        MemberVerdict::CannotTell { reason, message } => {
            assert_eq!(*reason, expected, "{member}");
            assert!(message.contains(words), "{words:?} is not in {message:?}");
        }
        _ => panic!("{member}"),
    }
}

fn is_equal(member: &AttestedMember) -> bool {
    matches!(member.verdict, MemberVerdict::Equal { .. })
}

fn differs(member: &AttestedMember) -> bool {
    matches!(member.verdict, MemberVerdict::Differs { .. })
}
