//! What is odd about certificates, and may be right all the same: it depends on whom they are shown to.

use std::time::Duration;

use rustls::CertificateError;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::oid::db::rfc5280::{
    ANY_EXTENDED_KEY_USAGE, ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH,
};
use x509_cert::der::{Decode, oid::ObjectIdentifier};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage};

use super::super::explain::date;
use super::pem::{self, Pem};

/// Something odd about a file.
#[derive(Debug, Clone)]
pub(crate) struct Doubt {
    pub(crate) about: About,
    pub(crate) sentence: String,
}

/// Whose refusal it would explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The server's of our certificate.
    Client,
    /// Ours of the server's.
    Authority,
}

/// What a certificate says of itself.
pub(super) struct Facts {
    not_before: Duration,
    not_after: Duration,
    /// `None` where it does not say, as the oldest do not.
    pub(super) is_authority: Option<bool>,
    /// `None` where it is for everything.
    usages: Option<Vec<ObjectIdentifier>>,
}

impl Facts {
    /// `None` of a certificate that we cannot read; others may.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let validity = certificate.validity();
        let is_authority = certificate.get_extension::<BasicConstraints>().ok()?;
        let usages = certificate.get_extension::<ExtendedKeyUsage>().ok()?;
        Some(Self {
            not_before: validity.not_before.to_unix_duration(),
            not_after: validity.not_after.to_unix_duration(),
            is_authority: match is_authority {
                Some((_, constraints)) => Some(constraints.ca),
                // Version 1 has no way to say it.
                None if certificate.extensions().is_none() => None,
                None => Some(false),
            },
            usages: usages.map(|(_, ExtendedKeyUsage(usages))| usages),
        })
    }

    pub(super) fn require_valid(&self, now: UnixTime) -> Result<(), CertificateError> {
        let time = |time: Duration| UnixTime::since_unix_epoch(time);
        if self.is_early(now) {
            return Err(CertificateError::NotValidYetContext {
                time: now,
                not_before: time(self.not_before),
            });
        }
        if self.is_late(now) {
            return Err(CertificateError::ExpiredContext {
                time: now,
                not_after: time(self.not_after),
            });
        }
        Ok(())
    }

    pub(super) fn is_for_servers(&self) -> bool {
        self.is_for(ID_KP_SERVER_AUTH)
    }

    fn is_for(&self, usage: ObjectIdentifier) -> bool {
        self.usages.as_ref().is_none_or(|usages| {
            usages.contains(&usage) || usages.contains(&ANY_EXTENDED_KEY_USAGE)
        })
    }

    fn is_early(&self, now: UnixTime) -> bool {
        now.as_secs() < self.not_before.as_secs()
    }

    fn is_late(&self, now: UnixTime) -> bool {
        now.as_secs() > self.not_after.as_secs()
    }

    fn untimely(&self, now: UnixTime) -> Option<String> {
        let day = |time: Duration| date(UnixTime::since_unix_epoch(time));
        if self.is_late(now) {
            Some(format!("expired on {}", day(self.not_after)))
        } else if self.is_early(now) {
            Some(format!(
                "is not valid before {}: is this machine's clock right?",
                day(self.not_before)
            ))
        } else {
            None
        }
    }
}

/// A bundle may have old ones in it: only what holds of all of them counts.
pub(super) fn of_authorities(
    pem: &Pem,
    certificates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Option<Doubt> {
    let facts: Option<Vec<_>> = certificates.iter().map(|der| Facts::of(der)).collect();
    let facts = facts?;
    let why = if facts.iter().all(|facts| facts.is_authority == Some(false)) {
        "holds no authority, but a certificate of somebody's own, like a server's: it vouches for nobody else".to_owned()
    } else if facts.iter().all(|facts| facts.untimely(now).is_some()) {
        facts.first()?.untimely(now)?
    } else {
        return None;
    };
    Some(Doubt {
        about: About::Authority,
        sentence: format!("{} {why}", pem.named(pem::AUTHORITY)),
    })
}

/// Servers of etcd that ask for a certificate refuse these; others do not look.
pub(super) fn of_client(pem: &Pem, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<Doubt> {
    let facts = Facts::of(chain.first()?)?;
    let why = if let Some(why) = facts.untimely(now) {
        why
    } else if !facts.is_for(ID_KP_CLIENT_AUTH) {
        "is not meant for clients: it lacks the usage clientAuth, which etcd's servers ask for"
            .to_owned()
    } else if facts.is_authority == Some(true) {
        "is an authority's: name one that it has signed for clients".to_owned()
    } else {
        return None;
    };
    Some(Doubt {
        about: About::Client,
        sentence: format!("{} {why}", pem.named(pem::CERTIFICATE)),
    })
}
