//! What else comes back with the data: alarms, leases, users, a downgrade that was under way.

use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::RestoreOptions;
use super::report::Made;
use crate::backend::{Alarm, Lease, RevisionKey, bucket, meta_key};
use crate::bbolt::{self, Follow, PageError, Record, Visitor};
use crate::membership::Member;
use crate::problem::Problem;
use crate::{MemberId, Result, Revision, Snapshot};

/// What else was in a snapshot, beside keys: much of it is in force again with the new cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inventory {
    /// Alarms in force, a thousand at most. Their members are those of the old cluster, never of the new one.
    pub alarms: Vec<FoundAlarm>,
    /// Leases.
    pub leases: FoundLeases,
    /// Users and roles.
    pub auth: FoundAuth,
    /// The members of the old cluster, a thousand at most. None of them is a member of the new one.
    pub members: Vec<FoundMember>,
    /// Members that were removed from the old cluster, whose ids it would not have accepted again.
    pub removed_members: u64,
    /// A compaction was under way, up to this revision: the new members finish it when they start.
    pub unfinished_compaction: Option<Revision>,
    /// A downgrade to this version was under way. The new cluster does not know of it.
    pub downgrade: Option<String>,
    /// Since etcd 3.6, for example `3.6.0`.
    pub storage_version: Option<String>,
    /// The version that the old cluster had, for example `3.5.0`.
    pub cluster_version: Option<String>,
    /// Bytes of the new database.
    pub size_bytes: u64,
    /// Bytes of pages that nobody uses: in the new database, or in the snapshot where it was written anew without them.
    pub free_bytes: u64,
    /// What the new database is held against: the quota that was given, or etcd's own.
    pub quota_bytes: u64,
}

/// An alarm in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundAlarm {
    /// Whose it is.
    pub member_id: MemberId,
    /// `NOSPACE` or `CORRUPT`.
    pub kind: String,
}

/// Leases, expired or not: time begins anew with the new cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundLeases {
    /// How many.
    pub count: u64,
    /// The shortest time to live that one was granted, in seconds.
    pub smallest_ttl_seconds: Option<i64>,
    /// The longest.
    pub largest_ttl_seconds: Option<i64>,
    /// Keys that hang on them. Counted only where they are left out, which takes a look at every record.
    pub keys: Option<u64>,
}

/// Users and roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundAuth {
    /// Users must log in.
    pub enabled: bool,
    /// How many users there are.
    pub users: u64,
    /// How many roles there are.
    pub roles: u64,
    /// One of the users is `root`, without whom nobody can be added.
    pub has_root: bool,
}

/// A member of the old cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundMember {
    /// Its id in the old cluster.
    pub member_id: MemberId,
    /// Its name; empty if it never started.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
    /// It had no vote. A restore makes voters only.
    pub is_learner: bool,
}

/// What was in the snapshot and is not in the new database, beside the old membership.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Alarms, on request.
    pub alarms: Vec<FoundAlarm>,
    /// Leases, on request.
    pub leases: u64,
    /// Keys that hung on them.
    pub leased_keys: u64,
    /// Records of these keys, older ones included.
    pub leased_records: u64,
    /// A downgrade that was under way, always.
    pub downgrade: bool,
    /// Bytes of pages that nobody used, on request.
    pub free_bytes: u64,
}

impl Inventory {
    /// etcd's `DefaultQuotaBytes`.
    pub(super) const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;
    /// Alarms and members that are listed.
    const LISTED: usize = 1000;

    /// Reads the small buckets of a snapshot that is proven.
    pub(super) fn take(
        snapshot: &Snapshot,
        made: &Made,
        options: &RestoreOptions,
    ) -> Result<(Self, Dropped)> {
        let mut looking = Looking::default();
        bbolt::check(
            snapshot.source().as_ref(),
            snapshot.meta(),
            snapshot.database_bytes(),
            &mut looking,
        )?;
        let mut found = looking.found;
        found.unfinished_compaction = looking
            .scheduled
            .filter(|scheduled| Some(*scheduled) > looking.finished);
        found.size_bytes = made.database_bytes;
        found.quota_bytes = options.quota_bytes.unwrap_or(Self::DEFAULT_QUOTA_BYTES);
        let page_size = u64::from(snapshot.page_size_bytes());
        let mut dropped = Dropped {
            downgrade: found.downgrade.is_some(),
            ..Dropped::default()
        };
        match &made.left_out {
            Some(left_out) => {
                found.free_bytes = left_out.free_bytes;
                found.leases.keys = left_out.keys;
                dropped.free_bytes = left_out.free_bytes;
                dropped.leased_keys = left_out.keys.unwrap_or_default();
                dropped.leased_records = left_out.records;
            }
            None => found.free_bytes = made.contents.free_pages.saturating_mul(page_size),
        }
        if options.drop_alarms {
            dropped.alarms.clone_from(&found.alarms);
        }
        if options.drop_leases {
            dropped.leases = found.leases.count;
        }
        Ok((found, dropped))
    }
}

/// Damage is somebody else's finding: what does not decode is passed over.
#[derive(Default)]
struct Looking {
    found: Inventory,
    bucket: Vec<u8>,
    finished: Option<Revision>,
    scheduled: Option<Revision>,
}

impl Looking {
    fn entry(&mut self, key: &[u8], value: &[u8]) {
        let found = &mut self.found;
        let count = |count: &mut u64| *count = count.saturating_add(1);
        match self.bucket.as_slice() {
            bucket::ALARM => {
                if let Ok(alarm) = Alarm::decode(key)
                    && found.alarms.len() < Inventory::LISTED
                {
                    found.alarms.push(FoundAlarm {
                        member_id: MemberId::new(alarm.member_id),
                        kind: alarm.name().to_owned(),
                    });
                }
            }
            bucket::LEASE => {
                let leases = &mut found.leases;
                count(&mut leases.count);
                if let Ok(Lease { ttl, .. }) = Lease::decode(value) {
                    let smallest = leases.smallest_ttl_seconds.map_or(ttl, |s| s.min(ttl));
                    let largest = leases.largest_ttl_seconds.map_or(ttl, |l| l.max(ttl));
                    leases.smallest_ttl_seconds = Some(smallest);
                    leases.largest_ttl_seconds = Some(largest);
                }
            }
            bucket::AUTH if key == b"authEnabled" => found.auth.enabled = value == [1],
            bucket::AUTH_USERS => {
                count(&mut found.auth.users);
                found.auth.has_root |= key == b"root";
            }
            bucket::AUTH_ROLES => count(&mut found.auth.roles),
            bucket::MEMBERS => {
                if let Ok(member) = Member::from_json(value)
                    && found.members.len() < Inventory::LISTED
                {
                    found.members.push(FoundMember {
                        member_id: member.id,
                        name: member.name,
                        peer_urls: member.peer_urls,
                        is_learner: member.is_learner,
                    });
                }
            }
            bucket::MEMBERS_REMOVED => count(&mut found.removed_members),
            bucket::META => self.setting(key, value),
            bucket::CLUSTER => self.version(key, value),
            _ => {}
        }
    }

    fn setting(&mut self, key: &[u8], value: &[u8]) {
        let revision = || RevisionKey::parse(value).ok().map(|key| key.main);
        match key {
            meta_key::FINISHED_COMPACT => self.finished = revision(),
            meta_key::SCHEDULED_COMPACT => self.scheduled = revision(),
            meta_key::STORAGE_VERSION => self.found.storage_version = Some(text(value)),
            _ => {}
        }
    }

    fn version(&mut self, key: &[u8], value: &[u8]) {
        /// `DowngradeInfo`.
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "kebab-case", default)]
        struct Downgrade {
            target_version: String,
            enabled: bool,
        }
        match key {
            meta_key::CLUSTER_VERSION => self.found.cluster_version = Some(text(value)),
            meta_key::DOWNGRADE => {
                let downgrade: Downgrade = serde_json::from_slice(value).unwrap_or_default();
                self.found.downgrade = downgrade.enabled.then_some(downgrade.target_version);
            }
            _ => {}
        }
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

impl Visitor for Looking {
    fn bucket(&mut self, name: &[u8]) -> Result<Follow> {
        self.bucket = name.to_vec();
        let is_small = name != bucket::KEY && bucket::ALL.contains(&name);
        Ok(if is_small {
            Follow::Records
        } else {
            Follow::Nothing
        })
    }

    fn bucket_end(&mut self) {
        self.bucket.clear();
    }

    fn record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        /// Of users and roles only the names are asked for, and those may have more.
        const LARGEST: u32 = 64 << 10;
        let mut value = Vec::new();
        let end = record.value_len();
        if end <= LARGEST {
            record.value_pieces(0, end, |piece| value.extend_from_slice(piece))?;
        }
        self.entry(record.key, &value);
        Ok(())
    }

    fn problem(&mut self, _: Problem) {}

    fn progress(&mut self, _: u64, _: u64) -> Result<()> {
        Ok(())
    }
}
