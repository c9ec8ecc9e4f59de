//! Questions to members, each within its time.

use std::future::Future;
use std::time::Duration;

use etcd_snap::api::Client;
use etcd_snap::api::messages::{HashKvResponse, Member, StatusResponse};
use etcd_snap::{Cluster, Revision};

use super::run::Run;
use super::steps::listens;
use crate::{Result, network};

/// How long a member may take to answer: one without quorum may take connections and never answers.
const LONGEST: Duration = Duration::from_secs(3);
/// It reads all of its keys for the hash.
const LONGEST_HASH: Duration = Duration::from_secs(300);

/// What a member that was asked for its status says.
pub(super) enum Answer {
    /// It does not take connections, or breaks them: why.
    Closed(String),
    /// It takes connections, and does not answer, or knows no leader: why.
    NoLeader(String),
    Serves(Box<StatusResponse>),
}

impl Run<'_> {
    /// How this node's member can be reached.
    pub(super) fn cluster(&self) -> Result<Cluster> {
        let cluster = self.recovery().etcd.cluster(self.root())?;
        Ok(cluster.with_connect_timeout(LONGEST))
    }

    /// The status of the member, if it serves at this moment.
    pub(super) fn serves_now(&self) -> Option<Box<StatusResponse>> {
        match self.ask() {
            Ok(Answer::Serves(status)) => Some(status),
            _ => None,
        }
    }

    /// What it says of itself.
    pub(super) fn ask(&self) -> Result<Answer> {
        let cluster = self.cluster()?;
        let asked = block_on(async {
            let client = Client::connect_any(&cluster).await?;
            client.status().await
        })?;
        let endpoint = self.recovery().etcd.endpoints().into_iter().next();
        Ok(match asked {
            Ok(answer) if answer.message.leader == 0 => {
                Answer::NoLeader("it knows no leader".into())
            }
            Ok(answer) => Answer::Serves(Box::new(answer.message)),
            Err(e) if endpoint.is_some_and(|endpoint| listens(&endpoint)) => {
                Answer::NoLeader(e.to_string())
            }
            Err(e) => Answer::Closed(e.to_string()),
        })
    }
}

/// A member of the cluster that runs now, asked for what it holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) cluster_id: u64,
    pub(super) revision: Revision,
    /// At the revision that was asked for; why not, where there is none.
    pub(super) hash: Result<Hash, String>,
}

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash {
    pub(super) hash: u32,
    /// -1 where it was never compacted, or says nothing.
    pub(super) compact_revision: i64,
}

/// The members as one of them knows them; all agree, where there is a quorum.
pub(super) fn members(cluster: &Cluster) -> Result<Vec<Member>> {
    let asked = block_on(async {
        let client = Client::connect_any(cluster).await?;
        client.member_list(true).await
    })?;
    Ok(asked?.message.members)
}

/// What a member holds at a revision.
pub(super) fn held(cluster: &Cluster, endpoint: Option<&str>, at: Revision) -> Result<Held> {
    let asked = block_on(async {
        let client = match endpoint {
            Some(endpoint) => Client::connect(cluster, endpoint).await?,
            None => Client::connect_any(cluster).await?,
        };
        let client = client.with_timeout(LONGEST);
        let status = client.status().await?.message;
        let header = status.header.unwrap_or_default();
        let client = client.with_timeout(LONGEST_HASH);
        // Up to etcd 3.5, a revision that is compacted cannot be asked for even if it is the current one.
        let asked = Some(at).filter(|at| at.get() != header.revision);
        let hash = match client.hash_kv(asked).await {
            Ok(answer) => hash_at(&answer.message, asked, at),
            Err(e) => Err(e.to_string()),
        };
        Ok(Held {
            cluster_id: header.cluster_id,
            revision: Revision::new(header.revision),
            hash,
        })
    })?;
    asked.map_err(|e: etcd_snap::Error| e.into())
}

/// An answer about the current revision, which nobody named, is one about the wanted one only if nothing was written meanwhile.
fn hash_at(answer: &HashKvResponse, asked: Option<Revision>, at: Revision) -> Result<Hash, String> {
    let current = answer.header.unwrap_or_default().revision;
    let revision = match (answer.hash_revision, asked) {
        (0, Some(asked)) => asked.get(),
        (0, None) => current,
        (revision, _) => revision,
    };
    if revision != at.get() {
        return Err(format!("it has gone on to revision {revision} meanwhile"));
    }
    Ok(Hash {
        hash: answer.hash,
        compact_revision: answer.compact_revision,
    })
}

fn block_on<T>(asked: impl Future<Output = T>) -> Result<T> {
    let runtime = network::runtime()?;
    Ok(runtime.block_on(asked))
}
