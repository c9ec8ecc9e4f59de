//! Certificates: whom to trust, and whom to be.

mod doubts;
mod identity;
mod pem;
mod verifiers;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Error, Result};
pub(crate) use doubts::{About, Doubt};
use identity::identity;
use pem::Pem;
use verifiers::{AnyCertificate, OrGiven};

/// What TLS needs to know: the authorities to trust, and the certificate to show. Made by [`Tls::builder`].
///
/// Files are read once, when it is built. The crypto is aws-lc-rs, for these connections only: nothing is installed for
/// the rest of the program.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    trust: Trust,
    doubts: Arc<[Doubt]>,
}

/// For the sentence that says what a certificate was not signed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Given,
    System,
    Anyone,
}

impl Tls {
    /// Begins with nothing but the system's roots.
    pub fn builder() -> TlsBuilder {
        TlsBuilder::default()
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(crate) fn trust(&self) -> Trust {
        self.trust
    }

    /// What is odd about the files, in sentences: an authority as client certificate, a server's certificate as authority, a
    /// certificate that has expired or is not meant for clients. None of it has to be wrong: who asks for no client
    /// certificate does not mind its date. A server that does refuse is explained by it.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.doubts.iter().map(|doubt| doubt.sentence.as_str())
    }

    /// The oddities that can explain why one side was refused.
    pub(crate) fn doubt(&self, about: About) -> Option<&str> {
        let mut doubts = self.doubts.iter();
        let doubt = doubts.find(|doubt| doubt.about == about)?;
        Some(&doubt.sentence)
    }

    /// The name that the certificate of `host` has to carry.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => parse_server_name(host),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("trust", &self.trust)
            .field("server_name", &self.server_name)
            .field("identity", &"[redacted]")
            .finish()
    }
}

/// Collects what [`Tls`] is made of. PEM comes from files or as bytes; text before, between and after the blocks is
/// passed over, and so are blocks of other kinds.
#[derive(Default)]
#[must_use = "nothing happens before `build`"]
pub struct TlsBuilder {
    authorities: Vec<Pem>,
    identity: Option<(Pem, Pem)>,
    server_name: Option<String>,
    skip_verification: bool,
}

impl TlsBuilder {
    /// Trusts the authorities in this PEM file, and no longer those of the system. May be called several times.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Pem::File(path.into()));
        self
    }

    /// Trusts the authorities in these PEM bytes, and no longer those of the system. May be called several times.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(Pem::Bytes(pem.into()));
        self
    }

    /// Shows this certificate to servers that ask for one: a PEM file with the certificate first and the authorities
    /// between it and the root behind it, and one with its key in PKCS#1, PKCS#8 or SEC1, not encrypted. Both may be the
    /// same file.
    pub fn identity_files(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.identity = Some((Pem::File(certificate.into()), Pem::File(key.into())));
        self
    }

    /// The same as [`identity_files`](Self::identity_files), from bytes.
    pub fn identity_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity = Some((Pem::Bytes(certificate.into()), Pem::Bytes(key.into())));
        self
    }

    /// Expects this name, or address, in the server's certificate instead of the endpoint's host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Takes whatever certificate the server shows. Whoever sits between here and there can then read and change
    /// everything, password and snapshot included.
    pub fn danger_skip_verification(mut self) -> Self {
        self.skip_verification = true;
        self
    }

    /// Reads the files and puts it all together.
    ///
    /// # Errors
    /// A file that cannot be read; one that is no PEM, or has a key where a certificate belongs, or the other way round; an
    /// encrypted key; a key that is not the certificate's, or the authority's; a server name that is none; no authority at
    /// all. What may be right all the same is among the [notes](Tls::notes).
    pub fn build(self) -> Result<Tls> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trust = if self.skip_verification {
            Trust::Anyone
        } else if self.authorities.is_empty() {
            Trust::System
        } else {
            Trust::Given
        };
        let now = UnixTime::now();
        let mut doubts = Vec::new();
        let mut given = Vec::new();
        for pem in &self.authorities {
            let certificates = pem.certificates(pem::AUTHORITY)?;
            doubts.extend(doubts::of_authorities(pem, &certificates, now));
            given.extend(
                certificates
                    .into_iter()
                    .map(|certificate| (pem, certificate)),
            );
        }
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            Trust::Anyone => Arc::new(AnyCertificate::new(&provider)),
            Trust::System => webpki(system_roots()?, &provider)?,
            Trust::Given => {
                let inner = webpki(given_roots(&given)?, &provider)?;
                let certificates = given.iter().map(|(_, certificate)| certificate.clone());
                Arc::new(OrGiven::new(inner, certificates.collect()))
            }
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::invalid("TLS cannot be set up").with_source(e))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let identity = identity(certificate, key, &given, &provider)?;
                doubts.extend(doubts::of_client(certificate, &identity.cert, now));
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];

        let server_name = match self.server_name {
            None => None,
            Some(name) => Some(parse_server_name(&name)?),
        };
        Ok(Tls {
            config: Arc::new(config),
            server_name,
            trust,
            doubts: doubts.into(),
        })
    }
}

impl fmt::Debug for TlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsBuilder")
            .field("authorities", &self.authorities)
            .field("identity", &self.identity)
            .field("server_name", &self.server_name)
            .field("skip_verification", &self.skip_verification)
            .finish()
    }
}

fn given_roots(given: &[(&Pem, CertificateDer<'static>)]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for (pem, certificate) in given {
        roots.add(certificate.clone()).map_err(|e| {
            pem.error(pem::AUTHORITY, "has a certificate that cannot be read")
                .with_source(e)
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry a few old certificates that no longer pass; the others are what counts.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let error =
            Error::invalid("the system has no root certificates: name the cluster's CA file");
        return Err(match found.errors.into_iter().next() {
            Some(cause) => error.with_source(cause),
            None => error,
        });
    }
    Ok(roots)
}

fn webpki(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|e| Error::invalid("TLS cannot be set up").with_source(e))
}

fn parse_server_name(name: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(name)
        .map(|name| name.to_owned())
        .map_err(|e| {
            Error::invalid(format!("{name:?} is no name that a certificate can be for"))
                .with_source(e)
        })
}
