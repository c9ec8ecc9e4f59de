//! Who the new members are, and which of them is this node's.

use etcd_snap::{NewCluster, NewMember, PeerUrl, Snapshot, SnapshotMember, snapshot_members};

use super::PlanOptions;
use crate::description::is_unresolved;
use crate::{Error, ErrorKind, Etcd, Finding, Result};

/// The new cluster.
pub(super) struct Members {
    pub(super) cluster: NewCluster,
    /// The name of this node's member.
    pub(super) own: String,
    pub(super) findings: Vec<Finding>,
}

/// Decides who the members are: what another node has planned, what was said, this one alone, or those that the snapshot names. What a
/// manifest calls the initial cluster does not count: it names who was there when the node joined.
pub(super) fn members(etcd: &Etcd, snapshot: &Snapshot, options: &PlanOptions) -> Result<Members> {
    let mut findings = Vec::new();
    let old = snapshot_members(snapshot)?;
    let cluster = match &options.given {
        Some(plan) => {
            let planned = plan.cluster()?;
            require_agreement(&planned, options)?;
            planned
        }
        None => {
            let fresh = NewCluster::fresh_token();
            let token = options.token.as_deref().unwrap_or(&fresh);
            let text = match &options.initial_cluster {
                Some(text) => text.clone(),
                None if options.alone => {
                    require_name(etcd)?;
                    entry(&etcd.name, &alone(etcd, &old))
                }
                None => of_snapshot(&old, &mut findings)?,
            };
            NewCluster::parse(&text, token)?
        }
    };
    let own = own(&cluster, etcd)?;
    findings.extend(odd_names(&cluster, own, etcd));
    let own = own.name().to_owned();
    Ok(Members {
        cluster,
        own,
        findings,
    })
}

fn require_agreement(planned: &NewCluster, options: &PlanOptions) -> Result<()> {
    if options.alone && planned.members().len() > 1 {
        return Err(disagrees(
            "this node alone is wanted, and the plan has several members",
        ));
    }
    if let Some(text) = &options.initial_cluster
        && NewCluster::parse(text, planned.token())? != *planned
    {
        return Err(disagrees(
            "the initial cluster that was given is not the one of the plan",
        ));
    }
    if let Some(token) = &options.token
        && token != planned.token()
    {
        return Err(disagrees(&format!(
            "the token that was given is {token:?}, and the plan has {:?}",
            planned.token()
        )));
    }
    Ok(())
}

fn disagrees(sentence: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, sentence)
        .with_remedy("leave out what the plan decides, or make another plan for all nodes")
}

fn entry(name: &str, urls: &[String]) -> String {
    let pieces: Vec<_> = urls.iter().map(|url| format!("{name}={url}")).collect();
    pieces.join(",")
}

/// Without one there is no member that could be alone, and nobody wants to read of an initial cluster that they have not given.
fn require_name(etcd: &Etcd) -> Result<()> {
    if is_unresolved(&etcd.name) {
        return Err(Error::new(
            ErrorKind::Refused,
            format!(
                "what {} is called is not known: a shell decides about it when it starts etcd",
                etcd.title().trim()
            ),
        )
        .with_remedy("write the name itself into what starts etcd, or say who the members are with --initial-cluster"));
    }
    if !etcd.name.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "this node's etcd {} has no name, which a member needs",
            etcd.title().trim()
        ),
    )
    .with_remedy(
        "name it where etcd is started, or say who the members are with --initial-cluster",
    ))
}

/// What the machine itself says of its member counts; where it says nothing, what the cluster knew.
fn alone(etcd: &Etcd, old: &[SnapshotMember]) -> Vec<String> {
    let known = old.iter().find(|member| member.name == etcd.name);
    match known {
        Some(known) if !etcd.settings.contains_key("initial-advertise-peer-urls") => {
            known.peer_urls.clone()
        }
        _ => etcd.initial_advertise_peer_urls.clone(),
    }
}

fn of_snapshot(old: &[SnapshotMember], findings: &mut Vec<Finding>) -> Result<String> {
    let mut pieces = Vec::new();
    for member in old {
        if member.name.is_empty() {
            findings.push(Finding::note(
                "member-never-started",
                format!(
                    "the snapshot has a member at {} that was added and never started: it is left out",
                    member.peer_urls.join(",")
                ),
            ));
        } else if member.is_learner {
            findings.push(
                Finding::note(
                    "learner-left-out",
                    format!(
                        "{} has no vote in the snapshot: it is left out",
                        member.name
                    ),
                )
                .with_remedy("add it as a learner again when the cluster serves"),
            );
        } else {
            pieces.push(entry(&member.name, &member.peer_urls));
        }
    }
    if pieces.is_empty() {
        return Err(Error::new(
            ErrorKind::Refused,
            "the snapshot names no member, so nothing tells who the new ones are",
        )
        .with_remedy("say who they are with --initial-cluster, or make a cluster of this node alone with --alone"));
    }
    Ok(pieces.join(","))
}

/// By its peer URL, which is what its id is made of, and then by its name.
fn own<'a>(cluster: &'a NewCluster, etcd: &Etcd) -> Result<&'a NewMember> {
    let advertised: Vec<_> = advertised(etcd);
    let by_url = cluster.members().iter().find(|member| {
        let mut urls = member.peer_urls().iter();
        urls.any(|url| advertised.contains(url))
    });
    let by_name = || cluster.members().iter().find(|it| it.name() == etcd.name);
    by_url.or_else(by_name).ok_or_else(|| {
        let known: Vec<_> = cluster
            .members()
            .iter()
            .map(|member| format!("{}={}", member.name(), member.peer_urls()))
            .collect();
        Error::new(
            ErrorKind::Refused,
            format!(
                "none of the new members is the one of this node: its etcd is called {:?} and advertises {}, and the members are {}",
                etcd.name,
                etcd.initial_advertise_peer_urls.join(","),
                known.join(", ")
            ),
        )
        .with_remedy(
            "take the snapshot of this node's own cluster; or, where names and addresses have changed, say who the members are with \
             --initial-cluster, or make a cluster of this node alone with --alone",
        )
    })
}

fn advertised(etcd: &Etcd) -> Vec<PeerUrl> {
    etcd.initial_advertise_peer_urls
        .iter()
        .filter_map(|url| PeerUrl::parse(url).ok())
        .collect()
}

/// What will not find together.
fn odd_names(cluster: &NewCluster, own: &NewMember, etcd: &Etcd) -> Vec<Finding> {
    let mut findings = Vec::new();
    if own.name() != etcd.name {
        findings.push(Finding::note(
            "member-name-differs",
            format!(
                "the member at {} is called {:?} in the new cluster, and etcd is started with the name {:?}, which it tells the others \
                 when it runs",
                own.peer_urls(),
                own.name(),
                etcd.name
            ),
        ));
    }
    let advertised = advertised(etcd);
    if !own.peer_urls().iter().any(|url| advertised.contains(url)) {
        findings.push(
            Finding::warning(
                "peer-url-differs",
                format!(
                    "{} has {} in the new cluster, and etcd is started to advertise {}: the others look for it where it was",
                    own.name(),
                    own.peer_urls(),
                    etcd.initial_advertise_peer_urls.join(",")
                ),
            )
            .with_remedy("if its address has changed, say who the members are with --initial-cluster"),
        );
    }
    if cluster.members().len() > 1 {
        let loopback = |member: &&NewMember| {
            let mut urls = member.peer_urls().iter();
            urls.all(|url| crate::description::is_default_loopback(url.as_str()))
        };
        for member in cluster.members().iter().filter(loopback) {
            findings.push(
                Finding::error(
                    "peer-url-is-loopback",
                    format!(
                        "{} would be reached at {} by the others, which is each of them itself",
                        member.name(),
                        member.peer_urls()
                    ),
                )
                .with_remedy(
                    "say who the members are, with addresses that lead to them: --initial-cluster",
                ),
            );
        }
    }
    findings
}
