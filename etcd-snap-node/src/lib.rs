//! How etcd runs on this machine, and what is to be done about it: the node's half of etcd-snap.
//!
//! Verbs, each with its options and its report:
//!
//! * [`discover`] finds every etcd of a machine and describes it: data, URLs, certificates, what is odd.
//! * [`drill`] proves that a snapshot restores: with a real etcd, and with numbers.
//! * [`plan_recovery`] says what bringing this node back would take, step by step; [`apply_recovery`] does it, with a journal that
//!   [`resume_recovery`] and [`roll_back_recovery`] follow after a crash at any point.
//! * [`doctor`] looks for everything that would make tonight's backup or tomorrow's restore fail.
//!
//! What is restored, and how it is proven, is the business of [`etcd_snap`]; here is only what a machine adds to it.
//! Nothing here prints or installs a global. All verbs block.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

mod certificates;
mod config;
mod description;
mod discover;
mod disk;
mod doctor;
mod drill;
mod error;
mod finding;
mod invocation;
mod links;
mod network;
mod observe;
mod process;
mod recover;
mod root;
mod static_pod;
mod systemd;
mod time;
mod users;

pub use description::{
    CertificateFile, CertificateRole, ClientIdentity, ClusterEntry, Data, Etcd, Layout, Mount,
    Node, Origin, Place, RunBy, RunningProcess, Setting, TlsSettings, Usability, Version,
};
pub use discover::{DiscoverOptions, discover};
pub use doctor::{DoctorOptions, DoctorReport, doctor};
pub use drill::{
    AgeFrom, DrillCondition, DrillEtcd, DrillFacts, DrillHash, DrillMember, DrillOptions,
    DrillOutcome, DrillReport, DrillStep, DrillVerdict, ExpectedCount, drill, drill_cluster,
    parse_key,
};
pub use error::{Error, ErrorKind, Result};
pub use finding::{Finding, Severity};
pub use observe::{Event, Observer, Silent};
pub use recover::{
    Action, ApplyOptions, ConfiguredBy, FileChange, MovedManifest, PlanOptions, Recovery,
    RecoveryReport, RecoveryStep, RecoveryTarget, STATE_DIRECTORY, StopBy, apply_recovery,
    is_recovery_kept, is_recovery_under_way, plan_recovery, resume_recovery, roll_back_recovery,
};
pub use root::Root;

/// What only the fuzz targets call (`--cfg fuzzing`, which cargo-fuzz sets).
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    /// A manifest, a configuration or a unit is given another data directory.
    pub fn data_dir(bytes: &[u8]) {
        crate::recover::fuzzed::data_dir(bytes);
    }
}
