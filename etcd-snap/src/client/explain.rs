//! The sentences for what goes wrong between us and a server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::{ServerName, UnixTime};
use tonic::{Code, Status};

use super::endpoint::{Endpoint, Place};
use super::tls::{About, Tls, Trust};
use super::witness::Failure;
use crate::{Error, ErrorKind};

/// Whether the server asked for our certificate, and whether it got one.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientCertificate(Arc<AtomicU8>);

impl ClientCertificate {
    const SHOWN: u8 = 1;
    const MISSING: u8 = 2;

    pub(crate) fn asked(&self, shown: bool) {
        let state = if shown { Self::SHOWN } else { Self::MISSING };
        self.0.store(state, Ordering::Relaxed);
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::MISSING
    }

    fn is_shown(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::SHOWN
    }
}

/// `what` goes on from the endpoint.
pub(crate) fn error(endpoint: &Endpoint, what: &str) -> Error {
    Error::new(ErrorKind::Connection, format!("{endpoint} {what}"))
        .with_endpoint(endpoint.to_string())
}

pub(crate) fn unresolved(endpoint: &Endpoint, host: &str, source: io::Error) -> Error {
    error(
        endpoint,
        &format!("cannot be reached: the name {host:?} cannot be resolved"),
    )
    .with_detail("unresolved", host)
    .with_source(source)
}

pub(crate) fn unconnected(endpoint: &Endpoint, limit: Duration, source: io::Error) -> Error {
    let number = source.raw_os_error();
    let error = match source.kind() {
        io::ErrorKind::ConnectionRefused => error(
            endpoint,
            "refuses connections: nothing listens there; is etcd running, and is this its client port?",
        ),
        io::ErrorKind::TimedOut => error(
            endpoint,
            &format!(
                "did not answer within {limit:?}: the host is down, or a firewall drops the packets"
            ),
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            error(endpoint, "cannot be reached: there is no route to it")
        }
        io::ErrorKind::NotFound => error(endpoint, "cannot be reached: its name has no address"),
        _ => error(endpoint, "cannot be reached").with_source(source),
    };
    match number {
        Some(number) => error.with_detail("os_error", number.to_string()),
        None => error,
    }
}

pub(crate) fn no_zone(endpoint: &Endpoint, zone: &str, source: io::Error) -> Error {
    error(
        endpoint,
        &format!("cannot be reached: this machine has no network interface {zone:?}"),
    )
    .with_source(source)
}

pub(crate) fn no_socket(endpoint: &Endpoint, source: io::Error) -> Error {
    let why = match source.kind() {
        io::ErrorKind::NotFound => "cannot be reached: there is no such socket",
        io::ErrorKind::PermissionDenied => "cannot be reached: this user may not use the socket",
        io::ErrorKind::ConnectionRefused => {
            "refuses connections: nobody listens at the socket any more; is etcd running?"
        }
        _ => return error(endpoint, "cannot be reached").with_source(source),
    };
    error(endpoint, why)
}

pub(crate) fn speaks_tls(endpoint: &Endpoint) -> Error {
    error(
        endpoint,
        match endpoint.place() {
            Place::Host { .. } => "speaks TLS: write https:// instead of http://",
            Place::Socket(_) => "speaks TLS: write unixs:// instead of unix://",
        },
    )
}

pub(crate) fn speaks_plainly(endpoint: &Endpoint) -> Error {
    error(
        endpoint,
        match endpoint.place() {
            Place::Host { .. } => {
                "does not speak TLS: write http://, if plain text is what is wanted"
            }
            Place::Socket(_) => "does not speak TLS: leave the TLS files away, and write unix://",
        },
    )
}

pub(crate) fn speaks_http1(endpoint: &Endpoint) -> Error {
    error(
        endpoint,
        "answers in HTTP/1, not in gRPC: is this the client port of etcd?",
    )
}

pub(crate) fn foreign(endpoint: &Endpoint) -> Error {
    error(
        endpoint,
        "answers in some other protocol than gRPC: is this the client port of etcd?",
    )
}

pub(crate) fn hung_up(endpoint: &Endpoint) -> Error {
    error(
        endpoint,
        "closed the connection without a word: is this the client port of etcd?",
    )
}

pub(crate) fn client_certificate_missing(endpoint: &Endpoint) -> Error {
    error(
        endpoint,
        "asks for a client certificate, and none was given",
    )
}

/// Why TLS failed; also for what a TLS 1.3 server says only after the handshake.
pub(crate) fn handshake(
    endpoint: &Endpoint,
    tls: &Tls,
    client_certificate: &ClientCertificate,
    failure: &Failure,
) -> Error {
    use AlertDescription as Alert;
    use rustls::Error as Tls;

    let explained = |what: &str| error(endpoint, what).with_source(failure.clone());
    let doubt = tls.doubt(About::Client);
    let Some(cause) = &failure.tls else {
        if client_certificate.is_missing() {
            return client_certificate_missing(endpoint);
        }
        if client_certificate.is_shown() {
            let seen = "broke off the TLS handshake after it had seen the client certificate";
            return match doubt {
                Some(doubt) => explained(&format!("{seen}: {doubt}")),
                None => explained(seen),
            };
        }
        return explained("broke off the TLS handshake");
    };
    match cause {
        Tls::InvalidCertificate(why) => {
            server_certificate(endpoint, tls, why).with_source(failure.clone())
        }
        Tls::InvalidMessage(_) => speaks_plainly(endpoint),
        Tls::AlertReceived(Alert::NoApplicationProtocol) | Tls::NoApplicationProtocol => {
            explained("speaks TLS, but not HTTP/2 over it: is this the client port of etcd?")
        }
        Tls::AlertReceived(Alert::ProtocolVersion) | Tls::PeerIncompatible(_) => {
            explained("speaks no TLS version and cipher that we speak: it takes TLS 1.2 or 1.3")
        }
        Tls::AlertReceived(Alert::UnrecognisedName) => {
            explained("does not know the name that it was called by")
        }
        Tls::AlertReceived(_) if client_certificate.is_missing() => {
            client_certificate_missing(endpoint).with_source(failure.clone())
        }
        Tls::AlertReceived(alert) if client_certificate.is_shown() => match doubt {
            Some(doubt) if *alert != Alert::UnknownCA => {
                explained(&format!("refuses the client certificate: {doubt}"))
            }
            _ => explained(match alert {
                Alert::UnknownCA => {
                    "refuses the client certificate: it is not signed by an authority that the server trusts"
                }
                Alert::CertificateExpired => "refuses the client certificate: it has expired",
                Alert::CertificateRevoked => "refuses the client certificate: it has been revoked",
                _ => {
                    "refuses the client certificate: it may have expired, be signed by an authority that the server does not trust, \
                 or not be meant for clients"
                }
            }),
        },
        _ => explained("cannot be spoken to over TLS"),
    }
}

fn server_certificate(endpoint: &Endpoint, tls: &Tls, why: &CertificateError) -> Error {
    let sentence = match why {
        CertificateError::UnknownIssuer => match tls.trust() {
            Trust::System => {
                "shows a certificate that is signed by no authority of this system: name the \
                              cluster's CA file"
                    .to_owned()
            }
            _ => {
                let sentence = "shows a certificate that the given CA has not signed";
                match tls.doubt(About::Authority) {
                    Some(doubt) => format!("{sentence}: {doubt}"),
                    None => sentence.to_owned(),
                }
            }
        },
        CertificateError::BadSignature => {
            // The name of the authority is right, and its key is not.
            "shows a certificate that the given CA has not signed, though it bears the same name"
                .to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("shows a certificate that expired on {}", date(*not_after))
        }
        CertificateError::Expired => "shows a certificate that has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "shows a certificate that is not valid before {}: is this machine's clock right?",
            date(*not_before)
        ),
        CertificateError::NotValidYet => {
            "shows a certificate that is not valid yet: is this machine's clock right?".to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let presented = match presented.as_slice() {
                [] => "no name at all".to_owned(),
                names => names
                    .iter()
                    .map(|name| plain_name(name))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            format!(
                "shows a certificate for {presented}, and not for {}",
                server_name(expected)
            )
        }
        CertificateError::NotValidForName => "shows a certificate for another name".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "shows a certificate that is not meant for servers".to_owned()
        }
        CertificateError::Revoked => "shows a certificate that has been revoked".to_owned(),
        _ => "shows a certificate that cannot be trusted".to_owned(),
    };
    error(endpoint, &sentence)
}

fn server_name(name: &ServerName<'_>) -> String {
    match name {
        ServerName::IpAddress(address) => std::net::IpAddr::from(*address).to_string(),
        name => name.to_str().into_owned(),
    }
}

/// rustls gives names as `DnsName("a")` and `IpAddress(127.0.0.1)`.
fn plain_name(name: &str) -> String {
    match name.split_once('(') {
        Some((_, inner)) => inner.trim_end_matches(')').trim_matches('"').to_owned(),
        None => name.to_owned(),
    }
}

/// The day, in the proleptic Gregorian calendar and UTC.
pub(super) fn date(time: UnixTime) -> String {
    const DAYS_OF_ERA: u64 = 146_097;
    // Years that begin in March put the leap day last; 719 468 days lie between 1 March 0000 and 1970.
    let days = time.as_secs() / 86_400 + 719_468;
    let (era, day) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (era * 400 + year, month + 3),
        _ => (era * 400 + year + 1, month - 9),
    };
    format!("{year:04}-{month:02}-{day:02}")
}

/// Why a server did not do what it was asked: `doing` reads like "send a snapshot".
pub(crate) fn status(endpoint: &str, user: Option<&str>, doing: &str, status: &Status) -> Error {
    let message = status.message();
    let missing_right = crate::stream::missing_right(endpoint, user, doing, message);
    let (kind, sentence) = if let Some(sentence) = missing_right {
        (ErrorKind::Denied, sentence)
    } else if status.code() == Code::Unimplemented && status.message().starts_with("unknown method")
    {
        (
            ErrorKind::Server,
            format!("{endpoint} cannot {doing} in this way: its etcd is too old for that"),
        )
    } else if status.code() == Code::Unimplemented {
        (
            ErrorKind::Connection,
            format!(
                "{endpoint} speaks gRPC, but not as etcd does: is this the client port of etcd?"
            ),
        )
    } else if std::error::Error::source(status).is_some() {
        (
            ErrorKind::Connection,
            format!("the connection to {endpoint} broke before it could {doing}"),
        )
    } else {
        (
            ErrorKind::Server,
            format!("{endpoint} did not {doing}: {}", plain_message(status)),
        )
    };
    let error = Error::new(kind, sentence)
        .with_endpoint(endpoint)
        .with_detail("code", format!("{:?}", status.code()))
        .with_detail("message", status.message());
    match kind {
        // The sentence has it all.
        ErrorKind::Server => error,
        _ => error.with_source(Answer::of(status)),
    }
}

/// Why a stream did not go on.
pub(crate) fn stream_status(endpoint: &str, user: Option<&str>, status: &Status) -> Error {
    if std::error::Error::source(status).is_some() {
        return Error::new(
            ErrorKind::Stream,
            format!("the connection to {endpoint} broke"),
        )
        .with_endpoint(endpoint)
        .with_detail("code", format!("{:?}", status.code()))
        .with_detail("message", status.message())
        .with_source(Answer::of(status));
    }
    self::status(endpoint, user, "send a snapshot", status)
}

/// A [`Status`] prints its metadata too; here only what was said, and what lies beneath it.
#[derive(Debug)]
struct Answer {
    text: String,
}

impl Answer {
    fn of(status: &Status) -> Self {
        let mut text = plain_message(status);
        let mut cause = std::error::Error::source(status);
        while let Some(error) = cause {
            let below = error.to_string();
            if !text.ends_with(&below) {
                text = format!("{text}: {below}");
            }
            cause = error.source();
        }
        Self { text }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Answer {}

fn plain_message(status: &Status) -> String {
    match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_across_leap_years() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(
                date(UnixTime::since_unix_epoch(Duration::from_secs(seconds))),
                day
            );
        }
    }

    #[test]
    fn an_answer_of_the_servers_own_is_passed_on() {
        let error = status(
            "a:1",
            None,
            "report its status",
            &Status::unavailable("etcdserver: no leader"),
        );
        assert_eq!(error.kind(), ErrorKind::Server);
        assert_eq!(
            error.to_string(),
            "a:1 did not report its status: etcdserver: no leader"
        );
    }
}
