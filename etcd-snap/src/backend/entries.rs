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
    #[prost(string, repeated, tag = "3")]
    pub(crate) roles: Vec<String>,
}

/// `authpb.Role`, as far as a check reads it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AuthRole {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) name: Vec<u8>,
}
