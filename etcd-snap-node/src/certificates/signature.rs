//! Who signed a certificate, and whose key a key is.

use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::PrivateKeyDer;

use super::facts::Facts;

/// More links than a chain has.
const MOST_LINKS: usize = 8;

/// Whether a certificate leads to one of these authorities, by way of those that come with it; `None` where the kind of a
/// signature is not known.
pub(super) fn leads_to(chain: &[Facts], authorities: &[Facts]) -> Option<bool> {
    let (first, others) = chain.split_first()?;
    let mut last = first;
    for _ in 0..MOST_LINKS {
        let mut unknown = false;
        for authority in authorities {
            match is_signed_by(last, authority) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => unknown = true,
            }
        }
        let next = others
            .iter()
            .find(|other| is_signed_by(last, other) == Some(true) && other.subject != last.subject);
        match next {
            Some(next) => last = next,
            None if unknown => return None,
            None => return Some(false),
        }
    }
    Some(false)
}

/// Whether one signed the other; `None` where the kind of the signature is not known.
pub(super) fn is_signed_by(certificate: &Facts, authority: &Facts) -> Option<bool> {
    if certificate.issuer != authority.subject {
        return Some(false);
    }
    let algorithms = default_provider().signature_verification_algorithms.all;
    let mut fitting = algorithms
        .iter()
        .filter(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == authority.key_algorithm
                && algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm
        })
        .peekable();
    fitting.peek()?;
    Some(fitting.any(|algorithm| {
        algorithm
            .verify_signature(
                &authority.key_bits,
                &certificate.signed,
                &certificate.signature,
            )
            .is_ok()
    }))
}

/// The public half of a key; `None` of a kind that is not known.
pub(super) fn public_half(key: PrivateKeyDer<'static>) -> Option<Vec<u8>> {
    let key = default_provider().key_provider.load_private_key(key).ok()?;
    let public = key.public_key()?;
    Some(public.as_ref().to_vec())
}
