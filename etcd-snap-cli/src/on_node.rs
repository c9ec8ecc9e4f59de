//! An etcd of this machine, which a command finds instead of being told of it.

use std::path::{Path, PathBuf};

use clap::Args;
use etcd_snap::{Cluster, ErrorKind, Seen, TlsBuilder};
use etcd_snap_node::{DiscoverOptions, Etcd, Root, discover};

use crate::connection::{self, Connection};
use crate::failure::Result;
use crate::journal;
use crate::render::text;

/// Whether an etcd is to be found, and where.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnNode {
    /// Find the etcd of this machine, and take what it takes from there
    #[arg(long, conflicts_with = "discovery_srv", help_heading = "Node")]
    pub(crate) discover: bool,
    /// The tree of the machine [default: /]
    #[arg(long, value_name = "DIR", requires = "discover", help_heading = "Node")]
    pub(crate) root: Option<PathBuf>,
}

/// An etcd that was found.
pub(crate) struct Found {
    pub(crate) root: Root,
    pub(crate) etcd: Etcd,
}

impl OnNode {
    /// The only etcd, or the one of this name; `None` where nobody wants one to be found.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<Option<Found>> {
        if !self.discover {
            return Ok(None);
        }
        let root = Root::new(self.root.as_deref().unwrap_or(Path::new("/")));
        let node = discover(&DiscoverOptions::default().with_root(root.clone()))?;
        let etcd = node.etcd(name)?.clone();
        Ok(Some(Found { root, etcd }))
    }
}

impl Found {
    /// The connection to the member, at the first of its endpoints that can be reached: they all lead to it. What the flags say of
    /// TLS and user comes before what was found.
    pub(crate) fn cluster(&self, connection: &Connection) -> Result<Cluster> {
        let own_files = connection.has_tls_files();
        let endpoints = self.etcd.endpoints();
        let mut candidates = Vec::new();
        for endpoint in &endpoints {
            let cluster = match connection.has_tls() {
                true => connection.cluster_at(endpoint, self.identity())?,
                // Where no certificate fits, this says why.
                false => self.etcd.cluster_at(&self.root, &[endpoint.to_owned()])?,
            };
            candidates.push((endpoint.clone(), cluster));
        }
        // The login is the same everywhere, and asked for once.
        let login = connection.credentials()?;
        let mut candidates = candidates
            .into_iter()
            .map(|(endpoint, cluster)| (endpoint, login.apply(connection.timed(cluster))))
            .collect::<Vec<_>>();
        let place = first_reached(&candidates)?;
        if candidates.is_empty() {
            // Says that it listens nowhere.
            return Ok(self.etcd.cluster(&self.root)?);
        }
        let (endpoint, cluster) = candidates.swap_remove(place);
        self.say(&endpoint, own_files);
        Ok(cluster)
    }

    fn identity(&self) -> Option<TlsBuilder> {
        let identity = self.etcd.client_identity.as_ref()?;
        Some(identity.tls(&self.root))
    }

    fn say(&self, endpoint: &str, own_files: bool) {
        let identity = self.etcd.client_identity.as_ref();
        let certificate = identity.and_then(|it| it.certificate.as_deref());
        let is_secured = endpoint.starts_with("https") || endpoint.starts_with("unixs");
        let shown = match (is_secured, own_files, certificate) {
            (false, ..) => "without TLS".to_owned(),
            (true, true, _) => "with the certificates that were named".to_owned(),
            (true, false, Some(certificate)) => format!("with {}", certificate.display()),
            (true, false, None) => "without a certificate".to_owned(),
        };
        journal::note(&format!(
            "found {}, asked at {endpoint} {}",
            text::visible(&self.etcd.title()),
            text::visible(&shown)
        ));
    }
}

/// Which of them answers; if none does, the first, whose error is then told.
fn first_reached(candidates: &[(String, Cluster)]) -> Result<usize> {
    if candidates.len() < 2 {
        return Ok(0);
    }
    let runtime = connection::runtime()?;
    let reached = candidates.iter().position(|(_, cluster)| {
        let asked = runtime.block_on(Seen::of_cluster(cluster));
        // Whatever else it says, it has answered.
        !asked.is_err_and(|error| error.kind() == ErrorKind::Connection)
    });
    Ok(reached.unwrap_or(0))
}
