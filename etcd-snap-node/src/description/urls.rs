//! From where etcd listens to where it is dialled.

/// A URL that a client of the same machine can dial: an address that is only for binding becomes loopback, and so does one that only a
/// shell knows. Where the shell knows the port, nobody else does: the usual one may be that of another etcd.
#[must_use]
pub(crate) fn dialled(url: &str) -> String {
    let Some((scheme, rest)) = url
        .split_once("://")
        .filter(|(scheme, _)| !scheme.starts_with("unix") && !is_unresolved(scheme))
    else {
        return url.to_owned();
    };
    match rest.rsplit_once(':') {
        Some((host, port)) if is_unresolved(host) && port.bytes().all(|it| it.is_ascii_digit()) => {
            format!("{scheme}://127.0.0.1:{port}")
        }
        Some(("0.0.0.0" | "", port)) => format!("{scheme}://127.0.0.1:{port}"),
        Some(("[::]" | "[0:0:0:0:0:0:0:0]", port)) => format!("{scheme}://[::1]:{port}"),
        _ => url.to_owned(),
    }
}

/// Whether a shell decides about a part of it: no URL has these characters.
pub(crate) fn is_unresolved(url: &str) -> bool {
    url.contains(['$', '`'])
}

/// Whether it is spoken to over TLS.
pub(crate) fn is_secured(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("unixs://")
}

/// Loopback first: it needs no network, and no name.
pub(crate) fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.starts_with("127.") || host.starts_with("[::1]") || host.starts_with("localhost:")
}

/// Whether everybody who dials it reaches their own machine by default: other addresses of 127.0.0.0/8 are chosen by somebody who runs
/// several members on one machine.
pub(crate) fn is_default_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.0.0.1", "[::1]", "localhost"].iter().any(|local| {
        host.strip_prefix(local)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_binding_is_not_dialled() {
        for (listened, expected) in [
            ("https://0.0.0.0:2379", "https://127.0.0.1:2379"),
            ("http://:2379", "http://127.0.0.1:2379"),
            ("https://[::]:2379", "https://[::1]:2379"),
            ("https://10.0.0.1:2379", "https://10.0.0.1:2379"),
            ("unix:///run/etcd.sock", "unix:///run/etcd.sock"),
            ("https://$(hostname -i):2381", "https://127.0.0.1:2381"),
            ("http://`curl http://meta/ip`:2381", "http://127.0.0.1:2381"),
            ("http://$(ip):${PORT}", "http://$(ip):${PORT}"),
            ("http://10.0.0.1:${PORT}", "http://10.0.0.1:${PORT}"),
            ("http://$(address-and-port)", "http://$(address-and-port)"),
            ("$(curl http://meta/urls)", "$(curl http://meta/urls)"),
        ] {
            assert_eq!(dialled(listened), expected);
        }
        assert!(is_loopback("https://127.0.0.1:2379") && !is_loopback("https://10.0.0.1:2379"));
    }
    #[test]
    fn only_the_usual_loopback_addresses_lead_everybody_to_themselves() {
        for url in [
            "http://127.0.0.1:2380",
            "https://localhost:2380",
            "https://[::1]:2380",
            "http://localhost",
        ] {
            assert!(is_default_loopback(url), "{url}");
        }
        for url in [
            "http://127.0.0.11:2380",
            "http://127.1.0.1:2380",
            "http://localhost.example:2380",
            "http://10.0.0.1:2380",
        ] {
            assert!(!is_default_loopback(url), "{url}");
        }
    }
}
