//! Lists of URLs, and the cluster of `--initial-cluster`, as etcd reads them.

use crate::ClusterEntry;

/// The URLs of a list with commas: trimmed, sorted, each once. What etcd would not take is among them as it is written.
pub(crate) fn listed(text: &str) -> Vec<String> {
    let mut urls: Vec<_> = text
        .split(',')
        .map(|url| url_of(url).unwrap_or_else(|_| url.trim().to_owned()))
        .collect();
    urls.sort();
    urls.dedup();
    urls
}

/// The same where parts of it, which may have commas of their own, are not known.
pub(super) fn listed_with(text: &str, unresolved: &[String]) -> Vec<String> {
    // No URL that anybody writes has these.
    let mark = |at: usize| format!("\u{1}{at}\u{2}");
    let parts = || unresolved.iter().enumerate();
    let marked = parts().fold(text.to_owned(), |text, (at, part)| {
        text.replace(part, &mark(at))
    });
    let urls = listed(&marked).into_iter().map(|url| {
        parts()
            .rev()
            .fold(url, |url, (at, part)| url.replace(&mark(at), part))
    });
    urls.collect()
}

/// What etcd says against the URLs of a list.
pub(crate) fn problems(text: &str) -> Vec<String> {
    text.split(',')
        .filter_map(|url| url_of(url).err())
        .collect()
}

/// The URL as etcd shows it.
fn url_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("an empty one (two commas, or one at an end)".to_owned());
    }
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| format!("{text:?} has no scheme like https://"))?;
    let scheme = scheme.to_ascii_lowercase();
    let url = format!("{scheme}://{rest}");
    match scheme.as_str() {
        "unix" | "unixs" => Ok(url),
        "http" | "https" => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (address, path) = rest.split_at(end);
            if !has_port(address) {
                return Err(format!("{text:?} does not have the form host:port"));
            }
            if path.starts_with('/') {
                return Err(format!("{text:?} must end after its port, without a path"));
            }
            Ok(url)
        }
        _ => Err(format!(
            "{text:?} has a scheme that is not http, https, unix or unixs"
        )),
    }
}

/// Whether it is `host:port`, with brackets around an address of IPv6.
fn has_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    port.chars().all(|c| c.is_ascii_digit())
        && !host.contains(char::is_whitespace)
        && (bare.is_some() || !host.contains([':', '[', ']']))
}

/// The host of a URL for the network, without brackets; `None` for a socket.
pub(crate) fn host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme.starts_with("unix") {
        return None;
    }
    let (host, _) = rest.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    Some(bare.unwrap_or(host))
}

/// Whether it stands for all addresses, which nobody can dial.
pub(crate) fn is_unspecified(url: &str) -> bool {
    host(url).is_some_and(|host| {
        host.is_empty()
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_unspecified())
    })
}

/// Names and peer URLs in their order: split at commas, empty items skipped. Names are not trimmed, and an item without `=` is a name
/// with an empty URL.
pub(crate) fn cluster(text: &str) -> Vec<ClusterEntry> {
    text.split(',')
        .filter(|item| !item.is_empty())
        .map(|item| {
            let (name, url) = item.split_once('=').unwrap_or((item, ""));
            ClusterEntry {
                name: name.to_owned(),
                peer_url: url_of(url).unwrap_or_else(|_| url.trim().to_owned()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_trimmed_and_sorted_and_has_each_once() {
        assert_eq!(
            listed("https://b:2379, HTTPS://a:2379 ,https://b:2379"),
            ["https://a:2379", "https://b:2379"]
        );
        // As etcd does it: by the text, not by the number.
        assert_eq!(
            listed("http://10.0.0.9:1,http://10.0.0.10:1"),
            ["http://10.0.0.10:1", "http://10.0.0.9:1"]
        );
    }

    #[test]
    fn what_etcd_does_not_take_is_a_problem() {
        for url in [
            "https://10.0.0.1:2379",
            "http://[::1]:2380",
            "unix:///run/etcd.sock",
            "unixs://localhost:23790",
            " https://m1.example:2379 ",
            "http://:2379",
        ] {
            assert_eq!(problems(url), Vec::<String>::new(), "{url}");
        }
        for (url, expected) in [
            ("10.0.0.1:2379", "no scheme"),
            ("http://0.0.0/0:2380", "host:port"),
            ("https://10.0.0.1", "host:port"),
            ("http://::1:2380", "host:port"),
            ("http://10.0.0.1:2379/", "without a path"),
            ("ftp://10.0.0.1:21", "is not http"),
            ("http://a:1,", "empty"),
            (
                "https://a:2380 - --initial-cluster=m=https://a:2380",
                "host:port",
            ),
        ] {
            let problems = problems(url);
            assert!(
                problems.iter().any(|it| it.contains(expected)),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn hosts_are_without_brackets() {
        for (url, expected) in [
            ("https://10.0.0.1:2379", Some("10.0.0.1")),
            ("https://[::]:2379", Some("::")),
            ("http://:2379", Some("")),
            ("unix:///run/x:1", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
        assert!(is_unspecified("https://[::]:2379") && is_unspecified("http://0.0.0.0:1"));
        assert!(!is_unspecified("https://10.0.0.1:2379") && !is_unspecified("http://localhost:1"));
    }

    #[test]
    fn names_of_a_cluster_are_not_trimmed_and_may_repeat() {
        let entries = cluster("m1=https://a:2380,m1=https://b:2380,, m2= https://c:2380,m3,");
        let entries: Vec<_> = entries
            .iter()
            .map(|it| (it.name.as_str(), it.peer_url.as_str()))
            .collect();
        assert_eq!(
            entries,
            [
                ("m1", "https://a:2380"),
                ("m1", "https://b:2380"),
                (" m2", "https://c:2380"),
                ("m3", "")
            ]
        );
    }
}
