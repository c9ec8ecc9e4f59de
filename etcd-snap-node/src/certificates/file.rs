//! What is in the files that are said to hold certificates and keys.

use std::path::Path;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::facts::Facts;
use super::signature;
use crate::{ErrorKind, Root};

/// Why there is nothing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No such file.
    Missing,
    /// It cannot be read.
    Unreadable(String),
    /// It holds the other half of a pair.
    OtherHalf,
    /// It is something else.
    Else(String),
}

/// The certificates of a file, the first one being the one that counts.
pub(super) fn certificates(root: &Root, path: &Path) -> Result<Vec<Facts>, Trouble> {
    let pem = read(root, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| Trouble::Else(format!("is damaged PEM ({error})")))?;
    if found.is_empty() {
        return Err(if PrivateKeyDer::from_pem_slice(&pem).is_ok() {
            Trouble::OtherHalf
        } else {
            Trouble::Else("holds no certificate in PEM".to_owned())
        });
    }
    found
        .iter()
        .map(|der| Facts::of(der))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Trouble::Else("holds a certificate that cannot be taken apart".to_owned()))
}

/// The public half of a file's key; `None` within of a kind that is not known.
pub(super) fn public_key(root: &Root, path: &Path) -> Result<Option<Vec<u8>>, Trouble> {
    let pem = read(root, path)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Ok(signature::public_half(key)),
        Err(pem::Error::NoItemsFound) => {
            let is_certificate = CertificateDer::from_pem_slice(&pem).is_ok();
            Err(if is_certificate {
                Trouble::OtherHalf
            } else {
                Trouble::Else("holds no key in PEM".to_owned())
            })
        }
        Err(error) => Err(Trouble::Else(format!("is damaged PEM ({error})"))),
    }
}

fn read(root: &Root, path: &Path) -> Result<Vec<u8>, Trouble> {
    root.read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Trouble::Missing,
        _ => {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            Trouble::Unreadable(why.unwrap_or_else(|| error.to_string()))
        }
    })
}
