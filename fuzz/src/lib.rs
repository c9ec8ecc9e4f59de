//! What the targets do: one module each, and what they share. An ordinary test of etcd-snap takes the same modules to replay the
//! corpus.

/// The hand-made databases of the tests, without the servers and certificates that the crate brings along.
#[allow(unused_imports, reason = "other rooms of that crate use them")]
#[path = "../../testdata/src/database/mod.rs"]
pub mod database;
pub mod initial_cluster;
pub mod input;
pub mod judge;
pub mod node;
pub mod pages;
pub mod records;
pub mod restore;
pub mod snapshot;
pub mod squeeze;
