//! Who is to be asked: every member that the cluster lists, and every endpoint that was given, none of them twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Doubt, together};
use crate::client::{Cluster, Endpoint, ListedMember, Member, MemberStatus, reach};
use crate::{CannotTell, ClusterId, Error, MemberId, Result, Revision};

/// Larger clusters do not exist; a list that claims to be of one is not followed.
const MOST_MEMBERS: usize = 64;
/// A member has one or two.
const MOST_URLS: usize = 16;

/// What was found of the cluster.
pub(super) struct Found {
    pub(super) cluster_id: Option<ClusterId>,
    pub(super) listed: bool,
    pub(super) members: Vec<Candidate>,
}

/// A member, or an endpoint that should lead to one.
pub(super) struct Candidate {
    pub(super) id: Option<MemberId>,
    pub(super) name: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) reached: Result<Reached, Doubt>,
}

/// A member that can be asked.
pub(super) struct Reached {
    pub(super) member: Member,
    pub(super) id: MemberId,
    pub(super) revision: Revision,
}

/// Connects to every member. Given endpoints come first, in their order.
pub(super) async fn find(cluster: &Cluster, wanted: Option<ClusterId>) -> Result<Found> {
    let cluster = Arc::new(cluster.clone());
    let mut found = Found {
        cluster_id: wanted,
        listed: false,
        members: Vec::new(),
    };
    let mut failed = Vec::new();
    let attempts = cluster.endpoints().iter().map(|endpoint| {
        let (cluster, endpoint) = (Arc::clone(&cluster), endpoint.clone());
        async move {
            let reached = reach(&cluster, &endpoint).await;
            (endpoint, reached)
        }
    });
    for (endpoint, reached) in together(attempts).await? {
        match reached {
            Ok((member, status)) => found.add(member, &status),
            Err(error) => failed.push((endpoint, error)),
        }
    }

    let list = found.list().await;
    found.listed = list.is_some();
    let list = list.unwrap_or_default();
    found.name(&list);
    for (endpoint, error) in &failed {
        // A member that lists the endpoint as its own speaks for it.
        let owner = list.iter().any(|member| lists(member, endpoint));
        if !owner {
            found.members.push(Candidate {
                id: None,
                name: None,
                endpoint: Some(endpoint.to_string()),
                reached: Err(Doubt::from(error)),
            });
        }
    }
    let failed = Arc::new(failed);
    let others = list
        .into_iter()
        .filter(|member| !found.has(member.id))
        .map(|member| {
            let (cluster, failed) = (Arc::clone(&cluster), Arc::clone(&failed));
            let wanted = found.cluster_id;
            async move { by_its_urls(&cluster, member, wanted, &failed).await }
        })
        .collect::<Vec<_>>();
    found.members.extend(together(others).await?);
    Ok(found)
}

impl Found {
    /// What a person should hear who waits.
    pub(super) fn asking(&self, revision: Revision) -> String {
        let reached = self.members.iter().filter(|member| member.reached.is_ok());
        format!(
            "asking {} of {} members for the hash of their keys at revision {revision}",
            reached.count(),
            self.members.len()
        )
    }

    fn has(&self, id: MemberId) -> bool {
        self.members.iter().any(|member| member.id == Some(id))
    }

    /// A member that a given endpoint led to.
    fn add(&mut self, member: Member, status: &MemberStatus) {
        let wanted = *self.cluster_id.get_or_insert(status.cluster_id);
        if self.has(status.member_id) {
            return;
        }
        self.members.push(Candidate {
            id: Some(status.member_id),
            name: None,
            endpoint: Some(member.endpoint().to_owned()),
            reached: reached(member, status, wanted),
        });
    }

    /// All members of the cluster, by the first one that lists them.
    async fn list(&self) -> Option<Vec<ListedMember>> {
        for candidate in &self.members {
            if let Ok(reached) = &candidate.reached
                && let Ok(mut list) = reached.member.list().await
                && list.len() <= MOST_MEMBERS
            {
                let mut seen = BTreeSet::new();
                list.retain(|member| seen.insert(member.id));
                return Some(list);
            }
        }
        None
    }

    fn name(&mut self, list: &[ListedMember]) {
        for candidate in &mut self.members {
            candidate.name = list
                .iter()
                .find(|member| Some(member.id) == candidate.id && !member.name.is_empty())
                .map(|member| member.name.clone());
        }
    }
}

fn reached(member: Member, status: &MemberStatus, wanted: ClusterId) -> Result<Reached, Doubt> {
    if status.cluster_id != wanted {
        return Err(Doubt::new(
            CannotTell::OtherCluster,
            format!(
                "{} belongs to the cluster {}, and not to {wanted}",
                member.endpoint(),
                status.cluster_id
            ),
        ));
    }
    Ok(Reached {
        member,
        id: status.member_id,
        revision: status.revision,
    })
}

fn lists(member: &ListedMember, endpoint: &Endpoint) -> bool {
    member
        .client_urls
        .iter()
        .filter_map(|url| Endpoint::parse(url).ok())
        .any(|url| url.leads_to_same(endpoint))
}

/// A member that no given endpoint led to, by the URLs that it has told the cluster.
async fn by_its_urls(
    cluster: &Cluster,
    listed: ListedMember,
    wanted: Option<ClusterId>,
    failed: &[(Endpoint, Error)],
) -> Candidate {
    let mut candidate = Candidate {
        id: Some(listed.id),
        name: Some(listed.name.clone()).filter(|name| !name.is_empty()),
        endpoint: None,
        reached: Err(Doubt::new(
            CannotTell::Unreachable,
            "it has not told the cluster where its clients reach it: it may never have started",
        )),
    };
    let mut doubts: Vec<Doubt> = Vec::new();
    for url in listed.client_urls.iter().take(MOST_URLS) {
        candidate.endpoint = Some(url.clone());
        let reached = match failed
            .iter()
            .find(|(endpoint, _)| Endpoint::parse(url).is_ok_and(|url| url.leads_to_same(endpoint)))
        {
            Some((_, error)) => Err(Doubt::from(error)),
            None => by_url(cluster, &listed, url, wanted).await,
        };
        match reached {
            Ok(reached) => {
                candidate.reached = Ok(reached);
                return candidate;
            }
            Err(doubt) => doubts.push(doubt),
        }
    }
    if let Some(doubt) = Doubt::all_of(doubts) {
        candidate.reached = Err(doubt);
    }
    candidate
}

async fn by_url(
    cluster: &Cluster,
    listed: &ListedMember,
    url: &str,
    wanted: Option<ClusterId>,
) -> Result<Reached, Doubt> {
    let endpoint = Endpoint::parse(url).map_err(|e| Doubt::from(&e))?;
    let tls_is_given = cluster.tls().is_some();
    let guarded = cluster
        .endpoints()
        .iter()
        .all(|given| given.over_tls(tls_is_given));
    // Who gave only protected endpoints does not expect a password to go over the wire in the clear.
    if endpoint.is_plain() && guarded {
        return Err(Doubt::new(
            CannotTell::Unreachable,
            format!(
                "its URL {url} is without TLS, and the endpoints that were given are not: name it among them if it is to be used"
            ),
        ));
    }
    let (member, status) = reach(cluster, &endpoint)
        .await
        .map_err(|e| Doubt::from(&e))?;
    if status.member_id != listed.id {
        return Err(Doubt::new(
            CannotTell::Unreachable,
            format!(
                "its URL {url} leads to the member {} from here",
                status.member_id
            ),
        ));
    }
    reached(member, &status, wanted.unwrap_or(status.cluster_id))
}
