//! The settings that count, with etcd's defaults where nobody made any.

use std::path::{Path, PathBuf};

use super::{Configuration, urls, values};
use crate::ClusterEntry;

const DEFAULT_NAME: &str = "default";
const DEFAULT_PEER_URL: &str = "http://localhost:2380";
const DEFAULT_CLIENT_URL: &str = "http://localhost:2379";

/// What etcd was told of TLS for one of its two sides, in paths as etcd sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) trusted_ca: Option<PathBuf>,
    /// Whether certificates are asked of the other side: by the flag, or because there is an authority.
    pub(crate) client_cert_auth: bool,
    /// Whether etcd makes its certificates itself: where that is asked for, and none are given.
    pub(crate) auto: bool,
}

impl Configuration {
    /// The value of a setting that somebody made.
    pub(crate) fn value(&self, flag: &str) -> Option<&str> {
        self.settings
            .get(flag)
            .map(|setting| setting.value.as_str())
    }

    /// Whether a shell decides about the value of this setting, so that what is written is not what counts.
    pub(crate) fn is_unknown(&self, flag: &str) -> bool {
        self.unknown.contains(flag)
    }

    /// Whether the path of the data is known. Without `data-dir`, the name is part of it.
    pub(crate) fn knows_data_dir(&self) -> bool {
        let decides = match self.filled("data-dir") {
            Some(_) => "data-dir",
            None => "name",
        };
        !self.is_unknown(decides)
    }

    /// The same, where an empty value is as good as none.
    pub(super) fn filled(&self, flag: &str) -> Option<&str> {
        self.value(flag).filter(|value| !value.is_empty())
    }

    /// The name of the member.
    pub(crate) fn name(&self) -> &str {
        self.value("name").unwrap_or(DEFAULT_NAME)
    }

    /// The data directory as etcd sees it. Relative only where it is, and nobody knows where etcd is started.
    pub(crate) fn data_dir(&self) -> PathBuf {
        match self.filled("data-dir") {
            Some(path) => self.absolute(path),
            None => self.absolute(&format!("{}.etcd", self.name())),
        }
    }

    /// The directory of the WAL, where it is one of its own.
    pub(crate) fn wal_dir(&self) -> Option<PathBuf> {
        self.filled("wal-dir").map(|path| self.absolute(path))
    }

    /// Where it takes clients.
    pub(crate) fn listen_client_urls(&self) -> Vec<String> {
        self.urls("listen-client-urls", &[DEFAULT_CLIENT_URL])
    }

    /// Where it says that clients reach it. None where etcd refuses that: with flags, `listen-client-urls` takes the default away.
    pub(crate) fn advertise_client_urls(&self) -> Vec<String> {
        let default: &[&str] =
            if self.config_file.is_none() && self.settings.contains_key("listen-client-urls") {
                &[]
            } else {
                &[DEFAULT_CLIENT_URL]
            };
        self.urls("advertise-client-urls", default)
    }

    /// Where it takes its peers.
    pub(crate) fn listen_peer_urls(&self) -> Vec<String> {
        self.urls("listen-peer-urls", &[DEFAULT_PEER_URL])
    }

    /// Where it says that its peers reach it.
    pub(crate) fn initial_advertise_peer_urls(&self) -> Vec<String> {
        self.urls("initial-advertise-peer-urls", &[DEFAULT_PEER_URL])
    }

    /// The cluster that it is founded as, or joins; empty where somebody else is asked for it, or a shell decides about it.
    pub(crate) fn initial_cluster(&self) -> Vec<ClusterEntry> {
        let decides = match self.value("initial-cluster") {
            Some(_) => ["initial-cluster"].as_slice(),
            None => ["name", "initial-advertise-peer-urls"].as_slice(),
        };
        if decides.iter().any(|setting| self.is_unknown(setting)) {
            return Vec::new();
        }
        let default = format!("{DEFAULT_NAME}={DEFAULT_PEER_URL}");
        match self.value("initial-cluster") {
            // What reads like the default is taken for it.
            Some(cluster) if cluster != default => urls::cluster(cluster),
            None if self.is_discovered() => Vec::new(),
            // etcd makes a default of the name only where it has one: without a name, the advertised URLs do not count.
            _ if self.name() == DEFAULT_NAME => urls::cluster(&default),
            _ => {
                let name = if self.name().is_empty() {
                    DEFAULT_NAME
                } else {
                    self.name()
                };
                let urls = self.initial_advertise_peer_urls().into_iter();
                urls.map(|peer_url| ClusterEntry {
                    name: name.to_owned(),
                    peer_url,
                })
                .collect()
            }
        }
    }

    /// Whether the cluster is looked up elsewhere.
    pub(super) fn is_discovered(&self) -> bool {
        [
            "discovery",
            "discovery-srv",
            "discovery-srv-name",
            "discovery-endpoints",
        ]
        .iter()
        .any(|flag| self.filled(flag).is_some())
    }

    /// `new` or `existing`.
    pub(crate) fn initial_cluster_state(&self) -> &str {
        self.filled("initial-cluster-state").unwrap_or("new")
    }

    /// The word that the ids are made with.
    pub(crate) fn initial_cluster_token(&self) -> &str {
        self.value("initial-cluster-token")
            .unwrap_or("etcd-cluster")
    }

    /// The quota of the database; `None` for etcd's own of 2 GiB, and for none at all (a negative number).
    pub(crate) fn quota_bytes(&self) -> Option<u64> {
        let quota = values::number(self.value("quota-backend-bytes")?)?;
        u64::try_from(quota).ok().filter(|quota| *quota > 0)
    }

    /// A boolean that is off unless somebody set it. What cannot be read is taken for off, which a finding says.
    pub(crate) fn is_on(&self, flag: &str) -> bool {
        self.value(flag).and_then(values::boolean).unwrap_or(false)
    }

    /// TLS for clients.
    pub(crate) fn client_tls(&self) -> TlsFiles {
        self.tls("")
    }

    /// TLS for peers.
    pub(crate) fn peer_tls(&self) -> TlsFiles {
        self.tls("peer-")
    }

    fn tls(&self, side: &str) -> TlsFiles {
        let path = |name: &str| {
            let path = self.filled(&format!("{side}{name}"))?;
            Some(self.absolute(path))
        };
        let certificate = path("cert-file");
        let key = path("key-file");
        let trusted_ca = path("trusted-ca-file");
        TlsFiles {
            client_cert_auth: trusted_ca.is_some()
                || self.is_on(&format!("{side}client-cert-auth")),
            auto: self.is_on(&format!("{side}auto-tls")) && certificate.is_none() && key.is_none(),
            certificate,
            key,
            trusted_ca,
        }
    }

    fn urls(&self, flag: &str, default: &[&str]) -> Vec<String> {
        match self.filled(flag) {
            Some(list) if self.is_unknown(flag) => urls::listed_with(list, &self.unresolved),
            Some(list) => urls::listed(list),
            None => default.iter().map(|&url| url.to_owned()).collect(),
        }
    }

    /// The path from where etcd is started, if that is known.
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        match &self.working_directory {
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }
}
