//! A Maintenance server that serves a snapshot from a file, and can lie, stall and break off.
//!
//! ```no_run
//! use etcd_snap_testdata::fake::{Fault, Server};
//!
//! # fn main() -> anyhow::Result<()> {
//! let server = Server::serving("snapshots/3.6.db")?
//!     .with_fault(Fault::EndAfter(65_536))
//!     .start()?;
//! println!("{}", server.endpoint());
//! # Ok(())
//! # }
//! ```
//!
//! It runs on a thread and a runtime of its own until it is dropped, so that it answers whatever the test's own runtime does.

mod connection;
mod members;
mod pace;
mod service;
mod stream;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::certificates::{Authority, Identity};

pub use members::{Hash, HashAnswer, Listed};
pub use stream::Fault;

/// Bytes of a SHA-256, which end a snapshot file.
const DIGEST: usize = 32;

/// What a server shall be, before it runs.
#[derive(Clone)]
pub struct Server {
    snapshot: Arc<[u8]>,
    chunk_bytes: usize,
    faults: Vec<Fault>,
    pace: Option<Pace>,
    auth: Option<Auth>,
    token: String,
    version: String,
    tls: Option<Arc<ServerConfig>>,
    cluster_id: u64,
    member_id: u64,
    revision: i64,
    health: Health,
    hashes: Vec<HashAnswer>,
    members: Arc<Mutex<Vec<Listed>>>,
}

/// Users, and in which words a server refuses them.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The one user there is.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Whether it has the role `root`.
    pub is_root: bool,
    /// The words and codes of etcd 3.6 and newer, instead of those of 3.4 and 3.5.
    pub modern: bool,
}

/// How a member says it is. By itself it is a follower of member 1, and all is well.
#[derive(Debug, Clone)]
pub struct Health {
    /// The leader that it knows; 0 is none.
    pub leader: u64,
    /// Whether it is a learner.
    pub is_learner: bool,
    /// The term of its leader.
    pub raft_term: u64,
    /// The last entry that it has applied.
    pub applied_index: u64,
    /// Bytes of its database; 0 is not said.
    pub database_bytes: i64,
    /// Alarms, as text.
    pub errors: Vec<String>,
    /// Says nothing to Status, ever.
    pub silent: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            leader: 1,
            is_learner: false,
            raft_term: 2,
            applied_index: 100_000,
            database_bytes: 0,
            errors: Vec::new(),
            silent: false,
        }
    }
}

/// How slowly bytes leave, below the messages.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes of each HTTP/2 frame.
    pub piece_bytes: usize,
    /// Time between two of them.
    pub every: Duration,
    /// After so many bytes it becomes fast.
    pub for_bytes: usize,
}

/// A server that runs. Dropping it ends it and every connection.
pub struct Running {
    address: SocketAddr,
    scheme: &'static str,
    members: Arc<Mutex<Vec<Listed>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Serves this snapshot file, in chunks of 32 KiB as etcd does, without TLS and without auth.
    ///
    /// # Errors
    /// A file that cannot be read, or that is too short for a digest.
    pub fn serving(snapshot: impl AsRef<Path>) -> Result<Self> {
        let path = snapshot.as_ref();
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            bytes.len() > DIGEST,
            "{} is too short to be a snapshot",
            path.display()
        );
        Ok(Self::serving_bytes(bytes))
    }

    /// Serves these bytes: a database, and the 32 bytes of its digest.
    #[must_use]
    pub fn serving_bytes(snapshot: impl Into<Arc<[u8]>>) -> Self {
        Self {
            snapshot: snapshot.into(),
            chunk_bytes: 32 << 10,
            faults: Vec::new(),
            pace: None,
            auth: None,
            token: "fake.1".to_owned(),
            version: "3.6.14".to_owned(),
            tls: None,
            cluster_id: 0xcdf8_1818_e32c_b7cd,
            member_id: 0x8e9e_05c5_2164_694d,
            revision: 1000,
            health: Health::default(),
            hashes: Vec::new(),
            members: Arc::default(),
        }
    }

    /// Bytes of each message.
    #[must_use]
    pub fn with_chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes.max(1);
        self
    }

    /// Misbehaves like this; several faults add up.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Lets the bytes of the stream out slowly.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Wants a login.
    #[must_use]
    pub fn with_auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Says that it is this version of etcd.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    /// Says that it is this member.
    #[must_use]
    pub fn with_member_id(mut self, id: u64) -> Self {
        self.member_id = id;
        self
    }

    /// Says that it belongs to this cluster.
    #[must_use]
    pub fn with_cluster_id(mut self, id: u64) -> Self {
        self.cluster_id = id;
        self
    }

    /// Says that it is at this revision.
    #[must_use]
    pub fn with_revision(mut self, revision: i64) -> Self {
        self.revision = revision;
        self
    }

    /// Says of itself that it is so.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Takes this token, as if somebody had logged in with it.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = token.to_owned();
        self
    }

    /// Answers HashKV so. Of several answers, the first one for the revision that is asked for is given; for any other it
    /// says that the revision is in the future. Without any, it does not know the question.
    #[must_use]
    pub fn with_hash(mut self, answer: HashAnswer) -> Self {
        self.hashes.push(answer);
        self
    }

    /// Speaks TLS as this server; wants client certificates of `clients`, if given.
    ///
    /// # Errors
    /// PEM that makes no server.
    pub fn with_tls(mut self, identity: &Identity, clients: Option<&Authority>) -> Result<Self> {
        self.tls = Some(Arc::new(server_config(identity, clients)?));
        Ok(self)
    }

    /// Begins to listen on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port, no thread.
    pub fn start(self) -> Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let members = Arc::clone(&self.members);
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("fake-etcd".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener).expect("it listens");
                    tokio::select! {
                        () = connection::accept(listener, self) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Running {
            address,
            scheme,
            members,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Running {
    /// `http://127.0.0.1:port`, or `https://`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Lists these members from now on, instead of only itself without any URL.
    pub fn list(&self, members: &[Listed]) {
        *self.members.lock().expect("nobody panics with it") = members.to_vec();
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn server_config(identity: &Identity, clients: Option<&Authority>) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            let pem = authority.certificate_pem();
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?;
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
