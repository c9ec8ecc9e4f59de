//! Takes, proves and restores snapshots of etcd, the database under every Kubernetes cluster, without Go.

mod backend;
mod bbolt;
#[cfg(feature = "client")]
mod client;
mod cursor;
mod digest;
mod error;
mod io;
mod membership;
mod observe;
mod problem;
mod raft;
mod restore;
#[cfg(feature = "stream")]
mod save;
mod snapshot;
mod sniff;
mod status;
mod verify;

pub use backend::Revision;
pub use bbolt::PageId;
#[cfg(feature = "client")]
pub use client::{Cluster, Password, Tls, TlsBuilder};
pub use digest::Digest;
pub use error::{Error, ErrorKind, Result};
pub use io::ReadAt;
pub use membership::{ClusterId, MemberId, NewCluster, NewMember, PeerUrl, PeerUrls};
pub use observe::{Event, Observer, Phase, Silent};
pub use problem::{Problem, ProblemCode, Severity};
pub use restore::{Bump, MemberTarget, RestoreOptions, RestoreReport, RestoredMember, restore};
#[cfg(feature = "stream")]
pub use save::{Chunk, SaveDurations, SaveOptions, SaveReport, Target, save_chunks};
#[cfg(feature = "client")]
pub use save::{save, save_blocking};
pub use snapshot::Snapshot;
pub use status::{Status, StatusOptions, status, status_with};
pub use verify::{Contents, DigestCheck, VerifyOptions, VerifyReport, verify};

/// Milliseconds since `started`, for reports.
fn milliseconds(started: std::time::Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
