//! A certificate and its key, and which other key was given in its place.

use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::CertificateDer;

use super::doubts::Facts;
use super::pem::{self, Pem};
use crate::{Error, Result};

/// `authorities` are those that were given, to know their keys again.
pub(super) fn identity(
    certificate: &Pem,
    key: &Pem,
    authorities: &[(&Pem, CertificateDer<'static>)],
    provider: &CryptoProvider,
) -> Result<CertifiedKey> {
    let chain = certificate.certificates(pem::CERTIFICATE)?;
    let unusable = |e: rustls::Error| {
        key.error(pem::KEY, "is of a kind that cannot be used")
            .with_source(e)
    };
    let signing = provider
        .key_provider
        .load_private_key(key.key()?)
        .map_err(unusable)?;
    let identity = CertifiedKey::new(chain, signing);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(mismatch(certificate, key, authorities, &identity))
        }
        Err(e @ rustls::Error::InvalidCertificate(_)) => Err(certificate
            .error(pem::CERTIFICATE, "cannot be read")
            .with_source(e)),
        Err(e) => Err(unusable(e)),
    }
}

fn mismatch(
    certificate: &Pem,
    key: &Pem,
    authorities: &[(&Pem, CertificateDer<'static>)],
    identity: &CertifiedKey,
) -> Error {
    let signing = identity.key.as_ref();
    let theirs = certificate.named("the certificate");
    let own = identity.cert.first();
    let authority = authorities.iter().find(|(_, der)| belong(signing, der));
    if let Some((pem, _)) = authority {
        return key.error(
            pem::KEY,
            &format!(
                "is the key of {}, and not of {theirs}: name the client's own",
                pem.named("the CA")
            ),
        );
    }
    if identity.cert.iter().skip(1).any(|der| belong(signing, der)) {
        return certificate.error(
            pem::CERTIFICATE,
            "has the authorities before it: the certificate that the key is for comes first in the file",
        );
    }
    let is_authority = own
        .and_then(|der| Facts::of(der))
        .and_then(|facts| facts.is_authority);
    if is_authority == Some(true) {
        return certificate.error(
            pem::CERTIFICATE,
            &format!(
                "is an authority's, and {} is not its key: name the client's own certificate, which the authority has signed",
                key.named("the key")
            ),
        );
    }
    key.error(pem::KEY, &format!("is not the one of {theirs}"))
        .with_detail("mistake", "key-mismatch")
}

fn belong(key: &dyn SigningKey, certificate: &CertificateDer<'_>) -> bool {
    let parsed = ParsedCertificate::try_from(certificate).ok();
    let theirs = parsed.map(|certificate| certificate.subject_public_key_info());
    theirs.is_some() && key.public_key() == theirs
}
