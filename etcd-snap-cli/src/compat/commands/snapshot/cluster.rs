//! What a restore is told of the new cluster, refused as the original refuses it (`types.NewURLs`, `VerifyBootstrap`).

use etcd_snap::{Error, NewCluster, PeerUrl, PeerUrls};

use crate::compat::ended::{Ended, Result};
use crate::compat::{failure, go};

/// The URLs of `--initial-advertise-peer-urls`.
pub(super) fn peer_urls(list: &str) -> Result<PeerUrls> {
    for url in list.split(',') {
        check(url)?;
    }
    PeerUrls::parse(list).map_err(sentence)
}

/// The members of `--initial-cluster`.
pub(super) fn new_cluster(text: &str, token: &str) -> Result<NewCluster> {
    let pieces = || text.split(',').filter(|piece| !piece.is_empty());
    for piece in pieces() {
        let (_, url) = piece.split_once('=').unwrap_or((piece, ""));
        check(url)?;
    }
    let mut urls: Vec<String> = pieces()
        .filter_map(|piece| Some(PeerUrl::parse(piece.split_once('=')?.1).ok()?.to_string()))
        .collect();
    let count = urls.len();
    urls.sort_unstable();
    urls.dedup();
    NewCluster::parse(text, token).map_err(|error| {
        if urls.len() < count {
            return Ended::error(format!("initial cluster {text} has duplicate url"));
        }
        sentence(error)
    })
}

/// Whether the member is in it, and goes by the URLs that it will advertise.
pub(super) fn check_member(cluster: &NewCluster, name: &str, advertised: &PeerUrls) -> Result<()> {
    let Ok(member) = cluster.member(name) else {
        return Err(Ended::error(format!(
            "couldn't find local name {} in the initial cluster configuration",
            go::quote(name)
        )));
    };
    let lacks = |urls: &PeerUrls, url: &PeerUrl| urls.iter().all(|other| other != url);
    let given = |urls: &PeerUrls| {
        let all: Vec<String> = urls.iter().map(|url| format!("{name}={url}")).collect();
        all.join(",")
    };
    let mine = member.peer_urls();
    // The original compares pairs in order, and names the first that differs.
    let differing = mine.iter().zip(advertised.iter()).find(|(a, b)| a != b);
    let resolved = differing.map_or(String::new(), |(a, b)| {
        format!(" (resolved urls: \"{b}\" != \"{a}\")")
    });
    if mine.iter().any(|url| lacks(advertised, url)) {
        return Err(Ended::error(format!(
            "--initial-cluster has {} but missing from --initial-advertise-peer-urls={advertised}{resolved}",
            given(mine)
        )));
    }
    if advertised.iter().any(|url| lacks(mine, url)) {
        return Err(Ended::error(format!(
            "--initial-advertise-peer-urls has {advertised} but missing from --initial-cluster={}{resolved}",
            given(mine)
        )));
    }
    Ok(())
}

fn check(url: &str) -> Result<()> {
    let url = url.trim();
    let Err(error) = PeerUrl::parse(url) else {
        return Ok(());
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let text = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => {
            let (address, path) = match rest.find('/') {
                Some(at) => rest.split_at(at),
                None => (rest, ""),
            };
            if !has_port(address) {
                format!("URL address does not have the form \"host:port\": {url}")
            } else if !path.is_empty() {
                format!("URL must not contain a path: {url}")
            } else {
                failure::sentence(&error)
            }
        }
        "unix" | "unixs" => failure::sentence(&error),
        _ => format!("URL scheme must be http, https, unix, or unixs: {url}"),
    };
    Err(Ended::error(text))
}

/// `net.SplitHostPort` finds two parts.
fn has_port(address: &str) -> bool {
    match address.strip_prefix('[') {
        Some(inside) => inside
            .split_once(']')
            .is_some_and(|(_, behind)| behind.starts_with(':')),
        None => address.matches(':').count() == 1,
    }
}

fn sentence(error: Error) -> Ended {
    Ended::error(failure::sentence(&error))
}
