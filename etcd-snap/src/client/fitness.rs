//! Whether a member is fit to give the snapshot of its cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::choose::reach;
use super::cluster::Cluster;
use super::endpoint::Endpoint;
use super::maintenance::{Member, MemberStatus};
use crate::stream::{EndpointPolicy, PassedOverReason};
use crate::{ClusterId, Error, ErrorKind, Result};

/// How long the others have at least when one has answered that is fit.
const GRACE: Duration = Duration::from_secs(1);
/// etcd's servers refuse writes while what they have applied is further than this behind what is agreed.
const LAG: u64 = 5000;

/// What came of asking one endpoint.
pub(super) struct Answer {
    pub(super) endpoint: Endpoint,
    /// `None` when it was not waited for any longer.
    pub(super) came: Option<Result<(Member, MemberStatus)>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Less is better.
    Fit(Rank),
    Unfit(PassedOverReason, String),
}

/// Followers first, or, where leaders are wanted, the one of the newest term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(bool, u64);

impl Rank {
    /// All of them alike.
    pub(super) fn last_resort() -> Self {
        Self(false, 0)
    }
}

/// Asks all endpoints at the same time, until there is one that is fit and the others have had their time.
pub(super) async fn ask_all(cluster: &Arc<Cluster>, policy: EndpointPolicy) -> Result<Vec<Answer>> {
    let mut tasks = JoinSet::new();
    let mut answers = Vec::new();
    for (place, endpoint) in cluster.endpoints().iter().enumerate() {
        answers.push(Answer {
            endpoint: endpoint.clone(),
            came: None,
        });
        let (cluster, endpoint) = (Arc::clone(cluster), endpoint.clone());
        tasks.spawn(async move { (place, reach(&cluster, &endpoint).await) });
    }
    let started = Instant::now();
    let mut until = None;
    loop {
        let joined = match until {
            None => tasks.join_next().await,
            Some(until) => match timeout_at(until, tasks.join_next()).await {
                Ok(joined) => joined,
                Err(_) => return Ok(answers),
            },
        };
        let Some(joined) = joined else {
            return Ok(answers);
        };
        let (place, came) = joined.map_err(|e| {
            Error::new(
                ErrorKind::Io,
                "the task that asks a member died; this is a fault of etcd-snap",
            )
            .with_source(e)
        })?;
        if let Some(answer) = answers.get_mut(place) {
            let decides = match &came {
                Ok((_, status)) => unfit(&answer.endpoint, status, None, policy).is_none(),
                Err(e) => e.kind() == ErrorKind::Denied,
            };
            if decides && until.is_none() {
                until = Some(Instant::now() + started.elapsed().max(GRACE));
            }
            answer.came = Some(came);
        }
    }
}

/// The cluster that most members belong to; of several such, the one that is named first.
pub(super) fn cluster_of(answers: &[Answer]) -> Option<ClusterId> {
    most(answers.iter().filter_map(status))
}

fn most<'a>(statuses: impl Iterator<Item = &'a MemberStatus>) -> Option<ClusterId> {
    let mut order = Vec::new();
    let mut members: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for status in statuses {
        if !order.contains(&status.cluster_id) {
            order.push(status.cluster_id);
        }
        let known = members.entry(status.cluster_id.get()).or_default();
        known.insert(status.member_id.get());
    }
    let count = |id: &ClusterId| members.get(&id.get()).map_or(0, BTreeSet::len);
    // Of equals, `max_by_key` takes the last one.
    order.into_iter().rev().max_by_key(count)
}

fn status(answer: &Answer) -> Option<&MemberStatus> {
    match &answer.came {
        Some(Ok((_, status))) => Some(status),
        _ => None,
    }
}

pub(super) fn judge(
    answers: &[Answer],
    cluster_id: Option<ClusterId>,
    policy: EndpointPolicy,
) -> Vec<Verdict> {
    let newest = answers
        .iter()
        .filter_map(status)
        .filter(|status| Some(status.cluster_id) == cluster_id)
        .map(|status| status.applied_index)
        .max();
    let judged = answers.iter().map(|answer| {
        let endpoint = &answer.endpoint;
        match &answer.came {
            None => Verdict::Unfit(
                PassedOverReason::Slow,
                format!("{endpoint} had not answered when others had"),
            ),
            Some(Err(e)) => Verdict::Unfit(
                match e.kind() {
                    ErrorKind::Denied => PassedOverReason::Denied,
                    _ => PassedOverReason::Unreachable,
                },
                e.to_string(),
            ),
            Some(Ok((_, status))) => {
                let unfit = unfit(endpoint, status, cluster_id, policy);
                match unfit.or_else(|| lags(endpoint, status, newest)) {
                    Some((reason, message)) => Verdict::Unfit(reason, message),
                    None => Verdict::Fit(rank(status, policy)),
                }
            }
        }
    });
    judged.collect()
}

fn rank(status: &MemberStatus, policy: EndpointPolicy) -> Rank {
    match policy {
        EndpointPolicy::Leader => Rank(false, u64::MAX.saturating_sub(status.raft_term)),
        _ => Rank(status.is_leader, 0),
    }
}

/// What speaks against a member by itself.
pub(super) fn unfit(
    endpoint: &Endpoint,
    status: &MemberStatus,
    cluster_id: Option<ClusterId>,
    policy: EndpointPolicy,
) -> Option<(PassedOverReason, String)> {
    if let Some(cluster_id) = cluster_id
        && cluster_id != status.cluster_id
    {
        return Some((
            PassedOverReason::OtherCluster,
            format!(
                "{endpoint} belongs to the cluster {}, and not to {cluster_id}",
                status.cluster_id
            ),
        ));
    }
    if status.is_corrupt() {
        return Some((
            PassedOverReason::Corrupt,
            format!("{endpoint} is corrupt: the cluster has raised the alarm CORRUPT for it"),
        ));
    }
    if status.is_learner {
        return Some((
            PassedOverReason::Learner,
            format!("{endpoint} is a learner: it may lag behind"),
        ));
    }
    if !status.has_leader {
        return Some((
            PassedOverReason::NoLeader,
            format!("{endpoint} knows no leader: its state may be older than the cluster's"),
        ));
    }
    match policy {
        EndpointPolicy::Leader if !status.is_leader => Some((
            PassedOverReason::NotLeader,
            format!("{endpoint} is not the leader, which is to give the snapshot"),
        )),
        EndpointPolicy::Follower if status.is_leader => Some((
            PassedOverReason::Leader,
            format!("{endpoint} is the leader, and a follower is to give the snapshot"),
        )),
        _ => None,
    }
}

fn lags(
    endpoint: &Endpoint,
    status: &MemberStatus,
    newest: Option<u64>,
) -> Option<(PassedOverReason, String)> {
    let behind = newest?.saturating_sub(status.applied_index);
    (behind > LAG).then(|| {
        (
            PassedOverReason::Lagging,
            format!(
                "{endpoint} lags: it has applied {behind} entries fewer than the newest member"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemberId, Revision};

    fn member(cluster: u64, id: u64) -> MemberStatus {
        MemberStatus {
            cluster_id: ClusterId::new(cluster),
            member_id: MemberId::new(id),
            revision: Revision::new(1),
            version: "3.6.14".to_owned(),
            database_bytes: 0,
            raft_term: 2,
            applied_index: 10_000,
            is_learner: false,
            has_leader: true,
            is_leader: false,
            errors: Vec::new(),
        }
    }

    #[test]
    fn the_cluster_is_that_of_most_members() {
        for (members, expected) in [
            (&[(7, 1), (8, 2), (8, 3)][..], Some(8)),
            // One member behind two endpoints is one.
            (&[(7, 1), (8, 2), (8, 2)], Some(7)),
            (&[(8, 1), (7, 2)], Some(8)),
            (&[], None),
        ] {
            let members: Vec<_> = members.iter().map(|(c, m)| member(*c, *m)).collect();
            assert_eq!(most(members.iter()).map(|id| id.get()), expected);
        }
    }

    #[test]
    fn a_member_lags_when_etcd_itself_would_wait_for_it() {
        let endpoint = Endpoint::parse("a:1").unwrap();
        let member = member(1, 1);
        assert_eq!(lags(&endpoint, &member, Some(15_000)), None);
        let (reason, message) = lags(&endpoint, &member, Some(15_001)).unwrap();
        assert_eq!(reason, PassedOverReason::Lagging);
        assert!(message.contains("5001 entries"), "{message}");
        assert_eq!(lags(&endpoint, &member, Some(1)), None);
    }

    #[test]
    fn an_alarm_speaks_against_the_member_that_it_is_for() {
        let endpoint = Endpoint::parse("a:1").unwrap();
        for (text, unfit) in [
            ("memberID:1 alarm:CORRUPT ", true),
            ("memberID:2 alarm:CORRUPT ", false),
            // Nobody knows for whom.
            ("alarm:CORRUPT ", true),
            ("memberID:1  alarm:CORRUPT", true),
            ("memberID:1 alarm:NOSPACE ", false),
            ("memberID:11 alarm:CORRUPT ", false),
        ] {
            let mut member = member(1, 1);
            member.errors = vec![text.to_owned()];
            let found = super::unfit(&endpoint, &member, None, EndpointPolicy::Auto);
            assert_eq!(
                found.map(|(reason, _)| reason),
                unfit.then_some(PassedOverReason::Corrupt),
                "{text}"
            );
        }
    }

    #[test]
    fn of_two_that_lead_the_newer_term_does() {
        let (mut old, mut new) = (member(1, 1), member(1, 2));
        (old.is_leader, new.is_leader, new.raft_term) = (true, true, 3);
        let rank = |status, policy| super::rank(status, policy);
        assert!(rank(&new, EndpointPolicy::Leader) < rank(&old, EndpointPolicy::Leader));
        assert!(rank(&member(1, 3), EndpointPolicy::Auto) < rank(&new, EndpointPolicy::Auto));
    }
}
