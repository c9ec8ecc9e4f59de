//! The online half: clusters, TLS, and the few RPCs that backups need.

pub mod api;
mod ask;
mod auth;
mod choose;
mod cluster;
mod connect;
mod counted;
#[cfg(feature = "discovery")]
mod discovery;
mod endpoint;
mod endpoints;
mod explain;
mod fitness;
mod generated;
mod maintenance;
mod members;
mod probe;
mod tls;
mod together;
mod witness;

pub use auth::Password;
pub use cluster::Cluster;
#[cfg(feature = "discovery")]
pub use discovery::{Discovered, Discovery};
pub use tls::{Tls, TlsBuilder};

pub(crate) use choose::{Candidates, reach};
pub(crate) use endpoint::Endpoint;
pub(crate) use maintenance::{KvHash, Member, MemberStatus, NoHash, SnapshotStream};
pub(crate) use members::ListedMember;
pub(crate) use together::together;

use crate::{Error, ErrorKind, Result};

/// Runs one verb for a program without a runtime.
pub(crate) fn block_on<T>(name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(Error::invalid(format!(
            "{name}_blocking was called from async code: await {name} there"
        )));
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(ErrorKind::Io, "cannot start a runtime").with_source(e))?
        .block_on(work)
}
