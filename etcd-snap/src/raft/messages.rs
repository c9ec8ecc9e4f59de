//! The protobuf messages of raft's files (formats.md 5.5, 5.6).
//!
//! They are proto2 without defaults, and gogoproto writes their scalars also when they are zero. So every scalar here is
//! an `Option`: `Some(0)` is what etcd 3.4 to 3.6 write, `None` what 3.7 leaves out.

use prost::Message;

use crate::MemberId;
use crate::membership::ConfState as Configuration;

/// `walpb.Record`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(int64, optional, tag = "1")]
    pub(super) kind: Option<i64>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) crc: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) data: Option<Vec<u8>>,
}

/// `etcdserverpb.Metadata`: whose WAL it is.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(uint64, optional, tag = "1")]
    pub(super) node_id: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) cluster_id: Option<u64>,
}

/// `raftpb.Entry`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(int32, optional, tag = "1")]
    pub(super) kind: Option<i32>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) term: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) index: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) data: Option<Vec<u8>>,
}

impl Entry {
    /// `raftpb.EntryNormal`.
    pub(super) const NORMAL: i32 = 0;
    /// `raftpb.EntryConfChange`.
    pub(super) const CONF_CHANGE: i32 = 1;
}

/// `raftpb.ConfChange`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfChange {
    #[prost(uint64, optional, tag = "1")]
    pub(super) id: Option<u64>,
    #[prost(int32, optional, tag = "2")]
    pub(super) kind: Option<i32>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) node_id: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) context: Option<Vec<u8>>,
}

impl ConfChange {
    /// `raftpb.ConfChangeAddNode`.
    pub(super) const ADD_NODE: i32 = 0;
    /// `raftpb.ConfChangeRemoveNode`.
    pub(super) const REMOVE_NODE: i32 = 1;
}

/// `raftpb.HardState`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HardState {
    #[prost(uint64, optional, tag = "1")]
    pub(super) term: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) vote: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) commit: Option<u64>,
}

/// `walpb.Snapshot`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WalSnapshot {
    #[prost(uint64, optional, tag = "1")]
    pub(super) index: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) term: Option<u64>,
    #[prost(message, optional, tag = "3")]
    pub(super) conf_state: Option<ConfState>,
}

/// `raftpb.ConfState`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfState {
    #[prost(uint64, repeated, packed = "false", tag = "1")]
    pub(super) voters: Vec<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "2")]
    pub(super) learners: Vec<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "3")]
    pub(super) voters_outgoing: Vec<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "4")]
    pub(super) learners_next: Vec<u64>,
    #[prost(bool, optional, tag = "5")]
    pub(super) auto_leave: Option<bool>,
}

/// `raftpb.SnapshotMetadata`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SnapshotMetadata {
    #[prost(message, optional, tag = "1")]
    pub(super) conf_state: Option<ConfState>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) index: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) term: Option<u64>,
}

/// `raftpb.Snapshot`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RaftSnapshot {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) data: Option<Vec<u8>>,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<SnapshotMetadata>,
}

/// `snappb.snapshot`: the `.snap` file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SnapFile {
    #[prost(uint32, optional, tag = "1")]
    pub(super) crc: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) data: Option<Vec<u8>>,
}

impl From<&Configuration> for ConfState {
    fn from(configuration: &Configuration) -> Self {
        let numbers = |ids: &[MemberId]| ids.iter().map(|id| id.get()).collect();
        Self {
            voters: numbers(&configuration.voters),
            learners: numbers(&configuration.learners),
            voters_outgoing: numbers(&configuration.voters_outgoing),
            learners_next: numbers(&configuration.learners_next),
            auto_leave: Some(configuration.auto_leave),
        }
    }
}

impl From<ConfState> for Configuration {
    fn from(message: ConfState) -> Self {
        let ids = |numbers: Vec<u64>| numbers.into_iter().map(MemberId::new).collect();
        Self {
            voters: ids(message.voters),
            learners: ids(message.learners),
            voters_outgoing: ids(message.voters_outgoing),
            learners_next: ids(message.learners_next),
            auto_leave: message.auto_leave.unwrap_or_default(),
        }
    }
}
