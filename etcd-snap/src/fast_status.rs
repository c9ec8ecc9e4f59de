//! What can be told of a snapshot from a few of its pages.

use serde::{Deserialize, Serialize};

use crate::backend::{RevisionKey, bucket};
use crate::bbolt::{Budget, Glance, PageError, Record};
use crate::verify::{Contents, Entries, Findings, examine_metas};
use crate::{Error, ErrorKind, Problem, ProblemCode, Result, Revision, Snapshot};

/// What may be read of the buckets that hold a few members or settings, a page or two each in every cluster there is.
const SMALL_BUCKETS_BYTES: u64 = 256 << 10;
/// The same where pages are large.
const SMALL_BUCKETS_PAGES: u64 = 64;
/// What may be read of the leases, of which there can be very many.
const LEASES_BYTES: u64 = 256 << 10;

/// What the metas, the small buckets and the last record say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FastStatus {
    /// Of this report's form: 1.
    pub schema: u32,
    /// Main revision of the last record; 0 in an empty store.
    pub revision: Revision,
    /// Everything before it was compacted away, or is to be at the next start. `None`: never compacted.
    pub compact_revision: Option<Revision>,
    /// Bytes of the database up to its high-water mark, without the digest.
    pub total_size_bytes: u64,
    /// Bytes of a page.
    pub page_size_bytes: u32,
    /// Since etcd 3.6, for example `3.6.0`.
    pub storage_version: Option<String>,
    /// The version that the whole cluster had, for example `3.5.0`.
    pub cluster_version: Option<String>,
    /// Index of the last entry of raft's log that is in the snapshot.
    pub consistent_index: Option<u64>,
    /// The term of that entry, since etcd 3.5.
    pub term: Option<u64>,
    /// Members of the cluster that the snapshot is from.
    pub members: u64,
    /// Leases, expired or not; `None` where there are too many to count in a moment.
    pub leases: Option<u64>,
    /// Alarms in force, each as `NOSPACE of member 8e9e05c52164694d`.
    pub alarms: Vec<String>,
    /// Whether users must log in.
    pub auth_enabled: bool,
}

/// Reads the meta pages, the small buckets and the end of the `key` bucket: some hundred KB of a file of any size.
///
/// What it says is what [`status`](crate::status) says of a sound snapshot. It finds no other damage than that of the pages
/// it reads, and does not look at the digest.
///
/// # Errors
/// `Damaged`, with the page and the byte, where what it reads is; `Unsupported` where a bucket that holds a few records in
/// every cluster has very many; and where the file cannot be read.
pub fn fast_status(snapshot: &Snapshot) -> Result<FastStatus> {
    let mut findings = Findings::new(100);
    examine_metas(snapshot, &mut findings);
    findings.require_sound(snapshot.name())?;
    look(snapshot).or_else(|error| match error {
        PageError::Failed(error) => Err(error),
        PageError::Damaged(problem) => {
            let mut findings = Findings::new(1);
            let error = (*problem).clone().into();
            findings.problem(*problem);
            findings.require_sound(snapshot.name())?;
            Err(error)
        }
    })
}

fn look(snapshot: &Snapshot) -> Result<FastStatus, PageError> {
    let meta = snapshot.meta();
    let pages = SMALL_BUCKETS_PAGES.saturating_mul(meta.page_size.into());
    let mut budget = Budget::of_bytes(pages.max(SMALL_BUCKETS_BYTES));
    let source = snapshot.source().as_ref();
    let glance = Glance::open(source, meta, snapshot.database_bytes(), &mut budget)?
        .ok_or_else(|| too_much("the list of buckets"))?;
    for name in [bucket::KEY, bucket::META] {
        if !glance.has(name) {
            let message = format!("the bucket {:?} is missing", String::from_utf8_lossy(name));
            return Err(Problem::damaged(ProblemCode::Bucket, message).into());
        }
    }

    let mut entries = Entries::default();
    let mut contents = Contents::default();
    for name in [
        bucket::META,
        bucket::CLUSTER,
        bucket::AUTH,
        bucket::ALARM,
        bucket::MEMBERS,
    ] {
        let all = glance.records(name, &mut budget, |record| {
            judge(name, record, &mut entries, &mut contents)
        })?;
        if !all {
            let what = format!("the bucket {:?}", String::from_utf8_lossy(name));
            return Err(too_much(&what).into());
        }
    }
    let mut leases = 0_u64;
    let mut budget = Budget::of_bytes(LEASES_BYTES);
    let all_leases = glance.records(bucket::LEASE, &mut budget, |_| {
        leases = leases.saturating_add(1);
        Ok(())
    })?;

    let revision = match glance.last_key(bucket::KEY)? {
        None => Revision::default(),
        Some(last) => {
            RevisionKey::parse(&last.key)
                .map_err(|why| {
                    let message = format!("the last key of the bucket \"key\" {why}");
                    Problem::damaged(ProblemCode::RevisionKey, message).at(last.page, last.offset)
                })?
                .main
        }
    };
    Ok(FastStatus {
        schema: 1,
        revision,
        compact_revision: entries.finished_compact.max(entries.scheduled_compact),
        total_size_bytes: meta.size_bytes(),
        page_size_bytes: snapshot.page_size_bytes(),
        storage_version: contents.storage_version,
        cluster_version: contents.cluster_version,
        consistent_index: entries.consistent_index,
        term: entries.term,
        members: contents.members,
        leases: all_leases.then_some(leases),
        alarms: contents.alarms,
        auth_enabled: contents.auth_enabled,
    })
}

fn judge(
    bucket: &[u8],
    record: &mut Record<'_, '_>,
    entries: &mut Entries,
    contents: &mut Contents,
) -> Result<(), PageError> {
    if record.is_bucket() {
        let message = "a bucket is nested in it, which etcd never does";
        return Err(record.damaged(ProblemCode::Bucket, message).into());
    }
    let len = record.value_len() as usize;
    if len > Record::AT_ONCE {
        let message = format!("the value has {len} bytes, more than any of this bucket has");
        return Err(record.damaged(ProblemCode::Value, message).into());
    }
    let value = record.value_part(0, len)?.to_vec();
    entries
        .judge(bucket, record.key, &value, contents)
        .map_err(|(code, message)| record.damaged(code, message).into())
}

fn too_much(what: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{what} takes too many pages for a fast look: ask for the whole status"),
    )
}
