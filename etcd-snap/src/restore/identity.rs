//! Whether the new cluster could be taken for the old one, or nobody could reach it (faults.md 29).

use std::collections::BTreeMap;

use super::old_members::SnapshotMember;
use crate::{ClusterId, NewCluster, NewMember, PeerUrl};

/// What is probably not meant, each as a sentence.
pub(super) fn doubts(
    cluster: &NewCluster,
    old: &[SnapshotMember],
    old_cluster: Option<ClusterId>,
) -> Vec<String> {
    let mut doubts = Vec::new();
    doubts.extend(same_ids(cluster, old, old_cluster));
    doubts.extend(only_here(cluster, old));
    doubts.extend(without_tls(cluster, old));
    doubts.extend(same_place(cluster));
    doubts
}

/// Strayed members of the old cluster talk to those whose ids they know.
fn same_ids(
    cluster: &NewCluster,
    old: &[SnapshotMember],
    old_cluster: Option<ClusterId>,
) -> Option<String> {
    let is_old = |member: &&NewMember| old.iter().any(|old| old.member_id == member.id());
    let names = names(cluster.members().iter().filter(is_old));
    let what = if old_cluster == Some(cluster.id()) {
        format!(
            "the new cluster has the id of the old one, {}",
            cluster.id()
        )
    } else if !names.is_empty() {
        format!("ids of the new members are those of members in the snapshot ({names})")
    } else {
        return None;
    };
    Some(format!(
        "{what}: members of the old cluster that still run somewhere could talk to the new ones; another \
         --initial-cluster-token gives other ids"
    ))
}

/// The defaults of the flags, where the snapshot's members were others.
fn only_here(cluster: &NewCluster, old: &[SnapshotMember]) -> Option<String> {
    let known = |url: &str| PeerUrl::parse(url).is_ok_and(|url| !is_loopback(&url));
    if !old
        .iter()
        .flat_map(|old| &old.peer_urls)
        .any(|url| known(url))
    {
        return None;
    }
    let here = |member: &&NewMember| member.peer_urls().iter().all(is_loopback);
    let members: Vec<_> = cluster.members().iter().filter(here).collect();
    let first = members.first()?;
    let known: Vec<String> = old
        .iter()
        .flat_map(|old| {
            old.peer_urls
                .iter()
                .map(move |url| format!("{}={url}", old.name))
        })
        .collect();
    let unnamed = match first.name() {
        "default" if old.iter().all(|old| old.name != "default") => " and is named \"default\"",
        _ => "",
    };
    Some(format!(
        "{} can be reached from this machine only ({}){unnamed}, where the snapshot has {}: --initial-cluster or --from-member \
         says who the new members are",
        names(members.iter().copied()),
        first.peer_urls(),
        known.join(",")
    ))
}

fn without_tls(cluster: &NewCluster, old: &[SnapshotMember]) -> Option<String> {
    let plain = |url: &&PeerUrl| url.as_str().starts_with("http://");
    let was_safe: Vec<&str> = old
        .iter()
        .flat_map(|old| &old.peer_urls)
        .filter_map(|url| url.strip_prefix("https://"))
        .collect();
    let url = cluster
        .members()
        .iter()
        .flat_map(|member| member.peer_urls().iter())
        .filter(plain)
        .find(|url| was_safe.iter().any(|safe| same(place(url), safe)))?;
    Some(format!(
        "{url} is without TLS, and was https:// in the snapshot: members that speak differently do not find each other"
    ))
}

/// URLs are told apart as texts, and addresses are not.
fn same_place(cluster: &NewCluster) -> Option<String> {
    let mut places: BTreeMap<String, (&NewMember, &PeerUrl)> = BTreeMap::new();
    for member in cluster.members() {
        for url in member.peer_urls() {
            let other = places.insert(place(url).to_lowercase(), (member, url));
            if let Some((other, there)) = other {
                return Some(format!(
                    "{:?} and {:?} would be reached at one address, {there} and {url}: only one of them can listen there",
                    other.name(),
                    member.name()
                ));
            }
        }
    }
    None
}

fn names<'a>(members: impl Iterator<Item = &'a NewMember>) -> String {
    let names: Vec<_> = members.map(NewMember::name).collect();
    names.join(", ")
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// What stands behind the scheme.
fn place(url: &PeerUrl) -> &str {
    let text = url.as_str();
    text.split_once("://").map_or(text, |(_, place)| place)
}

fn is_loopback(url: &PeerUrl) -> bool {
    let place = place(url);
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    host.eq_ignore_ascii_case("localhost") || host == "[::1]" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemberId;

    fn cluster(initial: &str) -> NewCluster {
        NewCluster::parse(initial, "etcd-cluster").unwrap()
    }

    fn old(name: &str, url: &str) -> SnapshotMember {
        let id = PeerUrl::parse(url)
            .map(|url| cluster(&format!("m={url}")).members()[0].id())
            .unwrap_or(MemberId::new(1));
        SnapshotMember {
            name: name.to_owned(),
            member_id: id,
            peer_urls: vec![url.to_owned()],
            client_urls: Vec::new(),
            is_learner: false,
        }
    }

    fn doubts_of(initial: &str, old: &[SnapshotMember]) -> Vec<String> {
        doubts(&cluster(initial), old, None)
    }

    #[test]
    fn what_is_meant_raises_no_doubt() {
        let members = [old("m1", "https://a:2380"), old("m2", "https://b:2380")];
        for initial in [
            "m1=https://c:2380,m2=https://d:2380",
            "m1=http://c:2380",
            "m1=unix:///a,m2=unix:///b",
        ] {
            assert_eq!(doubts_of(initial, &members), [] as [&str; 0], "{initial}");
        }
        let local = [old("default", "http://localhost:2380")];
        let other = NewCluster::parse("default=http://localhost:2380", "fresh").unwrap();
        assert_eq!(doubts(&other, &local, None), [] as [&str; 0]);
        assert_eq!(doubts(&other, &[], None), [] as [&str; 0]);
    }

    #[test]
    fn each_mistake_is_named() {
        let members = [old("m1", "https://a:2380"), old("m2", "https://b:2380")];
        for (initial, words) in [
            (
                "m1=https://a:2380,m3=https://c:2380",
                "in the snapshot (m1)",
            ),
            (
                "default=http://localhost:2380",
                "named \"default\", where the snapshot has m1=https://a:2380,m2=https://b:2380",
            ),
            ("m1=http://127.0.0.1:2380", "m1 can be reached from this"),
            ("m1=http://[::1]:2380", "(http://[::1]:2380), where"),
            ("m1=http://A:2380", "was https:// in the snapshot"),
            ("m1=https://x:1,m2=http://X:1", "only one of them"),
        ] {
            let doubts = doubts_of(initial, &members);
            assert_eq!(doubts.len(), 1, "{doubts:?}");
            assert!(doubts[0].contains(words), "{doubts:?}");
        }
        let new = cluster("m1=https://c:2380");
        let doubts = doubts(&new, &members, Some(new.id()));
        assert!(doubts[0].contains("the id of the old one"), "{doubts:?}");
    }
}
