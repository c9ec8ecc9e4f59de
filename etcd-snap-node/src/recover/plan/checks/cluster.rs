//! The members of the cluster as it is: whether they still serve, and what they have that the snapshot has not.

use etcd_snap::api::Client;
use etcd_snap::{Cluster, Seen, SnapshotMember};

use super::Planned;
use crate::recover::plan::PlanOptions;
use crate::recover::plan::elsewhere::quorum;
use crate::recover::plan::options::PlannedBump;
use crate::{Etcd, Finding, Result, network};

/// What members answered.
#[derive(Debug, Clone)]
pub(in crate::recover::plan) struct Living {
    pub(in crate::recover::plan) seen: Seen,
    /// Members that have a vote.
    pub(super) voters: usize,
    /// Those of them that answer and know a leader.
    pub(super) led: usize,
}

impl Living {
    fn has_quorum(&self) -> bool {
        self.voters > 0 && self.led >= quorum(self.voters)
    }
}

/// Asks this node's member; where it does not answer, those that the snapshot knows. `None` where nobody answers, or nobody may be asked.
pub(in crate::recover::plan) fn ask(
    etcd: &Etcd,
    old: &[SnapshotMember],
    options: &PlanOptions,
) -> Result<Option<Living>> {
    if !options.asks() {
        return Ok(None);
    }
    // Without a certificate nobody can be asked, which is a finding of its own.
    let Ok(cluster) = etcd.cluster(&options.root) else {
        return Ok(None);
    };
    let cluster = cluster.with_connect_timeout(options.question);
    let others = old
        .iter()
        .filter(|member| member.name != etcd.name)
        .flat_map(|member| member.client_urls.iter().cloned());
    let mut endpoints = etcd.endpoints();
    for url in others {
        if !endpoints.contains(&url) {
            endpoints.push(url);
        }
    }
    let runtime = network::runtime()?;
    Ok(runtime.block_on(async {
        for endpoint in &endpoints {
            let Some(answers) = through(&cluster, endpoint).await else {
                continue;
            };
            let Ok(answering) = etcd.cluster_at(&options.root, &answers.endpoints) else {
                continue;
            };
            let answering = answering.with_connect_timeout(options.question);
            if let Ok(seen) = Seen::of_cluster(&answering).await {
                return Some(Living {
                    seen,
                    voters: answers.voters,
                    led: answers.led,
                });
            }
        }
        None
    }))
}

struct Answers {
    endpoints: Vec<String>,
    voters: usize,
    led: usize,
}

/// What the member at one endpoint knows of all, and whether they answer.
async fn through(cluster: &Cluster, endpoint: &str) -> Option<Answers> {
    let client = Client::connect(cluster, endpoint).await.ok()?;
    let own = client.status().await.ok()?.message;
    let own_id = own.header.as_ref()?.member_id;
    let members = client.member_list(false).await.ok()?.message.members;
    let mut answers = Answers {
        endpoints: vec![endpoint.to_owned()],
        voters: 0,
        led: 0,
    };
    for member in members.iter().filter(|member| !member.is_learner) {
        answers.voters += 1;
        if member.id == own_id {
            answers.led += usize::from(own.leader != 0);
        } else if let Some((url, leader)) = leader(cluster, &member.client_urls).await {
            answers.led += usize::from(leader != 0);
            answers.endpoints.push(url);
        }
    }
    Some(answers)
}

/// The endpoint that answers, and the leader that its member knows, or 0.
async fn leader(cluster: &Cluster, endpoints: &[String]) -> Option<(String, u64)> {
    for endpoint in endpoints {
        if let Ok(client) = Client::connect(cluster, endpoint).await
            && let Ok(answer) = client.status().await
        {
            return Some((endpoint.clone(), answer.message.leader));
        }
    }
    None
}

pub(super) fn judge(planned: &Planned<'_>) -> Option<Finding> {
    let living = planned.living?;
    if !living.has_quorum() {
        return None;
    }
    let (now, then) = (living.seen.revision.get(), planned.revision.get());
    let lost = match now - then {
        more @ 1.. => format!(
            "it is at revision {now}, and the snapshot at {then}: the {more} revisions in between would be lost"
        ),
        _ => format!("it is at revision {now}, and the snapshot at {then}"),
    };
    if living.voters == 1 {
        return Some(
            Finding::warning(
                "writes-are-lost",
                format!(
                    "etcd serves: {lost}, and so is everything that is written until it is stopped"
                ),
            )
            .with_remedy("if any of it is needed, save another snapshot before"),
        );
    }
    let sentence = format!(
        "the cluster works: {} of its {} members answer and know a leader; {lost}",
        living.led, living.voters
    );
    // Another node has decided, and this one has to follow: members that were recovered already may be the quorum.
    if planned.options.force_with_quorum || planned.options.given.is_some() {
        return Some(Finding::warning("quorum-is-there", sentence).with_remedy(
            "stop etcd on all nodes before the first one is started again: old and new members must not be mixed",
        ));
    }
    Some(Finding::error("quorum-is-there", sentence).with_remedy(
        "a single member that is lost is replaced without a snapshot: `member remove` on a member that works, move the data directory of \
         the lost one away, `member add`, and start it with --initial-cluster-state=existing; to set the whole cluster back to the \
         snapshot all the same, say --force-with-quorum",
    ))
}

pub(super) fn plan_file(planned: &Planned<'_>) -> Option<Finding> {
    let options = planned.options;
    let members = planned.members.members().len();
    if members < 2 || options.given.is_some() || options.plan_file.is_some() {
        return None;
    }
    // Whoever says the same on each node needs no file for it.
    if options.token.is_some() && options.bump != PlannedBump::Automatic {
        return None;
    }
    Some(
        Finding::warning(
            "plan-file-needed",
            format!(
                "the new cluster has {members} members, and no file was named for what all nodes must have in common: planned anew there, \
                 token and revision would differ, and the members would not find together"
            ),
        )
        .with_remedy(
            "name one with --plan-file, copy it to the other nodes, and name it there too; or say --initial-cluster-token and \
             --bump-revision on each of them",
        ),
    )
}

#[cfg(test)]
mod tests {
    use etcd_snap::Revision;

    use super::*;

    fn living(voters: usize, led: usize) -> Living {
        Living {
            seen: Seen::told(Revision::new(215)),
            voters,
            led,
        }
    }

    #[test]
    fn a_quorum_is_more_than_half_that_know_a_leader() {
        for (voters, led, expected) in [
            (1, 1, true),
            (1, 0, false),
            (3, 2, true),
            (3, 1, false),
            (4, 2, false),
            (5, 3, true),
            (0, 0, false),
        ] {
            assert_eq!(
                living(voters, led).has_quorum(),
                expected,
                "{led} of {voters}"
            );
        }
    }
}
