//! Which member to take the snapshot from.

use super::cluster::Cluster;
use super::connect::connect;
use super::endpoint::Endpoint;
use super::maintenance::{Member, MemberStatus};
use super::tls::Tls;
use crate::{Error, ErrorKind, Result};

/// The first endpoint that can be used, in the order they were given.
pub(crate) async fn choose(cluster: &Cluster) -> Result<(Member, MemberStatus)> {
    let mut failures = Vec::new();
    for endpoint in cluster.endpoints() {
        match reach(cluster, endpoint).await {
            Ok(member) => return Ok(member),
            // Users and rights are the whole cluster's: the next member would say the same.
            Err(e) if e.kind() == ErrorKind::Denied => return Err(e),
            Err(e) => failures.push(e),
        }
    }
    Err(none_of(failures))
}

/// Connects to one endpoint, logs in, and asks who it is.
pub(crate) async fn reach(
    cluster: &Cluster,
    endpoint: &Endpoint,
) -> Result<(Member, MemberStatus)> {
    let member = open(cluster, endpoint).await?;
    let status = member.status().await?;
    Ok((member, status))
}

/// Connects to one endpoint and logs in.
pub(super) async fn open(cluster: &Cluster, endpoint: &Endpoint) -> Result<Member> {
    let limit = cluster.connect_timeout();
    let system;
    let tls = match cluster.tls() {
        tls if !endpoint.over_tls(tls.is_some()) => None,
        Some(tls) => Some(tls),
        None => {
            system = Tls::builder().build()?;
            Some(&system)
        }
    };
    let channel = connect(endpoint, tls, limit).await?;
    Member::log_in(channel, endpoint, cluster.user(), limit).await
}

fn none_of(mut failures: Vec<Error>) -> Error {
    if failures.len() == 1 {
        return failures.remove(0);
    }
    let sentences: Vec<String> = failures.iter().map(ToString::to_string).collect();
    let kind = failures
        .first()
        .map_or(ErrorKind::Connection, |first| first.kind());
    Error::new(
        kind,
        format!(
            "none of the {} endpoints can be used: {}",
            failures.len(),
            sentences.join("; ")
        ),
    )
}
