//! Takes, proves and restores snapshots of etcd, the database under every Kubernetes cluster, without Go.
//!
//! Ten verbs, each with its options and its report:
//!
//! * `save` (feature `client`, on by default) takes a snapshot from a running server; `save_chunks` (feature `stream`) from
//!   any stream of chunks. The file gets its name when digest, pages and records are checked.
//! * [`verify`] proves a file, and names every problem with page and offset; [`verify_stream`] proves what can be read only
//!   once, as far as that shows.
//! * [`status`] gives the numbers that etcd's own tools print, and [`fast_status`] in milliseconds what a few pages tell.
//! * [`hash_kv`] gives the hash by which members compare their keys, as a live one would answer it.
//! * [`keys`] looks single keys of a file up: whether one is there, how many begin alike, some by chance.
//! * `attest` (feature `client`) compares a file with what the living members of its cluster hold.
//! * `api` (feature `client`) asks members single questions: status, members, alarms, keys.
//! * [`restore`] makes the data directories of new members, whole or not at all. A [`RestorePlan`] says the same to all nodes,
//!   [`decide_bump`] how far the revision has to move, and [`compare_restored`] whether directories belong together.
//! * [`swap_member`] puts a member in place that was restored aside, and [`undo_restore`] puts the old one back;
//!   [`check_swap`] says beforehand what would be refused, and [`require_stopped`] asks whether a server uses a data directory.
//! * [`defrag`] writes the database of a stopped member anew, without the pages that nobody uses.
//! * [`squeeze`] writes a snapshot file anew, without them.
//! * [`migrate`] makes the data of a stopped member fit for another minor of etcd.
//!
//! What asks a cluster is async and needs a tokio runtime (`save_blocking` and `attest_blocking` bring one); the other verbs
//! are ordinary blocking functions.
//! Nothing here prints, installs a global, or reads the environment, but for `SSL_CERT_FILE` and `SSL_CERT_DIR` when the
//! system's authorities are asked for.
//!
//! ```
//! use etcd_snap::{MemberTarget, NewCluster, RestoreOptions, Snapshot, VerifyOptions};
//!
//! # let folder = tempfile::tempdir()?;
//! # let backup = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/snapshots/3.6.db");
//! # let data_dir = folder.path().join("new");
//! let snapshot = Snapshot::open(backup)?;
//! let proof = etcd_snap::verify(&snapshot, &VerifyOptions::default())?.into_proven()?;
//! println!("revision {}, {} keys", proof.contents.revision, proof.contents.live_keys);
//!
//! let cluster = NewCluster::parse("m1=https://10.0.0.1:2380", "a-fresh-token")?;
//! let targets = [MemberTarget::new("m1", &data_dir)];
//! let restored = etcd_snap::restore(&snapshot, &cluster, &targets, &RestoreOptions::default())?;
//! assert!(restored.members[0].data_dir.join("member/snap/db").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

#[cfg(feature = "client")]
mod apart;
#[cfg(feature = "stream")]
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod attest;
mod backend;
mod bbolt;
#[cfg(feature = "client")]
mod client;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod cursor;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod data_dir;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod defrag;
mod digest;
mod error;
#[cfg(feature = "etcd-client")]
pub mod etcd_client;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod fast_status;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod hash_kv;
mod io;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
pub mod keys;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod manifest;
mod membership;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod migrate;
mod observe;
mod path_text;
mod problem;
mod raft;
mod restore;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod rewritten;
#[cfg(feature = "stream")]
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod save;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod snapshot;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod sniff;
mod squeeze;
mod status;
#[cfg(feature = "stream")]
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod stream;
mod utc;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod verify;

#[cfg(feature = "client")]
pub use attest::{AttestOptions, attest, attest_blocking};
#[cfg(feature = "stream")]
pub use attest::{
    AttestReport, AttestVerdict, AttestedMember, CannotTell, MemberVerdict, Unproven,
};
pub use backend::{Revision, StorageVersion};
pub use bbolt::PageId;
#[cfg(feature = "client")]
pub use client::{Cluster, Password, Tls, TlsBuilder, api};
#[cfg(feature = "discovery")]
pub use client::{Discovered, Discovery};
pub use data_dir::require_stopped;
pub use defrag::{DefragOptions, DefragReport, defrag};
pub use digest::Digest;
pub use error::{Error, ErrorKind, Result};
pub use fast_status::{FastStatus, fast_status};
pub use hash_kv::{HashKv, HashKvOptions, hash_kv};
pub use io::ReadAt;
pub use manifest::Manifest;
pub use membership::{ClusterId, MemberId, NewCluster, NewMember, PeerUrl, PeerUrls};
pub use migrate::{MigrateOptions, MigrateReport, migrate};
pub use observe::{Event, Observer, Phase, Silent};
pub use problem::{Problem, ProblemCode, Severity};
pub use restore::{
    Bump, Bumped, CompareOptions, CompareReport, ComparedBy, ComparedMember, Dropped, FoundAlarm,
    FoundAuth, FoundLeases, FoundMember, Inventory, MemberTarget, Owner, PlanFile, PlannedMember,
    Replaced, RestoreOptions, RestorePlan, RestoreReport, RestoredMember, Seen, SeenIn,
    SnapshotMember, SwapOptions, SwapReport, UndoOptions, UndoReport, check_swap, compare_restored,
    decide_bump, is_half_changed, restore, snapshot_members, swap_member, undo_restore,
};
#[cfg(feature = "stream")]
pub use save::{Attest, SaveDurations, SaveOptions, SaveReport, Target, save_chunks};
#[cfg(feature = "client")]
pub use save::{save, save_blocking};
pub use snapshot::Snapshot;
pub use squeeze::{SqueezeOptions, SqueezeReport, squeeze};
pub use status::{Status, StatusOptions, status, status_with};
#[cfg(feature = "stream")]
pub use stream::{Chunk, EndpointPolicy, PassedOver, PassedOverReason};
pub use verify::{
    BucketContents, Contents, DigestCheck, LargeRecord, Proof, ProofKind, StreamReport,
    VerifyOptions, VerifyReport, verify, verify_stream,
};

/// Milliseconds since `started`, for reports.
fn milliseconds(started: std::time::Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The README's example, compiled.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
struct Readme;
