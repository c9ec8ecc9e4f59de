//! Where a member listens for clients.

use std::fmt;
use std::path::Path;

use http::Uri;

use crate::{Error, Result};

/// The port that etcd gives its clients.
const DEFAULT_PORT: u16 = 2379;

/// One endpoint in any of the forms that etcd's own client takes, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    tls: Wish,
    place: Place,
}

/// Whether an endpoint is to be reached over TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// `http://`
    Never,
    /// `https://` and `unixs:`
    Always,
    /// A bare `host:port` and `unix:` go over TLS as soon as the caller says anything about TLS, as in etcd's own client.
    Unsaid,
}

/// What to connect to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Host {
        /// Without the brackets of an IPv6 address, and with its zone.
        host: String,
        port: u16,
    },
    /// The path of a Unix socket.
    Socket(String),
}

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Self::read(text.trim()).map_err(|why| {
            Error::invalid(format!("the endpoint {text:?} {why}"))
                .with_endpoint(text)
                .with_detail("endpoint", text)
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let begins = |scheme: &str| {
            let head = text.get(..scheme.len())?;
            head.eq_ignore_ascii_case(scheme)
                .then(|| text.get(scheme.len()..))?
        };
        if let Some(path) = begins("unixs:") {
            return Self::at_socket(Wish::Always, path);
        }
        if let Some(path) = begins("unix:") {
            return Self::at_socket(Wish::Unsaid, path);
        }
        if let Some(rest) = begins("http://") {
            return Self::at_host(Wish::Never, rest, true);
        }
        if let Some(rest) = begins("https://") {
            return Self::at_host(Wish::Always, rest, true);
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(format!(
                "begins with {scheme}://; write http://, https://, unix:// or a bare host:port"
            )),
            None => Self::at_host(Wish::Unsaid, text, false),
        }
    }

    /// `///absolute`, `//relative` or `path`: what looks like a host and a port there is the name of a file.
    fn at_socket(tls: Wish, rest: &str) -> Result<Self, String> {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() || path.ends_with('/') || path.contains('\0') {
            return Err("names no socket; write unix:///path/to/socket".to_owned());
        }
        Ok(Self {
            tls,
            place: Place::Socket(path.to_owned()),
        })
    }

    fn at_host(tls: Wish, rest: &str, in_url: bool) -> Result<Self, String> {
        let refuse = |why: &str| Err(why.to_owned());
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return refuse("has a path behind the port; write only host:port");
        }
        if rest.contains('@') {
            return refuse("carries a user; user and password are given separately");
        }
        if rest.contains(',') {
            return refuse("is a list; give the endpoints one by one");
        }

        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let Some((host, behind)) = bracketed.split_once(']') else {
                return refuse("opens a bracket and does not close it");
            };
            let Some(host) = address(host, in_url) else {
                return refuse("has brackets around what is no address");
            };
            match behind.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if behind.is_empty() => (host, None),
                None => return refuse("has something between the bracket and the port"),
            }
        } else {
            match rest.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return refuse(
                        "looks like a bare IPv6 address; write it in brackets, like [::1]:2379",
                    );
                }
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (rest.to_owned(), None),
            }
        };
        if host.is_empty() {
            return refuse("names no host");
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return refuse("has no port between 1 and 65535"),
            },
        };
        let endpoint = Self {
            tls,
            place: Place::Host { host, port },
        };
        match endpoint.uri(false) {
            Some(_) => Ok(endpoint),
            None => refuse("is not a host and a port"),
        }
    }

    /// Whether this one is reached over TLS, given that the caller has said something about TLS or not.
    pub(crate) fn over_tls(&self, tls_is_given: bool) -> bool {
        match self.tls {
            Wish::Never => false,
            Wish::Always => true,
            Wish::Unsaid => tls_is_given,
        }
    }

    /// Whether it says that it wants no TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls == Wish::Never
    }

    /// Whether both lead to one place, as far as their texts tell.
    pub(crate) fn leads_to_same(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (
                Place::Host { host, port },
                Place::Host {
                    host: other_host,
                    port: other_port,
                },
            ) => port == other_port && host.eq_ignore_ascii_case(other_host),
            (place, other) => place == other,
        }
    }

    /// What to connect to.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// What the certificate has to be for: the host, without zone or final dot; of a socket the name of its file, up to what
    /// looks like a port.
    pub(crate) fn host_name(&self) -> &str {
        match &self.place {
            Place::Host { host, .. } => {
                let host = without_zone(host);
                host.strip_suffix('.').unwrap_or(host)
            }
            Place::Socket(path) => {
                let name = Path::new(path).file_name().and_then(|name| name.to_str());
                let name = name.unwrap_or(path);
                name.split_once(':').map_or(name, |(host, _)| host)
            }
        }
    }

    /// Origin of the requests, as HTTP/2 wants it.
    pub(crate) fn uri(&self, tls: bool) -> Option<Uri> {
        let authority = match &self.place {
            Place::Host { host, port } => authority(without_zone(host), *port),
            Place::Socket(_) => "localhost".to_owned(),
        };
        Uri::builder()
            .scheme(if tls { "https" } else { "http" })
            .authority(authority)
            .path_and_query("/")
            .build()
            .ok()
    }
}

/// What stands in brackets, if it is an address: of IPv6, with or without a zone, or of IPv4. URLs have to write the `%` before a zone as
/// `%25` (RFC 6874), and people write it either way.
fn address(bracketed: &str, in_url: bool) -> Option<String> {
    let (address, zone) = match bracketed.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (bracketed, None),
    };
    if zone.is_none() && address.parse::<std::net::Ipv4Addr>().is_ok() {
        // Exam guides write `https://[127.0.0.1]:2379`, which Go took for long.
        return Some(address.to_owned());
    }
    address.parse::<std::net::Ipv6Addr>().ok()?;
    Some(match zone {
        None => address.to_owned(),
        Some("") => return None,
        Some(zone) => {
            let decoded = zone
                .strip_prefix("25")
                .filter(|rest| in_url && !rest.is_empty());
            format!("{address}%{}", decoded.unwrap_or(zone))
        }
    })
}

fn without_zone(host: &str) -> &str {
    host.split_once('%').map_or(host, |(host, _)| host)
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Host { host, port } => {
                f.write_str(match self.tls {
                    Wish::Never => "http://",
                    Wish::Always => "https://",
                    Wish::Unsaid => "",
                })?;
                f.write_str(&authority(host, *port))
            }
            Place::Socket(path) => {
                let scheme = match self.tls {
                    Wish::Always => "unixs",
                    Wish::Never | Wish::Unsaid => "unix",
                };
                write!(f, "{scheme}://{path}")
            }
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn every_usual_form_is_understood() {
        for (text, shown, host, tls) in [
            (
                "http://10.0.0.1:2379",
                "http://10.0.0.1:2379",
                "10.0.0.1",
                false,
            ),
            (
                "HTTPS://etcd-0.etcd:2379/",
                "https://etcd-0.etcd:2379",
                "etcd-0.etcd",
                true,
            ),
            (
                "etcd.example.:2379",
                "etcd.example.:2379",
                "etcd.example",
                true,
            ),
            ("[::1]:2379", "[::1]:2379", "::1", true),
            (
                "https://[127.0.0.1]:2379",
                "https://127.0.0.1:2379",
                "127.0.0.1",
                true,
            ),
            (
                "http://[2001:db8::1]:4001",
                "http://[2001:db8::1]:4001",
                "2001:db8::1",
                false,
            ),
            (
                "https://[fe80::1%eth0]:2379",
                "https://[fe80::1%eth0]:2379",
                "fe80::1",
                true,
            ),
            ("https://etcd", "https://etcd:2379", "etcd", true),
            (" localhost:2379\n", "localhost:2379", "localhost", true),
            (
                "http://[fe80::1%25eth0]:1",
                "http://[fe80::1%eth0]:1",
                "fe80::1",
                false,
            ),
            ("[fe80::1%25]:1", "[fe80::1%25]:1", "fe80::1", true),
            (
                "http://[fe80::1%25]:1",
                "http://[fe80::1%25]:1",
                "fe80::1",
                false,
            ),
            ("[::1]", "[::1]:2379", "::1", true),
            (
                "unix:///run/etcd.sock",
                "unix:///run/etcd.sock",
                "etcd.sock",
                true,
            ),
            ("unix:etcd.sock", "unix://etcd.sock", "etcd.sock", true),
            ("unix:/run/e", "unix:///run/e", "e", true),
            (
                "unix://localhost:2379",
                "unix://localhost:2379",
                "localhost",
                true,
            ),
            (
                "UNIXS:///run/localhost:m0",
                "unixs:///run/localhost:m0",
                "localhost",
                true,
            ),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.host_name(), host);
            assert_eq!(endpoint.over_tls(true), tls, "{text}");
            assert!(endpoint.uri(tls).is_some());
        }
        assert!(!Endpoint::parse("a:1").unwrap().over_tls(false));
        assert!(Endpoint::parse("https://a:1").unwrap().over_tls(false));
        assert!(!Endpoint::parse("unix:a").unwrap().over_tls(false));
        assert!(Endpoint::parse("unixs:a").unwrap().over_tls(false));
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "names no host"),
            ("http://", "names no host"),
            (":2379", "names no host"),
            ("ftp://a:21", "begins with ftp://"),
            ("unix://", "names no socket"),
            ("unixs:///run/", "names no socket"),
            ("[fe80::1%]:2379", "no address"),
            ("[a%lo]:2379", "no address"),
            ("http://a:2379/v3", "has a path"),
            ("http://u:p@a:2379", "carries a user"),
            ("a:2379,b:2379", "is a list"),
            ("::1", "in brackets"),
            ("[::1:2379", "does not close it"),
            ("[abc]:2379", "no address"),
            ("[::1]2379", "between the bracket and the port"),
            ("a:0", "no port"),
            ("a:65536", "no port"),
            ("a:", "no port"),
            ("a b:2379", "not a host and a port"),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }
}
