//! Where a member listens for clients.

use std::fmt;

use http::Uri;

use crate::{Error, Result};

/// The port that etcd gives its clients.
const DEFAULT_PORT: u16 = 2379;

/// One `http://host:port`, `https://host:port` or `host:port`, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    scheme: Scheme,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    /// A bare `host:port` goes over TLS as soon as the caller says anything about TLS, as in etcd's own client.
    Unsaid,
}

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::invalid(format!("the endpoint {text:?} {why}"))
                .with_endpoint(text)
                .with_detail("endpoint", text)
        };
        let trimmed = text.trim();
        let (scheme, rest) = match trimmed.split_once("://") {
            None => (Scheme::Unsaid, trimmed),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, _)) => {
                return Err(refuse(&format!(
                    "begins with {scheme}://; write http://, https:// or a bare host:port"
                )));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(refuse("has a path behind the port; write only host:port"));
        }
        if rest.contains('@') {
            return Err(refuse(
                "carries a user; user and password are given separately",
            ));
        }
        if rest.contains(',') {
            return Err(refuse("is a list; give the endpoints one by one"));
        }

        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (host, behind) = bracketed
                .split_once(']')
                .ok_or_else(|| refuse("opens a bracket and does not close it"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() && !host.contains('%') {
                return Err(refuse("has brackets around what is no IPv6 address"));
            }
            let port = match behind.strip_prefix(':') {
                Some(port) => Some(port),
                None if behind.is_empty() => None,
                None => return Err(refuse("has something between the bracket and the port")),
            };
            (host, port)
        } else {
            match rest.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(refuse(
                        "looks like a bare IPv6 address; write it in brackets, like [::1]:2379",
                    ));
                }
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        if host.is_empty() {
            return Err(refuse("names no host"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| refuse("has no port between 1 and 65535"))?,
        };

        let endpoint = Self {
            scheme,
            host: host.to_owned(),
            port,
        };
        if endpoint.uri(false).is_none() {
            return Err(refuse("is not a host and a port"));
        }
        Ok(endpoint)
    }

    /// Whether this one is reached over TLS, given that the caller has said something about TLS or not.
    pub(crate) fn over_tls(&self, tls_is_given: bool) -> bool {
        match self.scheme {
            Scheme::Http => false,
            Scheme::Https => true,
            Scheme::Unsaid => tls_is_given,
        }
    }

    /// Whether it says that it wants no TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.scheme == Scheme::Http
    }

    /// Whether both lead to one place, as far as their texts tell.
    pub(crate) fn leads_to_same(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }

    /// What to resolve.
    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What the certificate has to be for: the host, without zone or final dot.
    pub(crate) fn host_name(&self) -> &str {
        let host = self.host.split('%').next().unwrap_or(&self.host);
        host.strip_suffix('.').unwrap_or(host)
    }

    /// Origin of the requests, as HTTP/2 wants it.
    pub(crate) fn uri(&self, tls: bool) -> Option<Uri> {
        let host = self.host.split('%').next()?;
        let authority = if host.contains(':') {
            format!("[{host}]:{}", self.port)
        } else {
            format!("{host}:{}", self.port)
        };
        Uri::builder()
            .scheme(if tls { "https" } else { "http" })
            .authority(authority)
            .path_and_query("/")
            .build()
            .ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
            Scheme::Unsaid => "",
        })?;
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
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
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.host_name(), host);
            assert_eq!(endpoint.over_tls(true), tls, "{text}");
            assert!(endpoint.uri(tls).is_some());
        }
        assert!(!Endpoint::parse("a:1").unwrap().over_tls(false));
        assert!(Endpoint::parse("https://a:1").unwrap().over_tls(false));
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "names no host"),
            ("http://", "names no host"),
            (":2379", "names no host"),
            ("unix:///run/etcd", "begins with unix://"),
            ("http://a:2379/v3", "has a path"),
            ("http://u:p@a:2379", "carries a user"),
            ("a:2379,b:2379", "is a list"),
            ("::1", "in brackets"),
            ("[::1:2379", "does not close it"),
            ("[abc]:2379", "no IPv6 address"),
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
