//! The online half: clusters, TLS, and the few RPCs that backups need.

mod auth;
mod choose;
mod cluster;
mod connect;
mod counted;
mod endpoint;
mod explain;
mod generated;
mod maintenance;
mod probe;
mod tls;
mod witness;

pub use auth::Password;
pub use cluster::Cluster;
pub use tls::{Tls, TlsBuilder};

pub(crate) use choose::choose;
