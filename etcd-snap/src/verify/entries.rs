//! Judges and counts the records of the small buckets: all but `key` (formats.md 2).

use prost::Message as _;

use super::Contents;
use crate::backend::{Alarm, AuthRole, AuthUser, Lease, RevisionKey, bucket, meta_key};
use crate::membership::{ConfState, Member};
use crate::{MemberId, Problem, ProblemCode, Revision, Severity};

/// Alarms, and members, that are held to be compared with each other.
const HELD: usize = 1000;

/// What the small buckets say, gathered while they pass by.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) finished_compact: Option<Revision>,
    pub(crate) scheduled_compact: Option<Revision>,
    pub(crate) consistent_index: Option<u64>,
    pub(crate) term: Option<u64>,
    conf_state: Option<ConfState>,
    members: Vec<MemberId>,
    alarmed: Vec<MemberId>,
    /// In ascending order, as they stand in the bucket; more than [`MOST_LEASES`]: there are too many to hold.
    lease_ids: Vec<i64>,
}

/// Leases that are held: a megabyte.
const MOST_LEASES: usize = 1 << 17;

/// What a record is not, as a sentence.
type Judgement = Result<(), (ProblemCode, String)>;

impl Entries {
    /// A record of one of etcd's buckets.
    pub(crate) fn judge(
        &mut self,
        bucket: &[u8],
        key: &[u8],
        value: &[u8],
        contents: &mut Contents,
    ) -> Judgement {
        let entry = |what: String| Err((ProblemCode::Entry, what));
        match bucket {
            bucket::META => self.meta(key, value, contents),
            bucket::MEMBERS => self.member(key, value, contents),
            bucket::MEMBERS_REMOVED => removed_member(key, value),
            bucket::LEASE => self.lease(key, value, contents),
            bucket::ALARM => self.alarm(key, value, contents),
            bucket::AUTH => auth(key, value, contents),
            bucket::AUTH_USERS => match AuthUser::decode(value) {
                Ok(user) if user.name == key => Ok(()),
                Ok(_) => entry("the user's name is not its key".to_owned()),
                Err(e) => entry(format!("the user does not decode: {e}")),
            },
            bucket::AUTH_ROLES => match AuthRole::decode(value) {
                Ok(role) if role.name == key => Ok(()),
                Ok(_) => entry("the role's name is not its key".to_owned()),
                Err(e) => entry(format!("the role does not decode: {e}")),
            },
            bucket::CLUSTER => cluster(key, value, contents),
            _ => Ok(()),
        }
    }

    /// All leases, to be searched; `None` where they are too many, or not in order.
    pub(super) fn lease_ids(&mut self) -> Option<Vec<i64>> {
        let ids = std::mem::take(&mut self.lease_ids);
        (ids.len() <= MOST_LEASES && ids.is_sorted()).then_some(ids)
    }

    /// What the buckets say against each other, when all have been seen. `written`: there are records in `key`.
    pub(super) fn contradictions(&self, written: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |severity, code, bucket: &[u8], message: String| {
            let mut problem = Problem::new(severity, code, message);
            problem.bucket = Some(String::from_utf8_lossy(bucket).into_owned());
            problems.push(problem);
        };
        if self.finished_compact > self.scheduled_compact {
            say(
                Severity::Suspicious,
                ProblemCode::MetaBucket,
                bucket::META,
                "the last compaction that finished is above the last one that was scheduled"
                    .to_owned(),
            );
        }
        match self.consistent_index {
            // A server that has just started for the first time has it in memory only.
            Some(0) | None if written => say(
                Severity::Suspicious,
                ProblemCode::MetaBucket,
                bucket::META,
                "consistent_index is missing or 0: a server would not know what it has applied"
                    .to_owned(),
            ),
            _ => {}
        }
        let is_member = |id: &MemberId| self.members.contains(id);
        let all_are_known = self.members.len() < HELD;
        if let Some(conf_state) = self.conf_state.as_ref().filter(|_| all_are_known) {
            let strangers = conf_state.voters.iter().filter(|id| !is_member(id)).count();
            if strangers > 0 {
                say(
                    Severity::Note,
                    ProblemCode::MetaBucket,
                    bucket::META,
                    format!(
                        "confState names {strangers} voters that are no members, as after a restore by etcd's own tools"
                    ),
                );
            }
        }
        for id in self
            .alarmed
            .iter()
            .filter(|id| all_are_known && !is_member(id))
        {
            say(
                Severity::Note,
                ProblemCode::Entry,
                bucket::ALARM,
                format!(
                    "the alarm of {id}, which is no member, stays in force until somebody disarms it"
                ),
            );
        }
        problems
    }

    fn meta(&mut self, key: &[u8], value: &[u8], contents: &mut Contents) -> Judgement {
        let wrong = |what: &str| {
            let name = String::from_utf8_lossy(key);
            Err((ProblemCode::MetaBucket, format!("{name} {what}")))
        };
        match key {
            meta_key::CONSISTENT_INDEX | meta_key::TERM => {
                let number = <[u8; 8]>::try_from(value).map(u64::from_be_bytes);
                if key == meta_key::CONSISTENT_INDEX {
                    // A wrong one has been said once that is enough.
                    self.consistent_index = Some(number.unwrap_or(u64::MAX));
                }
                if key == meta_key::TERM {
                    self.term = number.ok();
                }
                match number {
                    Ok(0) if key == meta_key::TERM => wrong("is 0, which no entry of a log has"),
                    Ok(_) => Ok(()),
                    Err(_) => wrong(&format!("has {} bytes instead of 8", value.len())),
                }
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
                Ok(conf_state) => {
                    self.conf_state = Some(conf_state);
                    Ok(())
                }
                Err(e) => wrong(&format!("does not decode: {e}")),
            },
            meta_key::STORAGE_VERSION => match version(value) {
                Some(version) => {
                    contents.storage_version = Some(version);
                    Ok(())
                }
                None => wrong("is not a version"),
            },
            _ => Ok(()),
        }
    }

    fn member(&mut self, key: &[u8], value: &[u8], contents: &mut Contents) -> Judgement {
        let wrong = |what: String| Err((ProblemCode::Member, what));
        contents.members = contents.members.saturating_add(1);
        let Some(id) = member_key(key) else {
            return wrong("the key is not a member id".to_owned());
        };
        if self.members.len() < HELD {
            self.members.push(id);
        }
        match Member::from_json(value) {
            Ok(member) if member.id == id => Ok(()),
            Ok(member) => wrong(format!("the member {id} calls itself {}", member.id)),
            Err(e) => wrong(format!("the member {id} does not decode: {e}")),
        }
    }

    fn lease(&mut self, key: &[u8], value: &[u8], contents: &mut Contents) -> Judgement {
        let wrong = |what: String| Err((ProblemCode::Lease, what));
        contents.leases = contents.leases.saturating_add(1);
        let Ok(id) = <[u8; 8]>::try_from(key).map(i64::from_be_bytes) else {
            return wrong(format!("the key has {} bytes instead of 8", key.len()));
        };
        if self.lease_ids.len() <= MOST_LEASES {
            self.lease_ids.push(id);
        }
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

    fn alarm(&mut self, key: &[u8], value: &[u8], contents: &mut Contents) -> Judgement {
        match Alarm::decode(key) {
            Ok(_) if !value.is_empty() => Err((
                ProblemCode::Entry,
                "the alarm has a value, which etcd gives to none".to_owned(),
            )),
            Ok(alarm) => {
                const MOST: usize = 100;
                if contents.alarms.len() < MOST {
                    let member = MemberId::new(alarm.member_id);
                    contents
                        .alarms
                        .push(format!("{} of member {member}", alarm.name()));
                    self.alarmed.push(member);
                }
                Ok(())
            }
            Err(e) => Err((
                ProblemCode::Entry,
                format!("the alarm does not decode: {e}"),
            )),
        }
    }
}

fn auth(key: &[u8], value: &[u8], contents: &mut Contents) -> Judgement {
    match (key, value) {
        (b"authEnabled", [enabled @ (0 | 1)]) => {
            contents.auth_enabled = *enabled == 1;
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

fn cluster(key: &[u8], value: &[u8], contents: &mut Contents) -> Judgement {
    match key {
        meta_key::CLUSTER_VERSION => match version(value) {
            Some(version) => {
                contents.cluster_version = Some(version);
                Ok(())
            }
            None => Err((
                ProblemCode::Entry,
                "clusterVersion is not a version".to_owned(),
            )),
        },
        meta_key::DOWNGRADE if serde_json::from_slice::<serde_json::Map<_, _>>(value).is_err() => {
            Err((
                ProblemCode::Entry,
                "downgrade is not a JSON object".to_owned(),
            ))
        }
        _ => Ok(()),
    }
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
