//! What a restore is told of the new cluster, refused as the original refuses it (`types.NewURLs`, `VerifyBootstrap`).

use std::net::ToSocketAddrs as _;

use etcd_snap::{Error, NewCluster, PeerUrl, PeerUrls};
use serde_json::Value;

use crate::compat::ended::{Ended, Result};
use crate::compat::log::Log;
use crate::compat::{failure, go};

/// The URLs of `--initial-advertise-peer-urls`.
pub(super) fn peer_urls(list: &str) -> Result<PeerUrls> {
    for url in list.split(',') {
        check(url)?;
    }
    PeerUrls::parse(list).map_err(|error| sentence(&error))
}

/// The members of `--initial-cluster`, with the member that is restored among them.
pub(super) fn new_cluster(text: &str, token: &str, name: &str) -> Result<NewCluster> {
    let pieces = || text.split(',').filter(|piece| !piece.is_empty());
    let named = |piece: &'_ str| piece.split_once('=').map_or(piece, |(name, _)| name) == name;
    for piece in pieces() {
        let (_, url) = piece.split_once('=').unwrap_or((piece, ""));
        check(url)?;
    }
    if !pieces().any(named) {
        return Err(Ended::error(format!(
            "couldn't find local name {} in the initial cluster configuration",
            go::quote(name)
        )));
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
        sentence(&error)
    })
}

/// Whether the member goes by the URLs that it will advertise: by the same texts, or by names of the same addresses.
pub(super) fn check_advertised(
    log: Option<&Log>,
    cluster: &NewCluster,
    name: &str,
    advertised: &PeerUrls,
) -> Result<()> {
    let mine = cluster
        .member(name)
        .map_err(|error| sentence(&error))?
        .peer_urls();
    let texts = |urls: &PeerUrls| -> Vec<String> { urls.iter().map(PeerUrl::to_string).collect() };
    let (mine, advertised) = (texts(mine), texts(advertised));
    let Err(why) = equal(log, &advertised, &mine) else {
        return Ok(());
    };
    let missing = |these: &[String], there: &[String], prefix: &str| -> Vec<String> {
        let missing = these.iter().filter(|url| !there.contains(url));
        missing.map(|url| format!("{prefix}{url}")).collect()
    };
    let own = format!("{name}=");
    let lacks = missing(&mine, &advertised, &own);
    if !lacks.is_empty() {
        return Err(Ended::error(format!(
            "--initial-cluster has {} but missing from --initial-advertise-peer-urls={} ({why})",
            lacks.join(","),
            advertised.join(",")
        )));
    }
    // The original names the advertised URLs as the ones of the cluster here.
    let all: Vec<String> = advertised.iter().map(|url| format!("{own}{url}")).collect();
    Err(Ended::error(format!(
        "--initial-advertise-peer-urls has {} but missing from --initial-cluster={}",
        missing(&advertised, &mine, "").join(","),
        all.join(",")
    )))
}

/// `netutil.URLStringsEqual`.
fn equal(log: Option<&Log>, one: &[String], other: &[String]) -> Result<(), String> {
    let quoted = |urls: &[String]| {
        let quoted: Vec<String> = urls.iter().map(|url| go::quote(url)).collect();
        format!("[{}]", quoted.join(" "))
    };
    if one.len() != other.len() {
        return Err(format!("len({}) != len({})", quoted(one), quoted(other)));
    }
    if one == other {
        return Ok(());
    }
    let resolved = |urls: &[String]| -> Result<Vec<String>, String> {
        let mut resolved = urls
            .iter()
            .map(|url| resolve(log, url))
            .collect::<Result<Vec<_>, _>>()?;
        resolved.sort_unstable();
        Ok(resolved)
    };
    let (one, other) = (resolved(one)?, resolved(other)?);
    match one.iter().zip(&other).find(|(one, other)| one != other) {
        None => Ok(()),
        Some((one, other)) => Err(format!("resolved urls: \"{one}\" != \"{other}\"")),
    }
}

/// The URL with an address in the place of its name. The original tries for half a minute; we once.
fn resolve(log: Option<&Log>, url: &str) -> Result<String, String> {
    const CALLER: &str = "netutil/netutil.go";
    let Some((scheme @ ("http" | "https"), host)) = url.split_once("://") else {
        return Ok(url.to_owned());
    };
    if host.starts_with("localhost:") {
        return Ok(url.to_owned());
    }
    let place = [("url", Value::from(url)), ("host", Value::from(host))];
    let found = host.to_socket_addrs().map(|mut addresses| addresses.next());
    match found {
        Ok(Some(address)) => {
            let address = address.to_string();
            let [first, second] = place;
            let fields = [first, second, ("resolved-addr", address.as_str().into())];
            if let Some(log) = log {
                log.info(CALLER, "resolved URL Host", &fields);
            }
            Ok(format!("{scheme}://{address}"))
        }
        Ok(None) | Err(_) => {
            let why = format!(
                "lookup {}: no such host",
                host.rsplit_once(':').map_or(host, |(host, _)| host)
            );
            let [first, second] = place;
            let fields = [first, second, ("error", why.as_str().into())];
            if let Some(log) = log {
                log.warn(CALLER, "failed to resolve URL Host", &fields);
            }
            Err(format!("failed to resolve {} ({why})", go::quote(url)))
        }
    }
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

fn sentence(error: &Error) -> Ended {
    Ended::error(failure::sentence(error))
}
