//! Judges and counts every record of an etcd database while its pages are walked (formats.md 2, 4.1).

use prost::Message as _;

use super::Contents;
use super::live_keys::LiveKeys;
use crate::backend::{
    Alarm, AuthRole, AuthUser, KeyValueShape, Lease, RevisionKey, bucket, meta_key,
};
use crate::bbolt::{PageError, Record, Visitor};
use crate::membership::{ConfState, Member};
use crate::{MemberId, Problem, ProblemCode, Result, Revision, Severity};

/// The largest value of a bucket other than `key` that is decoded: a role with very many permissions may have megabytes.
const LARGEST_ENTRY: u32 = 4 * 1024 * 1024;

pub(crate) struct Records<'a, P> {
    report: P,
    progress: &'a dyn Fn(u64, u64) -> Result<()>,
    /// The bucket whose records come now.
    bucket: Vec<u8>,
    seen: Vec<Vec<u8>>,
    last: Option<RevisionKey>,
    finished_compact: Option<Revision>,
    scheduled_compact: Option<Revision>,
    live: LiveKeys,
    /// Only live keys are counted; everything else was said in the first round.
    recounting: bool,
    contents: Contents,
}

impl<'a, P: FnMut(Problem)> Records<'a, P> {
    pub(crate) fn new(report: P, progress: &'a dyn Fn(u64, u64) -> Result<()>) -> Self {
        Self {
            report,
            progress,
            bucket: Vec::new(),
            seen: Vec::new(),
            last: None,
            finished_compact: None,
            scheduled_compact: None,
            live: LiveKeys::new(),
            recounting: false,
            contents: Contents::default(),
        }
    }

    /// Whether the same walk must be done again, for keys that were put off.
    pub(crate) fn begin_recount(&mut self) -> bool {
        self.recounting = true;
        self.live.next_round()
    }

    pub(crate) fn finish(mut self) -> Contents {
        for name in [bucket::KEY, bucket::META] {
            if !self.seen.iter().any(|seen| seen == name) {
                let message = format!("the bucket {:?} is missing", String::from_utf8_lossy(name));
                (self.report)(Problem::damaged(ProblemCode::Bucket, message));
            }
        }
        if self.finished_compact > self.scheduled_compact {
            let message =
                "the last compaction that finished is above the last one that was scheduled";
            let mut problem = Problem::new(Severity::Suspicious, ProblemCode::MetaBucket, message);
            problem.bucket = Some(String::from_utf8_lossy(bucket::META).into_owned());
            (self.report)(problem);
        }
        // What is scheduled happens at the next start, whatever was finished before (`store.restore`).
        self.contents.compact_revision = self.finished_compact.max(self.scheduled_compact);
        self.contents.live_keys = self.live.count();
        self.contents
    }

    fn say(&mut self, mut problem: Problem) {
        if !self.recounting {
            problem.bucket = Some(String::from_utf8_lossy(&self.bucket).into_owned());
            (self.report)(problem);
        }
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.contents.hash = crc32c::crc32c_append(self.contents.hash, bytes);
    }

    /// A record of the `key` bucket.
    fn change(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        let parsed = RevisionKey::parse(record.key);
        let len = record.value_len();
        let shape = KeyValueShape::parse(len, |at, n| {
            let mut part = [0; 10];
            let bytes = record.value_part(at, n)?;
            part.iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = *from);
            Ok::<_, PageError>(part)
        })?;

        let revision = match parsed {
            Ok(revision) => {
                if let Some(what) = self.misplaced(revision) {
                    self.say(record.damaged(ProblemCode::RevisionKey, what));
                }
                self.last = self.last.max(Some(revision));
                self.contents.revision = revision.main;
                revision
            }
            Err(why) => {
                self.say(record.damaged(ProblemCode::RevisionKey, format!("the key {why}")));
                return Ok(());
            }
        };
        let shape = match shape {
            Ok(shape) => shape,
            Err(why) => {
                let message = format!("the value of revision {revision} {why}");
                self.say(record.damaged(ProblemCode::Value, message));
                return Ok(());
            }
        };
        let mut fingerprint = self.live.fingerprint();
        record.value_pieces(shape.key.start, shape.key.end, |bytes| {
            fingerprint.update(bytes);
        })?;
        if revision.tombstone {
            self.live.delete(&fingerprint);
        } else {
            self.live.put(&fingerprint);
        }
        if let Some(what) = contradiction(revision, &shape, len) {
            let message = format!("revision {revision} {what}");
            self.say(record.damaged(ProblemCode::Record, message));
        }
        Ok(())
    }

    fn misplaced(&self, revision: RevisionKey) -> Option<String> {
        if revision.main.get() == 0 {
            return Some("a record has revision 0, which no write gets".to_owned());
        }
        let last = self.last?;
        ((revision.main, revision.sub) <= (last.main, last.sub))
            .then(|| format!("revision {revision} stands behind revision {last}"))
    }

    /// A record of a small bucket: its value in memory, or a problem.
    fn entry(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        let len = record.value_len();
        if !bucket::ALL.contains(&self.bucket.as_slice()) {
            return Ok(());
        }
        if len > LARGEST_ENTRY {
            let message = format!("the value has {len} bytes, more than any of this bucket has");
            self.say(record.damaged(ProblemCode::Value, message));
            return Ok(());
        }
        let mut value = Vec::with_capacity(len as usize);
        record.value_pieces(0, len, |piece| value.extend_from_slice(piece))?;
        let (key, bucket) = (record.key, std::mem::take(&mut self.bucket));
        let judged = match bucket.as_slice() {
            bucket::META => self.meta(key, &value),
            bucket::MEMBERS => self.member(key, &value),
            bucket::MEMBERS_REMOVED => removed_member(key, &value),
            bucket::LEASE => self.lease(key, &value),
            bucket::ALARM => self.alarm(key, &value),
            bucket::AUTH => self.auth(key, &value),
            bucket::AUTH_USERS => match AuthUser::decode(value.as_slice()) {
                Ok(user) if user.name == key => Ok(()),
                Ok(_) => Err((
                    ProblemCode::Entry,
                    "the user's name is not its key".to_owned(),
                )),
                Err(e) => Err((ProblemCode::Entry, format!("the user does not decode: {e}"))),
            },
            bucket::AUTH_ROLES => match AuthRole::decode(value.as_slice()) {
                Ok(role) if role.name == key => Ok(()),
                Ok(_) => Err((
                    ProblemCode::Entry,
                    "the role's name is not its key".to_owned(),
                )),
                Err(e) => Err((ProblemCode::Entry, format!("the role does not decode: {e}"))),
            },
            bucket::CLUSTER => self.cluster(key, &value),
            _ => Ok(()),
        };
        self.bucket = bucket;
        if let Err((code, message)) = judged {
            self.say(record.damaged(code, message));
        }
        Ok(())
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) -> Judgement {
        let wrong = |what: &str| {
            let name = String::from_utf8_lossy(key);
            Err((ProblemCode::MetaBucket, format!("{name} {what}")))
        };
        match key {
            meta_key::CONSISTENT_INDEX | meta_key::TERM if value.len() != 8 => {
                wrong(&format!("has {} bytes instead of 8", value.len()))
            }
            meta_key::FINISHED_COMPACT | meta_key::SCHEDULED_COMPACT => {
                match RevisionKey::parse(value) {
                    Ok(revision) if !revision.tombstone => {
                        if key == meta_key::FINISHED_COMPACT {
                            self.finished_compact = Some(revision.main);
                        } else {
                            self.scheduled_compact = Some(revision.main);
                        }
                        Ok(())
                    }
                    Ok(_) => wrong("is marked as a delete"),
                    Err(why) => wrong(&why),
                }
            }
            meta_key::CONF_STATE => match ConfState::from_json(value) {
                Ok(_) => Ok(()),
                Err(e) => wrong(&format!("does not decode: {e}")),
            },
            meta_key::STORAGE_VERSION => match version(value) {
                Some(version) => {
                    self.contents.storage_version = Some(version);
                    Ok(())
                }
                None => wrong("is not a version"),
            },
            _ => Ok(()),
        }
    }

    fn member(&mut self, key: &[u8], value: &[u8]) -> Judgement {
        let wrong = |what: String| Err((ProblemCode::Member, what));
        self.contents.members = self.contents.members.saturating_add(1);
        let Some(id) = member_key(key) else {
            return wrong("the key is not a member id".to_owned());
        };
        match Member::from_json(value) {
            Ok(member) if member.id == id => Ok(()),
            Ok(member) => wrong(format!("the member {id} calls itself {}", member.id)),
            Err(e) => wrong(format!("the member {id} does not decode: {e}")),
        }
    }

    fn lease(&mut self, key: &[u8], value: &[u8]) -> Judgement {
        let wrong = |what: String| Err((ProblemCode::Lease, what));
        self.contents.leases = self.contents.leases.saturating_add(1);
        let Ok(id) = <[u8; 8]>::try_from(key).map(i64::from_be_bytes) else {
            return wrong(format!("the key has {} bytes instead of 8", key.len()));
        };
        match Lease::decode(value) {
            // The lessor raises every time to live to its least one, and 0 stands for "no lease".
            Ok(lease) if lease.id == id && id != 0 && lease.ttl > 0 => Ok(()),
            Ok(lease) if lease.id == id => wrong(format!(
                "the lease {id:x} has {} seconds to live, which etcd grants to none",
                lease.ttl
            )),
            Ok(lease) => wrong(format!("the lease {id:x} calls itself {:x}", lease.id)),
            Err(e) => wrong(format!("the lease {id:x} does not decode: {e}")),
        }
    }

    fn alarm(&mut self, key: &[u8], value: &[u8]) -> Judgement {
        match Alarm::decode(key) {
            Ok(_) if !value.is_empty() => Err((
                ProblemCode::Entry,
                "the alarm has a value, which etcd gives to none".to_owned(),
            )),
            Ok(alarm) => {
                const MOST: usize = 100;
                if self.contents.alarms.len() < MOST {
                    let member = MemberId::new(alarm.member_id);
                    self.contents
                        .alarms
                        .push(format!("{} of member {member}", alarm.name()));
                }
                Ok(())
            }
            Err(e) => Err((
                ProblemCode::Entry,
                format!("the alarm does not decode: {e}"),
            )),
        }
    }

    fn auth(&mut self, key: &[u8], value: &[u8]) -> Judgement {
        match (key, value) {
            (b"authEnabled", [enabled @ (0 | 1)]) => {
                self.contents.auth_enabled = *enabled == 1;
                Ok(())
            }
            (b"authEnabled", _) => Err((
                ProblemCode::Entry,
                "authEnabled is neither one byte 0 nor one byte 1".to_owned(),
            )),
            (b"authRevision", value) if value.len() != 8 => Err((
                ProblemCode::Entry,
                format!("authRevision has {} bytes instead of 8", value.len()),
            )),
            _ => Ok(()),
        }
    }

    fn cluster(&mut self, key: &[u8], value: &[u8]) -> Judgement {
        match key {
            meta_key::CLUSTER_VERSION => match version(value) {
                Some(version) => {
                    self.contents.cluster_version = Some(version);
                    Ok(())
                }
                None => Err((
                    ProblemCode::Entry,
                    "clusterVersion is not a version".to_owned(),
                )),
            },
            meta_key::DOWNGRADE
                if serde_json::from_slice::<serde_json::Map<_, _>>(value).is_err() =>
            {
                Err((
                    ProblemCode::Entry,
                    "downgrade is not a JSON object".to_owned(),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// What a record is not, as a sentence.
type Judgement = Result<(), (ProblemCode, String)>;

/// What etcd's own fields say against each other.
fn contradiction(revision: RevisionKey, shape: &KeyValueShape, len: u32) -> Option<String> {
    if revision.tombstone {
        // `kvstore_txn.go`, delete: the value holds the key and nothing else.
        let more = shape.create_revision != 0
            || shape.mod_revision != 0
            || shape.version != 0
            || shape.lease != 0
            || !shape.value.is_empty();
        if more {
            return Some("deletes a key and holds more than its name".to_owned());
        }
        return shape
            .key
            .is_empty()
            .then(|| "deletes no key by name".to_owned());
    }
    if len == 0 && revision.sub == 0 {
        // The placeholder of `--bump-revision` (formats.md 5.8).
        return None;
    }
    if shape.key.is_empty() {
        return Some("has no key".to_owned());
    }
    if shape.mod_revision != revision.main.get() {
        return Some(format!("says that it is revision {}", shape.mod_revision));
    }
    if shape.create_revision < 1 || shape.create_revision > shape.mod_revision {
        return Some(format!("was created at revision {}", shape.create_revision));
    }
    if shape.version < 1 {
        return Some(format!("is version {} of its key", shape.version));
    }
    if (shape.version == 1) != (shape.create_revision == shape.mod_revision) {
        return Some(format!(
            "is version {} of a key created at revision {}",
            shape.version, shape.create_revision
        ));
    }
    // A transaction puts a key once at most.
    if shape.version.saturating_sub(1) > shape.mod_revision.saturating_sub(shape.create_revision) {
        return Some(format!(
            "is version {} of a key created at revision {}, more than there were revisions since",
            shape.version, shape.create_revision
        ));
    }
    None
}

/// Lower-case hexadecimal without padding, and nothing else.
fn member_key(key: &[u8]) -> Option<MemberId> {
    let text = std::str::from_utf8(key).ok()?;
    let id = MemberId::new(u64::from_str_radix(text, 16).ok()?);
    (id.to_string() == text).then_some(id)
}

fn removed_member(key: &[u8], value: &[u8]) -> Judgement {
    let wrong = |what: String| Err((ProblemCode::Member, what));
    match member_key(key) {
        None => wrong("the key is not a member id".to_owned()),
        Some(id) if value != b"removed" => {
            wrong(format!("the removed member {id} is not marked as that"))
        }
        Some(_) => Ok(()),
    }
}

/// `3.6.0` and the like.
fn version(value: &[u8]) -> Option<String> {
    const LONGEST: usize = 64;
    let text = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.len() <= LONGEST)?;
    let numbers = text.split('-').next()?.split('.');
    let good = numbers.clone().count() == 3 && numbers.clone().all(|n| n.parse::<u32>().is_ok());
    good.then(|| text.to_owned())
}

impl<P: FnMut(Problem)> Visitor for Records<'_, P> {
    fn bucket(&mut self, name: &[u8]) -> Result<()> {
        self.bucket = name.to_vec();
        if self.recounting {
            return Ok(());
        }
        self.hash(name);
        // Names repeat only in a damaged file, which may have very many.
        if bucket::ALL.contains(&name) && !self.seen.iter().any(|seen| seen == name) {
            self.seen.push(name.to_vec());
        } else if !bucket::ALL.contains(&name) {
            self.say(Problem::new(
                Severity::Note,
                ProblemCode::Bucket,
                "no version of etcd that is known has this bucket",
            ));
        }
        Ok(())
    }

    fn bucket_end(&mut self) {
        self.bucket.clear();
    }

    fn record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        if self.recounting {
            return if self.bucket == bucket::KEY {
                self.change(record)
            } else {
                Ok(())
            };
        }
        self.contents.total_records = self.contents.total_records.saturating_add(1);
        self.hash(record.key);
        if record.is_bucket() || record.nesting > 0 {
            self.say(record.damaged(
                ProblemCode::Bucket,
                "a bucket is nested in it, which etcd never does: does a page of another bucket hang here?",
            ));
            return Ok(());
        }
        let mut hash = self.contents.hash;
        record.value_pieces(0, record.value_len(), |bytes| {
            hash = crc32c::crc32c_append(hash, bytes);
        })?;
        self.contents.hash = hash;
        if self.bucket == bucket::KEY {
            self.change(record)
        } else {
            self.entry(record)
        }
    }

    fn problem(&mut self, mut problem: Problem) {
        if !self.recounting {
            if !self.bucket.is_empty() && problem.bucket.is_none() {
                problem.bucket = Some(String::from_utf8_lossy(&self.bucket).into_owned());
            }
            (self.report)(problem);
        }
    }

    fn progress(&mut self, done: u64, total: u64) -> Result<()> {
        (self.progress)(done, total)
    }
}
