//! Peer URLs: where the members of a cluster reach each other (formats.md 5.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::go_url::GoUrl;
use crate::{Error, Result};

/// One URL under which a member is reached by its peers, in etcd's canonical text.
///
/// The text is part of the member's id, so it is written exactly as Go writes it: the scheme in lower case, the host as
/// it was given, no default port. Nothing is looked up in DNS.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerUrl(String);

impl PeerUrl {
    /// Reads one URL, by the rules of Go's `types.NewURLs`; spaces around it do not matter.
    ///
    /// `http` and `https` want `host:port` and nothing behind it; `unix` and `unixs` want a path or an address.
    /// Stricter than Go: an empty host, with which a server would not start, and a port that nobody can reach (none, or
    /// above 65535) are refused too.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), with a sentence that says what to write instead.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let refused = |why: &str| {
            Error::invalid(format!("{text:?} cannot be a peer URL: {why}")).with_detail("url", text)
        };
        if text.is_empty() {
            return Err(refused("it is empty; write it like https://10.0.0.1:2380"));
        }
        let url = GoUrl::parse(text).map_err(|why| refused(&why))?;
        match url.scheme.as_str() {
            "http" | "https" => {
                check_host_and_port(&url.host).map_err(refused)?;
                if !url.path.is_empty() {
                    return Err(refused(&format!(
                        "it must end with the port, so remove {:?}",
                        url.path
                    )));
                }
            }
            "unix" | "unixs" => {}
            _ => {
                return Err(refused(
                    "it must begin with https://, http://, unixs:// or unix://",
                ));
            }
        }
        Ok(Self(url.text))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `net.SplitHostPort`, and neither part empty.
fn check_host_and_port(host: &[u8]) -> Result<(), &'static str> {
    const FORM: &str =
        "it needs a host and a port, like https://10.0.0.1:2380 or https://[fd00::1]:2380";
    let colon = host.iter().rposition(|&b| b == b':').ok_or(FORM)?;
    let (name, port) = host.split_at_checked(colon).ok_or(FORM)?;
    let plain = match name.strip_prefix(b"[") {
        Some(inside) => inside.strip_suffix(b"]").ok_or(FORM)?,
        None if name.contains(&b':') => return Err(FORM),
        None => name,
    };
    if plain.is_empty() || plain.iter().any(|b| matches!(b, b'[' | b']')) {
        return Err(FORM);
    }
    let digits = port.strip_prefix(b":").ok_or(FORM)?;
    let port = std::str::from_utf8(digits).ok().map(str::parse::<u16>);
    match port {
        Some(Ok(_)) => Ok(()),
        _ if digits.is_empty() => Err(FORM),
        _ => Err("its port must be a number up to 65535"),
    }
}

impl FromStr for PeerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerUrl({})", self.0)
    }
}

impl Serialize for PeerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PeerUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// The peer URLs of one member: at least one, sorted as text, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct PeerUrls(Vec<PeerUrl>);

impl PeerUrls {
    /// Reads a list with commas, the form of `--initial-advertise-peer-urls`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput): one of them is not a peer URL, or stands there twice.
    pub fn parse(list: &str) -> Result<Self> {
        Self::new(list.split(',').map(PeerUrl::parse).collect::<Result<_>>()?)
    }

    pub(super) fn new(mut urls: Vec<PeerUrl>) -> Result<Self> {
        urls.sort();
        for (url, next) in urls.iter().zip(urls.iter().skip(1)) {
            if url == next {
                return Err(Error::invalid(format!(
                    "the peer URL {url} stands there twice: name it once"
                ))
                .with_detail("url", url.as_str()));
            }
        }
        if urls.is_empty() {
            return Err(Error::invalid(
                "a member needs at least one peer URL, like https://10.0.0.1:2380",
            ));
        }
        Ok(Self(urls))
    }

    /// The URLs, sorted as text.
    pub fn iter(&self) -> std::slice::Iter<'_, PeerUrl> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a PeerUrls {
    type Item = &'a PeerUrl;
    type IntoIter = std::slice::Iter<'a, PeerUrl>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromStr for PeerUrls {
    type Err = Error;

    fn from_str(list: &str) -> Result<Self> {
        Self::parse(list)
    }
}

impl fmt::Display for PeerUrls {
    /// With commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, url) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            fmt::Display::fmt(url, f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PeerUrl, PeerUrls};

    fn canonical(text: &str) -> Result<String, String> {
        PeerUrl::parse(text)
            .map(|url| url.to_string())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn a_peer_url_is_written_as_go_writes_it() {
        for (text, expected) in GO_WRITES {
            assert_eq!(canonical(text).as_deref(), Ok(*expected), "{text:?}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in GO_REFUSES {
            assert!(canonical(text).is_err(), "{text:?}");
        }
    }

    /// `types.NewURLs` of etcd 3.6.16, built with Go 1.26.
    const GO_WRITES: &[(&str, &str)] = &[
        ("http://localhost:2380", "http://localhost:2380"),
        (
            " HTTPS://Etcd-1.Example:2380\t",
            "https://Etcd-1.Example:2380",
        ),
        ("http://10.0.0.1:80", "http://10.0.0.1:80"),
        ("http://10.0.0.1:02380", "http://10.0.0.1:02380"),
        ("https://[FD00::1]:2380", "https://[FD00::1]:2380"),
        (
            "https://[fe80::1%25eth0]:2380",
            "https://[fe80::1%25eth0]:2380",
        ),
        (
            "https://[fe80::1%25e%20h]:2380",
            "https://[fe80::1%25e%20h]:2380",
        ),
        ("http://h:1?", "http://h:1?"),
        ("http://h:1?a=b c&<d>", "http://h:1?a=b c&<d>"),
        ("http://h:1#", "http://h:1"),
        ("http://h:1#a b'%41", "http://h:1#a%20b%27A"),
        ("http://h:1#a'%41", "http://h:1#a'%41"),
        ("http://us%65r:p!@h:1", "http://user:p%21@h:1"),
        ("http://@h:1", "http://@h:1"),
        ("http://h\u{e9}:1", "http://h%C3%A9:1"),
        ("http://h%c3%a9:1", "http://h%C3%A9:1"),
        ("http://a%25b:1", "http://a%25b:1"),
        ("http://a<b>\"(c):1", "http://a<b>\"(c):1"),
        ("unix:///run/etcd.sock", "unix:///run/etcd.sock"),
        ("unix:/run/etcd.sock", "unix:/run/etcd.sock"),
        ("unix:etcd.sock", "unix:etcd.sock"),
        ("unixs://127.0.0.1:2380", "unixs://127.0.0.1:2380"),
        ("unix://a:b:1/x%2fy z", "unix://a:b:1/x/y%20z"),
        ("unix://h/x%2fy", "unix://h/x%2fy"),
        ("unix://", "unix:"),
    ];

    const GO_REFUSES: &[&str] = &[
        "",
        "localhost:2380",
        "10.0.0.1:2380",
        "http:10.0.0.1:2380",
        "ftp://h:1",
        "://h:1",
        "http://h",
        "http://h:1/",
        "http://h:1//",
        "http://h:1/path",
        "http://h::1",
        "http://h:x",
        "http://[::1]",
        "http://[::1",
        "http://[10.0.0.1]:1",
        "http://[h]:1",
        "http://[::1%25]:1",
        "http://a[::1]:1",
        "http://h%41:1",
        "http://h%4:1",
        "http://a b:1",
        "http://a^b:1",
        "http://h:1\u{7f}",
        "http://u^@h:1",
        "http://h:1#%zz",
    ];

    #[test]
    fn a_host_and_a_port_that_no_server_can_use_are_refused() {
        for text in ["http://:2380", "http://h:", "http://h:65536", "http://u@:1"] {
            assert!(canonical(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_sentence_says_what_to_write() {
        for (text, part) in [
            ("10.0.0.1:2380", "begin it with https://"),
            ("localhost:2380", "must begin with https://"),
            ("https://10.0.0.1", "needs a host and a port"),
            ("https://fd00::1:2380", "in brackets"),
            ("https://10.0.0.1:2380/", "remove \"/\""),
        ] {
            let sentence = canonical(text).unwrap_err();
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn a_list_is_sorted_as_text_and_holds_no_url_twice() {
        let urls = PeerUrls::parse("https://b:2380, https://a:2380,HTTPS://a:10").unwrap();
        assert_eq!(
            urls.to_string(),
            "https://a:10,https://a:2380,https://b:2380"
        );
        assert!(PeerUrls::parse("https://a:1,HTTPS://a:1").is_err());
        assert!(PeerUrls::parse("https://a:1,").is_err());
        assert!(PeerUrls::parse("").is_err());
    }

    proptest! {
        #[test]
        fn canonical_text_is_its_own_canonical_text(text in "(http|https|unix|unixs):(//)?[ -~é]{0,24}") {
            if let Ok(url) = PeerUrl::parse(&text) {
                // A space at the end is trimmed when it is read again, and kept when it is written.
                prop_assume!(!url.as_str().ends_with(' '));
                prop_assert_eq!(PeerUrl::parse(url.as_str()).unwrap(), url);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = PeerUrl::parse(&text);
        }
    }
}
