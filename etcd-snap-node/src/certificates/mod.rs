//! The certificates of a member: what they are, whether they can be used, and which of them fits a client.

mod facts;
mod file;
mod layouts;
mod signature;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) use layouts::Pair;

use self::facts::Facts;
use self::file::Trouble;
use crate::description::{is_loopback, is_secured};
use crate::time::rfc3339;
use crate::{
    CertificateFile, CertificateRole, ClientIdentity, Etcd, Finding, Place, Root, TlsSettings,
};

/// A month is what those need who renew by hand.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Where certificates are looked for, and by which time they are judged.
pub(crate) struct Inspection<'a> {
    pub(crate) root: &'a Root,
    pub(crate) now: SystemTime,
    /// Pairs and authorities that somebody else on the machine names for clients: the API server.
    pub(crate) pairs: Vec<Pair>,
    pub(crate) authorities: Vec<PathBuf>,
}

/// A certificate's file with what is in it.
struct Read {
    path: PathBuf,
    chain: Vec<Facts>,
}

impl Read {
    fn first(&self) -> Option<&Facts> {
        self.chain.first()
    }
}

/// Looks at all certificates of a member, and chooses what a client shows.
pub(crate) fn inspect(etcd: &mut Etcd, inspection: &Inspection<'_>) {
    let mut certificates = Vec::new();
    let mut findings = Vec::new();
    let mut look = Look {
        inspection,
        certificates: &mut certificates,
        findings: &mut findings,
    };
    let client_authority = look.authority(&etcd.client_tls, CertificateRole::ClientAuthority);
    let peer_authority = look.authority(&etcd.peer_tls, CertificateRole::PeerAuthority);
    let server = look.pair(
        &etcd.client_tls,
        CertificateRole::Server,
        client_authority.as_ref(),
    );
    look.pair(
        &etcd.peer_tls,
        CertificateRole::Peer,
        peer_authority.as_ref(),
    );
    if let Some(server) = &server {
        look.names(server, etcd);
    }
    let identity = look.identity(etcd, server.as_ref(), client_authority.as_ref());
    etcd.client_identity = identity;
    etcd.certificates = certificates;
    etcd.findings.extend(findings);
}

struct Look<'a> {
    inspection: &'a Inspection<'a>,
    certificates: &'a mut Vec<CertificateFile>,
    findings: &'a mut Vec<Finding>,
}

fn host(place: Option<&Place>) -> Option<&Path> {
    place?.host.as_deref()
}

/// What a file is used as, for sentences.
fn used_as(role: CertificateRole) -> &'static str {
    match role {
        CertificateRole::Server => "--cert-file",
        CertificateRole::ClientAuthority => "--trusted-ca-file",
        CertificateRole::Peer => "--peer-cert-file",
        CertificateRole::PeerAuthority => "--peer-trusted-ca-file",
        CertificateRole::Client => "a client's certificate",
    }
}

impl Look<'_> {
    fn read(&mut self, path: &Path, role: CertificateRole) -> Option<Read> {
        match file::certificates(self.inspection.root, path) {
            Ok(chain) => Some(Read {
                path: path.to_owned(),
                chain,
            }),
            Err(trouble) => {
                self.findings
                    .push(unusable(path, used_as(role), &trouble, "certificate"));
                self.certificates.push(CertificateFile {
                    role,
                    path: path.to_owned(),
                    key: None,
                    usability: None,
                });
                None
            }
        }
    }

    fn authority(&mut self, tls: &TlsSettings, role: CertificateRole) -> Option<Read> {
        let path = host(tls.trusted_ca.as_ref())?;
        let read = self.read(path, role)?;
        let first = read.first()?;
        self.certificates.push(CertificateFile {
            role,
            path: path.to_owned(),
            key: None,
            usability: Some(first.usability(None, None)),
        });
        if !read.chain.iter().any(|it| it.is_authority) {
            self.findings.push(
                Finding::error(
                    "authority-is-no-authority",
                    format!(
                        "{} is given as {}, and it is the certificate of {}, which signs nothing",
                        path.display(),
                        used_as(role),
                        named(first)
                    ),
                )
                .with_remedy("name the file of the authority that signs, like ca.crt")
                .at(path),
            );
        }
        self.time(path, first);
        Some(read)
    }

    fn pair(
        &mut self,
        tls: &TlsSettings,
        role: CertificateRole,
        authority: Option<&Read>,
    ) -> Option<Read> {
        let path = host(tls.certificate.as_ref())?;
        let key = host(tls.key.as_ref());
        let read = self.read(path, role)?;
        let first = read.first()?;
        let key_fits = key.and_then(|key| self.key_fits(key, path, first));
        // Servers of a cluster are clients of each other by the same certificate.
        let is_trusted =
            authority.and_then(|authority| signature::leads_to(&read.chain, &authority.chain));
        self.certificates.push(CertificateFile {
            role,
            path: path.to_owned(),
            key: key.map(Path::to_owned),
            usability: Some(first.usability(key_fits, is_trusted)),
        });
        if first.is_authority {
            self.findings.push(
                Finding::error(
                    "certificate-is-authority",
                    format!("{} is given as {}, and it is the certificate of an authority, {}", path.display(), used_as(role), named(first)),
                )
                .with_remedy("name the server's own certificate: an authority's key does not belong on a server's command line")
                .at(path),
            );
        } else if !first.for_servers {
            self.findings.push(
                Finding::error(
                    "certificate-not-for-servers",
                    format!(
                        "{} is given as {}, and it is only for clients ({})",
                        path.display(),
                        used_as(role),
                        named(first)
                    ),
                )
                .with_remedy(
                    "name the server's certificate, or have it made with the usage server auth",
                )
                .at(path),
            );
        } else if !first.for_clients && tls.client_cert_auth {
            self.findings.push(
                Finding::error(
                    "certificate-not-for-clients",
                    format!(
                        "{} ({}) is only for servers, and etcd shows it as a client too, to its peers and to itself",
                        path.display(),
                        named(first)
                    ),
                )
                .with_remedy("have it made with both usages, server auth and client auth")
                .at(path),
            );
        }
        if is_trusted == Some(false) && tls.client_cert_auth && role == CertificateRole::Peer {
            self.findings.push(
                Finding::error(
                    "certificate-not-trusted",
                    format!(
                        "{} is signed by {}, and peers trust only what {} signed",
                        path.display(),
                        first
                            .issuer_name
                            .as_deref()
                            .unwrap_or("an unnamed authority"),
                        host(tls.trusted_ca.as_ref())
                            .unwrap_or(Path::new("?"))
                            .display()
                    ),
                )
                .with_remedy("all peers need certificates of one authority")
                .at(path),
            );
        }
        self.time(path, first);
        Some(read)
    }

    fn key_fits(&mut self, key: &Path, certificate: &Path, facts: &Facts) -> Option<bool> {
        match file::public_key(self.inspection.root, key) {
            Ok(Some(public)) => {
                let fits = public == facts.public_key;
                if !fits {
                    self.findings.push(
                        Finding::error(
                            "certificate-key-mismatch",
                            format!(
                                "the key {} is not the one of {}",
                                key.display(),
                                certificate.display()
                            ),
                        )
                        .with_remedy("name the key that was made with the certificate")
                        .at(key),
                    );
                }
                Some(fits)
            }
            Ok(None) => None,
            Err(trouble) => {
                self.findings.push(unusable(key, "a key", &trouble, "key"));
                None
            }
        }
    }

    fn time(&mut self, path: &Path, facts: &Facts) {
        let now = self.inspection.now;
        let about = format!("{} ({})", path.display(), named(facts));
        let finding = if facts.not_after() < now {
            Finding::error(
                "certificate-expired",
                format!("{about} has expired on {}", rfc3339(facts.not_after())),
            )
            .with_remedy("renew it, as with `kubeadm certs renew all`, and restart what uses it")
        } else if facts.not_before() > now {
            Finding::error(
                "certificate-not-yet-valid",
                format!("{about} is valid only from {}", rfc3339(facts.not_before())),
            )
            .with_remedy("look at the clock of this machine")
        } else if facts.not_after() < now + SOON {
            Finding::warning(
                "certificate-expires-soon",
                format!("{about} expires on {}", rfc3339(facts.not_after())),
            )
            .with_remedy("renew it before that, as with `kubeadm certs renew all`")
        } else {
            return;
        };
        let finding = finding.at(path);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Whether the server may be at the address where it is dialled.
    fn names(&mut self, server: &Read, etcd: &Etcd) {
        let Some(facts) = server.first() else { return };
        let uncovered: Vec<_> = etcd
            .endpoints()
            .into_iter()
            .filter(|url| url.starts_with("https://"))
            .filter(|url| host_of(url).is_some_and(|host| !facts.covers(&host)))
            .collect();
        if uncovered.is_empty() {
            return;
        }
        let local = uncovered.iter().all(|url| is_loopback(url));
        let sentence = format!(
            "{} is not for {}: it is for {}",
            server.path.display(),
            uncovered.join(", "),
            facts.names.join(", ")
        );
        let finding = match local {
            true => Finding::note("certificate-not-for-loopback", sentence),
            false => Finding::warning("certificate-names", sentence).with_remedy(
                "have it made for every name and address at which clients reach this member",
            ),
        };
        self.findings.push(finding.at(&server.path));
    }

    fn identity(
        &mut self,
        etcd: &Etcd,
        server: Option<&Read>,
        trusted: Option<&Read>,
    ) -> Option<ClientIdentity> {
        let secured = etcd.endpoints().first().is_some_and(|url| is_secured(url));
        if !secured {
            return None;
        }
        let authority = self.server_authority(etcd, server)?;
        if !etcd.client_tls.client_cert_auth {
            return Some(ClientIdentity {
                authority,
                certificate: None,
                key: None,
                because: "no certificate is asked for".to_owned(),
            });
        }
        let mut reasons = Vec::new();
        for pair in layouts::pairs(etcd, self.inspection.root, &self.inspection.pairs) {
            match self.fits(&pair, trusted) {
                Ok(file) => {
                    let known = self.certificates.iter().any(|it| it.path == file.path);
                    if !known {
                        self.certificates.push(file);
                    }
                    return Some(ClientIdentity {
                        authority,
                        certificate: Some(pair.certificate),
                        key: Some(pair.key),
                        because: pair.because,
                    });
                }
                Err(Some(reason)) => {
                    reasons.push(format!("{} {reason}", pair.certificate.display()));
                }
                // Not there.
                Err(None) => {}
            }
        }
        let tried = match reasons.is_empty() {
            true => "no pair of certificate and key was found where they usually lie".to_owned(),
            false => reasons.join("; "),
        };
        self.findings.push(
            Finding::error("client-certificate-missing", format!("nothing on this machine fits a client of this member: {tried}"))
                .with_remedy("name a pair with --cert and --key that the authority of --trusted-ca-file has signed for clients"),
        );
        None
    }

    /// Who signed what the server shows: the authority that clients have to trust.
    fn server_authority(&mut self, etcd: &Etcd, server: Option<&Read>) -> Option<PathBuf> {
        let mut first = None;
        for path in layouts::authorities(etcd, &self.inspection.authorities) {
            let Ok(chain) = file::certificates(self.inspection.root, &path) else {
                continue;
            };
            let fits = server
                .is_none_or(|server| signature::leads_to(&server.chain, &chain) != Some(false));
            if fits {
                return Some(path);
            }
            first.get_or_insert(path);
        }
        if let (Some(server), Some(tried)) = (server, first) {
            self.findings.push(
                Finding::error(
                    "certificate-authority-unknown",
                    format!(
                        "{} is signed by {}, whose certificate was not found on this machine; {} is another one",
                        server.path.display(),
                        server.first().and_then(|it| it.issuer_name.as_deref()).unwrap_or("an unnamed authority"),
                        tried.display()
                    ),
                )
                .with_remedy("name it with --cacert")
                .at(&server.path),
            );
        } else if !etcd.client_tls.auto && etcd.client_tls.trusted_ca.is_none() {
            // One that is named and cannot be read was found already.
            self.findings.push(
                Finding::error("certificate-authority-unknown", "no certificate of an authority was found that a client could check this member by")
                    .with_remedy("name it with --cacert"),
            );
        }
        None
    }

    /// Why a pair does not fit a client; `None` within where it is not there.
    fn fits(&self, pair: &Pair, trusted: Option<&Read>) -> Result<CertificateFile, Option<String>> {
        let root = self.inspection.root;
        let chain = match file::certificates(root, &pair.certificate) {
            Ok(chain) => chain,
            Err(Trouble::Missing) => return Err(None),
            Err(trouble) => return Err(Some(trouble.words())),
        };
        let facts = chain.first().ok_or(None)?;
        let refuse = |why: &str| Err(Some(why.to_owned()));
        if facts.is_authority {
            return refuse("is an authority's");
        }
        if !facts.for_clients {
            return refuse("is not for clients");
        }
        if !facts.is_timely(self.inspection.now) {
            return refuse("has expired, or is not valid yet");
        }
        let is_trusted =
            trusted.and_then(|authority| signature::leads_to(&chain, &authority.chain));
        if is_trusted == Some(false) {
            return refuse("is not signed by the authority that the server asks for");
        }
        let key_fits = match file::public_key(root, &pair.key) {
            Ok(public) => public.map(|public| public == facts.public_key),
            Err(trouble) => {
                return Err(Some(format!(
                    "has a key, {}, that {}",
                    pair.key.display(),
                    trouble.words()
                )));
            }
        };
        if key_fits == Some(false) {
            return refuse("has a key that is not its own");
        }
        Ok(CertificateFile {
            role: CertificateRole::Client,
            path: pair.certificate.clone(),
            key: Some(pair.key.clone()),
            usability: Some(facts.usability(key_fits, is_trusted)),
        })
    }
}

fn named(facts: &Facts) -> String {
    facts
        .common_name
        .clone()
        .unwrap_or_else(|| "a certificate without a name".to_owned())
}

/// The host of a URL, without the brackets of an address.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (host, _) = rest.rsplit_once(':')?;
    Some(
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
    )
}

fn unusable(path: &Path, used_as: &str, trouble: &Trouble, kind: &str) -> Finding {
    let finding = match trouble {
        Trouble::Missing => Finding::error(&format!("{kind}-absent"), format!("{}, given as {used_as}, is not there", path.display()))
            .with_remedy("without it etcd does not start; on a node that was taken over in part, bring its certificates back first"),
        Trouble::Unreadable(_) => Finding::warning(&format!("{kind}-unreadable"), format!("{}, given as {used_as}, {}", path.display(), trouble.words()))
            .with_remedy("run this as root, or as the user of etcd"),
        Trouble::OtherHalf if kind == "certificate" => {
            Finding::error("certificate-is-key", format!("{}, given as {used_as}, holds a private key", path.display()))
                .with_remedy("certificate and key have changed places")
        }
        Trouble::OtherHalf => Finding::error("key-is-certificate", format!("{}, given as {used_as}, holds a certificate", path.display()))
            .with_remedy("certificate and key have changed places"),
        Trouble::Else(_) => Finding::error(&format!("{kind}-invalid"), format!("{}, given as {used_as}, {}", path.display(), trouble.words()))
            .with_remedy("bring the right file back from a copy, or have it made anew"),
    };
    finding.at(path)
}

impl Trouble {
    /// As in `server.crt WORDS`.
    fn words(&self) -> String {
        match self {
            Self::Missing => "is not there".to_owned(),
            Self::Unreadable(why) => format!("cannot be read: {why}"),
            Self::OtherHalf => "is the other half of a pair".to_owned(),
            Self::Else(what) => what.clone(),
        }
    }
}
