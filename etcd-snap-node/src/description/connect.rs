//! From a description to a connection, and to the identity of a restore.

use std::collections::BTreeSet;
use std::path::PathBuf;

use etcd_snap::{Cluster, MemberTarget, NewCluster, PeerUrls, Tls, TlsBuilder};

use super::urls::{dialled, is_loopback, is_secured, is_unresolved};
use super::{ClientIdentity, Etcd, Place};
use crate::{Error, ErrorKind, Result, Root, RunBy};

impl Etcd {
    /// Where a client on this machine reaches the member: loopback first, then what it listens at, then what it advertises. Of URLs in
    /// which a shell puts the address only when it starts etcd, loopback is all that can be tried.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let listened = self.listen_client_urls.iter().map(|url| dialled(url));
        let mut endpoints: Vec<String> = Vec::new();
        let advertised = self.advertise_client_urls.iter().cloned();
        for url in listened.chain(advertised) {
            if !endpoints.contains(&url) && !is_unresolved(&url) {
                endpoints.push(url);
            }
        }
        endpoints.sort_by_key(|url| !is_loopback(url));
        endpoints
    }

    /// The connection of a client to this member, with the certificate that fits. Only the first endpoint is in it: the others lead to
    /// the same member.
    ///
    /// # Errors
    /// `Misconfigured` where there is no endpoint, or a certificate is asked for and none fits; those of the library for
    /// certificates that cannot be read.
    pub fn cluster(&self, root: &Root) -> Result<Cluster> {
        let endpoint = self.endpoints().into_iter().next().ok_or_else(|| {
            Error::new(
                ErrorKind::Misconfigured,
                match self.listen_client_urls.is_empty() {
                    true => format!("{} listens nowhere for clients", self.title()),
                    false => format!(
                        "where {} listens for clients is not known: a shell decides about it when it starts etcd",
                        self.title()
                    ),
                },
            )
        })?;
        self.cluster_at(root, &[endpoint])
    }

    /// The same at other endpoints: its own, or those of other members of its cluster, which take the same certificates.
    ///
    /// # Errors
    /// As of [`cluster`](Self::cluster).
    pub fn cluster_at(&self, root: &Root, endpoints: &[String]) -> Result<Cluster> {
        let cluster = Cluster::new(endpoints)?;
        let secured = endpoints.iter().any(|url| is_secured(url));
        if !secured {
            return Ok(cluster);
        }
        let Some(identity) = &self.client_identity else {
            let reason = self
                .findings
                .iter()
                .find(|finding| {
                    finding.code.starts_with("certificate") || finding.code.starts_with("client-")
                })
                .map(|finding| format!(": {}", finding.message))
                .unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!(
                    "no certificate was found that fits a client of {}{reason}",
                    self.title()
                ),
            )
            .with_remedy("name them with --cacert, --cert and --key"));
        };
        Ok(cluster.with_tls(identity.tls(root).build()?))
    }

    /// Where its data is on the machine.
    ///
    /// # Errors
    /// `Misconfigured` where it is in a container's own layer, or nothing tells.
    pub fn host_data_dir(&self) -> Result<PathBuf> {
        on_machine(&self.data_dir, "data", self)
    }

    /// Where its WAL is on the machine, if it has a directory of its own.
    pub(crate) fn host_wal_dir(&self) -> Result<Option<PathBuf>> {
        let wal_dir = self.wal_dir.as_ref();
        let wal_dir = wal_dir.map(|it| on_machine(it, "WAL", self));
        wal_dir.transpose().map_err(|e| {
            e.with_remedy("mount a directory of the machine there, or leave --wal-dir out")
        })
    }

    /// Where a restore has to put the member, in paths that can be opened.
    ///
    /// # Errors
    /// `Misconfigured` where data or WAL are in a container's own layer, or the peer URLs are none.
    pub fn target(&self, root: &Root) -> Result<MemberTarget> {
        let target = MemberTarget::new(&self.name, root.open_as(&self.host_data_dir()?));
        Ok(match self.host_wal_dir()? {
            Some(wal_dir) => target.with_wal_dir(root.open_as(&wal_dir)),
            None => target,
        })
    }

    /// The cluster that `--initial-cluster` names, with this token.
    ///
    /// # Errors
    /// Those of the library, where it is no cluster.
    pub fn new_cluster(&self, token: &str) -> Result<NewCluster> {
        Ok(NewCluster::parse(&self.initial_cluster_list(), token)?)
    }

    /// The members that it was founded with or joined, as `--initial-cluster` has them.
    #[must_use]
    pub fn initial_cluster_list(&self) -> String {
        let entries = self.initial_cluster.iter();
        let entries: Vec<_> = entries
            .map(|entry| format!("{}={}", entry.name, entry.peer_url))
            .collect();
        entries.join(",")
    }

    /// The peer URLs that it advertises.
    ///
    /// # Errors
    /// Those of the library.
    pub fn peer_urls(&self) -> Result<PeerUrls> {
        let urls: BTreeSet<_> = self
            .initial_advertise_peer_urls
            .iter()
            .map(String::as_str)
            .collect();
        let urls: Vec<_> = urls.into_iter().collect();
        Ok(PeerUrls::parse(&urls.join(","))?)
    }
}

impl ClientIdentity {
    /// What TLS needs to know, to be added to and built; the files are read then.
    pub fn tls(&self, root: &Root) -> TlsBuilder {
        let tls = Tls::builder().ca_file(root.open_as(&self.authority));
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                tls.identity_files(root.open_as(certificate), root.open_as(key))
            }
            _ => tls,
        }
    }
}

/// `what` is its data, or its WAL.
fn on_machine(place: &Place, what: &str, etcd: &Etcd) -> Result<PathBuf> {
    if let Some(host) = &place.host {
        return Ok(host.clone());
    }
    if place.path.to_str().is_some_and(is_unresolved) {
        return Err(Error::new(
            ErrorKind::Misconfigured,
            format!(
                "where {} of {} leads is not known: a shell decides about it when it starts etcd",
                place.path.display(),
                etcd.title()
            ),
        )
        .with_path(&place.path)
        .with_remedy("write the path itself into what starts etcd"));
    }
    let (path, title) = (place.path.display(), etcd.title());
    let is_unread = etcd
        .findings
        .iter()
        .any(|it| it.code.starts_with("config-file-"));
    let sentence = match &etcd.run_by {
        // What is known of it are defaults.
        _ if is_unread => {
            format!("where the {what} of {title} is cannot be told without its configuration file")
        }
        RunBy::StaticPod { .. } => format!(
            "{path} of {title} is in no volume: it is in the container's own layer, which is lost with the container"
        ),
        RunBy::Process => format!("where {path} of {title} is on this machine cannot be told"),
        _ => format!(
            "no directory of this machine is mounted at {path} in the container of {title}: its {what} is lost with the container"
        ),
    };
    Err(Error::new(ErrorKind::Misconfigured, sentence).with_path(&place.path))
}
