//! The small messages of the other buckets (formats.md 2).

use prost::Message;

/// `leasepb.Lease`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Lease {
    #[prost(int64, tag = "1")]
    pub(crate) id: i64,
    /// Seconds.
    #[prost(int64, tag = "2")]
    pub(crate) ttl: i64,
    #[prost(int64, tag = "3")]
    pub(crate) remaining_ttl: i64,
}

/// `etcdserverpb.AlarmMember`: the key of an entry in the `alarm` bucket.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Alarm {
    #[prost(uint64, tag = "1")]
    pub(crate) member_id: u64,
    #[prost(int32, tag = "2")]
    pub(crate) alarm: i32,
}

impl Alarm {
    /// The word that etcd prints.
    pub(crate) fn name(&self) -> &'static str {
        match self.alarm {
            0 => "NONE",
            1 => "NOSPACE",
            2 => "CORRUPT",
            _ => "UNKNOWN",
        }
    }
}

/// `authpb.User`, as far as a check reads it: the password stays where it is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AuthUser {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) name: Vec<u8>,
    // Go's older encoder lets through what is no UTF-8.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) roles: Vec<Vec<u8>>,
}

/// `authpb.Role`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AuthRole {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) name: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) permissions: Vec<Permission>,
}

/// `authpb.Permission`: what a role may do with a range of keys.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Permission {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) range_end: Vec<u8>,
}
