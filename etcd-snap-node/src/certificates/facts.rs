//! What a certificate says of itself.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_cert::Certificate;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc5280::{
    ANY_EXTENDED_KEY_USAGE, ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH,
};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::Usability;
use crate::time::rfc3339;

/// A certificate, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) common_name: Option<String>,
    pub(super) issuer_name: Option<String>,
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) is_authority: bool,
    pub(super) for_servers: bool,
    pub(super) for_clients: bool,
    pub(super) names: Vec<String>,
    not_before: Duration,
    not_after: Duration,
    /// The public key with its algorithm, as a key gives its own.
    pub(super) public_key: Vec<u8>,
    /// The parts that a signature is checked with.
    pub(super) signed: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) signature_algorithm: Vec<u8>,
    pub(super) key_algorithm: Vec<u8>,
    pub(super) key_bits: Vec<u8>,
}

impl Facts {
    /// `None` of what is no certificate.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let whole = Certificate::from_der(der).ok()?;
        let certificate = whole.tbs_certificate();
        let validity = certificate.validity();
        let constraints = certificate.get_extension::<BasicConstraints>().ok()?;
        let usages = certificate.get_extension::<ExtendedKeyUsage>().ok()?;
        let usages = usages.map(|(_, ExtendedKeyUsage(usages))| usages);
        let is_for = |usage: ObjectIdentifier| {
            usages.as_ref().is_none_or(|usages| {
                usages.contains(&usage) || usages.contains(&ANY_EXTENDED_KEY_USAGE)
            })
        };
        let names = certificate.get_extension::<SubjectAltName>().ok()?;
        let names = names.map(|(_, SubjectAltName(names))| names);
        let key = certificate.subject_public_key_info();
        Some(Self {
            common_name: common_name(certificate.subject()),
            issuer_name: common_name(certificate.issuer()),
            subject: certificate.subject().to_der().ok()?,
            issuer: certificate.issuer().to_der().ok()?,
            // The oldest have no extensions, and no way to say it.
            is_authority: constraints.is_some_and(|(_, it)| it.ca),
            for_servers: is_for(ID_KP_SERVER_AUTH),
            for_clients: is_for(ID_KP_CLIENT_AUTH),
            names: names.unwrap_or_default().iter().filter_map(shown).collect(),
            not_before: validity.not_before.to_unix_duration(),
            not_after: validity.not_after.to_unix_duration(),
            public_key: key.to_der().ok()?,
            signed: certificate.to_der().ok()?,
            signature: whole.signature().as_bytes()?.to_vec(),
            signature_algorithm: content(whole.signature_algorithm())?,
            key_algorithm: content(&key.algorithm)?,
            key_bits: key.subject_public_key.as_bytes()?.to_vec(),
        })
    }

    pub(super) fn not_before(&self) -> SystemTime {
        UNIX_EPOCH + self.not_before
    }

    pub(super) fn not_after(&self) -> SystemTime {
        UNIX_EPOCH + self.not_after
    }

    /// Whether it is valid at this time.
    pub(super) fn is_timely(&self, now: SystemTime) -> bool {
        self.not_before() <= now && now <= self.not_after()
    }

    /// Whether a server at this host may show it.
    pub(super) fn covers(&self, host: &str) -> bool {
        covers(&self.names, host)
    }

    pub(super) fn usability(&self, key_fits: Option<bool>, is_trusted: Option<bool>) -> Usability {
        Usability {
            common_name: self.common_name.clone(),
            issuer: self.issuer_name.clone(),
            is_authority: self.is_authority,
            for_servers: self.for_servers,
            for_clients: self.for_clients,
            names: self.names.clone(),
            not_before: rfc3339(self.not_before()),
            not_after: rfc3339(self.not_after()),
            key_fits,
            is_trusted,
        }
    }
}

/// Whether one of these names is for this host.
pub(crate) fn covers(names: &[String], host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return names
            .iter()
            .any(|name| name.parse::<IpAddr>() == Ok(address));
    }
    names.iter().any(|name| {
        let wild = name.strip_prefix("*.");
        name.eq_ignore_ascii_case(host)
            || wild.is_some_and(|domain| {
                host.split_once('.')
                    .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain))
            })
    })
}

/// An algorithm without the frame around it, as those who check signatures name it.
fn content(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let mut content = algorithm.oid.to_der().ok()?;
    if let Some(parameters) = &algorithm.parameters {
        content.extend(parameters.to_der().ok()?);
    }
    Some(content)
}

fn common_name(name: &Name) -> Option<String> {
    let name = name.common_name().ok()??;
    Some(name.value().into_owned())
}

fn shown(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let address = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = address.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_covered_by_name_and_by_address() {
        let names = ["10.0.0.1", "::1", "*.example.com", "Node1"].map(str::to_owned);
        for (host, expected) in [
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("0:0:0:0:0:0:0:1", true),
            ("etcd.example.com", true),
            ("a.b.example.com", false),
            ("example.com", false),
            ("node1", true),
        ] {
            assert_eq!(covers(&names, host), expected, "{host}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        assert!(Facts::of(b"").is_none() && Facts::of(b"\x30\x03abc").is_none());
    }
}
