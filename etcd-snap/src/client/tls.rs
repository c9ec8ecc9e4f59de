//! Certificates: whom to trust, and whom to be.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::{Error, Result};

/// What TLS needs to know: the authorities to trust, and the certificate to show. Made by [`Tls::builder`].
///
/// Files are read once, when it is built. The crypto is aws-lc-rs, for these connections only: nothing is installed for
/// the rest of the program.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    trust: Trust,
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
    /// A file that cannot be read; PEM without a certificate or a key; an encrypted key; a key that is not the
    /// certificate's; a server name that is none; no authority at all.
    pub fn build(self) -> Result<Tls> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trust = if self.skip_verification {
            Trust::Anyone
        } else if self.authorities.is_empty() {
            Trust::System
        } else {
            Trust::Given
        };
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            Trust::Anyone => Arc::new(AnyCertificate(Arc::clone(&provider))),
            Trust::System => webpki(system_roots()?, &provider)?,
            Trust::Given => webpki(given_roots(&self.authorities)?, &provider)?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::invalid("TLS cannot be set up").with_source(e))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let identity = identity(certificate, key, &provider)?;
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

enum Pem {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Pem {
    fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => std::fs::read(path).map_err(|e| Error::io("read", path, e)),
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }

    /// `what` reads like "the CA" and is followed by where it came from.
    fn error(&self, what: &str, why: &str) -> Error {
        match self {
            Self::File(path) => {
                Error::invalid(format!("{what} in {} {why}", path.display())).with_path(path)
            }
            Self::Bytes(_) => Error::invalid(format!("{what} that was given {why}")),
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Bytes(_) => None,
        }
    }

    fn certificates(&self, what: &str) -> Result<Vec<CertificateDer<'static>>> {
        let pem = self.read()?;
        let certificates = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| self.error(what, "is damaged PEM").with_source(e))?;
        if certificates.is_empty() {
            return Err(self.error(
                what,
                "holds no certificate: it takes PEM, with -----BEGIN CERTIFICATE----- in it",
            ));
        }
        Ok(certificates)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>> {
        const WHAT: &str = "the client's key";
        let pem = self.read()?;
        let contains = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
        // PKCS#8 says so in the marker, the older formats in a header below it.
        if contains(b"BEGIN ENCRYPTED PRIVATE KEY") || contains(b"Proc-Type: 4,ENCRYPTED") {
            return Err(self.error(
                WHAT,
                "is encrypted, which is not supported: decrypt it with `openssl pkey -in KEY -out PLAIN`",
            ));
        }
        PrivateKeyDer::from_pem_slice(&pem).map_err(|e| match e {
            rustls_pki_types::pem::Error::NoItemsFound => self.error(
                WHAT,
                "holds no key: it takes PEM in PKCS#1, PKCS#8 or SEC1, with PRIVATE KEY----- in it",
            ),
            e => self.error(WHAT, "is damaged PEM").with_source(e),
        })
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Bytes(_) => f.write_str("[redacted]"),
        }
    }
}

fn given_roots(authorities: &[Pem]) -> Result<RootCertStore> {
    const WHAT: &str = "the CA";
    let mut roots = RootCertStore::empty();
    for pem in authorities {
        for certificate in pem.certificates(WHAT)? {
            roots.add(certificate).map_err(|e| {
                pem.error(WHAT, "has a certificate that cannot be read")
                    .with_source(e)
            })?;
        }
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

fn identity(certificate: &Pem, key: &Pem, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain = certificate.certificates("the client's certificate")?;
    CertifiedKey::from_der(chain, key.key()?, provider).map_err(|e| match e {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let from = match certificate.path() {
                Some(path) => format!("is not the one of the certificate in {}", path.display()),
                None => "is not the one of the certificate".to_owned(),
            };
            key.error("the client's key", &from)
        }
        rustls::Error::InvalidCertificate(_) => certificate
            .error("the client's certificate", "cannot be read")
            .with_source(e),
        e => key
            .error("the client's key", "is of a kind that cannot be used")
            .with_source(e),
    })
}

fn parse_server_name(name: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(name)
        .map(|name| name.to_owned())
        .map_err(|e| {
            Error::invalid(format!("{name:?} is no name that a certificate can be for"))
                .with_source(e)
        })
}

/// Believes any certificate; the handshake must still be signed by its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
