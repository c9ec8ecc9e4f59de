//! The online half: clusters, TLS, and the few RPCs that backups need.

mod auth;
mod generated;
