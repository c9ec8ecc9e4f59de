//! etcd's ten buckets (formats.md 2). Gets byte slices, never a path.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod entries;
mod key_value;
mod revision;
mod version;

pub(crate) use entries::{Alarm, AuthRole, AuthUser, Lease};
pub(crate) use key_value::KeyValueShape;
pub use revision::Revision;
pub(crate) use revision::{PackedRevision, RevisionKey};
pub use version::StorageVersion;

/// The buckets of an etcd database, by name.
pub(crate) mod bucket {
    pub(crate) const ALARM: &[u8] = b"alarm";
    pub(crate) const AUTH: &[u8] = b"auth";
    pub(crate) const AUTH_ROLES: &[u8] = b"authRoles";
    pub(crate) const AUTH_USERS: &[u8] = b"authUsers";
    pub(crate) const CLUSTER: &[u8] = b"cluster";
    pub(crate) const KEY: &[u8] = b"key";
    pub(crate) const LEASE: &[u8] = b"lease";
    pub(crate) const MEMBERS: &[u8] = b"members";
    pub(crate) const MEMBERS_REMOVED: &[u8] = b"members_removed";
    pub(crate) const META: &[u8] = b"meta";

    pub(crate) const ALL: [&[u8]; 10] = [
        ALARM,
        AUTH,
        AUTH_ROLES,
        AUTH_USERS,
        CLUSTER,
        KEY,
        LEASE,
        MEMBERS,
        MEMBERS_REMOVED,
        META,
    ];
}

/// The keys of the `meta` and `cluster` buckets.
pub(crate) mod meta_key {
    pub(crate) const CONSISTENT_INDEX: &[u8] = b"consistent_index";
    pub(crate) const TERM: &[u8] = b"term";
    pub(crate) const CONF_STATE: &[u8] = b"confState";
    pub(crate) const STORAGE_VERSION: &[u8] = b"storageVersion";
    pub(crate) const FINISHED_COMPACT: &[u8] = b"finishedCompactRev";
    pub(crate) const SCHEDULED_COMPACT: &[u8] = b"scheduledCompactRev";
    pub(crate) const CLUSTER_VERSION: &[u8] = b"clusterVersion";
    pub(crate) const DOWNGRADE: &[u8] = b"downgrade";
}
