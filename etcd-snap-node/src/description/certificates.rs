//! Certificates, and what they are fit for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a certificate is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CertificateRole {
    /// `--cert-file`: what clients see.
    Server,
    /// `--trusted-ca-file`: who signs the certificates of clients.
    ClientAuthority,
    /// `--peer-cert-file`: what peers see.
    Peer,
    /// `--peer-trusted-ca-file`: who signs the certificates of peers.
    PeerAuthority,
    /// A pair that lies on the machine for clients of etcd.
    Client,
}

/// A certificate of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CertificateFile {
    /// What it is used as.
    pub role: CertificateRole,
    /// Its file on the machine.
    pub path: PathBuf,
    /// The file of its key, where it needs one.
    pub key: Option<PathBuf>,
    /// What is in it; `None` where it cannot be read, which a finding of the etcd says.
    pub usability: Option<Usability>,
}

/// What a certificate says, and whether it can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usability {
    /// The common name of its subject; with auth enabled, the user that a client logs in as.
    pub common_name: Option<String>,
    /// The common name of who signed it.
    pub issuer: Option<String>,
    /// Whether it is an authority's.
    pub is_authority: bool,
    /// Whether servers may show it.
    pub for_servers: bool,
    /// Whether clients may show it.
    pub for_clients: bool,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    /// When it begins, as RFC 3339.
    pub not_before: String,
    /// When it ends.
    pub not_after: String,
    /// Whether the key is its own; `None` where there is none, or it cannot be read.
    pub key_fits: Option<bool>,
    /// Whether it is signed by the authority that is asked for where it is shown; `None` where that cannot be read.
    pub is_trusted: Option<bool>,
}

/// What a client of an etcd shows and trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientIdentity {
    /// The authority that signed the server's certificate.
    pub authority: PathBuf,
    /// The certificate to show, where one is asked for.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Why this one, like `the pair that kubeadm made for health checks`.
    pub because: String,
}
