//! A throw-away authority, and what it signs: nobody but the members and the client of one drill can talk to each other.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcd_snap::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::{Error, ErrorKind, Result};

/// Where what the servers read is, and the client's connection.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) authority: PathBuf,
    pub(super) server: PathBuf,
    pub(super) server_key: PathBuf,
    pub(super) tls: Tls,
}

impl Certificates {
    /// The client is called root: a member with auth enabled takes the common name for the user's, where it asks for certificates
    /// (`AuthInfoFromTLS` of etcd's auth store), and auth cannot be enabled without root. The client's key stays in memory.
    pub(super) fn make(directory: &Path) -> Result<Self> {
        let failed = |e: rcgen::Error| {
            Error::new(
                ErrorKind::Io,
                "cannot make the certificates for a drill".to_owned(),
            )
            .with_source(e)
        };
        let mut authority = params("etcd-snap drill, thrown away", &[]).map_err(failed)?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let authority = CertifiedIssuer::self_signed(authority, key).map_err(failed)?;
        let issue = |name: &str, hosts: &[&str], usages: Vec<ExtendedKeyUsagePurpose>| {
            let mut leaf = params(name, hosts)?;
            leaf.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyEncipherment,
            ];
            leaf.extended_key_usages = usages;
            let key = KeyPair::generate()?;
            let certificate = leaf.signed_by(&key, &authority)?;
            Ok((certificate.pem(), key.serialize_pem()))
        };
        // A server is a client of its peers, and of itself.
        let both = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let (server, server_key) =
            issue("etcd-snap drill", &["127.0.0.1"], both).map_err(failed)?;
        let (client, client_key) =
            issue("root", &[], vec![ExtendedKeyUsagePurpose::ClientAuth]).map_err(failed)?;
        let tls = Tls::builder()
            .ca_pem(authority.pem())
            .identity_pem(client, client_key)
            .build()?;
        Ok(Self {
            authority: write(directory, "authority.crt", &authority.pem())?,
            server: write(directory, "server.crt", &server)?,
            server_key: write(directory, "server.key", &server_key)?,
            tls,
        })
    }
}

fn params(name: &str, hosts: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    const DAYS: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts)?;
    let now = SystemTime::now();
    params.not_before = now.checked_sub(HOUR).unwrap_or(now).into();
    params.not_after = now.checked_add(DAYS).unwrap_or(now).into();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn write(directory: &Path, name: &str, pem: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(pem.as_bytes()))
        .map_err(|e| Error::io("write", &path, e))?;
    Ok(path)
}
