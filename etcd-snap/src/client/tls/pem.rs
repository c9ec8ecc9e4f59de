//! PEM, from a file or as bytes, and what else is found where it belongs.

use std::fmt;
use std::path::PathBuf;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Error, Result};

pub(super) const AUTHORITY: &str = "the CA";
pub(super) const CERTIFICATE: &str = "the client's certificate";
pub(super) const KEY: &str = "the client's key";

pub(super) enum Pem {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Pem {
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => std::fs::read(path).map_err(|e| Error::io("read", path, e)),
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }

    /// `what` reads like "the CA" and is followed by where it came from.
    pub(super) fn error(&self, what: &str, why: &str) -> Error {
        match self {
            Self::File(path) => {
                Error::invalid(format!("{what} in {} {why}", path.display())).with_path(path)
            }
            Self::Bytes(_) => Error::invalid(format!("{what} that was given {why}")),
        }
    }

    /// What stands for it behind "is not the one of".
    pub(super) fn named(&self, what: &str) -> String {
        match self {
            Self::File(path) => format!("{what} in {}", path.display()),
            Self::Bytes(_) => what.to_owned(),
        }
    }

    pub(super) fn certificates(&self, what: &str) -> Result<Vec<CertificateDer<'static>>> {
        let pem = self.read()?;
        let certificates = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| self.error(what, "is damaged PEM").with_source(e))?;
        if certificates.is_empty() {
            return Err(self.error(what, &no_certificate(&pem)));
        }
        Ok(certificates)
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>> {
        let pem = self.read()?;
        // PKCS#8 says so in the marker, the older formats in a header below it.
        if contains(&pem, "BEGIN ENCRYPTED PRIVATE KEY") || contains(&pem, "Proc-Type: 4,ENCRYPTED")
        {
            return Err(self.error(
                KEY,
                "is encrypted, which is not supported: decrypt it with `openssl pkey -in KEY -out PLAIN`",
            ));
        }
        PrivateKeyDer::from_pem_slice(&pem).map_err(|e| match e {
            rustls_pki_types::pem::Error::NoItemsFound => self.error(KEY, &no_key(&pem)),
            e => self.error(KEY, "is damaged PEM").with_source(e),
        })
    }
}

fn no_certificate(pem: &[u8]) -> String {
    let what_it_takes = if contains(pem, "PRIVATE KEY-----") {
        "it is a key: were certificate and key given the wrong way round?"
    } else if contains(pem, "BEGIN CERTIFICATE REQUEST") {
        "it is a request for one, which an authority has to sign first"
    } else if is_der(pem) {
        "it is DER, or something else that is not PEM: `openssl x509 -inform der -in FILE -out FILE.pem` makes PEM of DER"
    } else {
        "it takes PEM, with -----BEGIN CERTIFICATE----- in it"
    };
    format!("holds no certificate: {what_it_takes}")
}

fn no_key(pem: &[u8]) -> String {
    let what_it_takes = if contains(pem, "BEGIN PUBLIC KEY") {
        "it is the public half of one"
    } else if contains(pem, "BEGIN CERTIFICATE") {
        "it is a certificate: were certificate and key given the wrong way round?"
    } else if contains(pem, "BEGIN OPENSSH PRIVATE KEY") {
        "it is a key of SSH, not of TLS"
    } else if is_der(pem) {
        "it is DER, or something else that is not PEM: `openssl pkey -inform der -in FILE -out FILE.pem` makes PEM of DER"
    } else {
        "it takes PEM in PKCS#1, PKCS#8 or SEC1, with PRIVATE KEY----- in it"
    };
    format!("holds no key: {what_it_takes}")
}

fn contains(pem: &[u8], text: &str) -> bool {
    pem.windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// A SEQUENCE with a length of two bytes, as every certificate and most keys are, or one of one byte, as the smallest keys are.
fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x82 | 0x81 | 0..=0x7f, ..])
        && bytes
            .iter()
            .any(|byte| !byte.is_ascii_graphic() && !byte.is_ascii_whitespace())
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Bytes(_) => f.write_str("[redacted]"),
        }
    }
}
