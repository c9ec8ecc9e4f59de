//! What restored members answer, against what the file holds.
//!
//! Keys are compared at the snapshot's revision: leases begin anew in a restored cluster and may expire while it is looked at, and
//! the probe writes, which both moves the revision on.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use etcd_snap::api::Client;
use etcd_snap::api::messages::{AlarmType, KeyValue, PutRequest, RangeRequest, RangeResponse};
use etcd_snap::keys::{KeyAnswers, StoredKey};
use etcd_snap::{ClusterId, HashKvOptions, MemberId, Revision, Snapshot, hash_kv};

use super::asking::Asking;
use super::conditions::shown;
use super::offline::Proven;
use super::report::{DrillHash, DrillMember};
use super::server::Servers;
use super::steps::Check;
use crate::observe::OfLibrary;
use crate::{Observer, Result};

type Answer<T> = std::result::Result<T, String>;

/// All that the members are held against.
pub(super) struct Proofs<'a> {
    asking: &'a Asking,
    snapshot: &'a Snapshot,
    proven: &'a Proven,
    answers: &'a KeyAnswers,
    cluster_id: ClusterId,
    observer: Arc<dyn Observer>,
    /// What the file gives, by compaction: it is read once for each.
    hashes: BTreeMap<Option<Revision>, u32>,
}

/// A key that nobody has, and what was written there.
#[derive(Debug)]
pub(super) struct Probe {
    key: Vec<u8>,
    value: Vec<u8>,
    revision: i64,
}

impl<'a> Proofs<'a> {
    pub(super) fn new(
        asking: &'a Asking,
        snapshot: &'a Snapshot,
        proven: &'a Proven,
        answers: &'a KeyAnswers,
        cluster_id: ClusterId,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let known = proven.contents.hash_kv.as_ref();
        Self {
            asking,
            snapshot,
            proven,
            answers,
            cluster_id,
            observer,
            hashes: known
                .map(|known| (known.compact_revision, known.hash))
                .into_iter()
                .collect(),
        }
    }

    /// HashKV of every member at the snapshot's revision is the file's.
    pub(super) fn hash_kv(
        &mut self,
        servers: &Servers<'_>,
        members: &mut [DrillMember],
    ) -> Result<Check> {
        let revision = self.proven.revision();
        let mut failures = Vec::new();
        let mut hashes = BTreeSet::new();
        for member in members.iter_mut() {
            let name = member.name.clone();
            let hash = match self.hash_of(servers, &member.client_url, revision)? {
                Ok(hash) => hash,
                Err(why) => {
                    failures.push(format!("{name} has no hash at revision {revision}: {why}"));
                    continue;
                }
            };
            member.hash_kv = Some(hash);
            hashes.insert(hash.found);
            if hash.expected != hash.found {
                failures.push(format!(
                    "{name} holds other keys than the snapshot: its HashKV at revision {revision} is {}, the file gives {}",
                    hash.found, hash.expected
                ));
            }
        }
        Ok(Check::all(&failures, || {
            let hashes: Vec<_> = hashes.iter().map(ToString::to_string).collect();
            format!(
                "{} at revision {revision}, as the file gives it",
                hashes.join(", ")
            )
        }))
    }

    fn hash_of(
        &mut self,
        servers: &Servers<'_>,
        endpoint: &str,
        revision: Revision,
    ) -> Result<Answer<DrillHash>> {
        let own = self.proven.contents.compact_revision;
        for asked in [Some(revision), None] {
            let answer = self.ask(servers, endpoint, async |client| {
                client.hash_kv(asked).await
            })?;
            let message = match answer {
                Ok(message) => message.message,
                Err(why) => return Ok(Err(why)),
            };
            let compacted = Revision::new(message.compact_revision);
            let compacted = (compacted.get() > 0).then_some(compacted);
            // One that the member has kept from before a compaction of its own (formats.md 3.2): the newest is never that one.
            if asked.is_some() && compacted < own {
                continue;
            }
            let at = message.header.map_or(revision.get(), |it| it.revision);
            if asked.is_none() && at != revision.get() {
                return Ok(Err(format!("it is at revision {at} already")));
            }
            return Ok(match self.expected(revision, compacted)? {
                Ok(expected) => Ok(DrillHash {
                    expected,
                    found: message.hash,
                    revision,
                    compact_revision: compacted,
                }),
                Err(why) => Err(why),
            });
        }
        Ok(Err("it only has one from before a compaction".to_owned()))
    }

    fn expected(&mut self, revision: Revision, compacted: Option<Revision>) -> Result<Answer<u32>> {
        if let Some(known) = self.hashes.get(&compacted) {
            return Ok(Ok(*known));
        }
        let options = HashKvOptions::default()
            .with_revision(revision)
            .with_compact_revision(compacted.unwrap_or(Revision::new(-1)))
            .with_observer(Arc::new(OfLibrary(self.observer.clone())));
        match hash_kv(self.snapshot, &options) {
            Ok(hash) => {
                self.hashes.insert(compacted, hash.hash);
                Ok(Ok(hash.hash))
            }
            Err(e) if e.kind() == etcd_snap::ErrorKind::InvalidInput => Ok(Err(e.to_string())),
            Err(e) => Err(e.into()),
        }
    }

    /// The members that were restored, and nobody else.
    pub(super) fn members(&self, servers: &Servers<'_>, members: &[DrillMember]) -> Result<Check> {
        let expected: BTreeSet<_> = members
            .iter()
            .map(|it| (it.member_id, it.name.clone(), it.peer_url.clone()))
            .collect();
        let mut failures = Vec::new();
        for member in members {
            let listed = self.ask(servers, &member.client_url, async |client| {
                client.member_list(true).await
            })?;
            let listed = match listed {
                Ok(listed) => listed.message,
                Err(why) => {
                    failures.push(format!("{} does not list its members: {why}", member.name));
                    continue;
                }
            };
            let cluster = listed.header.map(|header| header.cluster_id);
            if cluster != Some(self.cluster_id.get()) {
                failures.push(format!("{} is a member of another cluster", member.name));
            }
            let found: BTreeSet<_> = listed
                .members
                .into_iter()
                .map(|it| (MemberId::new(it.id), it.name, it.peer_urls.join(",")))
                .collect();
            if found != expected {
                let found: Vec<_> = found
                    .into_iter()
                    .map(|(id, name, urls)| format!("{name} ({id}, {urls})"))
                    .collect();
                failures.push(format!(
                    "{} lists other members than were restored: {}",
                    member.name,
                    found.join(", ")
                ));
            }
        }
        Ok(Check::all(&failures, || {
            let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
            format!(
                "{}, of a cluster of their own, {}",
                names.join(", "),
                self.cluster_id
            )
        }))
    }

    /// The alarms of the snapshot, and no others. They are taken back then, because nobody could read or write otherwise.
    pub(super) fn alarms(&self, servers: &Servers<'_>, endpoint: &str) -> Result<Check> {
        let alarms = self.ask(servers, endpoint, async |client| client.alarms().await)?;
        let alarms = match alarms {
            Ok(alarms) => alarms.message.alarms,
            Err(why) => return Ok(Check::Fails(format!("alarms cannot be listed: {why}"))),
        };
        let found: BTreeSet<_> = alarms
            .iter()
            .map(|alarm| {
                let kind = AlarmType::try_from(alarm.alarm);
                let kind = kind.map_or("UNKNOWN", |kind| kind.as_str_name());
                format!("{kind} of member {}", MemberId::new(alarm.member_id))
            })
            .collect();
        let expected: BTreeSet<_> = self.proven.contents.alarms.iter().cloned().collect();
        let new: Vec<_> = found.difference(&expected).cloned().collect();
        if !new.is_empty() {
            return Ok(Check::Fails(format!(
                "the restored cluster has raised an alarm: {}",
                new.join(", ")
            )));
        }
        let gone: Vec<_> = expected.difference(&found).cloned().collect();
        if !gone.is_empty() {
            return Ok(Check::Fails(format!(
                "an alarm of the snapshot is not there: {}",
                gone.join(", ")
            )));
        }
        if found.is_empty() {
            return Ok(Check::Holds("none".to_owned()));
        }
        let disarmed = self.ask(servers, endpoint, async |client| client.disarm_all().await)?;
        let found: Vec<_> = found.into_iter().collect();
        Ok(match disarmed {
            Ok(_) => Check::Holds(format!(
                "{}, as in the snapshot; taken back for the rest of the drill",
                found.join(", ")
            )),
            Err(why) => Check::Fails(format!(
                "{} is in force, and cannot be taken back: {why}",
                found.join(", ")
            )),
        })
    }

    /// Every member is at the snapshot's revision, and counts as many keys there.
    pub(super) fn counts(&self, servers: &Servers<'_>, members: &[DrillMember]) -> Result<Check> {
        let revision = self.proven.revision().get();
        let mut failures = Vec::new();
        for member in members {
            let name = &member.name;
            let counted = self.ask(servers, &member.client_url, async |client| {
                let all = RangeRequest {
                    key: vec![0],
                    range_end: vec![0],
                    count_only: true,
                    revision,
                    ..RangeRequest::default()
                };
                client.range(all).await
            })?;
            let counted = match counted {
                Ok(counted) => counted.message,
                Err(why) => {
                    failures.push(format!("{name} does not count its keys: {why}"));
                    continue;
                }
            };
            let at = counted.header.map_or(0, |header| header.revision);
            // What expires is deleted, which moves the revision on.
            if at < revision || (at > revision && self.proven.contents.leases == 0) {
                failures.push(format!(
                    "{name} is at revision {at}, the snapshot at {revision}"
                ));
            }
            if u64::try_from(counted.count) != Ok(self.answers.keys) {
                failures.push(format!(
                    "{name} has {} keys at revision {revision}, the snapshot {}",
                    counted.count, self.answers.keys
                ));
            }
        }
        Ok(Check::all(&failures, || {
            format!("{} keys at revision {revision}", self.answers.keys)
        }))
    }

    /// Some keys are byte for byte what the file holds. The members take turns.
    pub(super) fn sample(&self, servers: &Servers<'_>, members: &[DrillMember]) -> Result<Check> {
        const SHOWN: usize = 3;
        let sample = &self.answers.sample;
        if sample.is_empty() {
            return Ok(Check::Skipped(match self.answers.keys {
                0 => "no key lives".to_owned(),
                _ => "none was asked for".to_owned(),
            }));
        }
        let revision = self.proven.revision().get();
        let mut failures = Vec::new();
        let mut bytes = 0_u64;
        for (number, member) in members.iter().enumerate() {
            let turn = sample.iter().skip(number).step_by(members.len());
            let answered = self.ask(servers, &member.client_url, async |client| {
                let mut wrong = Vec::new();
                for stored in turn {
                    bytes = bytes.saturating_add(stored.value_bytes);
                    let value = stored.value(self.snapshot)?;
                    let found = client.range(one(&stored.key, revision)).await?.message;
                    if let Some(what) = difference(stored, &value, &found) {
                        wrong.push(format!(
                            "{} {what} the key {}",
                            member.name,
                            shown(&stored.key)
                        ));
                    }
                }
                Ok(wrong)
            })?;
            match answered {
                Ok(wrong) => failures.extend(wrong),
                Err(why) => failures.push(format!("{} does not read keys: {why}", member.name)),
            }
        }
        let more = failures.len().saturating_sub(SHOWN);
        failures.truncate(SHOWN);
        if more > 0 {
            failures.push(format!("and {more} more"));
        }
        Ok(Check::all(&failures, || {
            format!("{} keys with {bytes} bytes are the same", sample.len())
        }))
    }

    /// Writes a key that nobody has, and reads it from every member.
    pub(super) fn probe(
        &self,
        servers: &Servers<'_>,
        members: &[DrillMember],
    ) -> Result<(Check, Option<Probe>)> {
        let Some(writer) = members.first() else {
            return Ok((Check::Skipped("there is no member".to_owned()), None));
        };
        let random = || RandomState::new().hash_one(std::process::id());
        let key = format!("etcd-snap-drill/{:016x}{:016x}", random(), random()).into_bytes();
        let value = format!("{:016x}", random()).into_bytes();
        let written = self.ask(servers, &writer.client_url, async |client| {
            let put = PutRequest {
                key: key.clone(),
                value: value.clone(),
                ..PutRequest::default()
            };
            client.put(put).await
        })?;
        let written = match written {
            Ok(written) => written.message,
            Err(why) => return Ok((Check::Fails(format!("nothing can be written: {why}")), None)),
        };
        let probe = Probe {
            key,
            value,
            revision: written.header.map_or(0, |header| header.revision),
        };
        let failures = self.read_back(servers, members, &probe)?;
        let check = Check::all(&failures, || {
            format!(
                "a key was written, as revision {}, and read",
                probe.revision
            )
        });
        Ok((check, Some(probe)))
    }

    fn read_back(
        &self,
        servers: &Servers<'_>,
        members: &[DrillMember],
        probe: &Probe,
    ) -> Result<Vec<String>> {
        let mut failures = Vec::new();
        for member in members {
            let name = &member.name;
            let read = self.ask(servers, &member.client_url, async |client| {
                client.range(one(&probe.key, 0)).await
            })?;
            match read {
                Ok(read) => {
                    let found = read.message.kvs.first();
                    if found.is_none_or(|found| found.value != probe.value) {
                        failures.push(format!("{name} does not have the key that was written"));
                    }
                    let at = read.message.header.map_or(0, |header| header.revision);
                    if at < probe.revision {
                        failures.push(format!(
                            "{name} is at revision {at}, and was at {}",
                            probe.revision
                        ));
                    }
                }
                Err(why) => failures.push(format!("{name} does not read keys: {why}")),
            }
        }
        Ok(failures)
    }

    /// After a restart: the same hash at the same revision, and what was written is still there.
    pub(super) fn restarted(
        &mut self,
        servers: &Servers<'_>,
        members: &mut [DrillMember],
        probe: Option<&Probe>,
    ) -> Result<Check> {
        let hash = self.hash_kv(servers, members)?;
        let mut failures = match &hash {
            Check::Fails(why) => vec![why.clone()],
            _ => Vec::new(),
        };
        if let Some(probe) = probe {
            failures.extend(self.read_back(servers, members, probe)?);
        }
        Ok(Check::all(&failures, || {
            let probe = probe.map(|_| ", and what was written is there");
            format!("the same hash as before{}", probe.unwrap_or_default())
        }))
    }

    fn ask<T>(
        &self,
        servers: &Servers<'_>,
        endpoint: &str,
        question: impl AsyncFnOnce(&Client) -> etcd_snap::Result<T>,
    ) -> Result<Answer<T>> {
        let cluster = servers.cluster()?;
        let answered = self.asking.ask("for an answer", async {
            let client = Client::connect(&cluster, endpoint).await?;
            question(&client.with_timeout(servers.timeout)).await
        })?;
        answered.map(Ok).or_else(|error| match error.kind() {
            etcd_snap::ErrorKind::Cancelled => Err(error.into()),
            _ => Ok(Err(error.to_string())),
        })
    }
}

fn one(key: &[u8], revision: i64) -> RangeRequest {
    RangeRequest {
        key: key.to_vec(),
        revision,
        ..RangeRequest::default()
    }
}

/// What a member does with a key that it should have; `None` where it has it as it is in the file.
fn difference(stored: &StoredKey, value: &[u8], found: &RangeResponse) -> Option<&'static str> {
    let Some(found) = found.kvs.first() else {
        return Some("does not have");
    };
    let expected = KeyValue {
        key: stored.key.clone(),
        create_revision: stored.create_revision.get(),
        mod_revision: stored.mod_revision.get(),
        version: stored.version,
        value: Vec::new(),
        lease: stored.lease,
    };
    if found.value != value {
        return Some("has another value for");
    }
    let without_value = KeyValue {
        value: Vec::new(),
        ..found.clone()
    };
    (without_value != expected).then_some("has another history of")
}
