//! What can be proven of a snapshot without a server.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use etcd_snap::keys::{KeyAnswers, KeyQuestions, look_up};
use etcd_snap::{
    Contents, ErrorKind, Manifest, Revision, Snapshot, SnapshotMember, VerifyOptions,
    snapshot_members, verify,
};

use super::DrillOptions;
use super::conditions::shown;
use super::report::{AgeFrom, DrillCondition, DrillFacts, DrillOutcome};
use super::steps::Check;
use crate::observe::OfLibrary;
use crate::{Result, time};

/// A snapshot that was proven.
pub(super) struct Proven {
    pub(super) contents: Contents,
    pub(super) members: Vec<SnapshotMember>,
}

impl Proven {
    /// The revision that a server with this snapshot is at.
    pub(super) fn revision(&self) -> Revision {
        let compacted = self.contents.compact_revision.unwrap_or_default();
        let empty = Revision::new(1);
        self.contents.revision.max(compacted).max(empty)
    }
}

/// Digest, pages, records and members. `None` where something is wrong with them.
pub(super) fn prove(
    snapshot: &Snapshot,
    options: &DrillOptions,
    facts: &mut DrillFacts,
    notes: &mut Vec<String>,
) -> Result<(Check, Option<Proven>)> {
    let observer = OfLibrary(options.observer.clone());
    let looking = VerifyOptions::default().with_observer(std::sync::Arc::new(observer));
    let report = verify(snapshot, &looking)?;
    facts.size_bytes = Some(report.size_bytes);
    let contents = report.contents.clone();
    let members = match snapshot_members(snapshot) {
        Ok(members) => members,
        Err(error) => return Ok((Check::Fails(error.to_string()), None)),
    };
    describe(&contents, &members, facts);
    let said = match report.into_proven() {
        Ok(proof) => {
            facts.digest = Some(proof.digest);
            "digest, pages and records are whole"
        }
        Err(error) if error.kind() == ErrorKind::NoDigest && options.skip_hash_check => {
            notes.push(
                "it has no digest: nothing proves that its bytes are the ones that a server sent"
                    .to_owned(),
            );
            "pages and records are whole; it has no digest"
        }
        Err(error) => return Ok((Check::Fails(error.to_string()), None)),
    };
    let words = format!(
        "{said}: revision {}, {} keys",
        contents.revision, contents.live_keys
    );
    Ok((Check::Holds(words), Some(Proven { contents, members })))
}

fn describe(contents: &Contents, members: &[SnapshotMember], facts: &mut DrillFacts) {
    facts.revision = Some(contents.revision);
    facts.compact_revision = contents.compact_revision;
    facts.keys = Some(contents.live_keys);
    facts.leases = Some(contents.leases);
    facts.members = members
        .iter()
        .map(|member| match member.name.as_str() {
            "" => member.member_id.to_string(),
            name => name.to_owned(),
        })
        .collect();
    facts.members.sort_unstable();
    facts.cluster_version.clone_from(&contents.cluster_version);
    facts.storage_version.clone_from(&contents.storage_version);
    facts.auth_enabled = Some(contents.auth_enabled);
    facts.alarms.clone_from(&contents.alarms);
}

/// Whether the manifest beside the snapshot is its own, and names the cluster that is expected.
pub(super) fn origin(
    snapshot: &Snapshot,
    proven: &Proven,
    options: &DrillOptions,
    facts: &mut DrillFacts,
) -> Result<Check> {
    let manifest = match Manifest::beside(snapshot) {
        Ok(manifest) => manifest,
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return Ok(Check::Fails(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let Some(manifest) = manifest else {
        return Ok(match options.cluster_id {
            Some(expected) => Check::Fails(format!(
                "nothing says that the snapshot is from the cluster {expected}: no manifest lies beside it, as save --manifest \
                 writes it"
            )),
            None => Check::Skipped("no manifest lies beside it".to_owned()),
        });
    };
    facts.cluster_id = manifest.cluster_id;
    facts.taken_at.clone_from(&manifest.saved_at);
    let mut failures = Vec::new();
    if let Some(expected) = options.cluster_id
        && manifest.cluster_id != Some(expected)
    {
        failures.push(match manifest.cluster_id {
            Some(id) => format!(
                "the snapshot is from another cluster: its manifest says {id}, expected is {expected}"
            ),
            None => format!(
                "nothing says that the snapshot is from the cluster {expected}: its manifest names none"
            ),
        });
    }
    if let Some(giver) = manifest.member_id
        && !proven
            .members
            .iter()
            .any(|member| member.member_id == giver)
    {
        failures.push(format!(
            "the manifest is another cluster's: it says that the member {giver} gave the snapshot, which does not know it"
        ));
    }
    if let Some(revision) = manifest.revision
        && revision != proven.contents.revision
    {
        failures.push(format!(
            "the manifest is another snapshot's: it says revision {revision}, the snapshot is at {}",
            proven.contents.revision
        ));
    }
    Ok(Check::all(&failures, || {
        let cluster = manifest.cluster_id.map(|id| format!(" of cluster {id}"));
        format!("its manifest{} fits", cluster.unwrap_or_default())
    }))
}

/// How old the snapshot is, as far as anything tells.
pub(super) fn age(path: &Path, facts: &mut DrillFacts) {
    let taken = facts
        .taken_at
        .as_deref()
        .and_then(|at| humantime::parse_rfc3339(at).ok());
    let (taken, from) = match taken {
        Some(taken) => (Some(taken), AgeFrom::Manifest),
        None => (
            fs::metadata(path).and_then(|it| it.modified()).ok(),
            AgeFrom::FileTime,
        ),
    };
    let Some(taken) = taken else {
        return;
    };
    facts.taken_at = Some(time::rfc3339(taken));
    // Of clocks that do not agree, the snapshot's is a little ahead.
    let age = SystemTime::now().duration_since(taken).unwrap_or_default();
    facts.age_seconds = Some(age.as_secs());
    facts.age_from = Some(from);
}

/// The caller's conditions, and some keys with all that they hold.
pub(super) fn look(
    snapshot: &Snapshot,
    options: &DrillOptions,
    facts: &DrillFacts,
) -> Result<(Check, (KeyAnswers, Vec<DrillCondition>))> {
    let observer = OfLibrary(options.observer.clone());
    let mut questions = KeyQuestions::default()
        .with_sample(options.sample)
        .with_observer(std::sync::Arc::new(observer));
    for key in &options.expected_keys {
        questions = questions.with_key(key.as_slice());
    }
    for count in &options.expected_counts {
        questions = questions.with_prefix(count.prefix());
    }
    let answers = look_up(snapshot, &questions)?;
    for key in &answers.sample {
        key.value(snapshot)?;
    }
    let mut conditions = Vec::new();
    conditions.extend(options.max_age.map(|most| max_age(most.as_secs(), facts)));
    for (key, found) in options.expected_keys.iter().zip(&answers.found) {
        let key = shown(key);
        conditions.push(match found {
            Some(found) => condition(
                format!("key {key}"),
                true,
                format!(
                    "{} bytes, of revision {}",
                    found.value_bytes, found.mod_revision
                ),
            ),
            None => condition(
                format!("key {key}"),
                false,
                format!("the key {key} is not in the snapshot"),
            ),
        });
    }
    for (expected, count) in options.expected_counts.iter().zip(&answers.counts) {
        let holds = expected.holds(*count);
        let found = if holds {
            format!("there are {count}")
        } else {
            format!("expected were {expected}, and there are {count}")
        };
        conditions.push(condition(expected.to_string(), holds, found));
    }
    let failures = conditions
        .iter()
        .filter(|condition| condition.outcome == DrillOutcome::Failed)
        .map(|condition| condition.detail.clone())
        .collect::<Vec<_>>();
    let check = Check::all(&failures, || {
        let own = match conditions.len() {
            0 => String::new(),
            1 => ", 1 condition holds".to_owned(),
            all => format!(", {all} conditions hold"),
        };
        format!("{} keys can be read{own}", answers.sample.len())
    });
    Ok((check, (answers, conditions)))
}

fn max_age(most: u64, facts: &DrillFacts) -> DrillCondition {
    let text = format!("no older than {}", time::words(most));
    let Some(age) = facts.age_seconds else {
        return condition(
            text,
            false,
            "nothing tells how old the snapshot is".to_owned(),
        );
    };
    let from = match facts.age_from {
        Some(AgeFrom::Manifest) => "as its manifest says",
        _ => "by the time of its file",
    };
    let age_words = time::words(age);
    if age <= most {
        condition(text, true, format!("{age_words} old, {from}"))
    } else {
        let detail = format!(
            "the snapshot is {age_words} old, {from}, and may be {} at most",
            time::words(most)
        );
        condition(text, false, detail)
    }
}

fn condition(text: String, holds: bool, detail: String) -> DrillCondition {
    DrillCondition {
        condition: text,
        outcome: if holds {
            DrillOutcome::Passed
        } else {
            DrillOutcome::Failed
        },
        detail,
    }
}
