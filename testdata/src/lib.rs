//! Real etcd servers, certificates, fake servers and damaged files for the tests.
//!
//! A test that wants a real cluster starts here:
//!
//! ```no_run
//! use etcd_snap_testdata::{cluster::Cluster, etcd::Version};
//!
//! # fn main() -> anyhow::Result<()> {
//! let cluster = Cluster::builder(Version::V3_6).members(3).start()?;
//! cluster.etcdctl(["put", "a", "b"])?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything that can fail returns an [`anyhow::Error`] with the output of the program that failed: tests return
//! `anyhow::Result<()>` and use `?`.

use std::path::PathBuf;

pub mod bulk;
pub mod certificates;
pub mod cluster;
pub mod corpus;
pub mod database;
pub mod dns;
pub mod etcd;
pub mod fake;
pub mod fuzz;
mod generated;
pub mod golden;
pub mod node;
mod process;
pub mod relay;
mod sample;

pub use process::{copy_program, stoppable, write_program};
pub use sample::{FULL, SEED, sample};

/// The folder of this crate in the source tree, where the small files lie.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The workspace's build folder: `CARGO_TARGET_DIR`, or `target` beside the workspace's manifest.
pub fn target_folder() -> PathBuf {
    let workspace = folder().join("..");
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace.join(folder),
        None => workspace.join("target"),
    }
}
